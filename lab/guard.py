"""The guard: ends a lab's processes and removes its folder when the lab cannot.

It runs as a process of its own and reads lines from the lab: "folder PATH",
"add GROUP", "remove GROUP". The end of its input means that the lab is gone,
by plan or by SIGKILL; whatever is still listed then is ended.
"""

import os
import shutil
import signal
import subprocess
import sys


class Guard:
    """The lab's side."""

    def __init__(self, folder):
        self._process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True)
        self._say(f"folder {folder}")

    def _say(self, line):
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def add(self, group):
        self._say(f"add {group}")

    def remove(self, group):
        self._say(f"remove {group}")

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def end_group(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder, groups = None, set()
    for line in sys.stdin:
        word, _, value = line.rstrip("\n").partition(" ")
        if word == "folder":
            folder = value
        elif word == "add":
            groups.add(int(value))
        elif word == "remove":
            groups.discard(int(value))
    for group in groups:
        end_group(group)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
