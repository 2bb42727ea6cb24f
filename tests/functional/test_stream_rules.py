"""What a partner may say on a stream that is proved, and on one that we opened; and streams that come to nothing."""

import contextlib
import hashlib
import hmac
import re
import socket
import time
from xml.etree import ElementTree

import pytest

from lab.federation import Federation, Partner
from lab.raw_peer import HEADER, WAIT, RawPeer, RawStream

PAIR = "from='raw.test' to='corp.test'"
BODY = "<body>forged</body></message>"
SECRET = "shared by several bridges"
ODD = "' \" < > & \u00e9 ]]>"
ODD_XML = "&apos; &quot; &lt; &gt; &amp; \u00e9 ]]&gt;"
STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"


RAW = Partner("raw.test", policy=("--tls", "none", "--sasl", "none"), services=(("xmpp-server", 0, "raw", 5269),))


@pytest.fixture(scope="module")
def lab_of_file(own_lab):
    return own_lab(federation=Federation("plain", [RAW]),
                   settings={"s2s.backoff_min": 0.1, "s2s.backoff_max": 0.3, "s2s.keepalive_time": 1,
                             "dialback.secret": SECRET})


@pytest.fixture
def lab(lab_of_file):
    for user in lab_of_file.users:
        user.inbox.clear()
    yield lab_of_file
    assert lab_of_file.bridge.process.running()
    lab_of_file.bridge.reset_registry()


@pytest.fixture
def raw(lab):
    """A partner's server that says what it likes; it offers no XEP-0198."""
    peer = RawPeer(lab, "raw.test", sm=False)
    yield peer
    peer.close()


def say(raw, text):
    """On a stream that is proved."""
    stream = raw.connect()
    stream.send(text)
    return stream


@pytest.fixture
def unharmed(lab, juliet, romeo):
    """Afterwards others are still served, and nobody was shown what was forged."""
    yield
    assert lab.deliver(juliet, romeo.address).by == "legacy"
    for user in lab.users:
        assert not user.inbox.all(lambda s: (s.body or "").startswith("forged"))


# ---- stanzas on a stream that has proved (corp.test, raw.test)

REFUSED = {
    "no-from": (f"<message to='romeo@corp.test'>{BODY}", "improper-addressing"),
    "no-to": (f"<message from='x@raw.test'>{BODY}", "improper-addressing"),
    "empty-to": (f"<message from='x@raw.test' to=''>{BODY}", "improper-addressing"),
    "from-no-domain": (f"<message from='x@' to='romeo@corp.test'>{BODY}", "improper-addressing"),
    "from-another-partner": (f"<message from='juliet@partner.test' to='romeo@corp.test'>{BODY}", "invalid-from"),
    "from-a-subdomain": (f"<message from='x@sub.raw.test' to='romeo@corp.test'>{BODY}", "invalid-from"),
    "from-ourselves": (f"<message from='tybalt@corp.test' to='romeo@corp.test'>{BODY}", "invalid-from"),
    "to-another-domain-of-ours": (f"<message from='x@raw.test' to='romeo@branch.test'>{BODY}", "invalid-from"),
    "to-a-stranger": (f"<message from='x@raw.test' to='x@elsewhere.test'>{BODY}", "invalid-from"),
    "domain-in-the-resource": (f"<message from='partner.test/x@raw.test' to='romeo@corp.test'>{BODY}", "invalid-from"),
    "unknown-element": ("<letter from='x@raw.test' to='romeo@corp.test'/>", "unsupported-stanza-type"),
    "client-namespace": (f"<message xmlns='jabber:client' from='x@raw.test' to='romeo@corp.test'>{BODY}",
                         "invalid-namespace"),
    "starttls-late": ("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "policy-violation"),
    "auth-late": ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>", "policy-violation"),
    "features": ("<stream:features/>", "policy-violation"),
    "compress": ("<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>",
                 "unsupported-stanza-type"),
    "verdict-for-itself": (f"<db:result {PAIR} type='valid'/>", "improper-addressing"),
    "verdict-for-another": ("<db:result from='partner.test' to='corp.test' type='valid'/>", "improper-addressing"),
    "answer-without-question": (f"<db:verify {PAIR} id='x' type='valid'/>", "improper-addressing"),
}


@pytest.mark.parametrize("said, condition", REFUSED.values(), ids=REFUSED.keys())
def test_refused_on_a_proved_stream(raw, unharmed, said, condition):
    """The stream ends with the error, and what follows on it goes nowhere."""
    stream = say(raw, said + f"<message from='x@raw.test' to='romeo@corp.test'>{BODY}")
    heard = stream.rest()
    assert f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>" in heard, heard
    assert heard.endswith("</stream:stream>")


def test_several_pairs_on_one_stream(raw, unharmed, lab, romeo):
    """Each is proved by itself; one that is refused leaves the others."""
    stream = raw.connect()
    stream.send("<db:result from='partner.test' to='corp.test'>0123</db:result>")
    assert stream.wait("<db:result [^>]*type='([a-z]*)'").group(1) != "valid"
    stream.send("<db:result from='raw.test' to='branch.test'>0123</db:result>")
    stream.wait("from='branch.test' to='raw.test' type='valid'")
    stream.message("one-of-several", romeo.address)
    romeo.wait_message("one-of-several")


# ---- on the stream that we opened

UNASKED = {
    "question-never-asked": (f"<db:verify {PAIR} id='x' type='valid'/>", "policy-violation"),
    "result-a-second-time": (f"<db:result {PAIR} type='valid'/>", "policy-violation"),
    "result-for-another-pair": ("<db:result from='partner.test' to='corp.test' type='valid'/>", "policy-violation"),
    "stanza": (f"<message from='x@raw.test' to='romeo@corp.test'>{BODY}", "invalid-from"),
    "key": (f"<db:result {PAIR}>0123</db:result>", "policy-violation"),
}


@pytest.mark.parametrize("said, condition", UNASKED.values(), ids=UNASKED.keys())
def test_unasked_on_our_stream(raw, unharmed, romeo, said, condition):
    romeo.send("x@raw.test", "hello")
    stream = raw.accept()
    stream.wait_bodies(1)
    stream.send(said)
    assert f"<{condition} " in stream.rest()


class Unwilling(RawPeer):
    """Answers our key in one way, and breaks off."""

    def __init__(self, lab, answer):
        self.answer = answer
        super().__init__(lab, "raw.test", sm=False)

    def _serve(self, connection):
        stream = RawStream(connection, self.domain, "corp.test")
        with contextlib.suppress(AssertionError, OSError):
            stream.wait("<stream:stream [^>]*>")
            stream.send(HEADER.format(f"id='u' {PAIR}") + "<stream:features/>")
            stream.wait("<db:result [^>]*>[^<]*</db:result>")
            stream.send(f"<db:result {PAIR} {self.answer}")
            stream.rest()


VERDICTS = {
    "invalid": ("type='invalid'/>", "internal-server-error"),
    "error": ("type='error'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
              "</db:result>", "remote-server-timeout"),
}


@pytest.mark.parametrize("answer, condition", VERDICTS.values(), ids=VERDICTS.keys())
def test_what_waits_for_a_verdict_is_answered(lab, romeo, answer, condition):
    """XEP-0220: when our key is refused, the senders of what is queued are told."""
    peer = Unwilling(lab, answer)
    assert romeo.wait_error(romeo.send("x@raw.test", f"refused: {condition}")).error == condition
    peer.close()


def test_domain_without_address(lab, tybalt):
    """A partner whose domain the DNS does not know."""
    lab.bridge.ctl("partner", "add", "nowhere.test")
    lab.bridge.mark("migrated", tybalt.address)
    mark = lab.bridge.process.mark()
    assert lab.deliver(tybalt, "x@nowhere.test").by == "error"
    lab.bridge.process.wait_line("link-failed .*remote=nowhere.test .*condition=remote-server-not-found", after=mark)


@pytest.mark.parametrize("size", [8300, 12000, 20000])
def test_large_tag_is_not_left_unread(lab, raw, unharmed, romeo, size):
    """Prosody reads 8192 bytes at a time, and its expat leaves a tag that is cut there until more comes behind it."""
    mark = lab.bridge.process.mark()
    say(raw, f"<message from='x@raw.test' to='{romeo.address}' type='chat'><body>large {size}</body>"
             f"<x xmlns='urn:x' a='{'a' * size}'/></message>")
    romeo.wait_message(f"large {size}")
    lab.bridge.process.wait_line("delivered from=x@raw.test", after=mark)
    assert not [line for line in lab.bridge.process.lines[mark:] if "stream-down" in line and "edge=internal" in line]


def test_keep_alive(raw, romeo):
    """White space, while nothing else is said and nothing waits for an answer."""
    back = raw.connect()
    romeo.send("x@raw.test", "and then silence")
    stream = raw.accept()
    stream.wait_bodies(1)
    number = stream.wait("<iq type='get' id='([^']*)'").group(1)
    back.send(f"<iq type='result' id='{number}' {PAIR}/>")
    stream.wait("> (?! )")


def test_rate_is_paid_by_who_sends(new_lab):
    """Another partner's name in the stream header does not spend that partner's allowance."""
    lab = new_lab(pool=False, federation=Federation("plain", [RAW]),
                  settings={"s2s.stanza_rate": 50, "s2s.stanza_burst": 10})
    juliet, romeo, peer = lab.partner_user(), lab.legacy_user(), RawPeer(lab, "raw.test", sm=False)
    stream = open_stream(lab, "partner.test")
    stream.send(f"<db:result {PAIR}>0123</db:result>")
    stream.wait("type='valid'")
    stream.domain = "raw.test"
    for number in range(60):
        stream.message(f"paid-{number}", romeo.address)
    assert lab.deliver(juliet, romeo.address).by == "legacy"
    lab.bridge.process.wait_line("stream-slowed .*remote=raw.test")
    assert not any("stream-slowed" in line and "remote=partner.test" in line for line in lab.bridge.process.lines)
    peer.close()


# ---- what is echoed

def answer_to(raw, stanza):
    """The stanza that comes back for it, parsed by somebody else's parser."""
    say(raw, stanza)
    back = raw.accept()
    text = back.wait(r"<(message|iq)\b.*?</\1>").group(0)
    return ElementTree.fromstring(text)


def test_identifier_is_echoed_exactly(raw, unharmed):
    """An error mirrors the id, whatever its characters."""
    back = answer_to(raw, f"<message from='x@raw.test/{ODD_XML}' to='&lt;nobody&gt;@corp.test' id='{ODD_XML}'>{BODY}")
    assert back.get("id") == ODD and back.get("type") == "error"
    assert back.get("to") == "x@raw.test/" + ODD
    assert back.find(f".//{STANZAS}jid-malformed") is not None


@pytest.mark.parametrize("kind", ["get", "set"])
def test_request_is_always_answered(raw, kind):
    back = answer_to(raw, f"<iq type='{kind}' from='x@raw.test/a' to='corp.test' id='{ODD_XML}'>"
                          "<x xmlns='urn:x'/></iq>")
    assert back.get("id") == ODD and back.get("type") == "error" and back.get("to") == "x@raw.test/a"


@pytest.mark.parametrize("stanza", ["<iq type='error' {}/>", "<iq type='result' {}/>", "<message type='error' {}/>",
                                    "<presence type='error' {}/>"])
def test_errors_and_results_are_not_answered(raw, stanza):
    """What comes back is the answer to the request behind it, and nothing before."""
    back = answer_to(raw, stanza.format("from='x@raw.test' to='&lt;nobody&gt;@corp.test' id='first'")
                     + "<iq type='get' from='x@raw.test' to='corp.test' id='second'><x xmlns='urn:x'/></iq>")
    assert back.get("id") == "second"


def test_identifier_of_a_question_is_echoed_exactly(lab):
    """db:verify by a stranger: the id comes back as it was, and the answer is one element."""
    stream = open_stream(lab, "partner.test")
    stream.send(f"<db:verify from='partner.test' to='corp.test' id='{ODD_XML}'>0123</db:verify>")
    text = stream.wait("<db:verify [^>]*>(?:.*?</db:verify>)?").group(0)
    element = ElementTree.fromstring(text.replace("<db:verify", "<db:verify xmlns:db='jabber:server:dialback'", 1))
    assert element.get("id") == ODD and element.get("type") in ("invalid", "error")


@pytest.mark.parametrize("attribute", ["from", "to"])
def test_addresses_of_a_header_are_echoed_exactly(lab, attribute):
    """The answer's header is well-formed, whatever the addresses."""
    said = {"from": "partner.test", "to": "corp.test", attribute: ODD_XML}
    with socket.create_connection((lab.block.address("external"), 5269), timeout=20) as connection:
        stream = RawStream(connection, "partner.test", "corp.test")
        stream.send(HEADER.format(" ".join(f"{name}='{value}'" for name, value in said.items())))
        whole = ElementTree.fromstring(stream.rest())
    assert whole[0].tag == "{http://etherx.jabber.org/streams}error"


def open_stream(lab, sender, extra=""):
    stream = RawStream(socket.create_connection((lab.block.address("external"), 5269), timeout=20), sender, "corp.test")
    stream.send(HEADER.format(f"{extra} from='{sender}' to='corp.test'"))
    stream.wait("</stream:features>")
    return stream


def test_header_of_the_answer(lab):
    """It has our name, the peer's, and an id that no two streams share; behind it, the features."""
    ids = set()
    for _ in range(3):
        with socket.create_connection((lab.block.address("external"), 5269), timeout=20) as connection:
            stream = RawStream(connection, "partner.test", "corp.test")
            stream.send(HEADER.format("from='partner.test' to='corp.test'"))
            header = stream.wait("<stream:stream [^>]*>").group(0)
            features = stream.wait("<stream:features>.*</stream:features>").group(0)
        assert "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>" in features
        assert "from='corp.test'" in header and "to='partner.test'" in header and "version='1.0'" in header
        assert "xmlns='jabber:server'" in header and "xmlns:db='jabber:server:dialback'" in header
        ids.add(re.search(" id='([0-9a-f]{32})'", header).group(1))
    assert len(ids) == 3


def test_key_of_the_configured_secret(lab):
    """XEP-0185, computed by somebody else: several bridges with one secret answer for each other."""
    said = "raw.test corp.test some-id"
    key = hmac.new(hashlib.sha256(SECRET.encode()).hexdigest().encode(), said.encode(), "sha256").hexdigest()
    stream = open_stream(lab, "raw.test")
    for shown, verdict in (key, "valid"), (key[:-1] + ("0" if key[-1] != "0" else "1"), "invalid"), (key[:-1], "invalid"):
        stream.send(f"<db:verify {PAIR} id='some-id'>{shown}</db:verify>")
        assert stream.wait("<db:verify [^>]*type='([a-z]*)'").group(1) == verdict
    stream.close()


def test_log_has_no_bodies_and_no_keys(lab, raw, juliet, romeo):
    """Not even where it says most."""
    assert lab.bridge.settings["log_level"] == "debug"
    assert lab.deliver(juliet, romeo.address, "a secret love").by == "legacy"
    assert lab.deliver(romeo, juliet.address, "another secret love").by == "partner"
    mark = lab.bridge.process.mark()
    say(raw, "<message from='x@raw.test' to='y&#10;notice forged@corp.test'><body>a third secret love</body></message>"
             f"<message from='x@raw.test' to='{romeo.address}'><body>a fourth secret love</body></message>")
    lab.bridge.process.wait_line("delivered from=x@raw.test", after=mark)
    for line in lab.bridge.process.lines:
        assert "secret love" not in line and SECRET not in line and not re.search("[0-9a-f]{64}", line), line
        assert not line.startswith("notice forged"), line


def test_no_features_below_version_1(lab):
    with socket.create_connection((lab.block.address("external"), 5269), timeout=20) as connection:
        stream = RawStream(connection, "partner.test", "corp.test")
        stream.send(HEADER.format("from='partner.test' to='corp.test'").replace(" version='1.0'>", ">"))
        stream.send("<stream:stream/>")
        heard = stream.rest()
    assert "<stream:stream " in heard and "features" not in heard
    assert "version=" not in heard.partition("?>")[2].partition(">")[0]


# ---- a stanza takes with it what its stream said

def test_language_and_prefixes_of_the_stream_go_with_the_stanza(raw, lab, romeo):
    """xml:lang and the prefixes of a stream's header are the stanza's own on the next stream."""
    stream = open_stream(lab, "raw.test", "xml:lang='fr' xmlns:x='urn:x:one' xmlns:y='urn:x:two'")
    stream.send(f"<db:result {PAIR}>0123</db:result>")
    stream.wait("type='valid'")
    stream.send("<message from='x@raw.test' to='romeo@corp.test'><body>bonjour</body><x:a y:b='1'/></message>"
                "<message from='x@raw.test' to='romeo@corp.test' xml:lang='de'><body>hallo</body></message>")
    first, second = romeo.wait_message("bonjour").xml, romeo.wait_message("hallo").xml
    language = "{http://www.w3.org/XML/1998/namespace}lang"
    assert first.get(language) == "fr" and second.get(language) == "de"
    assert first.find("{urn:x:one}a").get("{urn:x:two}b") == "1"


# ---- one message inside another

WRAPPERS = {
    "carbon-sent": "<sent xmlns='urn:xmpp:carbons:2'>{}</sent>",
    "carbon-received": "<received xmlns='urn:xmpp:carbons:2'>{}</received>",
    "archive": "<result xmlns='urn:xmpp:mam:2' id='1' queryid='q'>{}</result>",
    "forwarded": "{}",
}


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS.keys())
def test_forwarded_message_is_not_shown_as_a_message(raw, lab, tybalt, unharmed, wrapper):
    """Only a body of the stanza itself becomes a SIP message, and its sender is the stanza's."""
    lab.bridge.mark("migrated", tybalt.address)
    inner = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='boss@corp.test' " \
            f"to='tybalt@corp.test' type='chat'>{BODY}</forwarded>"
    stream = say(raw, f"<message from='x@raw.test' to='tybalt@corp.test' id='w'>{wrapper.format(inner)}</message>")
    after = f"after {len(inner) + len(wrapper)}"
    stream.message(after, "tybalt@corp.test")
    assert tybalt.wait_message(after)
    assert not tybalt.inbox.all(lambda m: "forged" in (m.body or ""))


# ---- streams that come to nothing

@pytest.fixture(scope="module")
def hasty(own_lab):
    """A lab where streams must be established within a second, and are idle after another."""
    return own_lab(pool=False, settings={"s2s.establish_time": 1, "s2s.inactivity_time": 2, "s2s.keepalive_time": 1})


SLOW = {
    "nothing": "",
    "a-header-byte-by-byte": HEADER.format("from='partner.test' to='corp.test'"),
    "white-space": "   \n" * 200,
}


@pytest.mark.parametrize("said", SLOW.values(), ids=SLOW.keys())
def test_slow_stream_is_ended(hasty, said):
    """A byte now and then does not prolong the time in which a stream must prove something."""
    with socket.create_connection((hasty.block.address("external"), 5269), timeout=20) as connection:
        heard = trickle(connection, said)
    assert "<connection-timeout " in heard and heard.endswith("</stream:stream>")


def trickle(connection, said):
    heard, connection_open, end = b"", True, time.monotonic() + WAIT
    connection.settimeout(0.02)
    while connection_open:
        assert time.monotonic() < end, heard
        try:
            more = connection.recv(65536)
            heard, connection_open = heard + more, bool(more)
        except TimeoutError:
            if said:
                connection.sendall(said[:1].encode())
                said = said[1:]
        except ConnectionResetError:
            break
    return heard.decode()


def test_header_alone_is_not_enough(hasty):
    stream = open_stream(hasty, "partner.test")
    assert "<connection-timeout " in stream.rest()
    stream.close()


def test_idle_stream_is_ended(hasty):
    """An established stream that says nothing is closed in order, and frees its place."""
    stream = open_stream(hasty, "partner.test")
    stream.send("<db:verify from='partner.test' to='corp.test' id='1'>0123</db:verify>")
    stream.wait("<db:verify ")
    heard = stream.rest()
    assert "stream:error" not in heard and heard.endswith("</stream:stream>")
    stream.close()


def test_half_open_peer(hasty):
    """A peer that leaves our </stream:stream> unanswered and keeps its socket is given up."""
    stream = open_stream(hasty, "partner.test")
    stream.send("<db:verify from='partner.test' to='corp.test' id='1'>0123</db:verify>")
    mark = hasty.bridge.process.mark()
    stream.wait("</stream:stream>")
    hasty.bridge.process.wait_line("stream-down", after=mark)
    stream.close()
