"""Streams that begin with TLS (XEP-0368), in and out, beside streams with STARTTLS, by the priorities in DNS."""

import socket
import ssl

import pytest

from lab.federation import Federation, Partner

FAST = {"s2s.queue_time": 8, "s2s.connect_time": 2, "s2s.backoff_min": 0.1, "s2s.backoff_max": 0.3}


def direct(priority, role):
    return "xmpps-server", priority, role, 5270


def starttls(priority, role):
    return "xmpp-server", priority, role, 5269


# What the partner's DNS says: (its records, is the stream direct?)
RECORDS = {
    "direct-only": ((direct(0, "partner"),), True),
    "starttls-only": ((starttls(0, "partner"),), False),
    "direct-first": ((direct(1, "partner"), starttls(2, "partner")), True),
    "starttls-first": ((starttls(1, "partner"), direct(2, "partner")), False),
    "direct-is-down": ((direct(1, "nobody"), starttls(2, "partner")), False),
    "starttls-is-down": ((starttls(1, "nobody"), direct(2, "partner")), True),
    "direct-is-last": ((starttls(1, "nobody"), direct(2, "nobody"), direct(3, "partner")), True),
}
POLICY = ("--tls", "required", "--sasl", "optional")


@pytest.fixture(scope="module")
def lab(own_lab):
    partners = [Partner(f"{name}.test", policy=POLICY, services=services) for name, (services, _) in RECORDS.items()]
    # Whoever asks for branch.test finds direct TLS alone.
    federation = Federation("either", partners, direct_tls=True,
                            local_services={"branch.test": (direct(0, "external"),)})
    return own_lab(federation=federation, pool=False, settings=FAST)


@pytest.mark.parametrize("name", RECORDS)
def test_out(lab, name):
    romeo, juliet = person(lab, "romeo@corp.test", lab.legacy_user), person(lab, f"juliet@{name}.test", lab.partner_user)
    assert lab.deliver(romeo, juliet.address).by == "partner"
    link = lab.bridge.link(f"{name}.test", "out")
    assert (link["direct_tls"], link["auth"]) == (RECORDS[name][1], "external"), link
    assert link["address"].endswith(":5270" if RECORDS[name][1] else ":5269"), link


@pytest.mark.parametrize("local, is_direct", [("corp.test", False), ("branch.test", True)])
def test_in(lab, local, is_direct):
    romeo = person(lab, f"romeo@{local}", lab.legacy_user)
    juliet = person(lab, "juliet@direct-only.test", lab.partner_user)
    assert lab.deliver(juliet, romeo.address).by == "legacy"
    link = lab.bridge.link("direct-only.test", "in", local)
    assert (link["direct_tls"], link["auth"]) == (is_direct, "external"), link


def person(lab, address, login):
    known = [user for user in lab.users if user.address == address]
    return known[0] if known else login(address)


HEADER = ("<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
          "from='direct-only.test' to='{}' version='1.0'>")


def connect(lab, server_name, alpn=("xmpp-server",), version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    if version:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
    plain = socket.create_connection((lab.block.address("external"), 5270), timeout=20)
    return context.wrap_socket(plain, server_hostname=server_name)


@pytest.mark.parametrize("domain", ["corp.test", "branch.test"])
def test_certificate_by_server_name(lab, domain):
    with open(f"{lab.bridge.settings['external.certificates']}/{domain}.crt", encoding="ascii") as file:
        own = ssl.PEM_cert_to_DER_cert(file.read())
    with connect(lab, domain) as stream:
        assert stream.getpeercert(binary_form=True) == own
        assert stream.selected_alpn_protocol() == "xmpp-server"
        stream.sendall(HEADER.format(domain).encode())
        features = hear(stream, b"</stream:features>")
        assert b"starttls" not in features and b"<stream:features>" in features


def hear(stream, mark):
    heard = b""
    while mark not in heard:
        more = stream.recv(4096)
        assert more, heard
        heard += more
    return heard


REFUSED = {
    "other-protocol": dict(alpn=("h2", "http/1.1")),
    "tls-1.1": dict(version=ssl.TLSVersion.TLSv1_1),
    "tls-1.0": dict(version=ssl.TLSVersion.TLSv1),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("how", REFUSED.values(), ids=REFUSED.keys())
def test_refused(lab, how):
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        connect(lab, "corp.test", **how)


def test_without_protocol_name(lab):
    """A client that names none is served."""
    with connect(lab, "corp.test", alpn=None) as stream:
        stream.sendall(HEADER.format("corp.test").encode())
        hear(stream, b"</stream:features>")


def test_clear_text_at_the_direct_port(lab):
    with socket.create_connection((lab.block.address("external"), 5270), timeout=20) as stream:
        stream.sendall(HEADER.format("corp.test").encode())
        assert b"stream:features" not in rest(stream)


def rest(stream):
    heard = b""
    try:
        while more := stream.recv(4096):
            heard += more
    except ConnectionResetError:
        pass
    return heard
