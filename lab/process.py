"""One server process of the lab: started, watched line by line, ended by pid.

Its output goes through a pipe to a log file and to whoever waits for a line,
so that waiting is for an event and never for a time. Each process leads its own
group, which is ended as a whole.
"""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time

WAIT = 30.0


class ProcessError(Exception):
    pass


class Process:
    def __init__(self, name, argv, folder, guard, env=None, cwd=None, on_line=None):
        """folder: for its log, and for what it leaves in a temporary place.

        on_line: called with each line of output, in a thread of its own; then there is standard input, too: write()."""
        self.name = name
        self.argv = [str(word) for word in argv]
        self.log_path = os.path.join(folder, name + ".log")
        self.lines = []
        self._changed = threading.Condition()
        self._ended = False
        self._guard, self._on_line = guard, on_line
        self._popen = subprocess.Popen(
            self.argv, stdin=subprocess.PIPE if on_line else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=dict(os.environ, TMPDIR=folder, **(env or {})), cwd=cwd, start_new_session=True)
        self.pid = self._popen.pid
        guard.add(self.pid)
        self._pump = threading.Thread(target=self._read, name=name + "-log", daemon=True)
        self._pump.start()

    def _read(self):
        with open(self.log_path, "ab", buffering=0) as log:
            for raw in self._popen.stdout:
                log.write(raw)
                line = raw.decode("utf-8", "replace").rstrip("\n")
                with self._changed:
                    self.lines.append(line)
                    self._changed.notify_all()
                if self._on_line:
                    self._on_line(line)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def running(self):
        return self._popen.poll() is None

    def write(self, line):
        """A line for its standard input."""
        self._popen.stdin.write(line.encode("utf-8") + b"\n")
        self._popen.stdin.flush()

    def mark(self):
        """A place in the log, for wait_line(after=...)."""
        with self._changed:
            return len(self.lines)

    def wait_line(self, pattern, timeout=WAIT, after=0):
        """The first log line that matches; ProcessError when the process ends or time is up before."""
        wanted, deadline, seen = re.compile(pattern), time.monotonic() + timeout, after
        with self._changed:
            while True:
                for line in self.lines[seen:]:
                    match = wanted.search(line)
                    if match:
                        return match
                seen = len(self.lines)
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    why = "ended" if self._ended else f"said nothing of the kind in {timeout:g} s"
                    raise ProcessError(f"{self.name} {why}; waited for: {pattern}\n{self.tail()}")
                self._changed.wait(left)

    def tail(self, count=40):
        """The last lines of the log, indented, for error messages."""
        lines = self.lines[-count:]
        return "\n".join("    " + line for line in lines) or "    (no output)"

    def signal(self, number):
        if self.running():
            os.kill(self.pid, number)

    def wait(self, timeout=WAIT):
        """The exit status; negative when a signal ended it."""
        status = self._popen.wait(timeout)
        self._pump.join(WAIT)
        return status

    def stop(self, timeout=WAIT):
        """SIGTERM, then SIGKILL for what does not listen. Returns the exit status."""
        self.signal(signal.SIGTERM)
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        return self.kill()

    def kill(self):
        """SIGKILL for the whole group."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        status = self.wait()
        self._guard.remove(self.pid)
        if self._popen.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._popen.stdin.close()
        return status
