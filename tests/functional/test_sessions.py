"""IM sessions as Lync and Skype for Business have them: a real client of theirs, and SIPp for what it never does."""

import os
import shutil
import time

import pytest

from lab.sipe_user import BUILT

HERE = os.path.dirname(os.path.abspath(__file__))
JULIET, TYBALT = "juliet@partner.test", "tybalt@corp.test"
ACTIVE = "<active xmlns='http://jabber.org/protocol/chatstates'/>"
RECEIPT = "<request xmlns='urn:xmpp:receipts'/>"
needs_sipe = pytest.mark.skipif(not BUILT, reason="lab/sipe_user was not built: libpurple-dev")
needs_sipp = pytest.mark.skipif(not shutil.which("sipp"), reason="sipp is not installed: apt-get install sip-tester")


def texts(user, kind="message"):
    """All that a user was shown, in order."""
    return [item.body for item in user.inbox.history
            if item.body and item.type != "error" and getattr(item, "kind", "message") == kind]


# ---- pidgin-sipe at Kamailio


@pytest.fixture(scope="module", params=["2005", "2007"])
def client_lab(request, own_lab):
    lab = own_lab(presence=request.param)
    lab.juliet, lab.tybalt = lab.partner_user(JULIET), lab.sipe_user(TYBALT)
    return lab


@pytest.fixture
def pair(client_lab):
    for user in (client_lab.juliet, client_lab.tybalt):
        user.inbox.clear()
        user.inbox.history.clear()
    return client_lab.juliet, client_lab.tybalt


def sessions(lab):
    return lab.bridge.json("status")["gateway"]["sessions"]


@needs_sipe
def test_many_messages_at_once(pair):
    juliet, tybalt = pair
    # This client loses its own session, and what waits for it, when an INVITE meets its own: one of them begins.
    juliet.send(TYBALT, "first", extra=ACTIVE)
    tybalt.wait_message("first")
    for number in range(30):
        juliet.send(TYBALT, f"J{number}", extra=ACTIVE)
        tybalt.send(JULIET, f"T{number}")
    tybalt.wait_message("J29")
    juliet.wait_message("T29")
    assert texts(tybalt) == ["first"] + [f"J{number}" for number in range(30)]
    assert texts(juliet) == [f"T{number}" for number in range(30)]


@needs_sipe
def test_typing_and_the_end(client_lab, pair):
    juliet, tybalt = pair
    juliet.send(TYBALT, "here I am", extra=ACTIVE)
    sender = tybalt.wait_message("here I am").sender
    for _ in range(2):
        juliet.chat_state(TYBALT, "composing")
        tybalt.wait_typing(sender, "typing")
        juliet.chat_state(TYBALT, "paused")
        tybalt.wait_typing(sender, "stopped")
    tybalt.send(JULIET, "and I")
    juliet.wait_message("and I")
    tybalt.typing(JULIET)
    juliet.wait_chat_state(TYBALT, "composing")
    tybalt.typing(JULIET, False)
    juliet.wait_chat_state(TYBALT, "active")
    # His window is closed, and hers, and each time the next text is in a new session.
    tybalt.close_chat(JULIET)
    juliet.wait_chat_state(TYBALT, "gone")
    assert sessions(client_lab) == 0
    juliet.send(TYBALT, "are you there?", extra=ACTIVE)
    tybalt.wait_message("are you there?")
    assert sessions(client_lab) == 1
    mark = tybalt.process.mark()
    juliet.chat_state(TYBALT, "gone")
    tybalt.process.wait_line(r"^BYE |method\(BYE\)", after=mark)
    tybalt.send(JULIET, "in a new one")
    juliet.wait_message("in a new one")
    assert texts(tybalt) == ["here I am", "are you there?"]
    assert texts(juliet) == ["and I", "in a new one"]


@needs_sipe
def test_receipt_when_the_client_has_it(pair):
    juliet, tybalt = pair
    number = juliet.send(TYBALT, "have you got it?", extra=ACTIVE + RECEIPT)
    tybalt.wait_message("have you got it?")
    juliet.wait_receipt(number)
    number = juliet.send("nosuch@corp.test", "has anybody?", extra=RECEIPT)
    assert juliet.wait_error(number)
    assert not juliet.inbox.all(lambda stanza: stanza.receipt)


@needs_sipe
def test_poolbridge_begins_anew(client_lab, pair):
    """The dialog has died with the process: the client's text fails where it can see it, or comes; hers comes."""
    juliet, tybalt = pair
    juliet.send(TYBALT, "before")
    tybalt.wait_message("before")
    client_lab.bridge.kill()
    client_lab.bridge.start()
    juliet.send(TYBALT, "after")
    tybalt.wait_message("after")
    tybalt.send(JULIET, "answer")
    juliet.wait_message("answer")
    assert texts(tybalt) == ["before", "after"]


@needs_sipe
def test_user_moves_to_the_other_pool(new_lab):
    lab = new_lab(presence="2007", legacy_pool=True)
    lab.bridge.ctl("partner", "set", "partner.test", "--gateway", "bridge")
    juliet = lab.partner_user(JULIET)
    old, new = lab.sipe_user("romeo@corp.test", pool=lab.legacy_pool), lab.sipe_user("romeo@corp.test")
    juliet.send("romeo@corp.test", "to the old place")
    old.wait_message("to the old place")
    lab.bridge.mark("migrated", "romeo@corp.test")
    juliet.send("romeo@corp.test", "to the new place")
    new.wait_message("to the new place")
    new.send(JULIET, "from the new place")
    juliet.wait_message("from the new place")
    assert texts(old) == ["to the old place"]
    assert texts(new) == ["to the new place"]
    assert sessions(lab) == 1


# ---- SIPp is the pool


@pytest.fixture(params=["udp", "tcp"])
def sipp_lab(request, new_lab):
    lab = new_lab(pool=False, settings={"sip.new_pool_mode": "auto"})
    lab.transport = request.param
    lab.bridge.write_config(sip__new_pool=f"sip:{lab.block.address('sipp')}:5060;transport={request.param}")
    lab.bridge.restart()
    lab.juliet = lab.partner_user(JULIET)
    return lab


def sipp(lab, scenario, *words, **blanks):
    """blanks: what stands for these words in the scenario."""
    with open(os.path.join(HERE, "sipp", scenario + ".xml"), encoding="utf-8") as file:
        text = file.read()
    for blank, value in blanks.items():
        text = text.replace(blank, value)
    path = os.path.join(lab.folder, scenario + ".xml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return lab.run(scenario, [
        "sipp", "-sf", path, "-i", lab.block.address("sipp"), "-p", "5060",
        "-t", {"udp": "u1", "tcp": "t1"}[lab.transport], "-nostdin", "-trace_err", "-trace_msg",
        "-error_file", os.path.join(lab.folder, scenario + "-errors.log"),
        "-message_file", os.path.join(lab.folder, scenario + "-messages.log"), *words], cwd=lab.folder)


def ended(process):
    assert process.wait() == 0, process.tail()


def called(lab, scenario, *words, **blanks):
    """Returns when it listens."""
    process = sipp(lab, scenario, *words, **blanks)
    wait_for_port(lab.block.address("sipp"), lab.transport)
    return process


def wait_for_port(address, transport):
    """Looks in the kernel's table: a connection would be a call, for SIPp."""
    number = "".join(f"{int(part):02X}" for part in reversed(address.split("."))) + f":{5060:04X}"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with open(f"/proc/net/{transport}", encoding="ascii") as table:
            if any(line.split()[1] == number for line in table):
                return
        time.sleep(0.02)
    raise AssertionError("SIPp does not listen")


@needs_sipp
def test_called(sipp_lab):
    pool = called(sipp_lab, "ms_called", "-m", "1")
    sipp_lab.juliet.send(TYBALT, "Wherefore art thou?", extra=ACTIVE)
    sipp_lab.juliet.chat_state(TYBALT, "composing")
    sipp_lab.juliet.chat_state(TYBALT, "gone")
    ended(pool)
    assert not sipp_lab.juliet.inbox.all(lambda stanza: stanza.type == "error")


@needs_sipp
def test_called_and_read(sipp_lab):
    pool = called(sipp_lab, "ms_called_reads", "-m", "1")
    sipp_lab.juliet.send(TYBALT, "Wherefore art thou?", extra=ACTIVE)
    sipp_lab.juliet.send(TYBALT, "second", extra=ACTIVE)
    sipp_lab.juliet.chat_state(TYBALT, "gone")
    ended(pool)


@needs_sipp
@pytest.mark.parametrize("status, why, condition, text", [
    ("486 Busy Here", "Retry-After: 5", "recipient-unavailable", "Busy Here"),
    ("603 Decline", "Retry-After: 5", "recipient-unavailable", "Decline"),
    ("606 Not Acceptable", 'Warning: 309 lcs.microsoft.com "Message contents not allowed by policy"', "not-acceptable",
     "Message contents not allowed by policy"),
    ("403 Forbidden", 'ms-diagnostics: 1027;reason="Cannot route this type of SIP request to or from federated partners";'
     'source="edge.corp.test"', "forbidden", "Forbidden"),
    ("504 Server time-out", 'ms-diagnostics: 1034;reason="Previous hop federated peer did not report";source="edge.corp.test"',
     "remote-server-timeout", "Server time-out"),
], ids=["486", "603", "606", "403", "504"])
def test_refused(new_lab, status, why, condition, text):
    lab = new_lab(pool=False, settings={"sip.new_pool_mode": "auto"})
    lab.transport = "tcp"
    lab.bridge.write_config(sip__new_pool=f"sip:{lab.block.address('sipp')}:5060;transport=tcp")
    lab.bridge.restart()
    juliet = lab.partner_user(JULIET)
    pool = called(lab, "ms_refuses", "-m", "1", STATUS=status, WHY=why)
    error = juliet.wait_error(juliet.send(TYBALT, "Wherefore art thou?"))
    assert (error.error, error.error_text) == (condition, text)
    ended(pool)


@needs_sipp
def test_dead_dialog(sipp_lab):
    pool = called(sipp_lab, "ms_dies", "-m", "2")
    sipp_lab.juliet.send(TYBALT, "Wherefore art thou?")
    ended(pool)
    assert not sipp_lab.juliet.inbox.all(lambda stanza: stanza.type == "error")


@needs_sipp
def test_calls(sipp_lab):
    juliet = sipp_lab.juliet
    # Her client knows chat states.
    pool = called(sipp_lab, "ms_called_reads", "-m", "1")
    juliet.send(TYBALT, "I am here", extra=ACTIVE)
    juliet.send(TYBALT, "second", extra=ACTIVE)
    juliet.chat_state(TYBALT, "gone")
    ended(pool)
    ended(sipp(sipp_lab, "ms_calls", "-m", "1", f"{sipp_lab.block.address('sip')}:5060"))
    juliet.wait_chat_state(TYBALT, "gone")
    assert juliet.record(TYBALT) == [
        ("message", "Prince of Cats"), ("message", "What, drawn, and talk of peace?"), ("state", "composing"),
        ("state", "active"), ("message", "I hate the word & <all> Montagues"), ("state", "gone")]
    first = next(stanza for stanza in juliet.inbox.history if stanza.body)
    assert first.type == "chat" and first.nick == "Tybalt of the Capulets" and first.thread


@needs_sipp
def test_calls_badly(sipp_lab):
    ended(sipp(sipp_lab, "ms_calls_badly", "-m", "1", f"{sipp_lab.block.address('sip')}:5060"))
    sipp_lab.juliet.wait_message("in order")
    assert texts(sipp_lab.juliet) == ["in order"]
