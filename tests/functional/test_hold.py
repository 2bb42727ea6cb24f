"""Messages that wait: while their user is being moved, and while their next hop is away."""

import time

from lab.delivery import is_text

N = 20


def spooled(lab):
    return lab.bridge.json("status")["spool"]["messages"]


def wait_spooled(lab, count):
    end = time.monotonic() + 15
    while spooled(lab) != count:
        assert time.monotonic() < end, f"{spooled(lab)} messages wait, not {count}"
        time.sleep(0.05)


def bodies(user, name):
    return [item.body for item in user.inbox.all(lambda item: (getattr(item, "body", "") or "").startswith(name))]


def test_moved_to_the_new_pool(lab, juliet, romeo, romeo_after):
    """What comes during the move goes to the new pool when it is over, in order, before anything newer."""
    lab.bridge.ctl("user", "mark", "moving", "romeo@corp.test")
    for k in range(N):
        juliet.send("romeo@corp.test", f"hold-a {k}")
    wait_spooled(lab, N)
    lab.bridge.ctl("user", "mark", "migrated", "romeo@corp.test")
    juliet.send("romeo@corp.test", "hold-a last")
    last = romeo_after.inbox.wait(lambda item: is_text(item, "hold-a last"), timeout=30)
    assert bodies(romeo_after, "hold-a") == [f"hold-a {k}" for k in range(N)] and last.body == "hold-a last"
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
