"""Who proves himself how: the policies of a partner against servers configured each way, and certificates of each kind.

One lab for each way the partner's server may be configured; in it a domain of
its own for each case, so that every case has streams of its own.
"""

import base64
import re
import socket
import ssl

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


# COMPAT: Prosody 0.12 compares XmppAddr for "_xmpp-server" only, and asks for "xmpp-server".
IGNORED_BY_PROSODY = ("xmppaddr-only",)


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
    juliet, romeo = person(lab, f"rosaline@{theirs('good')}"), person(lab, f"romeo@{ours(variant)}", lab.legacy_user)
    check_delivery(lab, juliet, romeo)
    assert lab.bridge.link(theirs("good"), "in", ours(variant))["auth"] == "external"
    assert lab.bridge.link(theirs("good"), "out", ours(variant))["auth"] == (
        "dialback" if word or variant in IGNORED_BY_PROSODY else "external")


@pytest.mark.parametrize("variant", VARIANTS)
def test_our_certificate_judged_strictly(certified, variant):
    """A partner that wants certificates only: a bad one of ours is refused, and our sender is told so."""
    lab, word = certified("external"), VARIANTS[variant]
    juliet, romeo = person(lab, f"rosaline@{theirs('good')}"), person(lab, f"romeo@{ours(variant)}", lab.legacy_user)
    if word is None and variant not in IGNORED_BY_PROSODY:
        check_delivery(lab, juliet, romeo)
    else:
        assert lab.deliver(juliet, romeo.address, timeout=40).by == "error"
        refused = lab.deliver(romeo, juliet.address, timeout=40)
        assert refused.by == "error"
        assert "certificate" in refused.item.error_text


# ---- ejabberd

EJABBERD = {"external": "S", "either": "S", "dialback": "T", "plain": "P"}


@pytest.mark.parametrize("mode", EJABBERD)
def test_ejabberd(new_lab, mode):
    lab = new_lab(partner="ejabberd", pool=False, settings=FAST,
                  federation=Federation(mode, [Partner("ej.test", policy=policy("OO-yes"))]))
    juliet, romeo = users_of(lab, "ej.test")
    check_delivery(lab, juliet, romeo)
    check_links(lab, "ej.test", EJABBERD[mode])


def test_dialback_after_refused_certificate(new_lab):
    """
    COMPAT: ejabberd offers EXTERNAL to whatever certificate, refuses, and goes on with dialback on the same
    stream. It also refuses a good certificate for servers only.
    """
    federation = Federation("either", [Partner("ej.test", policy=policy("RO-yes"))],
                            local={"corp.test": "rogue", "branch.test": "server-only", "third.test": "good"})
    lab = new_lab(partner="ejabberd", pool=False, settings=FAST, federation=federation)
    juliet = person(lab, "juliet@ej.test")
    for domain_here, auth in ("corp.test", "dialback"), ("branch.test", "dialback"), ("third.test", "external"):
        romeo = person(lab, f"romeo@{domain_here}", lab.legacy_user)
        check_delivery(lab, juliet, romeo)
        assert lab.bridge.link("ej.test", "out", domain_here)["auth"] == auth
        assert lab.bridge.link("ej.test", "in", domain_here)["auth"] == "external"
    assert len([line for line in lab.bridge.process.lines if "sasl-refused-by-peer" in line]) >= 2


# ---- which certificate we show

SHOWN = {
    "to": ("corp.test", None, "corp.test"),
    "to-another": ("branch.test", None, "branch.test"),
    "server-name-first": ("corp.test", "branch.test", "branch.test"),
    "host-as-server-name": ("branch.test", "xmpp.branch.test", "branch.test"),
}


@pytest.mark.parametrize("to, server_name, shown", SHOWN.values(), ids=SHOWN.keys())
def test_certificate_by_domain(certified, to, server_name, shown):
    lab = certified()
    with socket.create_connection((lab.block.address("external"), 5269), timeout=20) as plain:
        plain.sendall(f"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
                      f"from='{theirs('good')}' to='{to}' version='1.0'>".encode())
        hear(plain, b"</stream:features>")
        plain.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        hear(plain, b"proceed")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain, server_hostname=server_name) as secure:
            assert secure.getpeercert(binary_form=True) == certificate_of(lab, shown)


def certificate_of(lab, domain_here):
    with open(f"{lab.bridge.settings['external.certificates']}/{domain_here}.crt", encoding="ascii") as file:
        return ssl.PEM_cert_to_DER_cert(file.read())


def hear(stream, mark):
    heard = b""
    while mark not in heard:
        more = stream.recv(4096)
        assert more, heard
        heard += more
    return heard


# ---- what a partner's server may say in SASL

HEADER = ("<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
          "xmlns:stream='http://etherx.jabber.org/streams' from='{}' to='corp.test' version='1.0'>")
SAID = {
    "no-name": ("EXTERNAL", "=", "<success "),
    "empty-name": ("EXTERNAL", "", "<success "),
    "own-name": ("EXTERNAL", theirs("good"), "<success "),
    "another-name": ("EXTERNAL", "partner.test", "<invalid-authzid/>"),
    "our-name": ("EXTERNAL", "corp.test", "<invalid-authzid/>"),
    "no-domain": ("EXTERNAL", "a b", "<invalid-authzid/>"),
    "not-base64": ("EXTERNAL", "!!!!", "<incorrect-encoding/>"),
    "another-mechanism": ("PLAIN", theirs("good"), "<invalid-mechanism/>"),
}


def open_secure(lab, sender, certificate):
    """A stream in the name of `sender` under TLS; (stream, features)."""
    plain = socket.create_connection((lab.block.address("external"), 5269), timeout=20)
    plain.sendall(HEADER.format(sender).encode())
    hear(plain, b"</stream:features>")
    plain.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    hear(plain, b"proceed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(*lab.federation.of_partner[certificate])
    secure = context.wrap_socket(plain, server_hostname="corp.test")
    secure.sendall(HEADER.format(sender).encode())
    return secure, hear(secure, b"</stream:features>").decode()


def auth(mechanism, name):
    text = name if name in ("", "=", "!!!!") else base64.b64encode(name.encode()).decode()
    return f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{text}</auth>".encode()


@pytest.mark.parametrize("mechanism, name, answer", SAID.values(), ids=SAID.keys())
def test_auth(certified, mechanism, name, answer):
    stream, features = open_secure(certified(), theirs("good"), theirs("good"))
    with stream:
        assert "<mechanism>EXTERNAL</mechanism>" in features
        stream.sendall(auth(mechanism, name))
        assert answer in hear(stream, b">" if answer.startswith("<success") else b"</failure>").decode()


def test_auth_with_the_certificate_of_another(certified):
    """A good certificate proves its own domain only; EXTERNAL is not offered, and refused when tried."""
    stream, features = open_secure(certified(), theirs("good"), theirs("server-only"))
    with stream:
        assert "EXTERNAL" not in features and "<dialback " in features
        stream.sendall(auth("EXTERNAL", theirs("good")))
        assert b"<not-authorized/>" in hear(stream, b"</failure>")
        stream.sendall(f"<message from='x@{theirs('good')}' to='romeo@corp.test'><body>x</body></message>".encode())
        assert b"<not-authorized " in hear(stream, b"</stream:stream>")


def test_auth_tried_too_often(certified):
    stream, _ = open_secure(certified(), theirs("good"), theirs("good"))
    with stream:
        stream.sendall(auth("EXTERNAL", "partner.test") * 3)
        assert b"<policy-violation " in hear(stream, b"</stream:stream>")


def test_auth_in_clear_text(certified):
    with socket.create_connection((certified().block.address("external"), 5269), timeout=20) as stream:
        stream.sendall(HEADER.format(theirs("good")).encode())
        hear(stream, b"</stream:features>")
        stream.sendall(auth("EXTERNAL", theirs("good")))
        assert b"<not-authorized/>" in hear(stream, b"</failure>")


def test_another_name_after_auth(certified):
    """The stream that follows is in the name that was proved."""
    stream, _ = open_secure(certified(), theirs("good"), theirs("good"))
    with stream:
        stream.sendall(auth("EXTERNAL", "="))
        hear(stream, b"success")
        stream.sendall(HEADER.format(theirs("server-only")).encode())
        assert b"<invalid-from " in hear(stream, b"</stream:stream>")


def test_other_senders_after_auth(certified):
    """Only stanzas from the proved domain to the stream's own are taken."""
    for sender, to in (theirs("server-only"), "corp.test"), (theirs("good"), "branch.test"):
        stream, _ = open_secure(certified(), theirs("good"), theirs("good"))
        with stream:
            stream.sendall(auth("EXTERNAL", "="))
            hear(stream, b"success")
            stream.sendall(HEADER.format(theirs("good")).encode())
            hear(stream, b"</stream:features>")
            stream.sendall(f"<message from='x@{sender}' to='romeo@{to}'><body>forged</body></message>".encode())
            assert b"<invalid-from " in hear(stream, b"</stream:stream>")
