"""strace beside the daemon or before poolbridgectl: system calls on certain files are counted, or made to fail.

Calls are counted one name at a time: "when" is the number of a call among those of its name on the files.
"""

import os
import re
import signal
import subprocess

CALL = re.compile(r"^(?:\d+ +)?(\w+)\(")
# What can change a file, its length, its name or its locks, or find out about them.
CALLS = ("openat", "pread64", "pwrite64", "fdatasync", "fsync", "ftruncate", "fallocate", "unlink", "fcntl", "flock",
         "fstat", "newfstatat", "mmap", "fchown")


def files_of(*paths):
    """The databases with the files beside them."""
    return [path + end for path in paths for end in ("", "-wal", "-shm")]


def words(log, files, calls=CALLS, inject=None, more=()):
    """inject: "pwrite64:error=EIO:when=3". Of these files only, or of all. more: further options of strace."""
    argv = ["strace", "-o", log, "-e", "trace=" + ",".join(calls), *more]
    for path in files:
        argv += ["-P", path]
    return argv + (["-e", "inject=" + inject] if inject else [])


def counts(log):
    """{call: how often}, from a log."""
    found = {}
    with open(log, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            match = CALL.match(line)
            if match:
                found[match.group(1)] = found.get(match.group(1), 0) + 1
    return found


def was_injected(log):
    with open(log, encoding="utf-8", errors="replace") as lines:
        return any("(INJECTED)" in line for line in lines)


class Tracer:
    """Attached to the main thread of a process, which alone touches the files; detached by close()."""

    def __init__(self, pid, log, files, calls=CALLS, inject=None, more=()):
        self.log = log
        argv = words(log, files, calls, inject, more) + ["-p", str(pid)]
        self._popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True)
        line = self._popen.stderr.readline()
        if "attached" not in line:
            self.close()
            raise RuntimeError(f"strace: {line.strip()}")

    def close(self):
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGINT)
        self._popen.wait(10)
        self._popen.stderr.close()


def run(argv, log, files, calls=CALLS, inject=None, env=None, timeout=60):
    """A program to its end; the CompletedProcess, with a negative status when a signal ended it."""
    return subprocess.run(words(log, files, calls, inject) + ["--"] + argv, capture_output=True, text=True,
                          timeout=timeout, env=dict(os.environ, **(env or {})), check=False)
