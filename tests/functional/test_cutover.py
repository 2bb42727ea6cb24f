"""A user is marked while messages flow: lost none, doubled none, each on the side of its time."""

import threading

import pytest

from lab import inbox

BEFORE, AFTER, WINDOW = 100, 100, 20


class Flow:
    """
    Numbered messages to one address, sent by a thread until it is told to stop,
    at most WINDOW of them on their way: what is lost holds the flow up.
    """

    def __init__(self, sender, recipients, label):
        self.sender, self.recipients, self.label = sender, recipients, label
        self.sent, self._stopping = 0, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stopping:
            inbox.wait_until(lambda: self.sent - self.arrived() < WINDOW, 30)
            self.sender.send(self.recipients[0].address, f"{self.label} {self.sent + 1}")
            self.sent += 1

    def arrived(self):
        return sum(len(self.numbers(user)) for user in self.recipients)

    def wait_arrived(self, count):
        inbox.wait_until(lambda: self.arrived() >= count, 30)

    def stop(self):
        """Returns when everything that was sent has arrived."""
        self._stopping = True
        self._thread.join(30)
        self.wait_arrived(self.sent)

    def numbers(self, user):
        """In the order in which the user got them."""
        start = self.label + " "
        texts = [item.body for item in user.inbox.history if item.body and item.body.startswith(start)]
        return [int(text.rpartition(" ")[2]) for text in texts]


@pytest.mark.parametrize("before, after", [("legacy", "migrated"), ("migrated", "legacy")])
@pytest.mark.parametrize("way", ["user", "phase"])
def test_marked_while_messages_flow(lab, juliet, romeo, romeo_after, before, after, way):
    old, new = (romeo, romeo_after) if before == "legacy" else (romeo_after, romeo)
    change(lab, way, before)
    flow = Flow(juliet, (old, new), f"{way} {before} to {after}")
    flow.wait_arrived(BEFORE)
    change(lab, way, after)
    certain = flow.sent + 1
    flow.wait_arrived(certain + AFTER)
    flow.stop()

    first, second = flow.numbers(old), flow.numbers(new)
    assert sorted(first + second) == list(range(1, flow.sent + 1)), "lost or doubled"
    assert not juliet.inbox.all(lambda s: s.type == "error")
    # The change falls between two messages, and before the first that was sent after it.
    assert first == list(range(1, len(first) + 1))
    assert second == list(range(len(first) + 1, flow.sent + 1))
    assert len(first) <= certain


def change(lab, way, mark):
    if way == "user":
        lab.bridge.mark(mark, "romeo@corp.test")
    else:
        lab.bridge.ctl("domain", "set", "corp.test", "--phase", mark)


def test_marked_back_and_forth(lab, juliet, romeo, romeo_after):
    """Twenty changes under load."""
    flow = Flow(juliet, (romeo, romeo_after), "back and forth")
    for turn in range(20):
        flow.wait_arrived((turn + 1) * 20)
        lab.bridge.mark("migrated" if turn % 2 == 0 else "legacy", "romeo@corp.test")
    flow.stop()
    first, second = flow.numbers(romeo), flow.numbers(romeo_after)
    assert sorted(first + second) == list(range(1, flow.sent + 1)), "lost or doubled"
    assert first == sorted(first) and second == sorted(second)
    assert first and second
