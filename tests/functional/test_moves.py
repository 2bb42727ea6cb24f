"""Users who are moved while they talk, and moves that nobody ends."""

import sqlite3
import time

import pytest

from lab.inbox import wait_polled
from lab.sipe_user import BUILT

JULIET, ROMEO = "juliet@partner.test", "romeo@corp.test"
ACTIVE = "<active xmlns='http://jabber.org/protocol/chatstates'/>"
needs_sipe = pytest.mark.skipif(not BUILT, reason="lab/sipe_user was not built: libpurple-dev")


def moves(lab):
    return lab.bridge.json("status")["moves"]


def mark(lab):
    return lab.bridge.json("user", "show", ROMEO)["mark"]


def sessions(lab):
    return lab.bridge.json("status")["gateway"]["sessions"]


def texts(user):
    return [item.body for item in user.inbox.history
            if item.body and getattr(item, "type", None) != "error" and getattr(item, "kind", "message") == "message"]


# ---- moves that nobody ends


@pytest.fixture
def short(new_lab):
    """A lab where a move has three seconds."""
    lab = new_lab(settings={"spool.move_time": 3})
    lab.juliet = lab.partner_user(JULIET)
    lab.before, lab.after = lab.legacy_user(ROMEO), lab.sip_user(ROMEO, "tcp")
    return lab


def ended(lab, side):
    """The last words of the log and of the audit on Romeo's move."""
    lab.bridge.process.wait_line(rf"warning move-ended user={ROMEO} since=\S+ limit_s=3 back_to={side}")
    entry = lab.bridge.json("audit", "list")[-1]
    assert entry["actor"] == "poolbridge" and entry["key"] == ROMEO
    assert entry["before"]["mark"] == "moving"
    return entry["after"]


def test_back_to_the_legacy_side(short):
    short.bridge.ctl("user", "mark", "moving", ROMEO)
    document = short.bridge.json("user", "show", ROMEO)
    assert document["moving_since"] < document["moving_until"]
    for k in range(10):
        short.juliet.send(ROMEO, f"held {k}")
    short.before.wait_message("held 9")
    assert ended(short, "legacy")["mark"] == "legacy" and mark(short) == "legacy"
    assert texts(short.before) == [f"held {k}" for k in range(10)] and texts(short.after) == []
    assert moves(short) == {"moving": 0, "overdue": 0, "ended": 1}
    assert "moving_since" not in short.bridge.json("user", "show", ROMEO)


def test_back_to_the_new_side(short):
    short.bridge.ctl("user", "mark", "migrated", ROMEO)
    short.bridge.ctl("user", "mark", "moving", ROMEO)
    for k in range(10):
        short.juliet.send(ROMEO, f"held {k}")
    short.after.wait_message("held 9")
    assert ended(short, "migrated")["mark"] == "migrated"
    assert texts(short.after) == [f"held {k}" for k in range(10)] and texts(short.before) == []


def test_off_the_list_again(short):
    """He was not listed, and his domain's default decided; so it does again, and undo brings the mark back."""
    short.bridge.ctl("user", "remove", ROMEO)
    short.bridge.ctl("user", "mark", "moving", ROMEO)
    short.juliet.send(ROMEO, "held")
    short.before.wait_message("held")
    assert ended(short, "unlisted") is None
    assert short.bridge.json("route", "explain", JULIET, ROMEO)["row"] == 11


def test_killed_meanwhile(short):
    """The time goes on while poolbridge is away, and what was kept comes."""
    short.bridge.ctl("user", "mark", "moving", ROMEO)
    number = short.juliet.send(ROMEO, "before the kill")
    wait_polled(lambda: short.bridge.json("status")["spool"]["messages"] == 1)
    short.bridge.kill()
    time.sleep(3)  # not to wait for something: this is the time that is over then
    assert mark(short) == "moving"
    short.bridge.start()
    short.before.wait_message("before the kill")
    assert ended(short, "legacy")["mark"] == "legacy"
    assert not short.juliet.inbox.all(lambda item: item.id == number)
    assert texts(short.before) == ["before the kill"] and texts(short.after) == []


def test_locked_registry(short):
    """Another program writes for a while: poolbridge goes on carrying, and ends the move afterwards."""
    other = sqlite3.connect(short.bridge.settings["registry"] if short.bridge.settings["registry"][0] == "/"
                            else f"{short.bridge.folder}/{short.bridge.settings['registry']}", isolation_level=None)
    short.bridge.ctl("user", "mark", "moving", ROMEO)
    other.execute("BEGIN IMMEDIATE")
    wait_polled(lambda: moves(short)["overdue"] == 1)
    short.juliet.send("tybalt@corp.test", "to somebody else")
    short.sip_user("tybalt@corp.test", "tcp").wait_message("to somebody else")
    assert mark(short) == "moving"
    other.execute("COMMIT")
    other.close()
    ended(short, "legacy")


def test_marked_in_time(short):
    short.bridge.ctl("user", "mark", "moving", ROMEO)
    short.juliet.send(ROMEO, "held")
    short.bridge.ctl("user", "mark", "migrated", ROMEO)
    short.after.wait_message("held")
    time.sleep(3)  # the limit of a move that is over
    short.juliet.send(ROMEO, "later")
    short.after.wait_message("later")
    assert moves(short)["ended"] == 0 and mark(short) == "migrated"


# ---- a chat that goes on


@pytest.fixture(scope="module")
def chat_lab(own_lab):
    lab = own_lab(presence="2007")
    lab.juliet, lab.before, lab.after = lab.partner_user(JULIET), lab.legacy_user(ROMEO), lab.sipe_user(ROMEO)
    return lab


def says(lab, user, text):
    """Romeo, from there: Juliet has it in the thread."""
    user.send(JULIET, text, **({"thread": "th-1"} if user is lab.before else {}))
    stanza = lab.juliet.wait_message(text)
    assert stanza.thread == "th-1"


def move(lab, side, *texts_meanwhile):
    lab.bridge.ctl("user", "mark", "moving", ROMEO)
    for text in texts_meanwhile:
        lab.juliet.send(ROMEO, text, thread="th-1", extra=ACTIVE)
    lab.bridge.ctl("user", "mark", side, ROMEO)


@needs_sipe
def test_chat_goes_on(chat_lab):
    """To the new pool, back, and there again: one thread, nothing lost, nobody types for ever."""
    lab, juliet, before, after = chat_lab, chat_lab.juliet, chat_lab.before, chat_lab.after
    juliet.send(ROMEO, "one", thread="th-1", extra=ACTIVE)
    assert before.wait_message("one").thread == "th-1"
    says(lab, before, "two")
    before.chat_state(JULIET, "composing", thread="th-1")
    juliet.wait_chat_state(ROMEO, "composing")
    move(lab, "migrated")
    assert juliet.wait_chat_state(ROMEO, "active").sender == before.full
    # Nothing has been written since: what was said there is known here.
    says(lab, after, "two and a half")
    move(lab, "migrated", "three", "four")
    sender = after.wait_message("four").sender
    says(lab, after, "five")
    after.typing(JULIET)
    juliet.wait_chat_state(ROMEO, "composing")
    juliet.chat_state(ROMEO, "composing", thread="th-1")
    after.wait_typing(sender, "typing")
    assert sessions(lab) == 1
    bye = after.process.mark()
    move(lab, "legacy", "six")
    assert juliet.wait_chat_state(ROMEO, "active").thread == "th-1"
    after.process.wait_line(r"^BYE |method\(BYE\)", after=bye)
    wait_polled(lambda: sessions(lab) == 0)
    assert before.wait_message("six").thread == "th-1"
    says(lab, before, "seven")
    move(lab, "migrated")
    juliet.send(ROMEO, "eight", thread="th-1", extra=ACTIVE)
    after.wait_message("eight")
    says(lab, after, "nine")
    assert texts(before) == ["one", "six"]
    assert texts(after) == ["three", "four", "eight"]
    assert texts(juliet) == ["two", "two and a half", "five", "seven", "nine"]


@needs_sipe
def test_moves_while_she_talks(chat_lab):
    """Each text is shown once, on one side, and in her order there; sessions begin and end underneath."""
    lab, count, shown = chat_lab, 80, [chat_lab.before, chat_lab.after]
    for user in shown + [lab.juliet]:
        user.inbox.history.clear()
    for k in range(count):
        lab.juliet.send(ROMEO, f"while {k}", thread="th-2", extra=ACTIVE)
        if k in (10, 20):  # each side has something, however slow the machine
            shown[k // 20].wait_message(f"while {k}")
        if k % 20 == 5:
            lab.bridge.ctl("user", "mark", "moving", ROMEO)
        if k % 10 == 9:
            lab.bridge.ctl("user", "mark", "legacy" if k % 20 == 9 else "migrated", ROMEO)
    wait_polled(lambda: sum(len(texts(user)) for user in shown) >= count, timeout=60)
    numbers = [[int(text.split()[1]) for text in texts(user)] for user in shown]
    assert sorted(numbers[0] + numbers[1]) == list(range(count))
    assert numbers == [sorted(of_one) for of_one in numbers]
    assert texts(lab.juliet) == []
