"""Who proves himself how: the policies of a partner against servers configured each way, and certificates of each kind.

One lab for each way the partner's server may be configured; in it a domain of
its own for each case, so that every case has streams of its own.
"""

import re

import pytest

from lab.bridge import CommandError
from lab.federation import MODES, Federation, Partner

WORDS = {"R": "required", "O": "optional", "N": "none"}
# TLS, SASL, dialback: what comes up with a partner's server in each of these modes, both ways:
# S certificate over TLS, T dialback over TLS, P dialback in clear text, - nothing. None: not to be saved.
COLUMNS = ("external", "either", "dialback", "plain")
MATRIX = {
    "RR-yes": "SS--", "RR-no": "SS--",
    "OR-yes": "SSTP", "OR-no": "SS--",
    "NR-yes": "---P", "NR-no": None,
    "RO-yes": "SST-", "RO-no": "SS--",
    "OO-yes": "SSTP", "OO-no": "SS--",
    "NO-yes": "---P", "NO-no": None,
    "RN-yes": "-TT-", "RN-no": None,
    "ON-yes": "-TTP", "ON-no": None,
    "NN-yes": "---P", "NN-no": None,
}
METHODS = {"S": ("external", True), "T": ("dialback", True), "P": ("dialback", False)}
FAST = {"s2s.queue_time": 4, "s2s.backoff_min": 0.1, "s2s.backoff_max": 0.5}


def policy(row):
    tls, sasl, dialback = row[0], row[1], row[3:]
    return "--tls", WORDS[tls], "--sasl", WORDS[sasl], "--dialback", dialback


def domain(row):
    return f"{row.lower()}.test"


def users_of(lab, partner):
    """The partner's user in a domain, and the local user whom everybody writes to."""
    if "romeo" not in lab.__dict__:
        lab.romeo = lab.legacy_user("romeo@corp.test")
    return lab.partner_user(f"juliet@{partner}"), lab.romeo


def check_links(lab, partner, method, local="corp.test"):
    for direction in ("in", "out"):
        link = lab.bridge.link(partner, direction, local)
        assert link, (partner, direction)
        assert (link["auth"], bool(link["tls"])) == METHODS[method], link


def check_delivery(lab, juliet, romeo):
    assert lab.deliver(juliet, romeo.address).by == "legacy"
    assert lab.deliver(romeo, juliet.address).by == "partner"


def check_refusal(lab, juliet, romeo):
    """Neither side's message arrives, and both senders are told; returns the words for ours."""
    assert lab.deliver(juliet, romeo.address, timeout=40).by == "error"
    refused = lab.deliver(romeo, juliet.address, timeout=40)
    assert refused.by == "error"
    for direction in ("in", "out"):
        link = lab.bridge.link(juliet.address.partition("@")[2], direction)
        assert link is None or link["auth"] == "none", link
    return refused.item.error_text or ""


@pytest.fixture(scope="module")
def lab_in_mode(own_lab):
    labs = {}

    def get(mode):
        if mode not in labs:
            partners = [Partner(domain(row), policy=policy(row)) for row, result in MATRIX.items() if result]
            labs[mode] = own_lab(federation=Federation(mode, partners), pool=False, settings=FAST)
        return labs[mode]

    yield get


@pytest.mark.parametrize("mode", COLUMNS)
@pytest.mark.parametrize("row", [row for row, result in MATRIX.items() if result])
def test_matrix(lab_in_mode, row, mode):
    lab, method = lab_in_mode(mode), MATRIX[row][COLUMNS.index(mode)]
    juliet, romeo = users_of(lab, domain(row))
    if method == "-":
        assert check_refusal(lab, juliet, romeo)
    else:
        check_delivery(lab, juliet, romeo)
        check_links(lab, domain(row), method)


@pytest.mark.parametrize("row", [row for row, result in MATRIX.items() if not result])
def test_matrix_invalid(lab_in_mode, row):
    """A combination that leaves no way to come up is not saved."""
    with pytest.raises(CommandError) as refused:
        lab_in_mode(COLUMNS[0]).bridge.ctl("partner", "add", domain(row), *policy(row))
    assert "dialback" in refused.value.message


def test_modes():
    assert set(COLUMNS) == set(MODES)


# ---- certificates of each kind: variant -> None where it is good, else a word of what is said about it
VARIANTS = {
    "good": None,
    "intermediate": None,
    "server-only": None,
    "srv-only": None,
    "xmppaddr-only": None,
    "wildcard": None,
    "wildcard-above": r"\*\.",
    "expired": "expired",
    "future": "not yet valid|not valid (yet|before)",
    "wrong-name": "elsewhere.test",
    "rogue": "issuer|authority|not trusted|self-signed",
}


def theirs(variant, strict=False):
    return f"{'strict' if strict else 'lenient'}.{variant}.test"


def ours(variant):
    return f"here.{variant}.test"


@pytest.fixture(scope="module")
def certified(own_lab):
    """The partner's domains have certificates of each kind, and so have local domains. Both sides allow dialback."""
    made = {}

    def get(mode="either"):
        if mode not in made:
            strict = policy("RR-no")
            partners = [Partner(theirs(variant), variant, policy("RO-yes")) for variant in VARIANTS]
            partners += [Partner(theirs(variant, strict=True), variant, strict) for variant in VARIANTS]
            federation = Federation(mode, partners, local={ours(variant): variant for variant in VARIANTS})
            made[mode] = own_lab(federation=federation, pool=False, settings=FAST)
        return made[mode]

    return get


@pytest.mark.parametrize("variant", VARIANTS)
def test_their_certificate(certified, variant):
    """A good one authenticates; with a bad one the same partner comes by dialback, and the log says what is wrong."""
    lab, word = certified(), VARIANTS[variant]
    juliet, romeo = users_of(lab, theirs(variant))
    check_delivery(lab, juliet, romeo)
    check_links(lab, theirs(variant), "T" if word else "S")
    if word:
        said = lab.bridge.process.wait_line(f"certificate-untrusted .*remote={theirs(variant)} (.*)").group(1)
        check_words(said, variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_their_certificate_strictly(certified, variant):
    """Where nothing but a certificate will do, a bad one ends in errors, with words in ours."""
    lab, word = certified(), VARIANTS[variant]
    juliet, romeo = users_of(lab, theirs(variant, strict=True))
    if word is None:
        check_delivery(lab, juliet, romeo)
        check_links(lab, theirs(variant, strict=True), "S")
    else:
        check_words(check_refusal(lab, juliet, romeo), variant)


def check_words(said, variant):
    """Subject, issuer, dates, and what is wrong."""
    assert re.search(VARIANTS[variant], said), said
    assert f"{variant} " in said, said
    assert ("Lab rogue" if variant == "rogue" else "Lab root") in said, said
    assert {"expired": "2021-01-01", "future": "2090-01-01"}.get(variant, "2099-12-31") in said, said


@pytest.mark.parametrize("variant", VARIANTS)
def test_our_certificate(certified, variant):
    """Each local domain shows its own; the partner takes a good one, and dialback with a bad one."""
    lab, word = certified(), VARIANTS[variant]
    juliet = lab.partner_user(f"rosaline@{theirs('good')}")
    romeo = lab.legacy_user(f"romeo@{ours(variant)}")
    check_delivery(lab, juliet, romeo)
    assert lab.bridge.link(theirs("good"), "in", ours(variant))["auth"] == "external"
    assert lab.bridge.link(theirs("good"), "out", ours(variant))["auth"] == ("dialback" if word else "external")


@pytest.mark.parametrize("variant", VARIANTS)
def test_our_certificate_judged_strictly(certified, variant):
    """A partner that wants certificates only: a bad one of ours is refused, and our sender is told so."""
    lab, word = certified("external"), VARIANTS[variant]
    juliet = lab.partner_user(f"rosaline@{theirs('good')}")
    romeo = lab.legacy_user(f"romeo@{ours(variant)}")
    if word is None:
        check_delivery(lab, juliet, romeo)
    else:
        assert lab.deliver(juliet, romeo.address, timeout=40).by == "error"
        refused = lab.deliver(romeo, juliet.address, timeout=40)
        assert refused.by == "error"
        assert "certificate" in refused.item.error_text
