"""A MESSAGE between users of two real pools while its recipient is being moved: kept, and let go where he then is."""

import email.utils
import time

import pytest

from conftest import UNANSWERED
from lab.inbox import wait_polled, wait_until

N = 12
TYPING = ("<?xml version='1.0'?><isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state>"
          "</isComposing>")
CPIM = ("From: <sip:tybalt@corp.test>\r\nTo: <sip:romeo@corp.test>\r\nNS: imdn <urn:ietf:params:imdn>\r\n"
        "imdn.Message-ID: kept\r\nimdn.Disposition-Notification: positive-delivery\r\n\r\n"
        "Content-Type: text/plain;charset=UTF-8\r\n\r\n")
HTML = "<html><body><b>{}</b></body></html>"


@pytest.fixture
def lab(new_lab):
    """tybalt and paris are on the new pool, romeo and benvolio on the legacy one, as their marks say."""
    lab = new_lab(legacy_pool=True)
    lab.tybalt, lab.paris = lab.sip_user("tybalt@corp.test"), lab.sip_user("paris@corp.test", "tcp")
    lab.romeo = lab.sip_user("romeo@corp.test", pool=lab.legacy_pool)
    lab.benvolio = lab.sip_user("benvolio@corp.test", "tcp", pool=lab.legacy_pool)
    return lab


def mark(lab, what, user="romeo@corp.test"):
    lab.bridge.ctl("user", "mark", what, user)


def spooled(lab):
    return lab.bridge.json("status")["spool"]["messages"]


def wait_spooled(lab, count):
    wait_polled(lambda: spooled(lab) == count, lambda: f"{spooled(lab)} messages wait, not {count}")


def wait_hop(lab, hop):
    """The first of them has been tried, and waits for that one."""
    wait_polled(lambda: any(row["attempts"] > 0 and row["waits_for"] == hop for row in lab.bridge.json("spool", "list")))


def leave(lab):
    """The legacy pool has forgotten him, and asks poolbridge."""
    mark(lab, "moving")
    lab.legacy_pool.disown("romeo@corp.test")


def send_all(sender, to, name, count=N):
    """One behind the other, each taken into custody."""
    for k in range(count):
        assert sender.send(to, f"{name} {k}").status == 202


def texts(user, name):
    return [item.body for item in user.inbox.all(lambda item: (item.body or "").startswith(name))]


def expect(user, name, count=N):
    user.inbox.wait(lambda item: item.body == f"{name} last", timeout=30)
    assert texts(user, name) == [f"{name} {k}" for k in range(count)]


def test_to_the_new_pool(lab):
    """In order, once each, before anything newer, and with the date at which each came."""
    leave(lab)
    before = int(time.time())
    send_all(lab.benvolio, "romeo@corp.test", "away")
    assert spooled(lab) == N
    after = lab.sip_user("romeo@corp.test")
    mark(lab, "migrated")
    assert lab.benvolio.send("romeo@corp.test", "away last").status in (200, 202)
    after.inbox.wait(lambda item: item.body == "away last", timeout=30)
    got = after.inbox.all(lambda item: item.body.startswith("away"))
    assert [item.body for item in got] == [f"away {k}" for k in range(N)]
    for item in got:
        date = email.utils.parsedate_to_datetime(item.header("date")).timestamp()
        assert before <= date <= time.time()
        assert item.sender == "sip:benvolio@corp.test"
        assert item.header("content-type").lower() == "text/plain;charset=utf-8"
    assert texts(lab.romeo, "away") == []
    wait_spooled(lab, 0)
    assert lab.benvolio.send("romeo@corp.test", "relayed again").status == 200


def test_back_to_the_legacy_pool(lab):
    mark(lab, "moving")
    send_all(lab.tybalt, "romeo@corp.test", "back")
    mark(lab, "legacy")
    assert lab.tybalt.send("romeo@corp.test", "back last").status in (200, 202)
    expect(lab.romeo, "back")
    wait_spooled(lab, 0)


def test_newer_ones_wait(lab):
    """The move is over, but he does not answer: what comes now is not relayed past what waits."""
    mark(lab, "moving")
    for text in (f"queue 0 {UNANSWERED}", "queue 1"):
        assert lab.tybalt.send("romeo@corp.test", text).status == 202
    lab.romeo.reply = lambda request: (None if request.body.startswith("queue") else 200, ())
    mark(lab, "legacy")
    wait_until(lambda: texts(lab.romeo, "queue") != [])
    assert lab.tybalt.send("romeo@corp.test", "queue 2").status == 202
    # Another's messages are not behind them.
    assert lab.paris.send("romeo@corp.test", "mine").status == 200
    lab.romeo.reply = 200
    assert lab.tybalt.send("romeo@corp.test", "queue last").status == 202
    lab.romeo.inbox.wait(lambda item: item.body == "queue last", timeout=60)
    # The first was never answered, and came again.
    assert list(dict.fromkeys(texts(lab.romeo, "queue"))) == [f"queue 0 {UNANSWERED}", "queue 1", "queue 2"]
    wait_spooled(lab, 0)


@pytest.mark.parametrize("kind, body", [("text/html;charset=utf-8", HTML), ("message/cpim", CPIM + "{}")])
def test_as_it_came(lab, kind, body):
    """A body that is more than text, and what belongs to it."""
    mark(lab, "moving")
    headers = [("subject", "Grüße"), ("content-language", "de"), ("expires", "3600")]
    text = body.replace("{}", "kept as it is")
    response = lab.tybalt.send("romeo@corp.test", text, content_type=kind, headers=headers, call_id="one-thread")
    assert response.status == 202
    mark(lab, "legacy")
    item = lab.romeo.inbox.wait(lambda item: item.body == text, timeout=30)
    assert item.header("content-type").lower() == kind
    for name, value in headers + [("call-id", "one-thread")]:
        assert item.header(name) == value


def test_only_what_somebody_wrote(lab):
    """Typing and notifications are nothing later; a picture is nothing that we could keep; calls find nobody."""
    mark(lab, "moving")
    for kind, body in (("application/im-iscomposing+xml", TYPING), ("image/png", "PNG"), ("text/plain", "")):
        response = lab.tybalt.send("romeo@corp.test", body, content_type=kind)
        assert response.status == 480, kind
        assert int(response.header("retry-after")) > 0
    assert spooled(lab) == 0


def test_over_kill(lab):
    """What was answered 202 is there after kill -9, and after a second one in the middle of its release."""
    leave(lab)
    wanted = [f"kill {k}" for k in range(N)]
    wanted[5] += f" {UNANSWERED}"
    for text in wanted:
        assert lab.benvolio.send("romeo@corp.test", text).status == 202
    lab.bridge.kill()
    after = lab.sip_user("romeo@corp.test")
    lab.bridge.start()
    assert spooled(lab) == N
    after.reply = lambda request: (None, ()) if request.body == wanted[5] else (200, ())
    mark(lab, "migrated")
    after.inbox.wait(lambda item: item.body == wanted[5], timeout=30)
    lab.bridge.kill()
    after.reply = 200
    lab.bridge.start()
    # The one that had no answer yet comes again: nobody can know whether it had arrived.
    after.inbox.wait(lambda item: item.body == wanted[-1], timeout=60)
    wait_spooled(lab, 0)
    got = [item.body for item in after.inbox.history if item.body.startswith("kill")]
    assert list(dict.fromkeys(got)) == wanted


def test_sent_again(lab):
    """Its sender has not had the 202, and asks again after a restart."""
    mark(lab, "moving")
    assert lab.paris.send_again("romeo@corp.test", "once", "call-once", 900).status == 202
    lab.bridge.kill()
    lab.bridge.start()
    assert lab.paris.send_again("romeo@corp.test", "once", "call-once", 900).status == 202
    assert spooled(lab) == 1
    # Another one in the same call is another one.
    assert lab.paris.send_again("romeo@corp.test", "more", "call-once", 901).status == 202
    mark(lab, "legacy")
    lab.romeo.inbox.wait(lambda item: item.body == "more", timeout=30)
    assert texts(lab.romeo, "once") == ["once"]


def test_pool_away(new_lab):
    """Nothing is lost, or told as lost, while nobody listens there."""
    lab = new_lab(legacy_pool=True, chaos=True)
    lab.benvolio = lab.sip_user("benvolio@corp.test", "tcp", pool=lab.legacy_pool)
    leave(lab)
    send_all(lab.benvolio, "romeo@corp.test", "patience", 3)
    after = lab.sip_user("romeo@corp.test")
    lab.pool_proxy.refuse()
    mark(lab, "migrated")
    for k in range(3, 6):
        assert lab.benvolio.send("romeo@corp.test", f"patience {k}").status == 202
    wait_hop(lab, "new-pool")
    lab.pool_proxy.forward()
    assert lab.benvolio.send("romeo@corp.test", "patience last").status in (200, 202)
    after.inbox.wait(lambda item: item.body == "patience last", timeout=90)
    assert texts(after, "patience") == [f"patience {k}" for k in range(6)]
    wait_spooled(lab, 0)


def test_undeliverable(lab):
    """After 202 there is no answer left: its sender is told by a message from him whom it was for."""
    mark(lab, "moving")
    assert lab.tybalt.send("romeo@corp.test", "nobody there").status == 202
    lab.romeo.reply = 603
    mark(lab, "legacy")
    notice = lab.tybalt.inbox.wait(lambda item: "nobody there" in item.body, timeout=30)
    assert notice.sender == "sip:romeo@corp.test"
    assert notice.body == "This message could not be delivered (603 Decline):\n\nnobody there"
    wait_spooled(lab, 0)


def test_notice_is_not_answered(lab):
    """Nobody hears of a notice that cannot be delivered, for ever and ever."""
    mark(lab, "moving")
    assert lab.tybalt.send("romeo@corp.test", "nobody at all").status == 202
    lab.romeo.reply = lab.tybalt.reply = 603
    mark(lab, "legacy")
    lab.tybalt.inbox.wait(lambda item: "nobody at all" in item.body, timeout=30)
    wait_spooled(lab, 0)
    assert [item.body for item in lab.romeo.inbox.all() if "nobody" in item.body] == ["nobody at all"]
    router = lab.bridge.json("status")["router"]["colleagues"]
    assert (router["kept"], router["delivered"], router["undelivered"]) == (2, 0, 2)


def test_standard_clients(new_lab):
    """baresip writes to a user of linphone, who moves from the legacy pool to the new one."""
    lab = new_lab(presence="2005", legacy_pool=True)
    paris = lab.baresip_user("paris@corp.test", contacts=["romeo@corp.test"])
    romeo = lab.linphone_user("romeo@corp.test", pool=lab.legacy_pool)
    paris.send("romeo@corp.test", "before")
    romeo.wait_message("before")
    mark(lab, "moving")
    romeo.close()
    for k in range(3):
        paris.send("romeo@corp.test", f"meanwhile {k}")
        wait_spooled(lab, k + 1)
    lab.legacy_pool.disown("romeo@corp.test")
    after = lab.linphone_user("romeo@corp.test")
    mark(lab, "migrated")
    got = [after.wait_message(f"meanwhile {k}") for k in range(3)]
    assert [item.sender for item in got] == ["paris@corp.test"] * 3
    paris.send("romeo@corp.test", "after")
    after.wait_message("after")
    shown = [item.body for item in after.inbox.history if item.kind == "message"]
    assert shown == ["meanwhile 0", "meanwhile 1", "meanwhile 2", "after"]
