"""poolbridgectl spool and user erase on messages that really wait."""

import os
import sqlite3

import pytest

from lab.bridge import CommandError
from lab.delivery import is_text
from lab.inbox import wait_polled

ROMEO, TYBALT = "romeo@corp.test", "tybalt@corp.test"


@pytest.fixture(scope="module")
def held(own_lab):
    """A lab in which both users are being moved; juliet writes to them."""
    lab = own_lab()
    lab.juliet = lab.partner_user("juliet@partner.test")
    lab.after = lab.sip_user(ROMEO, "tcp")
    return lab


def wait_spooled(lab, count):
    wait_polled(lambda: len(lab.bridge.json("spool", "list")) == count, lambda: lab.bridge.ctl("spool", "list"))


def hold(lab, user, *texts):
    lab.bridge.ctl("user", "mark", "moving", user)
    for text in texts:
        lab.juliet.send(user, text)
    wait_spooled(lab, len(texts))
    return [row["id"] for row in lab.bridge.json("spool", "list")]


def content_of_the_files(lab):
    """All that is in the registry's and the state's files and the logs beside them."""
    content = b""
    for name in os.listdir(lab.bridge.folder):
        if name.startswith("registry.db") and not name.endswith((".sock", "-shm")):
            with open(os.path.join(lab.bridge.folder, name), "rb") as f:
                content += f.read()
    return content


def test_look_retry_and_bounce(held):
    lab, bridge = held, held.bridge
    first, second = hold(lab, ROMEO, "spool-a 1", "spool-a 2")
    row = bridge.json("spool", "show", str(first))
    assert (row["from"], row["to"], row["waits_for"], row["origin"]) == ("juliet@partner.test", ROMEO, "move", "partner")
    assert "spool-a" not in bridge.ctl("spool", "show", str(first)) + bridge.ctl("spool", "list")
    assert "<body>spool-a 1</body>" in bridge.ctl("spool", "show", str(first), "--body")
    status = bridge.json("status")["spool"]
    assert (status["messages"], status["waits_for"]["move"], status["quarantined"]) == (2, 2, 0)
    # A retry lets nothing go while he is still being moved.
    assert bridge.json("spool", "retry", str(first), str(second)) == {"messages": 2}
    assert bridge.json("spool", "retry", "--user", ROMEO) == {"messages": 2}
    wait_spooled(lab, 2)
    # Given back, it waits no more by the time of the answer, and its sender knows which one it was.
    mark = bridge.process.mark()
    assert bridge.json("spool", "bounce", str(first)) == {"messages": 1}
    bridge.process.wait_line(f"spool-bounced id={first} from=juliet@partner.test.* to={ROMEO} condition=remote-server-timeout",
                             after=mark)
    assert [row["id"] for row in bridge.json("spool", "list", "--hop", "move")] == [second]
    error = lab.juliet.inbox.wait(lambda item: getattr(item, "type", None) == "error")
    assert error.xml.find("{*}error/{urn:ietf:params:xml:ns:xmpp-stanzas}remote-server-timeout") is not None
    done = bridge.run("spool", "bounce", str(first))
    assert done.returncode == 1 and f"message {first}: it does not wait any more" in done.stderr
    bridge.ctl("user", "mark", "migrated", ROMEO)
    lab.after.inbox.wait(lambda item: is_text(item, "spool-a 2"), timeout=30)
    wait_spooled(lab, 0)


def test_quarantine_and_back(held):
    """What was put aside waits for an administrator, while what came later goes on."""
    lab, bridge = held, held.bridge
    ids = hold(lab, ROMEO, "spool-b 1", "spool-b 2")
    bridge.stop()
    with sqlite3.connect(os.path.join(bridge.folder, "registry.db.state")) as db:
        db.execute("UPDATE message SET quarantined = 1, trouble = 'by hand' WHERE id = ?", (ids[0],))
    bridge.start()
    assert bridge.json("status")["spool"]["quarantined"] == 1
    bridge.ctl("user", "mark", "migrated", ROMEO)
    lab.after.inbox.wait(lambda item: is_text(item, "spool-b 2"), timeout=30)
    wait_spooled(lab, 1)
    assert [row["id"] for row in bridge.json("spool", "list", "--hop", "quarantine")] == [ids[0]]
    assert bridge.json("spool", "retry", "--hop", "quarantine") == {"messages": 1}
    lab.after.inbox.wait(lambda item: is_text(item, "spool-b 1"), timeout=30)
    wait_spooled(lab, 0)


def test_without_the_daemon(held):
    lab, bridge = held, held.bridge
    ids = hold(lab, ROMEO, "spool-c")
    bridge.stop()
    assert [row["id"] for row in bridge.json("spool", "list")] == ids
    with pytest.raises(CommandError, match="poolbridge is not running"):
        bridge.ctl("spool", "bounce", str(ids[0]))
    with pytest.raises(CommandError, match="poolbridge is not running.*nothing was erased"):
        bridge.ctl("user", "erase", ROMEO)
    bridge.start()
    bridge.ctl("user", "mark", "migrated", ROMEO)
    lab.after.inbox.wait(lambda item: is_text(item, "spool-c"), timeout=30)


def test_erase(held):
    """What somebody has written is in no file any more, nor is he; others' messages wait on."""
    lab, bridge = held, held.bridge
    secret, other = "spool-d: the apothecary has it", "spool-d: of somebody else"
    hold(lab, ROMEO, secret)
    bridge.ctl("user", "mark", "moving", TYBALT)
    lab.juliet.send(TYBALT, other)
    wait_spooled(lab, 2)
    assert secret.encode() in content_of_the_files(lab)
    erased = bridge.json("user", "erase", ROMEO)
    assert (erased["messages"], erased["mark"]) == (1, True) and erased["audit"] > 0
    content = content_of_the_files(lab)
    assert secret.encode() not in content and other.encode() in content
    assert ROMEO.encode() not in content and TYBALT.encode() in content
    assert not [entry for entry in bridge.json("audit", "list") if ROMEO in str(entry)]
    # A partner's user can be named as well.
    assert bridge.json("user", "erase", "juliet@partner.test")["messages"] == 1
    assert other.encode() not in content_of_the_files(lab)
    assert bridge.json("spool", "list") == []
