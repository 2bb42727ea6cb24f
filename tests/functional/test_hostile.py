"""Bytes that no honest server sends, at the external edge: refused, and nobody else is troubled."""

import contextlib
import re
import socket
import ssl

import pytest

HEADER = ("<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
          "xmlns:stream='http://etherx.jabber.org/streams' from='partner.test' to='corp.test' version='1.0'>")
FORGED = "<message from='juliet@partner.test' to='romeo@corp.test' id='forged'><body>forged</body></message>"
PAIR = "from='partner.test' to='corp.test'"


def connect(lab, edge="external", source=None):
    """From an address of their own: what one address may take must not be taken from the partner's server."""
    return socket.create_connection((lab.block.address(edge), 5269), timeout=20,
                                    source_address=(source or lab.block.address("stranger"), 0))


def say(lab, *parts, edge="external", features=True):
    """Connect, say the parts one after the other, and return all that is answered until the stream ends."""
    with connect(lab, edge) as stream:
        heard = b""
        for number, part in enumerate(parts):
            try:
                stream.sendall(part if isinstance(part, bytes) else part.encode())
                if number == 0 and features:
                    heard = listen(stream, heard, b"</stream:features>")
            except OSError:
                break
        return listen(stream, heard, None).decode("utf-8", "replace")


def listen(stream, heard, mark):
    while mark is None or mark not in heard:
        try:
            more = stream.recv(65536)
        except ConnectionResetError:
            break
        if not more:
            break
        heard += more
    return heard


BEFORE_AUTHENTICATION = {
    "stanza": (FORGED, "not-authorized"),
    "comment": ("<!-- hello -->", "restricted-xml"),
    "instruction": ("<?php 1?>", "restricted-xml"),
    "doctype": ("<!DOCTYPE x>", "restricted-xml|not-well-formed"),
    "cdata-outside": ("]]>", "not-well-formed|bad-format"),
    "unclosed": ("<a></b>", "not-well-formed"),
    "prefix": ("<x:y/>", "bad-namespace-prefix|not-well-formed"),
    "not-utf8": (b"<a b='\xff'/>", "not-well-formed|unsupported-encoding"),
    "nul": (b"<a>\x00</a>", "not-well-formed|invalid-xml"),
    "large": ("<a>" + "x" * 200000, "policy-violation"),
    "large-attribute": ("<a b='" + "x" * 200000, "policy-violation"),
    "large-for-a-stranger": ("<a>" + "x" * 12000, "policy-violation"),
    "many-for-a-stranger": ("<a>" + "<b/>" * 200, "policy-violation"),
    "deep": ("<a>" * 2000, "policy-violation"),
    "many": ("<a>" + "<b/>" * 20000, "policy-violation"),
    "compress": ("<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>" + FORGED,
                 "unsupported-stanza-type|not-authorized|policy-violation"),
}


@pytest.mark.parametrize("bytes_sent, conditions", BEFORE_AUTHENTICATION.values(), ids=BEFORE_AUTHENTICATION.keys())
def test_before_authentication(lab, juliet, romeo, bytes_sent, conditions):
    heard = say(lab, HEADER, bytes_sent)
    assert any(f"<{condition} " in heard for condition in conditions.split("|")), heard
    check_unharmed(lab, juliet, romeo)


HEADERS = {
    "unknown-host": (HEADER.replace("to='corp.test'", "to='elsewhere.test'"), "host-unknown"),
    "no-to": (HEADER.replace(" to='corp.test'", ""), "improper-addressing"),
    "wrong-namespace": (HEADER.replace("xmlns='jabber:server'", "xmlns='jabber:client'"), "invalid-namespace"),
    "wrong-stream-namespace": (HEADER.replace("http://etherx.jabber.org/streams", "urn:x"), "invalid-namespace"),
    "no-stream": ("<?xml version='1.0'?><hello/>", "bad-format|invalid-namespace|not-well-formed"),
    "not-xml": ("GET / HTTP/1.0\r\n\r\n", "not-well-formed|bad-format"),
    "latin-1": ("<?xml version='1.0' encoding='ISO-8859-1'?>" + HEADER.partition("?>")[2], "unsupported-encoding"),
    "entities": ("<?xml version='1.0'?><!DOCTYPE s [<!ENTITY a 'aa'>]>" + HEADER.partition("?>")[2], "restricted-xml"),
}


@pytest.mark.parametrize("header, conditions", HEADERS.values(), ids=HEADERS.keys())
def test_header(lab, juliet, romeo, header, conditions):
    heard = say(lab, header, features=False)
    assert any(f"<{condition} " in heard for condition in conditions.split("|")), heard
    check_unharmed(lab, juliet, romeo)


DIALBACK = {
    "wrong-key": f"<db:result {PAIR}>0000</db:result>",
    "own-verdict": f"<db:result {PAIR} type='valid'/>",
    "unasked-verdict": f"<db:verify {PAIR} id='x' type='valid'/>",
    "in-our-name": "<db:result from='corp.test' to='partner.test'>0000</db:result>",
    "ours-to-ours": "<db:result from='corp.test' to='corp.test'>0000</db:result>",
    "unknown-partner": "<db:result from='stranger.test' to='corp.test'>0000</db:result>",
    "blocked-partner": "<db:result from='blocked.test' to='corp.test'>0000</db:result>",
    "no-domain": "<db:result from='&lt;&gt;' to='corp.test'>0000</db:result>",
}


@pytest.mark.parametrize("attempt", DIALBACK.values(), ids=DIALBACK.keys())
def test_dialback_cannot_be_talked_over(lab, juliet, romeo, attempt):
    """Whatever the answer, a stanza behind it goes nowhere, and the stream ends."""
    heard = say(lab, HEADER, attempt, FORGED)
    assert "type='valid'" not in heard
    assert "</stream:stream>" in heard
    check_unharmed(lab, juliet, romeo)


def test_clear_text_behind_starttls_is_not_taken(lab, juliet, romeo):
    heard = say(lab, HEADER, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + FORGED)
    assert "message" not in heard
    check_unharmed(lab, juliet, romeo)


class Authority:
    """The server of a partner of its own, that answers questions about keys when it is told to."""

    def __init__(self, lab, domain):
        self.domain = domain
        self._listener = socket.create_server((lab.block.user_address(), 0))
        self._listener.settimeout(20)
        address, port = self._listener.getsockname()
        lab.bridge.ctl("partner", "add", domain, "--tls", "optional", "--proxy", f"{address}:{port}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()

    def wait_for_question(self):
        self._stream, _ = self._listener.accept()
        self._stream.settimeout(20)
        listen(self._stream, b"", b"version='1.0'>")
        header = HEADER.replace("partner.test", self.domain).replace("from=", "id='a1' from=")
        self._stream.sendall((header + "<stream:features/>").encode())
        self._id = re.search(rb"<db:verify [^>]*id='([^']*)'", listen(self._stream, b"", b"</db:verify>")).group(1)

    def answer(self, verdict):
        """Returns when the bridge has read the answer."""
        self._stream.sendall(f"<db:verify from='{self.domain}' to='corp.test' id='{self._id.decode()}' type='{verdict}'/>"
                             "</stream:stream>".encode())
        listen(self._stream, b"", None)
        self._stream.close()


def test_what_was_proved_in_clear_text_does_not_hold_in_tls(lab, juliet, romeo):
    """The verdict comes while TLS begins; then the pair must be proved anew."""
    header = HEADER.replace("partner.test", "slow.test").encode()
    forged = FORGED.replace("partner.test", "slow.test").encode()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Authority(lab, "slow.test") as authority:
        with connect(lab) as clear:
            clear.sendall(header)
            listen(clear, b"", b"</stream:features>")
            clear.sendall(b"<db:result from='slow.test' to='corp.test'>0000</db:result>")
            authority.wait_for_question()
            clear.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            listen(clear, b"", b"/>")
            authority.answer("valid")
            with context.wrap_socket(clear) as stream:
                stream.sendall(header)
                heard = listen(stream, b"", b"</stream:features>")
                assert heard.startswith(b"<?xml ") and b"db:result" not in heard, heard
                stream.sendall(forged)
                heard = listen(stream, b"", None)
                assert b"<not-authorized " in heard, heard
    check_unharmed(lab, juliet, romeo)


def test_questions_of_strangers_do_not_break_a_link(lab, juliet, romeo):
    """Questions that are passed on to the legacy gateway, large and faster than it reads."""
    check_unharmed(lab, juliet, romeo)
    mark = lab.bridge.process.mark()
    question = f"<db:verify {PAIR} id=\"{chr(39) * 1024}\">0</db:verify>"
    streams = [connect(lab) for _ in range(30)]
    try:
        for stream in streams:
            stream.sendall(HEADER.encode())
            listen(stream, b"", b"</stream:features>")
        for stream in streams:
            stream.sendall(question.encode() * 30)
        for stream in streams:
            listen(stream, b"", b"<db:verify ")
        check_unharmed(lab, juliet, romeo)
    finally:
        for stream in streams:
            stream.close()
    ended = [line for line in lab.bridge.process.lines[mark:] if "stream-down" in line and "edge=internal" in line]
    assert not ended, ended


def test_verify_of_a_key_that_nobody_made(lab, juliet, romeo):
    """We are the authority of corp.test: a key that is neither ours nor the legacy gateway's is invalid."""
    with connect(lab) as stream:
        stream.sendall(HEADER.encode())
        listen(stream, b"", b"</stream:features>")
        stream.sendall(f"<db:verify {PAIR} id='s-1'>0000</db:verify>".encode())
        heard = listen(stream, b"", b"/>").decode()
    assert re.search("<db:verify [^>]*id='s-1' [^>]*type='invalid'/>", heard), heard
    check_unharmed(lab, juliet, romeo)


def test_many_silent_connections(lab, juliet, romeo):
    """A hundred connections that say nothing, or half a header, do not keep others out."""
    source = lab.block.user_address()
    streams = [connect(lab, source=source) for _ in range(100)]
    try:
        for stream in streams[::2]:
            stream.sendall(HEADER[:60].encode())
        check_unharmed(lab, juliet, romeo)
    finally:
        for stream in streams:
            stream.close()


@pytest.mark.parametrize("said", [b"", HEADER.encode()], ids=["silent", "in-a-partners-name"])
def test_unproved_connections_keep_nobody_out(new_lab, said):
    """More of them than there may be streams, and than a partner may have: partners get in, and our links out."""
    lab = new_lab(pool=False, settings={"s2s.streams": 30})
    streams = [connect(lab) for _ in range(60)]
    try:
        for stream in streams:
            with contextlib.suppress(ConnectionError):  # displaced already
                stream.sendall(said)
        juliet, romeo = lab.partner_user(), lab.legacy_user()
        assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
        assert lab.deliver(romeo, "juliet@partner.test").by == "partner"
        assert lab.bridge.json("status")["running"]
    finally:
        for stream in streams:
            stream.close()


def test_internal_edge_does_not_take_partners(lab, juliet, romeo):
    """A stream for our own domain belongs to the external edge."""
    heard = say(lab, HEADER, FORGED, edge="internal", features=False)
    assert "stream:error" in heard
    check_unharmed(lab, juliet, romeo)


def check_unharmed(lab, juliet, romeo):
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
    assert not romeo.inbox.all(lambda s: s.body == "forged")
