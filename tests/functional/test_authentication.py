"""Who proves himself how: the policies of a partner against servers configured each way, and certificates of each kind.

One lab for each way the partner's server may be configured; in it a domain of
its own for each case, so that every case has streams of its own.
"""

import base64
import re
import socket
import ssl

import matrix
import pytest

from lab.bridge import CommandError
from lab.federation import Federation, Partner
from matrix import (FAST, VARIANTS, check_delivery, check_links, check_refusal, domain, ours, person, policy, theirs,
                    users_of)

@pytest.fixture(scope="module")
def lab_in_mode(own_lab):
    return matrix.labs(own_lab)


@pytest.mark.parametrize("row, mode", matrix.cells())
def test_matrix(lab_in_mode, row, mode):
    matrix.check_cell(lab_in_mode(mode), row, mode)


@pytest.mark.parametrize("row", matrix.INVALID)
def test_matrix_invalid(lab_in_mode, row):
    """A combination that leaves no way to come up is not saved."""
    with pytest.raises(CommandError) as refused:
        lab_in_mode("external").bridge.ctl("partner", "add", domain(row), *policy(row))
    assert "dialback" in refused.value.message


# ---- certificates of each kind

# COMPAT: Prosody 0.12 compares XmppAddr for "_xmpp-server" only, and asks for "xmpp-server".
IGNORED_BY_PROSODY = ("xmppaddr-only",)


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
