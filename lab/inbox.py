"""What a user has received, and waiting for it.

Filled from the loop's thread, read from the test's. A test that wants to show
that something did NOT come sends another message behind it on the same way,
waits for that one, and then looks here.
"""

import threading
import time

WAIT = 15.0


class NothingCame(AssertionError):
    pass


class Inbox:
    def __init__(self, owner):
        self._owner = owner
        self._items = []
        self._changed = threading.Condition()

    def put(self, item):
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def wait(self, wanted, timeout=WAIT):
        """Take out and return the first item for which wanted(item) is true."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for item in self._items:
                    if wanted(item):
                        self._items.remove(item)
                        return item
                left = deadline - time.monotonic()
                if left <= 0:
                    seen = "\n".join("    " + str(item) for item in self._items) or "    nothing"
                    raise NothingCame(f"{self._owner}: not received in {timeout:g} s. Waiting there:\n{seen}")
                self._changed.wait(left)

    def all(self, wanted=lambda item: True):
        """What is there now, left in place."""
        with self._changed:
            return [item for item in self._items if wanted(item)]

    def clear(self):
        with self._changed:
            self._items.clear()
