"""Fixtures of the functional tests: one lab for a whole run, and labs of their own for what breaks things.

POOLBRIDGE_BUILD names the build folder (default ./build). On failure the report
holds the end of every server's log.
"""

import os
import sys
from collections import Counter

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from lab import Lab  # noqa: E402
from lab.bridge import CONTROL, DAEMON  # noqa: E402

_labs = []


def pytest_configure():
    for program in (DAEMON, CONTROL):
        if not os.access(program, os.X_OK):
            pytest.exit(f"{program} is not there: build it, or name the build folder in POOLBRIDGE_BUILD", 2)


# They begin first: the longest one must not be left to the end, when there is nothing to run beside it.
LONG = ("test_storage.py", "test_ejabberd.py", "test_component.py", "test_authentication.py", "test_faults.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


def open_lab(**options):
    lab = Lab(**options)
    _labs.append(lab)
    return lab


def close_lab(lab):
    _labs.remove(lab)
    lab.close()


# In the text of a message behind which its connection is reset at once: what TCP has not acknowledged by
# then is sent again, though it may have been read. Such a message may come twice, rather than not at all.
RESET_BEHIND = "(reset behind)"
# Likewise what a SIP user has been shown and not answered, when poolbridge had promised to deliver it.
UNANSWERED = "(unanswered)"


def check_each_text_came_once(lab):
    """Over a lab's whole life: no message was shown to two users, or twice to one."""
    texts = Counter()
    for user in lab.users:
        for item in user.inbox.history:
            if item.body and getattr(item, "type", None) != "error" and getattr(item, "kind", "message") == "message":
                texts[item.body] += 1
    assert [text for text, count in texts.items()
            if count > 1 and RESET_BEHIND not in text and UNANSWERED not in text] == []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for lab in _labs:
            report.sections.append(("logs of the lab in " + lab.folder, lab.logs()))


@pytest.fixture(scope="session")
def shared_lab():
    lab = open_lab()
    try:
        yield lab
        check_each_text_came_once(lab)
    finally:
        close_lab(lab)


@pytest.fixture
def lab(shared_lab):
    """The shared lab, with the registry as it was at the start and nothing in anybody's inbox."""
    for user in shared_lab.users:
        user.inbox.clear()
    yield shared_lab
    assert shared_lab.bridge.process.running(), "poolbridge has ended\n" + shared_lab.bridge.process.tail()
    for user in shared_lab.users:
        if user.where == "pool":
            user.reply = 200
    shared_lab.bridge.reset_registry()


def make_labs():
    """Yields a function that makes labs; ends and checks them all afterwards."""
    made = []

    def make(**options):
        made.append(open_lab(**options))
        return made[-1]

    try:
        yield make
        for lab in made:
            check_each_text_came_once(lab)
    finally:
        for lab in reversed(made):
            close_lab(lab)


@pytest.fixture
def new_lab():
    """new_lab(**options): a lab of its own, ended with the test."""
    yield from make_labs()


@pytest.fixture(scope="module")
def own_lab():
    """own_lab(**options): a lab of its own, ended with the file."""
    yield from make_labs()


def person(name, make):
    """A fixture: a user of the shared lab, logged in once."""

    @pytest.fixture(name=name)
    def fixture(lab):
        known = lab.__dict__.setdefault("people", {})
        if name not in known:
            known[name] = make(lab)
        return known[name]

    return fixture


# Who is who: on the partner's server, on the legacy gateway, and at the new pool.
juliet = person("juliet", lambda lab: lab.partner_user("juliet@partner.test"))
rosaline = person("rosaline", lambda lab: lab.partner_user("rosaline@direct.test"))
stranger = person("stranger", lambda lab: lab.partner_user("juliet@stranger.test"))
outcast = person("outcast", lambda lab: lab.partner_user("juliet@blocked.test"))
romeo = person("romeo", lambda lab: lab.legacy_user("romeo@corp.test"))
tybalt_before = person("tybalt_before", lambda lab: lab.legacy_user("tybalt@corp.test"))
mercutio = person("mercutio", lambda lab: lab.legacy_user("mercutio@corp.test"))
romeo_after = person("romeo_after", lambda lab: lab.sip_user("romeo@corp.test", "tcp"))
tybalt = person("tybalt", lambda lab: lab.sip_user("tybalt@corp.test", "udp"))
tybalt_tcp = person("tybalt_tcp", lambda lab: lab.sip_user("paris@corp.test", "tcp"))
mercutio_after = person("mercutio_after", lambda lab: lab.sip_user("mercutio@corp.test", "udp"))
