"""What a message carries, on both ways: texts, attributes, and attempts to forge."""

import socket
from xml.sax.saxutils import escape

import pytest

TEXTS = {
    "umlauts": "Grüße aus Köln, müde aber glücklich",
    "scripts": "你好 · Здравствуйте · שלום · नमस्ते",
    "astral": "🌍🚀 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \U0010fffd",
    "markup": "</body><evil/> <![CDATA[x]]> & &amp; \" ' > ]]>",
    "lines": "one\ntwo\n\n\tthree",
    "percent": "100%20 %0d%0aX-Evil: 1",
    "header": "Content-Length: 0\n\nMESSAGE sip:x@y SIP/2.0",
    "long": "0123456789abcdef" * 1280,
    "long-wide": "ä世🌍 " * 1800,
}
texts = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
_runs = iter(range(1000000))


def unique(text):
    """Each text is seen once in a lab's life, so a number goes in front."""
    return f"{next(_runs)}: {text}"


@texts
@pytest.mark.parametrize("recipient", ["romeo", "tybalt", "tybalt_tcp"])
def test_text_from_partner(lab, juliet, request, recipient, text):
    to = request.getfixturevalue(recipient)
    delivery = lab.deliver(juliet, to.address, unique(text))
    assert delivery.by == to.where


@texts
@pytest.mark.parametrize("sender", ["romeo", "tybalt_tcp"])
def test_text_to_partner(lab, juliet, request, sender, text):
    assert lab.deliver(request.getfixturevalue(sender), "juliet@partner.test", unique(text)).by == "partner"


@pytest.mark.parametrize("name", [name for name in TEXTS if not name.startswith("long")])
def test_text_to_partner_by_udp(lab, juliet, tybalt, name):
    assert lab.deliver(tybalt, "juliet@partner.test", unique(TEXTS[name])).by == "partner"


def test_configured_size_of_a_stanza(new_lab):
    """What may come in goes out, however large, and does not hold up what follows."""
    lab = new_lab(pool=False, settings={"s2s.stanza_bytes": 1000000})
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    assert lab.deliver(juliet, "romeo@corp.test", "0123456789abcdef" * 37500).by == "legacy"
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"


def test_attributes_pass_through_the_legacy_leg(lab, juliet, romeo):
    extra = "<x xmlns='urn:example:x' a='1&amp;2'><y>ä</y></x>"
    item = lab.deliver(juliet, "romeo@corp.test", subject="Vérone", thread="t-1", lang="it", extra=extra).item
    assert (item.subject, item.thread, item.lang, item.type) == ("Vérone", "t-1", "it", "chat")
    element = item.xml.find("{urn:example:x}x")
    assert element.get("a") == "1&2" and element.findtext("{urn:example:x}y") == "ä"
    assert item.sender == juliet.full


def test_attributes_become_headers(lab, juliet, tybalt):
    item = lab.deliver(juliet, "tybalt@corp.test", subject="Vérone", thread="thread-1@verona", lang="it").item
    assert item.header("Subject") == "Vérone"
    assert item.header("Call-ID") == "thread-1@verona"
    assert item.header("Content-Language") == "it"
    assert item.header("Content-Type").replace(" ", "").lower() in ("text/plain;charset=utf-8", "text/plain")
    assert item.sender.startswith("sip:juliet@partner.test")


def test_headers_become_attributes(lab, juliet, tybalt_tcp):
    """From a user to whom she has not written in a thread of her own."""
    headers = [("subject", "Vérone <&>"), ("content-language", "it")]
    item = lab.deliver(tybalt_tcp, "juliet@partner.test", headers=headers, call_id="call-1@verona").item
    assert (item.subject, item.lang, item.thread) == ("Vérone <&>", "it", "call-1@verona")
    assert item.bare == "paris@corp.test"


NAMES = {
    "plain": "Juliet Capulet",
    "umlauts": "Jülïet 朱丽叶 🌹",
    "quotes": 'Juliet "the sun" \\ <sip:evil>',
    "markup": "J & <b>C</b> 'x'",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_nick_is_the_display_name(lab, juliet, tybalt, tybalt_tcp, name):
    """XEP-0172 both ways: what she calls herself is her name at the pool, and what the pool says his at hers."""
    nick = f"<nick xmlns='http://jabber.org/protocol/nick'>{escape(name)}</nick>"
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    item = lab.deliver(juliet, "tybalt@corp.test", unique("nick"), extra=nick).item
    assert item.header("From").startswith(quoted + " <sip:juliet@partner.test")
    tybalt_tcp.display = quoted
    try:
        assert lab.deliver(tybalt_tcp, "juliet@partner.test", unique("nick")).item.nick == name
    finally:
        tybalt_tcp.display = ""


def test_name_that_is_an_address(lab, juliet, tybalt_tcp):
    """Nobody can call himself by another's address."""
    tybalt_tcp.display = '"the.prince@corp.test"'
    try:
        assert lab.deliver(tybalt_tcp, "juliet@partner.test", unique("nick")).item.nick is None
    finally:
        tybalt_tcp.display = ""


def test_nick_that_injects(lab, juliet, tybalt):
    """What is no name is none: no header field grows from it, and the text arrives."""
    nick = "<nick xmlns='http://jabber.org/protocol/nick'>a&#13;&#10;X-Evil: 1</nick>"
    item = lab.deliver(juliet, "tybalt@corp.test", unique("nick"), extra=nick).item
    assert item.header("X-Evil") is None and "\n" not in item.header("From")


FORGED = "a\r\nX-Evil: 1\r\n\r\nMESSAGE sip:evil@corp.test SIP/2.0"


@pytest.mark.parametrize("field", ["subject", "thread", "lang"])
@pytest.mark.parametrize("value", [FORGED, "a\nX-Evil: 1", "a\rX-Evil: 1", 'a"\\;<sip:evil@corp.test>', "a\t\u0085\u2028b"],
                         ids=["crlf", "lf", "cr", "quotes", "separators"])
def test_nothing_injects_into_a_sip_header(lab, juliet, tybalt, field, value):
    delivery = lab.deliver(juliet, "tybalt@corp.test", unique("forged " + field), **{field: value})
    if delivery.by == "pool":
        assert delivery.item.header("X-Evil") is None
        for name in ("from", "to", "call-id", "cseq", "content-type"):
            assert len(delivery.item.sip.all(name)) == 1
    assert lab.deliver(juliet, "tybalt@corp.test").by == "pool"
    assert not tybalt.inbox.all()


@pytest.mark.parametrize("body, kind", [
    (b"\xff\xfe not UTF-8", "text/plain;charset=UTF-8"),
    (b"a\x00b", "text/plain;charset=UTF-8"),
    (b"a\x01b", "text/plain;charset=UTF-8"),
    (b"\xed\xa0\x80", "text/plain;charset=UTF-8"),
    (b"x", "application/octet-stream"),
], ids=["not-utf8", "nul", "control", "surrogate", "unknown-type"])
def test_what_xml_cannot_carry_is_refused(lab, juliet, tybalt, body, kind):
    response = tybalt.send("juliet@partner.test", body, content_type=kind)
    assert 400 <= response.status < 500
    assert lab.deliver(tybalt, "juliet@partner.test").by == "partner"


def test_sip_subject_cannot_inject_into_xml(lab, juliet, tybalt):
    subject = "x</subject><body>evil</body><subject>'\" &lt;"
    item = lab.deliver(tybalt, "juliet@partner.test", headers=[("subject", subject)]).item
    assert item.subject == subject


@pytest.mark.parametrize("end", ["\r", "\n"], ids=["cr", "lf"])
def test_request_hidden_in_a_field(lab, juliet, tybalt, end):
    """What a user of the pool writes behind a CR or an LF, which Kamailio passes on, is no request in another's name."""
    here = lab.block.user_address()
    start = "MESSAGE sip:juliet@partner.test SIP/2.0"
    fields = ["To: <sip:juliet@partner.test>", "CSeq: 1 MESSAGE", "Max-Forwards: 70", "Content-Type: text/plain"]
    hidden = [start, f"Via: SIP/2.0/TCP {lab.pool.address};branch=z9hG4bKhidden", "From: <sip:paris@corp.test>;tag=2",
              *fields, "Call-ID: hidden", "Content-Length: 6", "", "forged"]
    shown = [start, f"Via: SIP/2.0/TCP {here}:5060;branch=z9hG4bKshown-{here}", "From: <sip:tybalt@corp.test>;tag=1", *fields,
             f"Call-ID: shown-{here}", "Content-Length: 0", f"X-A: a{end}{end}{end.join(hidden)}", "", ""]
    with socket.create_connection((lab.pool.address, 5060), timeout=20, source_address=(here, 0)) as stream:
        stream.sendall("\r\n".join(shown).encode())
        stream.recv(4096)
    assert lab.deliver(tybalt, "juliet@partner.test").by == "partner"
    assert not juliet.inbox.all(lambda s: s.body == "forged")


@pytest.mark.parametrize("local", ["o'hara", "a\\40b", "space\\20man", "dub\\2flin", "x%0d%0aX-Evil:1"])
def test_odd_addresses_are_answered(lab, juliet, romeo, local):
    """Nobody is registered under them; the pool must say so, and nothing may break."""
    lab.bridge.ctl("domain", "set", "corp.test", "--unlisted", "migrated")
    assert lab.deliver(juliet, f"{local}@corp.test").by == "error"
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"


def test_bodies_are_never_logged(lab, juliet, tybalt, romeo):
    secret = "a-secret-of-verona"
    for to in ("tybalt@corp.test", "romeo@corp.test", "nobody@corp.test"):
        lab.deliver(juliet, to, unique(secret), subject=secret)
    lab.deliver(tybalt, "juliet@partner.test", unique(secret), headers=[("subject", secret)])
    assert not [line for line in lab.bridge.process.lines if secret in line]
