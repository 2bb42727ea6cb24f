"""Messages that wait: while their user is being moved, and while their next hop is away."""

import email.utils
import time

import pytest

from lab.delivery import is_text
from lab.inbox import wait_polled

N = 20


def spooled(lab):
    return lab.bridge.json("status")["spool"]["messages"]


def wait_spooled(lab, count):
    wait_polled(lambda: spooled(lab) == count, lambda: f"{spooled(lab)} messages wait, not {count}")


def bodies(user, name):
    return [item.body for item in user.inbox.all(lambda item: (getattr(item, "body", "") or "").startswith(name))]


def test_moved_to_the_new_pool(lab, juliet, romeo, romeo_after):
    """What comes during the move goes to the new pool when it is over, in order, with its time, before anything newer."""
    before = int(time.time())
    lab.bridge.ctl("user", "mark", "moving", "romeo@corp.test")
    for k in range(N):
        juliet.send("romeo@corp.test", f"hold-a {k}")
    wait_spooled(lab, N)
    lab.bridge.ctl("user", "mark", "migrated", "romeo@corp.test")
    juliet.send("romeo@corp.test", "hold-a last")
    last = romeo_after.inbox.wait(lambda item: is_text(item, "hold-a last"), timeout=30)
    assert bodies(romeo_after, "hold-a") == [f"hold-a {k}" for k in range(N)] and last.body == "hold-a last"
    for item in romeo_after.inbox.all(lambda item: (getattr(item, "body", "") or "").startswith("hold-a")):
        assert before <= email.utils.parsedate_to_datetime(item.header("date")).timestamp() <= time.time()
    assert not bodies(romeo, "hold-a") and not bodies(juliet, "hold-a")
    wait_spooled(lab, 0)


def test_moved_back(lab, juliet, romeo, romeo_after):
    """The same to the legacy gateway, with the time that each has waited."""
    lab.bridge.ctl("user", "mark", "moving", "romeo@corp.test")
    for k in range(N):
        juliet.send("romeo@corp.test", f"hold-b {k}")
    wait_spooled(lab, N)
    lab.bridge.ctl("user", "mark", "legacy", "romeo@corp.test")
    juliet.send("romeo@corp.test", "hold-b last")
    romeo.inbox.wait(lambda item: is_text(item, "hold-b last"), timeout=30)
    got = romeo.inbox.all(lambda item: (getattr(item, "body", "") or "").startswith("hold-b"))
    assert [item.body for item in got] == [f"hold-b {k}" for k in range(N)]
    assert all(item.xml.find("{urn:xmpp:delay}delay").get("from") == "corp.test" for item in got)
    assert not bodies(romeo_after, "hold-b")
    wait_spooled(lab, 0)


def test_kill_while_moving(new_lab):
    lab = new_lab()
    juliet, after = lab.partner_user("juliet@partner.test"), lab.sip_user("romeo@corp.test", "tcp")
    lab.bridge.ctl("user", "mark", "moving", "romeo@corp.test")
    for k in range(N):
        juliet.send("romeo@corp.test", f"hold-c {k}")
    wait_spooled(lab, N)
    lab.bridge.kill()
    lab.bridge.start()
    assert spooled(lab) == N
    lab.bridge.ctl("user", "mark", "migrated", "romeo@corp.test")
    for k in range(N):
        after.inbox.wait(lambda item, k=k: is_text(item, f"hold-c {k}"), timeout=30)
    wait_spooled(lab, 0)


@pytest.mark.parametrize("hop", ["legacy", "pool"])
def test_next_hop_is_away(new_lab, hop):
    """Nobody is told of an error; when it is back, all comes in order, before what is newer."""
    lab = new_lab(chaos=True, settings={"s2s.backoff_min": 0.1, "s2s.backoff_max": 0.5,
                                        "sip.backoff_min": 0.1, "sip.backoff_max": 0.5})
    juliet = lab.partner_user("juliet@partner.test")
    if hop == "legacy":
        proxy, user = lab.legacy_proxy, lab.legacy_user("romeo@corp.test")
    else:
        proxy, user = lab.pool_proxy, lab.sip_user("tybalt@corp.test", "tcp")
    mark = lab.bridge.process.mark()
    assert lab.deliver(juliet, user.address).by == hop
    lab.bridge.process.wait_line(f"delivered from={juliet.address}", after=mark)
    proxy.refuse()
    for k in range(N):
        juliet.send(user.address, f"away {k}")
    wait_spooled(lab, N)
    rows = lab.bridge.json("spool", "list")
    assert {row["waits_for"] for row in rows} == {"legacy-gateway" if hop == "legacy" else "new-pool"}
    proxy.forward()
    juliet.send(user.address, "away last")
    user.inbox.wait(lambda item: is_text(item, "away last"), timeout=40)
    assert bodies(user, "away") == [f"away {k}" for k in range(N)]
    wait_spooled(lab, 0)
    assert not juliet.inbox.all(lambda item: item.type == "error")


def test_time_is_up(new_lab):
    """A next hop that stays away: its sender learns of it, and why."""
    lab = new_lab(chaos=True, settings={"spool.keep_time": 2, "s2s.backoff_min": 0.1, "s2s.backoff_max": 0.5})
    juliet = lab.partner_user("juliet@partner.test")
    lab.legacy_proxy.refuse()
    number = juliet.send("romeo@corp.test", "too late")
    error = juliet.inbox.wait(lambda item: item.type == "error" and item.id == number, timeout=30)
    assert error.error == "remote-server-timeout" and error.error_text
    wait_spooled(lab, 0)


def test_typing_is_not_kept(lab, juliet, romeo):
    """It is nothing later; nor is anybody told of an error."""
    lab.bridge.ctl("user", "mark", "moving", "romeo@corp.test")
    mark = lab.bridge.process.mark()
    juliet.send("romeo@corp.test", None, extra="<composing xmlns='http://jabber.org/protocol/chatstates'/>")
    lab.bridge.process.wait_line("delivered from=juliet@partner.test", after=mark)
    assert spooled(lab) == 0
    lab.bridge.mark("legacy", "romeo@corp.test")
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
    assert not juliet.inbox.all(lambda item: item.type == "error")


def test_a_request_is_not_lost(new_lab):
    """A contact who asks, or answers, while the user is being moved: he need not do so again."""
    lab = new_lab()
    juliet, romeo = lab.partner_user("juliet@partner.test"), lab.legacy_user("romeo@corp.test")
    romeo.subscribe(juliet.address)
    juliet.wait_presence(romeo.address, "subscribe")
    lab.bridge.mark("moving", romeo.address)
    juliet.approve(romeo.address)
    juliet.subscribe(romeo.address)
    wait_spooled(lab, 2)
    lab.bridge.kill()
    lab.bridge.start()
    assert spooled(lab) == 2
    lab.bridge.mark("legacy", romeo.address)
    romeo.wait_presence(juliet.address, "subscribed")
    romeo.wait_presence(juliet.address, "subscribe")
    wait_spooled(lab, 0)
    assert not juliet.inbox.all(lambda item: item.type == "error")
