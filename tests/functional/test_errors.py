"""Failures on one side, told to the sender in the language of the other (RFC 7247 section 7)."""

import pytest

STATUSES = [(400, "bad-request"), (403, "forbidden"), (404, "item-not-found"), (410, "gone"),
            (415, "not-acceptable"), (480, "recipient-unavailable"), (486, "recipient-unavailable"),
            (500, "internal-server-error"), (503, "internal-server-error"), (603, "recipient-unavailable")]


@pytest.mark.parametrize("status, condition", STATUSES)
@pytest.mark.parametrize("user", ["tybalt", "tybalt_tcp"], ids=["udp", "tcp"])
def test_sip_failure(lab, juliet, request, user, status, condition):
    recipient = request.getfixturevalue(user)
    recipient.reply = status
    number = juliet.send(recipient.address, f"answered with {status} to {user}")
    assert juliet.wait_error(number).error == condition


def test_sip_failure_names_its_reason(lab, juliet, tybalt):
    tybalt.reply = 486
    number = juliet.send("tybalt@corp.test", "the reason")
    assert "Busy Here" in (juliet.wait_error(number).error_text or "")


def test_silent_user_agent(lab, juliet, tybalt):
    """The pool gives up on it and answers 408."""
    tybalt.reply = None
    number = juliet.send("tybalt@corp.test", "into the silence")
    assert juliet.wait_error(number, timeout=40).error == "remote-server-timeout"


@pytest.mark.parametrize("user, condition", [("nosuchuser", "item-not-found"), ("absent", "recipient-unavailable")])
def test_nobody_at_the_pool(lab, juliet, user, condition):
    lab.bridge.mark("migrated", f"{user}@corp.test")
    assert lab.deliver(juliet, f"{user}@corp.test").condition == condition


def test_a_failure_does_not_hold_up_others(lab, juliet, tybalt, tybalt_tcp):
    """One silent user agent, and messages to another pass it by."""
    tybalt.reply = None
    number = juliet.send("tybalt@corp.test", "a silent one")
    assert lab.deliver(juliet, "paris@corp.test").by == "pool"
    juliet.wait_error(number, timeout=40)


def test_order_is_kept_behind_a_failure(lab, juliet, tybalt):
    """The first fails, the second waits for its end, then arrives."""
    tybalt.reply = lambda request: (486 if request.body == "ordered 1" else 200, ())
    first = juliet.send("tybalt@corp.test", "ordered 1")
    assert lab.deliver(juliet, "tybalt@corp.test", "ordered 2").by == "pool"
    assert juliet.wait_error(first).error == "recipient-unavailable"


@pytest.mark.parametrize("to, status", [
    ("nobody@partner.test", 403),  # service-unavailable, as Prosody says
    ("somebody@down.test", 408),
    ("somebody@without.test", 404),
])
def test_xmpp_failure(lab, juliet, tybalt, to, status):
    assert tybalt.send(to, "will not arrive").status == status


def test_errors_are_not_answered_with_errors(lab, juliet, tybalt):
    """An error stanza to a migrated user goes nowhere, quietly."""
    juliet.send_xml("<message to='tybalt@corp.test' type='error' id='e-1'><body>x</body>"
                    "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
    assert lab.deliver(juliet, "tybalt@corp.test").by == "pool"
    assert not juliet.inbox.all(lambda s: s.id == "e-1")
    assert not tybalt.inbox.all(lambda r: r.body == "x")
