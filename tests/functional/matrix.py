"""
The matrix of TLS, SASL and dialback: the policies of a partner against its server configured each way; and
certificates of each kind.

One lab for each way; in it a domain of its own for each row, so that every row has streams of its own.
"""

from lab.federation import MODES, Federation, Partner

WORDS = {"R": "required", "O": "optional", "N": "none"}
# TLS, SASL, dialback: what comes up with a partner's server in each of these modes, both ways:
# S certificate over TLS, T dialback over TLS, P dialback in clear text, - nothing. None: not to be saved.
COLUMNS = ("external", "either", "dialback", "plain", "optional-external", "optional", "optional-dialback")
MATRIX = {
    "RR-yes": "SS--SS-", "RR-no": "SS--SS-",
    "OR-yes": "SSTPSST", "OR-no": "SS--SS-",
    "NR-yes": "---P-PP", "NR-no": None,
    "RO-yes": "SST-SST", "RO-no": "SS--SS-",
    "OO-yes": "SSTPSST", "OO-no": "SS--SS-",
    "NO-yes": "---P-PP", "NO-no": None,
    "RN-yes": "-TT--TT", "RN-no": None,
    "ON-yes": "-TTP-TT", "ON-no": None,
    "NN-yes": "---P-PP", "NN-no": None,
}
INVALID = [row for row, result in MATRIX.items() if result is None]
# In the mode "nothing" no policy helps; one that allows everything shows it.
LENIENT = "OO-yes"
METHODS = {"S": ("external", True), "T": ("dialback", True), "P": ("dialback", False)}
FAST = {"s2s.queue_time": 4, "s2s.backoff_min": 0.1, "s2s.backoff_max": 0.5}

assert set(COLUMNS) | {"nothing"} == set(MODES)


def cells():
    """(row, mode) of each cell, by mode."""
    return [(row, mode) for mode in COLUMNS for row in MATRIX if row not in INVALID] + [(LENIENT, "nothing")]


def expected(row, mode):
    return "-" if mode == "nothing" else MATRIX[row][COLUMNS.index(mode)]


def labs(own_lab, **options):
    """A function from a mode to its lab, made once."""
    made = {}

    def get(mode):
        if mode not in made:
            partners = [Partner(domain(row), policy=policy(row)) for row in MATRIX if row not in INVALID]
            made[mode] = own_lab(federation=Federation(mode, partners), pool=False, settings=FAST, **options)
        return made[mode]

    return get


def check_cell(lab, row, mode):
    method = expected(row, mode)
    juliet, romeo = users_of(lab, domain(row))
    if method == "-":
        assert check_refusal(lab, juliet, romeo)
    else:
        check_delivery(lab, juliet, romeo)
        check_links(lab, domain(row), method)


def policy(row):
    tls, sasl, dialback = row[0], row[1], row[3:]
    return "--tls", WORDS[tls], "--sasl", WORDS[sasl], "--dialback", dialback


def domain(row):
    return f"{row.lower()}.test"


def users_of(lab, partner):
    """The partner's user in a domain, and the local user whom everybody writes to."""
    return person(lab, f"juliet@{partner}"), person(lab, "romeo@corp.test", lab.legacy_user)


def person(lab, address, login=None):
    """Logged in once: a message goes to every client of an address."""
    known = [user for user in lab.users if user.address == address]
    return known[0] if known else (login or lab.partner_user)(address)


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
