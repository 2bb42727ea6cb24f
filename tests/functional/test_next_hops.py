"""Several next hops for a pool: one that is gone is passed over, and used again when it is back."""

import re

import pytest

from lab.inbox import wait_polled

FAST = {"sip.backoff_min": 0.1, "sip.backoff_max": 0.5, "sip.ping_time": 1,
        "spool.keep_time": 1}


def hops(lab):
    return {hop["hop"].partition("/")[2] or hop["hop"]: hop for hop in lab.bridge.json("status")["gateway"]["sip"]["hops"]}


def state(lab, server):
    return hops(lab)[f"{server.address}:5060"]["state"]


@pytest.fixture
def stage(new_lab):
    """Two servers of one pool: tybalt is registered at both, so that a test sees which one brought a message."""
    lab = new_lab(legacy_pool=True, settings=FAST)
    servers = lab.pool, lab.legacy_pool
    lab.bridge.write_config(sip__new_pool=[f"sip:{server.address}:5060;transport=tcp" for server in servers],
                            sip__legacy_pool=[])
    lab.bridge.restart()
    return lab, servers, lab.partner_user(), [lab.sip_user("tybalt@corp.test", "tcp", pool=server) for server in servers]


def expect(lab, sender, user, text):
    """It comes to this user, and the pool's answer to us."""
    sent = lab.bridge.json("status")["gateway"]["to_sip"]
    sender.send("tybalt@corp.test", text)
    user.inbox.wait(lambda request: request.body == text)
    wait_polled(lambda: lab.bridge.json("status")["gateway"]["to_sip"] > sent)


def wait_state(lab, server, event, after):
    lab.bridge.process.wait_line(rf"{event}.*{re.escape(server.address)}:5060", after=after)


def test_one_of_two_is_killed(stage):
    """No error, no second copy (the lab looks for those at the end), and the first is used again when it is back."""
    lab, (first, second), juliet, (there, elsewhere) = stage
    expect(lab, juliet, there, "to the first")
    assert state(lab, first) == state(lab, second) == "up"
    mark = lab.bridge.process.mark()
    first.stop()
    for number in range(3):
        expect(lab, juliet, elsewhere, f"to the second {number}")
    wait_state(lab, first, "sip-hop-down", mark)
    assert "no connection" in hops(lab)[f"{first.address}:5060"]["error"]
    mark = lab.bridge.process.mark()
    first.start()
    wait_state(lab, first, "sip-hop-up", mark)
    there.register()
    expect(lab, juliet, there, "to the first again")
    assert not juliet.inbox.all(lambda s: s.type == "error")


def test_all_are_gone(stage):
    """Told at once, not after the 32 seconds that a silent server may take."""
    lab, servers, juliet, users = stage
    expect(lab, juliet, users[0], "before")
    mark = lab.bridge.process.mark()
    for server in servers:
        server.stop()
    assert lab.deliver(juliet, "tybalt@corp.test", "the first learns of it").by == "error"
    for server in servers:
        wait_state(lab, server, "sip-hop-down", mark)
    error = lab.deliver(juliet, "tybalt@corp.test", "told at once", timeout=25)
    assert error.by == "error"
    assert error.condition == "remote-server-timeout"
