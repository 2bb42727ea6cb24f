"""The lab's SIP side without poolbridge: real clients at Kamailio. What fails here is the lab's fault or the machine's."""

import os

import pytest

from lab.sipe_user import BUILT

pytestmark = pytest.mark.skipif(not BUILT, reason="lab/sipe_user was not built: libpurple-dev")

EDITIONS = ["2005", "2007"]


@pytest.fixture(scope="module", params=EDITIONS)
def pool_lab(request, own_lab):
    return own_lab(bridge=False, presence=request.param)


def test_two_microsoft_clients_talk(pool_lab):
    alice, bob = pool_lab.sipe_user("alice@corp.test"), pool_lab.sipe_user("bob@corp.test")
    alice.send("bob@corp.test", "first <&> äöü\nof two lines")
    assert bob.wait_message("first <&> äöü\nof two lines").sender == "alice@corp.test"
    alice.send("bob@corp.test", "second")
    bob.wait_message("second")
    alice.typing("bob@corp.test")
    bob.wait_typing("alice@corp.test", "typing")
    alice.typing("bob@corp.test", False)
    bob.wait_typing("alice@corp.test", "stopped")
    bob.send("alice@corp.test", "back in the same session")
    alice.wait_message("back in the same session")
    bob.close_chat("alice@corp.test")
    alice.send("bob@corp.test", "in a new session")
    bob.wait_message("in a new session")
    alice.send("nosuch@corp.test", "to nobody")
    assert "offline" in alice.wait_error().body
    for user in (alice, bob):
        user.close()


def test_presence_of_a_microsoft_client(new_lab):
    lab = new_lab(bridge=False, presence="2005")
    alice, bob = lab.sipe_user("alice@corp.test"), lab.sipe_user("bob@corp.test")
    linda = lab.linphone_user("linda@corp.test", contacts=["alice@corp.test"])
    linda.wait_presence("alice@corp.test", "online")
    bob.add("alice@corp.test")
    bob.wait_presence("alice@corp.test", "available")
    alice.status("away")
    bob.wait_presence("alice@corp.test", "away")
    linda.wait_presence("alice@corp.test", "away")
    alice.status("busy", "In a meeting")
    bob.wait_presence("alice@corp.test", "busy")
    linda.wait_presence("alice@corp.test", "busy")
    bob.remove("alice@corp.test")
    alice.close()
    linda.wait_presence("alice@corp.test", online=False)
    assert not [event for event in bob.inbox.all() if event.kind == "presence" and not event.online]


def test_presence_is_published_as_of_2007(new_lab):
    lab = new_lab(bridge=False, presence="2007")
    linda = lab.linphone_user("linda@corp.test", contacts=["alice@corp.test"])
    linda.wait_presence("alice@corp.test", "offline")
    alice = lab.sipe_user("alice@corp.test")
    linda.wait_presence("alice@corp.test", "online")
    alice.status("away", "Back <soon>")
    linda.wait_presence("alice@corp.test", "away")


def test_standard_clients_talk(pool_lab):
    barry = pool_lab.baresip_user("barry@corp.test", contacts=["linda@corp.test", "alice@corp.test"])
    linda = pool_lab.linphone_user("linda@corp.test", contacts=["barry@corp.test"])
    alice = pool_lab.sipe_user("alice@corp.test")
    barry.send("linda@corp.test", 'one <&> "äöü"\ntwo')
    assert linda.wait_message('one <&> "äöü"\ntwo').sender == "barry@corp.test"
    linda.send("barry@corp.test", 'three "äöü"')
    assert barry.wait_message('three "äöü"').sender == "linda@corp.test"
    barry.send("alice@corp.test", "from a pager")
    assert alice.wait_message("from a pager").sender == "barry@corp.test"
    linda.send("nosuch@corp.test", "to nobody")
    linda.wait_error()
    alice.send("linda@corp.test", "she takes no sessions")
    alice.wait_error()


def test_presence_of_standard_clients(new_lab):
    lab = new_lab(bridge=False, presence="2005")
    barry = lab.baresip_user("barry@corp.test", contacts=["linda@corp.test"])
    linda = lab.linphone_user("linda@corp.test", contacts=["barry@corp.test"])
    alice = lab.sipe_user("alice@corp.test")
    barry.wait_presence("linda@corp.test", online=True)
    linda.wait_presence("barry@corp.test", "online")
    alice.add("barry@corp.test")
    alice.add("linda@corp.test")
    alice.wait_presence("barry@corp.test", online=True)
    alice.wait_presence("linda@corp.test", online=True)
    barry.status(False)
    alice.wait_presence("barry@corp.test", online=False)
    linda.close()
    alice.wait_presence("linda@corp.test", online=False)
    barry.wait_presence("linda@corp.test", online=False)


def test_pools_look_for_each_others_users_at_poolbridge(new_lab):
    """Somebody plays poolbridge: what one pool does not have arrives there, and nowhere else."""
    lab = new_lab(bridge=False, presence="2005", legacy_pool=True)
    bridge = lab.play_bridge()
    new, old = lab.sip_user("tybalt@corp.test"), lab.sip_user("romeo@corp.test", pool=lab.legacy_pool)
    other = lab.sip_user("paris@corp.test", "tcp")
    assert lab.deliver(new, "paris@corp.test").by == "pool"
    assert other.send("tybalt@corp.test", "here").status == 200
    assert new.send("romeo@corp.test", "to the legacy pool").status == 200
    assert old.send("tybalt@corp.test", "to the new pool").status == 200
    assert new.send("juliet@partner.test", "to the partner").status == 200
    for text, source in (("to the legacy pool", "pool"), ("to the new pool", "legacy-pool"), ("to the partner", "pool")):
        assert lab.block.address(source) in bridge.wait_message(text).header("via")
    assert old.inbox.all() == []
    # A user who is known to the pool is not looked for elsewhere, nor is what comes from poolbridge sent back.
    lab.pool.own("benvolio@corp.test")
    assert new.send("benvolio@corp.test", "not at home").status == 480
    lab.pool.disown("benvolio@corp.test")
    assert new.send("benvolio@corp.test", "moved away").status == 200
    bridge.wait_message("moved away")
    bridge.connect_to(lab.pool)
    assert bridge.send("romeo@corp.test", "whom the new pool does not have").status == 480
    assert bridge.send("tybalt@corp.test", "whom it has").status == 200
    assert bridge.send("juliet@partner.test", "who is nobody's here").status == 480


def test_legacy_pool_hands_partners_to_its_own_gateway(new_lab):
    lab = new_lab(bridge=False, presence="2005", legacy_pool=True)
    bridge, gateway = lab.play_bridge(), lab.sip_user("juliet@partner.test", pool=lab.legacy_pool)
    bridge.connect_to(lab.legacy_pool)
    assert bridge.send("juliet@partner.test", "to the gateway's SIP side").status == 200
    gateway.wait_message("to the gateway's SIP side")


def test_clients_leave_nothing_behind(new_lab):
    lab = new_lab(bridge=False, presence="2005")
    users = [lab.sipe_user("alice@corp.test"), lab.baresip_user("barry@corp.test"), lab.linphone_user("linda@corp.test")]
    users[0].crash()
    processes = [user.process for user in users]
    lab.close()
    assert not any(process.running() for process in processes)
    assert not os.path.exists(lab.folder)
