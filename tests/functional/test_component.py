"""poolbridge as the component of a Prosody or an ejabberd that faces the partners (XEP-0114)."""

import pytest


@pytest.mark.parametrize("front", ["prosody", "ejabberd"])
def test_main_path(new_lab, front):
    """The main path of test_wirings."""
    lab = new_lab(front=front)
    lab.bridge.process.wait_line("component-attached")
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    tybalt, romeo_after = lab.sip_user("tybalt@corp.test", "udp"), lab.sip_user("romeo@corp.test", "tcp")

    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
    assert lab.deliver(juliet, "tybalt@corp.test").by == "pool"
    assert lab.deliver(romeo, "juliet@partner.test").by == "partner"
    assert lab.deliver(tybalt, "juliet@partner.test").by == "partner"

    lab.bridge.mark("migrated", "romeo@corp.test")
    assert lab.deliver(juliet, "romeo@corp.test").by == "pool"
    assert lab.deliver(romeo_after, "juliet@partner.test").by == "partner"
    lab.bridge.mark("legacy", "romeo@corp.test")
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"

    assert lab.deliver(juliet, "nobody@corp.test").condition == "service-unavailable"
    assert lab.deliver(tybalt, "nobody@partner.test").by == "error"
    assert juliet.ask(romeo.full, "<ping xmlns='urn:xmpp:ping'/>").type == "result"
    assert romeo.ask(juliet.full, "<ping xmlns='urn:xmpp:ping'/>").type == "result"
    trunk = lab.bridge.link("*", "both")
    assert (trunk["auth"], trunk["state"], trunk["last_error"]) == ("component", "trusted", "")
