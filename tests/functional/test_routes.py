"""Every row of the decision, from each side, by what really arrives where.

For each case `route explain` must say what the message then shows.
"""

import itertools
import os

import pytest

from lab.delivery import is_text
from lab.inbox import wait_polled

_numbers = itertools.count(1)

# (name, changes, recipient, row, route, what becomes of a message from the partner)
FROM_PARTNER = [
    ("marked-legacy", [], "romeo@corp.test", 10, "legacy", "legacy"),
    ("marked-migrated", [], "tybalt@corp.test", 9, "gateway", "pool"),
    ("other-spelling", [], "Romeo@CORP.test", 10, "legacy", "legacy"),
    ("unlisted-legacy", [], "mercutio@corp.test", 11, "legacy", "legacy"),
    ("unlisted-migrated", ["domain set corp.test --unlisted migrated"], "mercutio@corp.test", 11, "gateway", "pool"),
    ("unlisted-reject", ["domain set corp.test --unlisted reject"], "mercutio@corp.test", 11, "reject",
     "item-not-found"),
    ("moving", ["user mark moving romeo@corp.test"], "romeo@corp.test", 6, "hold", "held"),
    ("phase-legacy", ["domain set corp.test --phase legacy"], "tybalt@corp.test", 5, "legacy", "legacy"),
    ("phase-migrated", ["domain set corp.test --phase migrated"], "romeo@corp.test", 8, "gateway", "pool"),
    ("phase-migrated-unlisted", ["domain set corp.test --phase migrated"], "mercutio@corp.test", 8, "gateway", "pool"),
    ("partner-legacy", ["partner set partner.test --gateway legacy"], "tybalt@corp.test", 4, "legacy", "legacy"),
    ("partner-bridge-migrated", ["partner set partner.test --gateway bridge"], "tybalt@corp.test", 7, "gateway", "pool"),
    ("partner-bridge-legacy", ["partner set partner.test --gateway bridge"], "romeo@corp.test", 7, "gateway",
     "legacy pool"),
    ("partner-bridge-moving", ["partner set partner.test --gateway bridge", "user mark moving romeo@corp.test"],
     "romeo@corp.test", 6, "hold", "held"),
    ("partner-blocked", ["partner set partner.test --gateway blocked"], "romeo@corp.test", 2, "reject", "error"),
]


@pytest.fixture
def everybody(juliet, romeo, tybalt_before, mercutio, romeo_after, tybalt, mercutio_after):
    return juliet


def change(lab, changes):
    for words in changes:
        lab.bridge.ctl(*words.split())


def arrived(delivery):
    if delivery.by == "pool" and delivery.item.header("X-Pool"):
        return "legacy pool"
    return delivery.by


def check(delivery, expected):
    if expected == "error":
        assert delivery.by == "error", delivery
    elif delivery.by == "error":
        assert delivery.condition == expected, delivery
    else:
        assert arrived(delivery) == expected, delivery


def check_held(lab, sender, recipient, to):
    """It waits, and comes when the move is over."""
    text = f"held {next(_numbers)}"
    sender.send(to, text)
    wait_polled(lambda: lab.bridge.json("status")["spool"]["messages"] > 0)
    lab.bridge.mark("migrated", to)
    recipient.inbox.wait(lambda item: is_text(item, text))


@pytest.mark.parametrize("changes, to, row, route, expected", [case[1:] for case in FROM_PARTNER],
                         ids=[case[0] for case in FROM_PARTNER])
def test_from_partner(lab, everybody, romeo_after, changes, to, row, route, expected):
    change(lab, changes)
    explained = lab.bridge.json("route", "explain", "juliet@partner.test", to)
    assert (explained["row"], explained["route"]) == (row, route)
    if expected == "held":
        check_held(lab, everybody, romeo_after, to)
    else:
        check(lab.deliver(everybody, to), expected)


@pytest.mark.parametrize("statement, to, expected", [
    ("UPDATE user SET xmpp_access = 0 WHERE address = 'romeo@corp.test'", "romeo@corp.test", "not-allowed"),
    ("UPDATE domain SET xmpp_access = 0 WHERE name = 'corp.test'", "mercutio@corp.test", "not-allowed"),
    ("UPDATE domain SET xmpp_access = 0 WHERE name = 'corp.test'", "romeo@corp.test", "legacy"),
    ("UPDATE user SET mark = 'migrated' WHERE address = 'romeo@corp.test'", "romeo@corp.test", "pool"),
    ("DELETE FROM user WHERE address = 'tybalt@corp.test'", "tybalt@corp.test", "legacy"),
], ids=["user-without-access", "unlisted-without-access", "listed-has-its-own-access", "marked-by-hand",
        "removed-by-hand"])
def test_change_by_hand_is_effective_at_once(lab, everybody, statement, to, expected):
    assert lab.deliver(everybody, to).by != "error"
    lab.bridge.sql(statement)
    check(lab.deliver(everybody, to), expected)


def test_second_local_domain_has_its_own_rules(lab, juliet):
    nurse = lab.legacy_user("nurse@branch.test")
    assert lab.deliver(juliet, "nurse@branch.test").by == "legacy"
    lab.bridge.ctl("domain", "set", "corp.test", "--phase", "migrated")
    assert lab.deliver(juliet, "nurse@branch.test").by == "legacy"
    assert lab.deliver(nurse, "juliet@partner.test").by == "partner"


def test_unknown_partner_is_refused(lab, stranger, romeo):
    assert lab.deliver(stranger, "romeo@corp.test").by == "error"


def test_blocked_partner_is_refused(lab, outcast, romeo):
    assert lab.deliver(outcast, "romeo@corp.test").by == "error"


def test_alias_of_a_partner_has_its_rules(lab, stranger, romeo):
    lab.bridge.ctl("partner", "set", "partner.test", "--alias", "stranger.test")
    assert eventually(lab, stranger, "romeo@corp.test").by == "legacy"
    assert lab.deliver(romeo, "juliet@stranger.test").by == "partner"


def test_open_federation(lab, stranger, romeo, tybalt):
    lab.bridge.ctl("partner", "add", "*", "--tls", "optional")
    assert eventually(lab, stranger, "romeo@corp.test").by == "legacy"
    assert lab.deliver(tybalt, "juliet@stranger.test").by == "partner"


def eventually(lab, sender, to):
    """The partner's server may remember a refusal for a moment: send until it tries again."""
    for _ in range(20):
        delivery = lab.deliver(sender, to)
        if delivery.by != "error":
            break
    return delivery


def test_unknown_local_domain(lab, juliet):
    assert lab.deliver(juliet, "somebody@alien.test").by == "error"


@pytest.mark.parametrize("domain", ["plain.test", "backup.test", "hidden.test"])
def test_partner_found_in_other_ways(lab, romeo, tybalt, domain):
    """Without SRV, by the second target, and by the proxy that the registry names; out, and back for dialback."""
    lab.bridge.ctl("partner", "add", domain, "--tls", "optional")
    if domain == "hidden.test":
        lab.bridge.ctl("partner", "set", domain, "--proxy", lab.partner.address + ":5269")
    juliet = lab.partner_user("juliet@" + domain)
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
    assert lab.deliver(romeo, juliet.address).by == "partner"
    assert lab.deliver(tybalt, juliet.address).by == "partner"


# (name, changes, sender at the pool, recipient, final response, who gets it)
FROM_POOL = [
    ("migrated", [], "tybalt", "juliet@partner.test", 200, "partner"),
    ("by-tcp", [], "tybalt_tcp", "juliet@partner.test", 200, "partner"),
    ("phase-migrated", ["domain set corp.test --phase migrated"], "romeo_after", "juliet@partner.test", 200, "partner"),
    ("partner-bridge", ["partner set partner.test --gateway bridge"], "romeo_after", "juliet@partner.test", 200,
     "partner"),
    ("moving", ["user mark moving tybalt@corp.test"], "tybalt", "juliet@partner.test", 200, "partner"),
    ("unlisted-migrated", ["domain set corp.test --unlisted migrated"], "mercutio_after", "juliet@partner.test", 200,
     "partner"),
    ("unlisted-reject", ["domain set corp.test --unlisted reject"], "mercutio_after", "juliet@partner.test", 604,
     "error"),
    # The legacy pool has no such user; with its own gateway behind it, see test_relay.py.
    ("legacy-user", [], "romeo_after", "juliet@partner.test", 480, "error"),
    ("unknown-partner", [], "tybalt", "juliet@stranger.test", 403, "error"),
    ("blocked-partner", [], "tybalt", "juliet@blocked.test", 403, "error"),
]


@pytest.mark.parametrize("changes, sender, to, status, by", [case[1:] for case in FROM_POOL],
                         ids=[case[0] for case in FROM_POOL])
def test_from_pool(lab, juliet, stranger, outcast, request, changes, sender, to, status, by):
    change(lab, changes)
    delivery = lab.deliver(request.getfixturevalue(sender), to)
    assert (delivery.status, delivery.by) == (status, by)


# (name, changes, recipient, what becomes of a message from the legacy gateway)
FROM_LEGACY = [
    ("relayed", [], "juliet@partner.test", "partner"),
    ("directly", [], "rosaline@direct.test", "partner"),
    ("phase-legacy", ["domain set corp.test --phase legacy"], "juliet@partner.test", "partner"),
    ("phase-migrated", ["domain set corp.test --phase migrated"], "juliet@partner.test", "partner"),
    ("partner-legacy", ["partner set partner.test --gateway legacy"], "juliet@partner.test", "partner"),
    ("partner-bridge", ["partner set partner.test --gateway bridge"], "juliet@partner.test", "partner"),
    ("moving", ["user mark moving romeo@corp.test"], "juliet@partner.test", "partner"),
    ("blocked", [], "juliet@blocked.test", "error"),
    ("blocked-meanwhile", ["partner set partner.test --gateway blocked"], "juliet@partner.test", "error"),
    ("unreachable", [], "juliet@down.test", "error"),
    ("without-xmpp", [], "juliet@without.test", "error"),
]


@pytest.mark.parametrize("changes, to, expected", [case[1:] for case in FROM_LEGACY],
                         ids=[case[0] for case in FROM_LEGACY])
def test_from_legacy_gateway(lab, juliet, rosaline, outcast, romeo, changes, to, expected):
    assert lab.deliver(romeo, "juliet@partner.test").by == "partner"
    change(lab, changes)
    check(lab.deliver(romeo, to, timeout=40), expected)


def test_domain_that_has_no_service(lab, romeo):
    """Its SRV record's target is "."."""
    assert lab.deliver(romeo, "juliet@without.test", timeout=40).condition == "remote-server-not-found"


def test_migrated_user_at_the_legacy_gateway_is_drift(lab, juliet, tybalt_before):
    before = lab.bridge.json("status")["router"]["drift"]
    assert lab.deliver(tybalt_before, "juliet@partner.test").by == "partner"
    assert lab.bridge.json("status")["router"]["drift"] == before + 1


def test_mark_and_undo(lab, juliet, romeo, romeo_after):
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
    lab.bridge.mark("migrated", "romeo@corp.test")
    assert lab.deliver(juliet, "romeo@corp.test").by == "pool"
    entry = lab.bridge.json("audit", "list")[-1]
    assert (entry["object"], entry["key"]) == ("user", "romeo@corp.test")
    lab.bridge.ctl("audit", "undo", str(entry["id"]))
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"


def test_registry_that_has_gone(lab, juliet, romeo):
    """By a file that nobody else sees any more nothing is decided; put back, it counts again."""
    path = os.path.join(lab.bridge.folder, "registry.db")
    assert lab.deliver(juliet, romeo.address).by == "legacy"
    mark = lab.bridge.process.mark()
    os.rename(path, path + ".aside")
    try:
        lab.bridge.process.wait_line("registry-not-followed", after=mark)
        assert lab.deliver(juliet, romeo.address).condition == "internal-server-error"
    finally:
        os.rename(path + ".aside", path)
    lab.bridge.process.wait_line("registry-followed", after=mark)
    assert lab.deliver(juliet, romeo.address).by == "legacy"
