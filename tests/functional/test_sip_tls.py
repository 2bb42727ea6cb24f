"""TLS between poolbridge and Kamailio as the pools: good certificates, and each kind that is refused."""

import os
import socket
import ssl
import subprocess

import pytest

from lab.bridge import DAEMON

HELLO = ("OPTIONS sip:bridge.corp.test SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bKx\r\n"
         "Max-Forwards: 70\r\nFrom: <sip:a@corp.test>;tag=a\r\nTo: <sip:bridge.corp.test>\r\nCall-ID: hello\r\n"
         "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")

# The certificate of a peer, and what the log says of it.
REFUSED = {
    "wrong-name": "issued for elsewhere.test, not for ",
    "wildcard": r"issued for \*.corp.test, not for ",
    "rogue": "unknown CA|not trusted here",
    "expired": "expired on 2021-01-01",
    "future": "not valid before 2090-01-01",
}


def hop(lab, index=0):
    return lab.bridge.json("status")["gateway"]["sip"]["hops"][index]


def pool_shows(lab, variant):
    certificate, key = lab.sip_authority.make(os.path.join(lab.folder, "other"), "pool.corp.test", variant)
    config = os.path.join(lab.folder, "pool", "tls.cfg")
    with open(config, encoding="utf-8") as file:
        text = file.read()
    lines = [f"certificate = {certificate}" if line.startswith("certificate") else
             f"private_key = {key}" if line.startswith("private_key") else line for line in text.splitlines()]
    with open(config, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def stage(own_lab):
    lab = own_lab(sip_tls=True, settings={"sip.backoff_min": 0.1, "sip.backoff_max": 0.2})
    return lab, lab.partner_user(), lab.sip_user("tybalt@corp.test", "tcp")


def test_messages_both_ways(stage):
    lab, juliet, tybalt = stage
    assert lab.deliver(juliet, "tybalt@corp.test").by == "pool"
    assert lab.deliver(tybalt, "juliet@partner.test").by == "partner"
    assert hop(lab)["state"] == "up"
    assert hop(lab)["transport"] == "tls"
    assert hop(lab)["hop"] == f"pool.corp.test/{lab.pool.address}:5061"


@pytest.mark.parametrize("variant", sorted(REFUSED))
def test_pool_with_a_bad_certificate(new_lab, variant):
    """Nothing is said to it; the sender is told; the log and the status say why."""
    lab = new_lab(sip_tls=True, settings={"sip.backoff_min": 0.1, "sip.backoff_max": 0.2, "spool.keep_time": 1})
    juliet, tybalt = lab.partner_user(), lab.sip_user("tybalt@corp.test", "tcp")
    pool_shows(lab, variant)
    lab.pool.restart()
    tybalt.register()
    assert lab.deliver(juliet, "tybalt@corp.test").by == "error"
    line = lab.bridge.process.wait_line(
        f'sip-tls-refused peer={lab.pool.address}:5061 direction=out subject=".*{variant}.*" '
        f'issuer=".*" valid=.*/.* why=".*({REFUSED[variant]})')
    assert line
    assert "its certificate: " in hop(lab)["error"]
    assert not tybalt.inbox.all()


def client(lab, certificate=None, key=None, source="pool"):
    """What comes of a TLS connection of ours to poolbridge on which we ask for something: the answer, "" for none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(lab.sip_authority.pem)
    if certificate:
        context.load_cert_chain(certificate, key)
    with socket.create_connection((lab.block.address("sip"), 5061), timeout=20,
                                  source_address=(lab.block.address(source), 0)) as raw:
        try:
            with context.wrap_socket(raw, server_hostname="bridge.corp.test") as wrapped:
                wrapped.sendall(HELLO.encode())
                return wrapped.recv(4096).decode()
        except (ssl.SSLError, ConnectionError) as error:
            assert not isinstance(error, socket.timeout)
            return ""


def test_client_with_a_good_certificate(stage):
    lab = stage[0]
    certificate, key = lab.sip_authority.make(os.path.join(lab.folder, "client"), "pool.corp.test", "intermediate")
    assert client(lab, certificate, key).startswith("SIP/2.0 200 ")


@pytest.mark.parametrize("variant", sorted(REFUSED))
def test_client_with_a_bad_certificate(stage, variant):
    lab = stage[0]
    folder = os.path.join(lab.folder, "client-" + variant)
    certificate, key = lab.sip_authority.make(folder, "pool.corp.test", variant)
    mark = lab.bridge.process.mark()
    assert client(lab, certificate, key) == ""
    lab.bridge.process.wait_line(f'sip-tls-refused peer=.* direction=in subject=".*{variant}.*" issuer=".*" '
                                 f'valid=.* why=".*({REFUSED[variant]})', after=mark)


def test_client_without_a_certificate(stage):
    lab = stage[0]
    mark = lab.bridge.process.mark()
    assert client(lab) == ""
    lab.bridge.process.wait_line("sip-tls-failed .*direction=in why=\"peer did not return a certificate\"", after=mark)


def test_openssl_client(stage):
    """The administrator's tool: no certificate, no connection; a good one, and which chain we show."""
    lab = stage[0]
    address = f"{lab.block.address('sip')}:5061"
    words = ["openssl", "s_client", "-connect", address, "-bind", f"{lab.pool.address}:0", "-CAfile",
             lab.sip_authority.pem, "-verify_return_error", "-verify_hostname", "bridge.corp.test", "-tls1_2"]
    certificate, key = lab.sip_authority.make(os.path.join(lab.folder, "s_client"), "pool.corp.test")
    refused = subprocess.run(words, input="", capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode != 0 and "alert" in refused.stderr
    taken = subprocess.run(words + ["-cert", certificate, "-key", key], input="", capture_output=True, text=True,
                           timeout=30, check=False)
    assert taken.returncode == 0, taken.stderr
    assert "Verification: OK" in taken.stdout


def test_reload(new_lab):
    """SIGHUP: the next connection sees the new certificate; a broken one is not used."""
    lab = new_lab(sip_tls=True)
    certificate, key = lab.bridge.settings["sip.certificate"], lab.bridge.settings["sip.key"]
    mine = lab.sip_authority.make(os.path.join(lab.folder, "client"), "pool.corp.test")

    def shown():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(lab.sip_authority.pem)
        context.load_cert_chain(*mine)
        with socket.create_connection((lab.block.address("sip"), 5061), timeout=20,
                                      source_address=(lab.pool.address, 0)) as raw:
            with context.wrap_socket(raw) as wrapped:
                return dict(part[0] for part in wrapped.getpeercert()["subject"])["commonName"]

    assert shown() == "good bridge.corp.test"
    new = lab.sip_authority.make(os.path.join(lab.folder, "new"), "bridge.corp.test", "server-only")
    for old, fresh in zip((certificate, key), new):
        os.replace(fresh, old)
    lab.bridge.process.wait_line(" reloaded ", after=lab.bridge.reload())
    assert shown() == "server-only bridge.corp.test"
    with open(certificate, "w", encoding="utf-8") as file:
        file.write("broken")
    mark = lab.bridge.reload()
    lab.bridge.process.wait_line("sip-certificate-kept", after=mark)
    assert shown() == "server-only bridge.corp.test"


def test_configuration_is_checked(stage, tmp_path):
    """A key of another certificate is found before the daemon runs."""
    lab = stage[0]
    settings = lab.bridge.settings
    other = lab.sip_authority.make(str(tmp_path), "other.test")[1]
    with open(lab.bridge.config, encoding="utf-8") as file:
        text = file.read()
    config = os.path.join(lab.bridge.folder, "other.conf")  # relative paths begin there
    with open(config, "w", encoding="utf-8") as file:
        file.write(text.replace(settings["sip.key"], other))
    good, bad = (subprocess.run([DAEMON, "--test-config", "-c", path], capture_output=True, text=True, timeout=30,
                                check=False) for path in (lab.bridge.config, config))
    assert good.returncode == 0, good.stderr
    assert bad.returncode == 2
    assert other in bad.stderr and "does not fit the certificate" in bad.stderr
