"""The relay between two real pools: colleagues on either side reach each other, and a partner who is still the legacy
gateway's business is reached through the legacy pool."""

import os
import shutil

import pytest

from lab.inbox import wait_until
from lab.sipe_user import BUILT

HERE = os.path.dirname(os.path.abspath(__file__))
CALLS = 100
needs_sipe = pytest.mark.skipif(not BUILT, reason="lab/sipe_user was not built: libpurple-dev")


@pytest.fixture(scope="module")
def pools(own_lab):
    """tybalt and paris are on the new pool, romeo and benvolio on the legacy one, as their marks say."""
    lab = own_lab(legacy_pool=True)
    lab.tybalt, lab.paris = lab.sip_user("tybalt@corp.test"), lab.sip_user("paris@corp.test", "tcp")
    lab.romeo = lab.sip_user("romeo@corp.test", pool=lab.legacy_pool)
    lab.benvolio = lab.sip_user("benvolio@corp.test", "tcp", pool=lab.legacy_pool)
    return lab


@pytest.fixture
def lab(pools):
    for user in pools.users:
        user.inbox.clear()
    yield pools
    pools.bridge.reset_registry()


def relay(lab):
    return lab.bridge.json("status")["gateway"]["relay"]


def drift(lab):
    return lab.bridge.json("status")["router"]["drift"]


@pytest.mark.parametrize("sender", ["tybalt", "paris"])
@pytest.mark.parametrize("recipient", ["romeo", "benvolio"])
def test_colleagues(lab, sender, recipient):
    """Both ways, by UDP and TCP: the answer is the far pool's, and everything on the way is in order."""
    one, other = getattr(lab, sender), getattr(lab, recipient)
    for caller, callee, where in ((one, other, "legacy pool"), (other, one, "pool")):
        explained = lab.bridge.json("route", "explain", caller.address, callee.address)
        assert (explained["route"], explained["pool"]) == ("relay", "legacy" if where == "legacy pool" else "new")
        delivery = lab.deliver(caller, callee.address, headers=[("subject", "Grüße"), ("x-unknown", "passes")])
        assert (delivery.by, delivery.status) == (where, 200)
        assert delivery.item.sender == f"sip:{caller.address}"
        assert delivery.item.header("subject") == "Grüße"
        assert delivery.item.header("x-unknown") == "passes"
        assert delivery.item.header("max-forwards") == "67"


def test_errors_pass(lab):
    lab.romeo.reply = 486
    delivery = lab.deliver(lab.tybalt, "romeo@corp.test")
    lab.romeo.reply = 200
    assert delivery.status == 486
    assert lab.deliver(lab.tybalt, "nosuch@corp.test").status == 404


def test_long_message(lab):
    """Too large for UDP on one side and the other."""
    text = "wherefore " * 400
    assert lab.deliver(lab.paris, "benvolio@corp.test", text).by == "legacy pool"


def test_moved_user(lab):
    """The same sender, before and after; the pools are told by nobody but their own users' registrations."""
    assert lab.deliver(lab.tybalt, "romeo@corp.test").by == "legacy pool"
    after = lab.sip_user("romeo@corp.test")
    try:
        lab.legacy_pool.disown("romeo@corp.test")
        lab.bridge.ctl("user", "mark", "migrated", "romeo@corp.test")
        assert lab.deliver(lab.benvolio, "romeo@corp.test").by == "pool"
        assert lab.deliver(lab.tybalt, "romeo@corp.test").by == "pool"
        assert lab.deliver(after, "benvolio@corp.test").by == "legacy pool"
    finally:
        lab.users.remove(after)
        after.close()
        lab.pool.disown("romeo@corp.test")
        lab.romeo.register()
    lab.bridge.ctl("user", "mark", "legacy", "romeo@corp.test")
    assert lab.deliver(lab.tybalt, "romeo@corp.test").by == "legacy pool"


def test_user_being_moved(lab):
    """A call finds nobody and is to be tried again; a MESSAGE is kept (test_hold_colleagues.py)."""
    lab.bridge.ctl("user", "mark", "moving", "romeo@corp.test")
    response = lab.paris.ask("INVITE", "romeo@corp.test")
    assert response.status == 480
    assert int(response.header("retry-after")) > 0
    assert lab.romeo.inbox.all() == []


def test_never_back(lab):
    """Who is marked to live where the question comes from: the registry and the pool do not agree."""
    before = drift(lab)
    lab.bridge.ctl("user", "mark", "migrated", "mercutio@corp.test")
    assert lab.tybalt.send("mercutio@corp.test", "anybody there?").status == 482
    lab.bridge.ctl("user", "mark", "legacy", "mercutio@corp.test")
    assert lab.romeo.send("mercutio@corp.test", "anybody there?").status == 482
    assert drift(lab) == before + 2


def test_registry_wrong_about_both(lab):
    """Each pool would send it to the other for ever."""
    lab.bridge.ctl("user", "mark", "legacy", "mercutio@corp.test")
    assert lab.tybalt.send("mercutio@corp.test", "one way").status == 480


def test_partner_still_on_the_legacy_gateway(lab):
    """The legacy pool hands on to its own gateway, played by whoever registered there as the partner's user."""
    gateway = lab.sip_user("nurse@partner.test", pool=lab.legacy_pool)
    try:
        lab.bridge.ctl("partner", "set", "partner.test", "--gateway", "legacy")
        assert lab.deliver(lab.tybalt, "nurse@partner.test").by == "legacy pool"
        # The same static route after the cutover: now it is ours, and the partner knows no such user.
        lab.bridge.ctl("partner", "set", "partner.test", "--gateway", "bridge")
        assert lab.deliver(lab.tybalt, "nurse@partner.test", "after the cutover").by == "error"
        assert gateway.inbox.all(lambda r: "cutover" in (r.body or "")) == []
    finally:
        lab.users.remove(gateway)
        gateway.close()


def test_legacy_pool_asks_for_its_own_partner(lab):
    """What the legacy pool should give to the legacy gateway itself is not sent back to it."""
    lab.bridge.ctl("partner", "set", "partner.test", "--gateway", "legacy")
    assert lab.romeo.send("juliet@partner.test", "by the wrong door").status == 482


def test_partner_in_the_name_of(lab):
    """A pool that brings back what we or the legacy gateway gave it."""
    lab.legacy_pool.disown("tybalt@corp.test")
    stray = lab.sip_user("juliet@partner.test", pool=lab.legacy_pool)
    try:
        assert stray.send("tybalt@corp.test", "round and round").status == 482
    finally:
        lab.users.remove(stray)
        stray.close()


# ---- sessions

def sipp(lab, name, scenario, host, *words):
    if not shutil.which("sipp"):
        pytest.skip("sipp is not installed: apt-get install sip-tester")
    return lab.run(name, [
        "sipp", "-sf", os.path.join(HERE, "sipp", scenario), "-i", host, "-p", "5060", "-m", str(CALLS), "-nostdin",
        "-trace_err", "-error_file", os.path.join(lab.folder, name + "-errors.log"), *words], cwd=lab.folder)


@pytest.mark.parametrize("callers, callees", [("u1", "u1"), ("t1", "t1"), ("u1", "t1")], ids=["udp", "tcp", "udp-to-tcp"])
@pytest.mark.parametrize("way", ["to-legacy", "to-new"])
def test_sipp_calls(new_lab, callers, callees, way):
    """INVITE, 180, 200, ACK, INFO and BYE, each behind the last by the route that Record-Route has made."""
    lab = new_lab(pool=False)
    new, old = lab.block.address("pool"), lab.block.address("legacy-pool")
    caller, callee = (new, old) if way == "to-legacy" else (old, new)
    transport = {"u1": "udp", "t1": "tcp"}
    lab.bridge.write_config(**{
        "sip__new_pool" if caller == new else "sip__legacy_pool": f"sip:{caller}:5060;transport={transport[callers]}",
        "sip__legacy_pool" if caller == new else "sip__new_pool": f"sip:{callee}:5060;transport={transport[callees]}"})
    lab.bridge.restart()
    users = ("tybalt", "romeo") if way == "to-legacy" else ("romeo", "tybalt")
    far_end = sipp(lab, "callee", "uas_session.xml", callee, "-t", callees)
    near_end = sipp(lab, "caller", "uac_session.xml", caller, "-t", callers, "-r", "50", "-l", "10",
                    "-key", "caller", users[0], "-key", "callee", users[1], f"{lab.block.address('sip')}:5060")
    assert near_end.wait() == 0, near_end.tail()
    assert far_end.wait() == 0, far_end.tail()
    # INVITE, INFO and BYE; the ACK of each.
    assert relay(lab)["requests"] == 3 * CALLS
    assert relay(lab)["acks"] >= CALLS


@needs_sipe
@pytest.mark.parametrize("edition", ["2005", "2007"])
def test_microsoft_clients_on_either_pool(new_lab, edition):
    """Sessions begun from both sides, typing in them, their end, and the presence of each for the other."""
    lab = new_lab(presence=edition, legacy_pool=True)
    tybalt = lab.sipe_user("tybalt@corp.test")
    romeo = lab.sipe_user("romeo@corp.test", pool=lab.legacy_pool)
    tybalt.send("romeo@corp.test", "first <&> äöü\nof two lines")
    assert romeo.wait_message("first <&> äöü\nof two lines").sender == "tybalt@corp.test"
    romeo.send("tybalt@corp.test", "back in the same session")
    tybalt.wait_message("back in the same session")
    tybalt.typing("romeo@corp.test")
    romeo.wait_typing("tybalt@corp.test", "typing")
    romeo.close_chat("tybalt@corp.test")
    romeo.send("tybalt@corp.test", "a session of the legacy pool's")
    tybalt.wait_message("a session of the legacy pool's")
    assert relay(lab)["refused"] == 0


@needs_sipe
def test_standard_client_and_microsoft_client(new_lab):
    lab = new_lab(presence="2005", legacy_pool=True)
    paris = lab.baresip_user("paris@corp.test", contacts=["romeo@corp.test"])
    romeo = lab.sipe_user("romeo@corp.test", pool=lab.legacy_pool)
    paris.send("romeo@corp.test", "from a pager")
    assert romeo.wait_message("from a pager").sender == "paris@corp.test"
    paris.wait_presence("romeo@corp.test", online=True)
    romeo.close()
    paris.wait_presence("romeo@corp.test", online=False)
    wait_until(lambda: relay(lab)["under_way"] == 0)


def test_by_tls(new_lab):
    lab = new_lab(legacy_pool=True, sip_tls=True)
    tybalt, romeo = lab.sip_user("tybalt@corp.test"), lab.sip_user("romeo@corp.test", pool=lab.legacy_pool)
    assert lab.deliver(tybalt, "romeo@corp.test").by == "legacy pool"
    assert lab.deliver(romeo, "tybalt@corp.test").by == "pool"


def test_silent_pool(new_lab):
    """The far pool is down: its colleagues are told so, and everybody else is reached."""
    lab = new_lab(legacy_pool=True)
    tybalt, juliet = lab.sip_user("tybalt@corp.test"), lab.partner_user()
    lab.legacy_pool.stop()
    assert lab.deliver(tybalt, "romeo@corp.test").status == 500
    assert lab.deliver(tybalt, "juliet@partner.test").by == "partner"
    assert lab.deliver(juliet, "tybalt@corp.test").by == "pool"
