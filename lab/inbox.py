"""What a user has received, and waiting for it, in one inbox or in several at once.

Filled from the loop's thread, read from the test's. A test that wants to show
that something did NOT come sends another message behind it on the same way,
waits for that one, and then looks here.
"""

import threading
import time

WAIT = 30.0

# One for all inboxes, so that one wait can watch several.
_changed = threading.Condition()


class NothingCame(AssertionError):
    pass


class Inbox:
    def __init__(self, owner):
        self.owner = owner
        self.history = []
        self._items = []

    def put(self, item):
        with _changed:
            self.history.append(item)
            self._items.append(item)
            _changed.notify_all()

    def _take(self, wanted):
        for item in self._items:
            if wanted(item):
                self._items.remove(item)
                return item
        return None

    def wait(self, wanted, timeout=WAIT):
        """Take out and return the first item for which wanted(item) is true."""
        return first([(self, wanted)], timeout)[1]

    def all(self, wanted=lambda item: True):
        """What is there now, left in place."""
        with _changed:
            return [item for item in self._items if wanted(item)]

    def clear(self):
        with _changed:
            self._items.clear()


def first(waits, timeout=WAIT):
    """waits: [(inbox, wanted)]. Take out the first item that comes to any: (inbox, item)."""
    deadline = time.monotonic() + timeout
    with _changed:
        while True:
            for inbox, wanted in waits:
                item = inbox._take(wanted)
                if item is not None:
                    return inbox, item
            left = deadline - time.monotonic()
            if left <= 0:
                raise NothingCame(f"not received in {timeout:g} s.\n" + "\n".join(
                    describe(inbox) for inbox, _ in waits))
            _changed.wait(left)


def wait_until(reached, timeout=WAIT):
    """Return when reached() is true; it is asked again whenever something comes in anywhere."""
    with _changed:
        if not _changed.wait_for(reached, timeout):
            raise NothingCame(f"not reached in {timeout:g} s")


def wait_polled(reached, story=lambda: "no more is known", timeout=WAIT, pause=0.02):
    """Likewise, of what comes into no inbox: it is asked again and again. story(): what to say when time is up."""
    deadline = time.monotonic() + timeout
    while not reached():
        if time.monotonic() > deadline:
            raise NothingCame(f"not reached in {timeout:g} s: {story()}")
        time.sleep(pause)


def describe(inbox):
    items = "\n".join("    " + str(item) for item in inbox._items) or "    nothing"
    return f"{inbox.owner} has, unasked for:\n{items}"
