"""Presence follows a user who is moved: his contacts see the new side first, then the old one's end, and nobody is asked."""

import json
import os
import subprocess
import sys

import pytest

from lab.bridge import TOP
from lab.contact_view import View
from lab.inbox import wait_polled, wait_until
from lab.sipe_user import BUILT

needs_sipe = pytest.mark.skipif(not BUILT, reason="lab/sipe_user was not built: libpurple-dev")

# Seconds until a side that says nothing is waited for no longer: more than real clients on a slow machine take.
HANDOVER = 90
JULIET, ROMEO = "juliet@partner.test", "romeo@corp.test"


def make_friends(contact, user):
    """Both know each other, and see each other."""
    for asking, asked in ((contact, user), (user, contact)):
        asking.subscribe(asked.address)
        asked.wait_presence(asking.address, "subscribe")
        asked.approve(asking.address)
        asking.wait_presence(asked.address, "subscribed")
        asking.wait_presence(asked.address)


class Watcher:
    """A contact, and what he sees of Romeo, from start to end."""

    def __init__(self, user):
        self.user, self.since, self.resources = user, 0, set()

    def view(self):
        return View(self.user.inbox.history[self.since:], ROMEO, self.resources)

    def mark(self):
        """From here on."""
        self.resources, self.since = self.view().resources, len(self.user.inbox.history)

    def wait(self, reached, timeout=2 * HANDOVER):
        try:
            wait_until(lambda: reached(self.view()), timeout)
        except AssertionError as error:
            raise AssertionError(f"{self.view().order}, {self.view().resources}") from error

    def only(self, resource):
        """Waits until that one alone is there, and says what must not have happened on the way."""
        self.wait(lambda view: view.resources == {resource})
        assert (self.view().flaps, self.view().asked) == (0, [])

    def new(self, *old):
        """Waits for somebody who is none of these, alone; the full address."""
        self.wait(lambda view: len(view.resources) == 1 and not view.resources & set(old))
        assert (self.view().flaps, self.view().asked) == (0, [])
        return next(iter(self.view().resources))


def rows(lab):
    return {(row["contact"], row["direction"]): (row["state"], row["via"])
            for row in lab.bridge.json("subscription", "list", "--user", ROMEO)}


def presence_status(lab):
    return lab.bridge.json("status")["gateway"]["presence"]


def log_in_after(lab):
    """At the new pool, and to be seen there."""
    user = lab.sipe_user(ROMEO)
    wait_polled(lambda: ROMEO in lab.pool.published(), lab.pool.published, 2 * HANDOVER)
    return user


@pytest.fixture(scope="module")
def lab(own_lab):
    return own_lab(presence="2005", settings={"presence.handover_time": HANDOVER})


@pytest.fixture(scope="module")
def juliet(lab):
    return lab.partner_user(JULIET)


@pytest.fixture(scope="module")
def romeo(lab, juliet):
    user = lab.legacy_user(ROMEO, "desk")
    make_friends(juliet, user)
    return user


@pytest.fixture(scope="module")
def romeo_after(lab, romeo):
    return log_in_after(lab)


@pytest.fixture(scope="module")
def watcher(juliet, romeo):
    return Watcher(juliet)


ACTIVE = {(JULIET, "to-contact"), (JULIET, "to-local")}


def via(lab, where):
    wanted = {key: ("active", where) for key in ACTIVE}
    wait_polled(lambda: rows(lab) == wanted, lambda: rows(lab), 2 * HANDOVER)


@needs_sipe
def test_there_and_back(lab, juliet, romeo, romeo_after, watcher):
    """The user is logged in on both sides all the time."""
    watcher.wait(lambda view: view.resources == {romeo.full})
    watcher.mark()
    lab.bridge.mark("migrated", ROMEO)
    new = watcher.new(romeo.full)
    assert watcher.view().order[-2:] == [("available", new.partition("/")[2]), ("unavailable", "desk")]
    via(lab, "gateway")
    # He sees her, too, without asking; and what she says from now on.
    romeo_after.add(JULIET)
    romeo_after.wait_presence(JULIET, "available", online=True)
    juliet.status("away")
    romeo_after.wait_presence(JULIET, "away", online=True)
    romeo_after.status("busy")
    juliet.wait_status(ROMEO, "dnd")
    # What the legacy gateway says of him meanwhile is of a place where he is no more.
    romeo.status("xa", "still here")
    watcher.only(new)

    watcher.mark()
    romeo.inbox.clear()
    lab.bridge.mark("legacy", ROMEO)
    watcher.only(romeo.full)
    assert watcher.view().order == [("available", "desk"), ("unavailable", new.partition("/")[2])]
    via(lab, "legacy")
    romeo.wait_status(JULIET, "away")
    juliet.wait_status(ROMEO, "xa", "still here")
    romeo.status()
    juliet.wait_status(ROMEO)
    assert presence_status(lab)["overdue"] == 0


@needs_sipe
def test_through_moving(lab, juliet, romeo, romeo_after, watcher):
    """He logs out on the old side and in on the new one while he is being moved; she never sees him gone."""
    lab.bridge.mark("moving", ROMEO)
    watcher.mark()
    romeo.close()
    lab.users.remove(romeo)
    # A second client of hers asks while he is nowhere, and is answered with what she was told.
    second = lab.partner_user(JULIET, "orchard")
    wait_until(lambda: View(second.inbox.history, ROMEO).resources == {romeo.full})
    assert watcher.view().resources == {romeo.full}
    lab.bridge.mark("migrated", ROMEO)
    new = watcher.new(romeo.full)
    via(lab, "gateway")

    lab.bridge.mark("moving", ROMEO)
    watcher.mark()
    romeo_after.close()
    lab.users.remove(romeo_after)
    again = lab.legacy_user(ROMEO, "desk")
    watcher.wait(lambda view: view.resources == {new, again.full})
    lab.bridge.mark("legacy", ROMEO)
    watcher.only(again.full)
    via(lab, "legacy")
    second.close()
    lab.users.remove(second)


def test_moving_is_given_up(lab, juliet):
    """What has ended meanwhile has ended: she is told then, once."""
    romeo = next((user for user in lab.users if user.address == ROMEO and user.where == "legacy"), None)
    if romeo is None:
        romeo = lab.legacy_user(ROMEO, "desk")
        make_friends(juliet, romeo)
    watcher = Watcher(juliet)
    watcher.wait(lambda view: view.resources == {romeo.full})
    lab.bridge.mark("moving", ROMEO)
    watcher.mark()
    romeo.close()
    lab.users.remove(romeo)
    second = lab.partner_user(JULIET, "orchard")
    wait_until(lambda: View(second.inbox.history, ROMEO).resources == {romeo.full})
    assert watcher.view().order == [("available", "desk")]  # the answer to the second one's probe
    lab.bridge.mark("legacy", ROMEO)
    watcher.wait(lambda view: not view.resources)
    assert watcher.view().order[1:] == [("unavailable", "desk")] and watcher.view().asked == []


@pytest.mark.parametrize("options", [[], ["--kill"]], ids=["there and back", "killed in between"])
def test_many(options):
    """The short form of tests/handover."""
    done = subprocess.run([sys.executable, os.path.join(TOP, "tests", "handover"), "--count", "60", *options],
                          capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert verdict["subscriptions"] == 60
