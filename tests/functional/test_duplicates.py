"""What is sent again, because its sender never got our acknowledgement, arrives once: over broken streams and kill -9."""

import pytest

from lab.chaos import Chaos
from lab.federation import Federation, Partner
from lab.inbox import wait_polled
from lab.raw_peer import RawPeer
from lab.sip_user import SipUser

FAST = {"s2s.backoff_min": 0.1, "s2s.backoff_max": 0.3, "s2s.queue_time": 20, "s2s.confirm_time": 1}
PLAIN = ("--tls", "optional", "--sasl", "optional")
RAW = Partner("raw.test", policy=("--tls", "none", "--sasl", "none"), services=(("xmpp-server", 0, "raw", 5269),))
DELAY = "<delay xmlns='urn:xmpp:delay' from='raw.test' stamp='2026-01-01T00:00:00Z'/>"


def duplicates(lab):
    return lab.bridge.json("status")["duplicates"]


def wait_status(lab, key, at_least):
    wait_polled(lambda: duplicates(lab)[key] >= at_least, lambda: duplicates(lab))


def wait_written(lab, count):
    """So many messages have arrived, and the state file knows it."""
    wait_status(lab, "remembered", count)
    wait_polled(lambda: not duplicates(lab)["unwritten"], lambda: duplicates(lab))


def shown(user, text):
    return sum(item.body == text for item in user.inbox.history)


# ---- Prosody, which sends again what was not acknowledged

@pytest.fixture(scope="module")
def prosody(own_lab):
    """(lab, the proxy between the partner and us, juliet, romeo)"""
    services = {"corp.test": (("xmpp-server", 0, "front-proxy", 5269),)}
    lab = own_lab(federation=Federation("either", [Partner("sm.test", policy=PLAIN)], local_services=services),
                  pool=False, modules=("smacks", "resend"), settings=FAST)
    address = lab.block.address
    proxy = Chaos(lab.loop, address("front-proxy"), 5269, (address("external"), 5269), address("partner"))
    yield lab, proxy, lab.partner_user("juliet@sm.test"), lab.legacy_user("romeo@corp.test")
    proxy.close()


def send_unacknowledged(lab, proxy, juliet, romeo, texts):
    """Delivered by us, but for all that the partner's server knows they may be lost."""
    assert lab.deliver(juliet, romeo.address).by == "legacy"
    known = duplicates(lab)["remembered"]
    proxy.swallow()
    for text in texts:
        juliet.send(romeo.address, text)
    for text in texts:
        romeo.wait_message(text)
    wait_written(lab, known + len(texts))


def check_once(lab, juliet, romeo, texts):
    assert lab.deliver(juliet, romeo.address, timeout=40).by == "legacy"
    wait_status(lab, "suppressed", len(texts))
    assert [shown(romeo, text) for text in texts] == [1] * len(texts)
    assert not juliet.inbox.all(lambda item: item.type == "error")


def test_stream_cut_before_our_acknowledgement(prosody):
    lab, proxy, juliet, romeo = prosody
    before = duplicates(lab)["suppressed"]
    texts = [f"cut {number}" for number in range(5)]
    send_unacknowledged(lab, proxy, juliet, romeo, texts)
    proxy.reset()
    assert lab.deliver(juliet, romeo.address, timeout=40).by == "legacy"
    wait_status(lab, "suppressed", before + len(texts))
    check_once(lab, juliet, romeo, texts)


def test_killed_before_our_acknowledgement(prosody):
    """The same over kill -9: the new process knows what the old one delivered."""
    lab, proxy, juliet, romeo = prosody
    texts = [f"killed {number}" for number in range(5)]
    send_unacknowledged(lab, proxy, juliet, romeo, texts)
    lab.bridge.kill()
    lab.bridge.start()
    proxy.reset()
    wait_status(lab, "suppressed", len(texts))
    check_once(lab, juliet, romeo, texts)


def test_held_and_killed(prosody):
    """What was kept is known with what is kept: one transaction."""
    lab, proxy, juliet, romeo = prosody
    assert lab.deliver(juliet, romeo.address).by == "legacy"
    lab.bridge.ctl("partner", "set", "sm.test", "--gateway", "by-user")
    lab.bridge.ctl("user", "mark", "moving", "romeo@corp.test")
    proxy.swallow()
    texts = [f"held {number}" for number in range(5)]
    for text in texts:
        juliet.send(romeo.address, text)
    wait_polled(lambda: lab.bridge.json("status")["spool"]["messages"] >= len(texts))
    lab.bridge.kill()
    lab.bridge.start()
    proxy.reset()
    wait_status(lab, "suppressed", len(texts))
    lab.bridge.ctl("user", "mark", "legacy", "romeo@corp.test")
    for text in texts:
        romeo.wait_message(text, timeout=40)
    check_once(lab, juliet, romeo, texts)


def test_many_cuts(prosody):
    """The stream is cut again and again in the middle of messages: each arrives once, or fails."""
    lab, proxy, juliet, romeo = prosody
    assert lab.deliver(juliet, romeo.address, timeout=40).by == "legacy"
    texts = {}
    for number in range(400):
        texts[juliet.send(romeo.address, f"many {number}")] = f"many {number}"
        if number % 50 == 25:
            wait_counted(lab)
        if number % 50 == 35:
            proxy.reset()
    assert lab.deliver(juliet, romeo.address, timeout=60).by == "legacy"
    lost = [text for number, text in texts.items() if not shown(romeo, text) and not failed(juliet, number)]
    assert (lost, [text for text in texts.values() if shown(romeo, text) > 1]) == ([], [])
    juliet.inbox.clear()


def wait_counted(lab):
    """COMPAT: what Prosody writes before it enables XEP-0198 on a new stream, it does not send again."""
    wait_polled(lambda: (lab.bridge.link("sm.test", "in") or {}).get("sm"), timeout=40)


def failed(user, number):
    return any(item.type == "error" and item.id == number for item in user.inbox.history)


# ---- a peer that says what it likes

@pytest.fixture(scope="module")
def raw(own_lab):
    """(lab, peer, romeo behind the legacy gateway, tybalt at the pool)"""
    lab = own_lab(federation=Federation("plain", [RAW]), settings=FAST)
    peer = RawPeer(lab, "raw.test")
    yield lab, peer, lab.legacy_user("romeo@corp.test"), lab.sip_user("tybalt@corp.test", "tcp")
    peer.close()


def connect(peer):
    stream = peer.connect()
    stream.enable()
    return stream


def send(stream, number, to, body, more="", sender="raw@raw.test/x"):
    stream.send(f"<message from='{sender}' to='{to}' type='chat' id='{number}'><body>{body}</body>{more}</message>")


@pytest.mark.parametrize("killed", [False, True], ids=["stream", "kill"])
@pytest.mark.parametrize("who", ["romeo", "tybalt"])
def test_sent_again(raw, who, killed):
    """By another stream, with a delay stamp: acknowledged, and not shown. Another text with that id is."""
    lab, peer, romeo, tybalt = raw
    user = {"romeo": romeo, "tybalt": tybalt}[who]
    name = f"{who} {killed}"
    known = duplicates(lab)["remembered"]
    first = connect(peer)
    send(first, name, user.address, f"{name} first")
    user.wait_message(f"{name} first")
    wait_written(lab, known + 1)
    if killed:
        lab.bridge.kill()
        lab.bridge.start()
    first.break_off()
    second = connect(peer)
    send(second, name, user.address, f"{name} first", DELAY)
    second.wait_count(1)
    send(second, name, user.address, f"{name} second")
    user.wait_message(f"{name} second")
    second.wait_count(2)
    send(second, name, user.address, f"{name} second", sender="raw@raw.test/y")
    second.wait_count(3)
    assert (shown(user, f"{name} first"), shown(user, f"{name} second")) == (1, 2)
    user.inbox.history[:] = [item for item in user.inbox.history if item.body != f"{name} second"]  # meant to be two
    second.close()


def test_sent_again_while_under_way(raw):
    """The second one waits for what becomes of the first, and both are acknowledged then."""
    lab, peer, romeo, tybalt = raw
    tybalt.reply = None
    first = connect(peer)
    send(first, "under way", tybalt.address, "under way")
    request = tybalt.wait_message("under way")
    second = connect(peer)
    send(second, "under way", tybalt.address, "under way", DELAY)
    send(second, "other", romeo.address, "not under way")
    romeo.wait_message("not under way")
    assert second.count() == 0
    tybalt.answer(request)
    tybalt.reply = 200
    first.wait_count(1)
    second.wait_count(2)
    assert shown(tybalt, "under way") == 1
    first.close()
    second.close()


def test_failed_and_sent_again(raw):
    """After an error the sender means it: there is one error for each attempt, and then the message."""
    lab, peer, romeo, tybalt = raw
    stream = connect(peer)
    back = None
    for h, status in enumerate((404, 404, 200), 1):
        tybalt.reply = status
        send(stream, "again", tybalt.address, f"again {status}")
        if status != 200:
            back = back or peer.accept()
            assert back.wait("<message [^>]*type='error'[^>]*id='([^']*)'|<message [^>]*id='([^']*)'[^>]*type='error'")
            back.acknowledge(h)
    tybalt.wait_message("again 200")
    stream.wait_count(3)
    assert shown(tybalt, "again 404") == 2  # it came, and was refused, both times
    tybalt.inbox.history[:] = [item for item in tybalt.inbox.history if item.body != "again 404"]
    stream.close()


# ---- requests of a pool

class Requester(SipUser):
    """A pool's proxy, which puts its own branch on what its user's client has sent."""

    def make(self, method, to, body, headers, sequence, call_id, tag):
        sip = self._request(method, "sip:" + to, "sip:" + to, headers, body.encode(), call_id)
        sip.headers = [(name, {"cseq": f"{sequence} {method}", "from": f"<sip:{self.address}>;tag={tag}"}.get(name, value))
                       for name, value in sip.headers]
        return sip

    def exchange(self, sip):
        return self._loop.call(self._exchange(sip), 40)


SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=message 5060 sip null\r\na=accept-types:text/plain\r\n"
MESSAGE = ("MESSAGE", "text/plain", "by request", ())
INVITE = ("INVITE", "application/sdp", SDP, (("ms-text-format", "text/plain; charset=UTF-8; ms-body=Ynkgc2Vzc2lvbg=="),))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("method, content_type, body, more", [MESSAGE, INVITE], ids=["MESSAGE", "INVITE"])
def test_request_sent_again(new_lab, transport, method, content_type, body, more):
    """The same request to the next process: 200, and shown once; with another CSeq it is another one."""
    lab = new_lab(settings=FAST)
    juliet = lab.partner_user("juliet@partner.test")
    caller = Requester(lab.loop, lab.block, "tybalt@corp.test", (lab.block.address("sip"), 5060), transport, register=False,
                       host=lab.block.address("sipp"))
    headers = [("content-type", content_type), ("contact", f"<sip:tybalt@{caller.host};transport={transport}>")] + list(more)
    text = "by request" if method == "MESSAGE" else "by session"

    lab.users.remove(juliet)  # what is meant to come twice is counted here

    def ask(sequence):
        return caller.exchange(caller.make(method, juliet.address, body, headers, sequence, "one-call", "one-tag")).status

    assert ask(1) == 200
    juliet.wait_message(text)
    wait_written(lab, 1)
    lab.bridge.kill()
    lab.bridge.start()
    assert ask(1) == 200
    assert duplicates(lab)["suppressed"] == 1 and shown(juliet, text) == 1
    if method == "MESSAGE":
        assert ask(2) == 200
        juliet.inbox.wait(lambda item: item.body == text and shown(juliet, text) == 2)
    caller.close()
    juliet.close()
