"""The main path with each kind of partner, each policy of TLS and each wiring of the legacy gateway."""

import pytest

# (partner, its TLS, the wiring, the legacy gateway)
KINDS = [
    ("prosody", "required", "relay", "prosody"),
    ("prosody", "none", "relay", "prosody"),
    ("prosody", "required", "direct", "prosody"),
    ("prosody", "none", "direct", "prosody"),
    ("ejabberd", "required", "relay", "prosody"),
    ("ejabberd", "none", "relay", "prosody"),
    ("ejabberd", "required", "direct", "prosody"),
    ("ejabberd", "none", "direct", "prosody"),
    ("prosody", "required", "relay", "ejabberd"),
    ("ejabberd", "required", "relay", "ejabberd"),
]


@pytest.mark.parametrize("partner, tls, wiring, legacy", KINDS, ids=["-".join(kind) for kind in KINDS])
def test_main_path(new_lab, partner, tls, wiring, legacy):
    lab = new_lab(partner=partner, partner_tls=tls, wiring=wiring, legacy=legacy)
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    tybalt, romeo_after = lab.sip_user("tybalt@corp.test", "udp"), lab.sip_user("romeo@corp.test", "tcp")
    nurse = lab.legacy_user("nurse@branch.test")

    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
    assert lab.deliver(juliet, "tybalt@corp.test").by == "pool"
    assert lab.deliver(juliet, "nurse@branch.test").by == "legacy"
    assert lab.deliver(romeo, "juliet@partner.test").by == "partner"
    assert lab.deliver(nurse, "juliet@partner.test").by == "partner"
    assert lab.deliver(tybalt, "juliet@partner.test").by == "partner"

    lab.bridge.mark("migrated", "romeo@corp.test")
    assert lab.deliver(juliet, "romeo@corp.test").by == "pool"
    assert lab.deliver(romeo_after, "juliet@partner.test").by == "partner"
    lab.bridge.mark("legacy", "romeo@corp.test")
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"

    assert lab.deliver(juliet, "nobody@corp.test").condition == "service-unavailable"
    assert juliet.ask(romeo.full, "<ping xmlns='urn:xmpp:ping'/>").type == "result"
    assert romeo.ask(juliet.full, "<ping xmlns='urn:xmpp:ping'/>").type == "result"
    check_encryption(lab, tls)


def check_encryption(lab, tls):
    """What the policy says is what the streams are."""
    links = [link for link in lab.bridge.json("status")["links"] if link["edge"] == "external"]
    assert links
    for link in links:
        assert bool(link["tls"]) == (tls == "required"), link


def test_legacy_gateway_goes_directly_and_we_vouch_for_it(new_lab):
    """A legacy gateway that was never spoken to yet: the partner asks us about its key, and we ask it."""
    lab = new_lab(wiring="direct")
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    assert lab.deliver(romeo, "juliet@partner.test").by == "partner"
    lab.partner.restart()
    juliet = lab.partner_user()
    assert lab.deliver(romeo, "juliet@partner.test").by == "partner"
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"


@pytest.mark.parametrize("partner_tls, policy", [("none", "required"), ("required", "none")])
def test_policies_that_do_not_meet(new_lab, partner_tls, policy):
    """No stream comes up in either direction, and every sender is told."""
    lab = new_lab(partner_tls=partner_tls, settings={"s2s.queue_time": 5})
    lab.bridge.ctl("partner", "set", "partner.test", "--tls", policy)
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    tybalt = lab.sip_user("tybalt@corp.test")
    assert lab.deliver(juliet, "romeo@corp.test").by == "error"
    assert lab.deliver(romeo, "juliet@partner.test").by == "error"
    assert lab.deliver(tybalt, "juliet@partner.test").by == "error"


def test_internal_edge_takes_only_allowed_addresses(new_lab):
    """The legacy gateway at another address than ours: nothing passes in its name, either way."""
    lab = new_lab(settings={"internal.allow": ["192.0.2.1"], "s2s.queue_time": 4, "spool.keep_time": 1})
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    assert lab.deliver(romeo, "juliet@partner.test").by == "error"
    assert lab.deliver(juliet, "romeo@corp.test", timeout=60).by == "error"


def test_sip_takes_only_allowed_addresses(new_lab):
    lab = new_lab(settings={"sip.allow": ["192.0.2.1"]})
    lab.partner_user()
    tybalt = lab.sip_user("tybalt@corp.test")
    assert lab.deliver(tybalt, "juliet@partner.test").by == "error"
