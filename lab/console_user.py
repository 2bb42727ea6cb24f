"""A user whose program is a real SIP client without a screen: what it shows becomes events in an inbox.

SipeUser, BaresipUser and LinphoneUser say how their program is started, spoken to
and read. Each has a folder of its own for its files, which is its HOME, too, and
its output is in a log of its own.
"""

import itertools
import os
import time

from lab.inbox import WAIT, Inbox
from lab.process import Process

_numbers = itertools.count(1)


class Event:
    """
    What a user has been shown. kind: "message" (body), "presence" (status, online, note), "typing" (status),
    "error" (body), or one of the program's own.
    """

    def __init__(self, kind, sender=None, body=None, status=None, online=None, note=None, raw=None):
        self.at, self.kind, self.sender, self.body, self.raw = time.monotonic(), kind, sender, body, raw
        self.status, self.online, self.note = status, online, note
        # What lab.delivery looks at.
        self.id, self.type, self.error = None, "error" if kind == "error" else None, body if kind == "error" else None

    def __str__(self):
        words = {"from": self.sender, "body": self.body, "status": self.status, "online": self.online,
                 "note": self.note}
        return self.kind + "".join(f" {name}={value!r}" for name, value in words.items() if value is not None)


class ConsoleUser:
    """
    program: for names of logs and folders. farewell: what ends the program, on its standard input; None: a signal.
    Subclasses have _line(text), which puts events in the inbox.
    """

    program = farewell = None

    def __init__(self, lab, address):
        self.address, self.lab = address, lab
        self.name = f"{self.program}-{next(_numbers)}-{address}"
        self.folder = os.path.join(lab.folder, self.name)
        os.makedirs(self.folder)
        self.inbox = Inbox(f"{self.program} {address}")
        self.process = None
        self._text = None  # the message whose lines are coming: [sender, line...]

    def _put(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as out:
            out.write(text)

    def _end_message(self):
        sender, *lines = self._text
        self._text = None
        self.inbox.put(Event("message", sender, "\n".join(lines)))

    def _start(self, argv, **env):
        self.process = Process(self.name, argv, self.lab.folder, self.lab.guard, cwd=self.folder, on_line=self._line,
                               env=env | {"HOME": self.folder, "XDG_CONFIG_HOME": self.folder + "/.config",
                                    "XDG_DATA_HOME": self.folder + "/.local/share", "LC_ALL": "C.UTF-8"})

    def _line(self, text):
        raise NotImplementedError

    def _wait_connected(self):
        try:
            self.inbox.wait(lambda event: event.kind == "connected", 30)
        except AssertionError as error:
            self.process.kill()
            raise RuntimeError(f"{self.name} did not register: {error}\n{self.process.tail()}") from None
        self.inbox.clear()

    # ---- waiting

    def wait_message(self, body, timeout=WAIT):
        return self.inbox.wait(lambda event: event.kind == "message" and event.body == body, timeout)

    def wait_typing(self, sender, status, timeout=WAIT):
        """status: "typing" or "stopped"."""
        return self.inbox.wait(
            lambda event: (event.kind, event.sender, event.status) == ("typing", sender, status), timeout)

    def wait_presence(self, sender, status=None, online=None, note=None, timeout=WAIT):
        """The first presence of the sender that shows what is not None here."""
        def wanted(event):
            return event.kind == "presence" and event.sender == sender and all(
                value is None or getattr(event, name) == value
                for name, value in (("status", status), ("online", online), ("note", note)))
        return self.inbox.wait(wanted, timeout)

    def wait_error(self, timeout=WAIT):
        return self.inbox.wait(lambda event: event.kind == "error", timeout)

    # ---- the end

    def crash(self):
        """Its machine has lost power."""
        self.process.kill()

    def close(self):
        """Returns when the program has logged out and ended."""
        if self.farewell is None:
            self.process.stop()
            return
        if self.process.running():
            self.process.write(self.farewell)
            self.process.wait()
        self.process.kill()
