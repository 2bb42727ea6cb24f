"""The daemon as a process: its options, its configuration, signals, and its end."""

import os
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

from lab import certificates, inbox
from lab.bridge import DAEMON, SANITIZERS, config_text
from lab.delivery import is_text

MINIMAL = {"registry": "registry.db"}


def poolbridge(*words, **environment):
    return subprocess.run([DAEMON, *words], capture_output=True, text=True, timeout=30, check=False,
                          env=dict(os.environ, **SANITIZERS, **environment))


@pytest.mark.parametrize("words, status", [
    (("--help",), 0),
    (("--version",), 0),
    (("--no-such-option",), 2),
    (("-c",), 2),
    (("surplus",), 2),
    (("-c", "/nonexistent/poolbridge.conf"), 2),
])
def test_options(words, status):
    done = poolbridge(*words)
    assert done.returncode == status
    assert (done.stdout if status == 0 else done.stderr).strip()


def run_config(tmp_path, text):
    path = tmp_path / "poolbridge.conf"
    path.write_text(text)
    return poolbridge("-c", str(path), "--test-config")


def test_good_configuration(lab):
    done = poolbridge("-c", lab.bridge.config, "--test-config")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text, words", [
    ('registry = "r.db";\ns2s: {\n    queue_tiem = 5;\n};', ["poolbridge.conf:3", "s2s.queue_tiem", "queue_time"]),
    ('registry = "r.db";\nregistri = "x";', ["poolbridge.conf:2", "registri", "registry"]),
    ('registry = "r.db";\ns2s: { queue_stanzas = 0; };', ["poolbridge.conf:2", "s2s.queue_stanzas"]),
    ('registry = "r.db";\ns2s: { queue_time = "soon"; };', ["poolbridge.conf:2", "s2s.queue_time"]),
    ('registry = "r.db";\nlog_level = "loud";', ["poolbridge.conf:2", "log_level", "debug"]),
    ('registry = "r.db";\nexternal: { listen = [ "nowhere" ]; };', ["external.listen", "nowhere"]),
    ('registry = "r.db";\nsip: { new_pool = "http://x"; };', ["sip.new_pool"]),
    ('registry = "r.db"\nlog_level "info";', ["poolbridge.conf:2"]),
    ('registry = "r.db";\nexternal: { certificate = "no-such.pem"; key = "no-such.key"; };', ["no-such.pem"]),
    ("log_level = \"info\";", ["registry"]),
], ids=["misspelt", "misspelt-at-top", "out-of-range", "wrong-type", "no-such-choice", "no-address", "no-sip-uri",
        "syntax", "no-certificate", "no-registry"])
def test_bad_configuration(tmp_path, text, words):
    done = run_config(tmp_path, text)
    assert done.returncode == 2
    for word in words:
        assert word in done.stderr, done.stderr


def test_without_random_numbers(lab, tmp_path):
    """Keys that could be guessed are not made: it does not start, and says why."""
    broken = tmp_path / "openssl.cnf"
    broken.write_text("openssl_conf = here\n[here]\nrandom = random\n[random]\nrandom = NO-SUCH-GENERATOR\n")
    config = tmp_path / "poolbridge.conf"
    config.write_text(config_text(dict(lab.bridge.settings, registry=str(tmp_path / "registry.db"))))
    done = poolbridge("-c", str(config), OPENSSL_CONF=str(broken))
    assert (done.returncode, done.stderr) == (1, "poolbridge: no random numbers: OpenSSL's generator does not work\n")


def test_address_in_use(lab, tmp_path):
    """A second daemon on the same addresses says which and what to do, and ends with 1."""
    settings = dict(lab.bridge.settings, registry=str(tmp_path / "registry.db"))
    config = tmp_path / "poolbridge.conf"
    for option in "external.listen", "internal.listen", "sip.listen":
        config.write_text(config_text(settings))
        done = poolbridge("-c", str(config))
        assert done.returncode == 1
        said = done.stderr.splitlines()[-1]
        for words in option, settings[option][0], "Address already in use", "another program listens there":
            assert words in said, said
        settings[option] = []
        if option == "internal.listen":
            settings.pop("internal.gateway")


def test_status(lab, juliet, romeo):
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
    status = lab.bridge.json("status")
    assert status["running"] is True
    assert {"listeners", "links", "spool"} <= set(status)
    assert any(lab.block.address("external") in str(listener) for listener in status["listeners"])


def test_status_when_stopped(new_lab):
    lab = new_lab(pool=False)
    lab.bridge.stop()
    done = lab.bridge.run("status", json_output=True)
    assert '"running": false' in done.stdout.replace('"running":false', '"running": false')
    lab.bridge.ctl("user", "mark", "migrated", "romeo@corp.test")
    lab.bridge.start()
    assert lab.bridge.json("route", "explain", "juliet@partner.test", "romeo@corp.test")["route"] == "gateway"


@pytest.mark.parametrize("hop", ["legacy", "pool"])
def test_stop_keeps_what_is_queued(new_lab, hop):
    """The next hop is silent, messages wait, SIGTERM: no sender is told of an error, and the next start delivers."""
    lab = new_lab(chaos=True)
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    tybalt = lab.sip_user("tybalt@corp.test", "tcp")
    to, proxy = (romeo, lab.legacy_proxy) if hop == "legacy" else (tybalt, lab.pool_proxy)
    proxy.refuse()
    proxy.stall()
    texts = [f"waiting {number}" for number in range(20)]
    numbers = [juliet.send(to.address, text) for text in texts]
    lab.bridge.process.wait_line("to=" + to.address, after=0)
    # One more that passes tells that all before it have been taken in.
    other = lab.sip_user("paris@corp.test", "udp") if hop == "legacy" else romeo
    assert lab.deliver(juliet, other.address).by == other.where
    lab.bridge.stop()
    proxy.forward()
    lab.bridge.start()
    for text in texts:
        to.inbox.wait(lambda item, text=text: is_text(item, text), timeout=60)
    # Of the one that was on its way to the pool, nobody knew.
    errors = {stanza.id for stanza in juliet.inbox.all(lambda stanza: stanza.type == "error")}
    assert errors <= ({numbers[0]} if hop == "pool" else set())


def test_stop_waits_for_the_pool(new_lab):
    """What the pool has been sent may still be answered after SIGTERM, and what is behind it is kept: no error."""
    lab = new_lab()
    juliet, tybalt = lab.partner_user(), lab.sip_user("tybalt@corp.test", "tcp")
    tybalt.reply = None
    sent = juliet.send(tybalt.address, "under way")
    request = tybalt.wait_message("under way")
    queued = juliet.send(tybalt.address, "behind it")
    # One more that passes tells that both before it have been taken in.
    other = lab.sip_user("paris@corp.test", "tcp")
    assert lab.deliver(juliet, other.address).by == "pool"
    process = lab.bridge.process
    process.signal(signal.SIGTERM)
    process.wait_line(" stopping ")
    assert process.running()
    tybalt.answer(request)
    assert process.wait() == 0
    tybalt.reply = 200
    lab.bridge.start()
    tybalt.wait_message("behind it")
    # What the old one had said to juliet has come before what the new one brings.
    assert lab.deliver(tybalt, juliet.address).by == "partner"
    assert juliet.inbox.all(lambda stanza: stanza.id in (sent, queued)) == []


def test_stop_while_messages_flow(new_lab):
    """Each message of a flow into a stopping daemon arrives, or its sender gets an error."""
    lab = new_lab()
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
    texts = {juliet.send("romeo@corp.test", f"while stopping {number}"): f"while stopping {number}"
             for number in range(50)}
    lab.bridge.stop()
    for number, text in texts.items():
        inbox.first([(romeo.inbox, lambda s: s.body == text and s.type != "error"),
                     (juliet.inbox, lambda s: s.type == "error" and s.id == number)])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_closes_streams(new_lab, number):
    lab = new_lab(pool=False)
    juliet, _ = lab.partner_user(), lab.legacy_user()
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
    process = lab.bridge.process
    process.signal(number)
    assert process.wait() == 0
    lab.bridge.start()
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"


def certificate_shown(address):
    """The certificate that the edge shows on a stream from partner.test, as DER."""
    with socket.create_connection((address, 5269), timeout=15) as plain:
        plain.sendall(b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
                      b"xmlns:stream='http://etherx.jabber.org/streams' from='partner.test' to='corp.test' version='1.0'>")
        read_to(plain, b"</stream:features>")
        plain.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        read_to(plain, b"<proceed")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain) as secure:
            return secure.getpeercert(binary_form=True)


def read_to(plain, mark):
    data = b""
    while mark not in data:
        more = plain.recv(4096)
        assert more, f"the stream ended: {data!r}"
        data += more


def test_reload(new_lab):
    """SIGHUP: a new certificate and log level come into force; a broken one does not, and the old stays."""
    lab = new_lab(pool=False)
    juliet, _ = lab.partner_user(), lab.legacy_user()
    edge = lab.block.address("external")
    first = certificate_shown(edge)

    other = certificates.make(lab.folder, "renewed.test")
    for source, name in zip(other, ("external.certificate", "external.key")):
        shutil.copy(source, lab.bridge.settings[name])
    lab.bridge.process.wait_line("reload", after=lab.bridge.reload())
    second = certificate_shown(edge)
    assert second != first

    with open(lab.bridge.settings["external.certificate"], "w", encoding="ascii") as broken:
        broken.write("nothing\n")
    lab.bridge.process.wait_line("warning|error", after=lab.bridge.reload())
    assert certificate_shown(edge) == second
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"


def test_reload_of_log_level(new_lab):
    lab = new_lab(pool=False)
    juliet, _ = lab.partner_user(), lab.legacy_user()
    lab.bridge.write_config(log_level="notice")
    lab.bridge.process.wait_line("reload", after=lab.bridge.reload())
    quiet = lab.bridge.process.mark()
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
    assert not [line for line in lab.bridge.process.lines[quiet:] if line.startswith(("debug", "info"))]


def test_wrong_key(tmp_path):
    """A key that does not belong to the certificate is found by --test-config."""
    certificate, _ = certificates.make(str(tmp_path), "one.test")
    _, key = certificates.make(str(tmp_path), "two.test")
    done = run_config(tmp_path, config_text(dict(MINIMAL, **{
        "external.certificate": certificate, "external.key": key})))
    assert done.returncode == 2
    assert "two.test.key" in done.stderr or "one.test.crt" in done.stderr
