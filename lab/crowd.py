"""Very many presence subscriptions at once: a pool and a partner's server, both played by Python, which count.

Users are u0@corp.test and so on, contacts c0@raw.test. Subscription number N is
between uN and cN. Neither side is a real server, so that what is measured is
poolbridge.
"""

import contextlib
import os
import re
import socket
import sqlite3
import threading

from lab.inbox import wait_polled
from lab.raw_peer import RawPeer

LOCAL, PARTNER = "corp.test", "raw.test"
WINDOW = 100  # SUBSCRIBEs of the pool that wait for their answer
PIDF = ("<?xml version='1.0' encoding='UTF-8'?><presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:{0}'>"
        "<tuple id='desk'><status><basic>{1}</basic></status></tuple></presence>")


def number_of(address):
    return int(re.match(r"(?:sip:)?[uc](\d+)@", address).group(1))


def fields(head):
    """{lower-case name: value} of a SIP message; of a field that comes twice the first."""
    found = {}
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        found.setdefault(name.lower(), value.strip())
    return found


def uri_in(value):
    return re.search(r"<([^>]*)>", value).group(1)


class Dialog:
    def __init__(self, call_id, local, remote, target, event="presence"):
        self.call_id, self.local, self.remote, self.target, self.event = call_id, local, remote, target, event
        self.cseq = self.remote_cseq = 0


class CrowdPool:
    """
    A presence server at the lab's address "pool", which approves everybody, and the endpoints of its users.
    watched: {number: Dialog} of contacts' subscriptions here; endpoints: {number: Dialog} of its users' subscriptions.
    """

    def __init__(self, lab, expires):
        self._bridge, self._address = (lab.block.address("sip"), 5060), lab.block.address("pool")
        self._expires, self.basic = expires, "open"
        self._lock = threading.Lock()
        self.watched, self.endpoints, self.shown, self.problems = {}, {}, {}, []
        self.made, self.refreshed, self._by_call_id, self._waiting = 0, set(), {}, set()
        self._out, self._numbers = None, 0
        self._listener = socket.create_server((self._address, 5060))
        lab.at_close(self.close)
        threading.Thread(target=self._accept, daemon=True).start()

    # ---- connections

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _connect(self):
        self._out = socket.create_connection(self._bridge, 20, source_address=(self._address, 0))
        self._out.settimeout(None)
        threading.Thread(target=self._serve, args=(self._out,), daemon=True).start()

    def _serve(self, connection):
        heard = b""
        try:
            while data := connection.recv(262144):
                heard += data
                at, out = 0, []
                while (end := heard.find(b"\r\n\r\n", at)) >= 0:
                    head = heard[at:end].decode()
                    found = fields(head)
                    size = int(found.get("content-length", 0))
                    if len(heard) < end + 4 + size:
                        break
                    body = heard[end + 4:end + 4 + size].decode()
                    at = end + 4 + size
                    with self._lock:
                        out += self._take(head, found, body)
                heard = heard[at:]
                connection.sendall("".join(out).encode())
        except OSError:
            pass

    # ---- messages

    def _request(self, dialog, method, lines, body=""):
        dialog.cseq += 1
        self._numbers += 1
        return (f"{method} {dialog.target} SIP/2.0\r\nVia: SIP/2.0/TCP {self._address}:5060;branch=z9hG4bK{self._numbers}\r\n"
                f"Max-Forwards: 70\r\nFrom: {dialog.local}\r\nTo: {dialog.remote}\r\nCall-ID: {dialog.call_id}\r\n"
                f"CSeq: {dialog.cseq} {method}\r\nContact: <sip:{self._address}:5060;transport=tcp>\r\n"
                f"Event: {dialog.event}\r\n{lines}Content-Length: {len(body)}\r\n\r\n{body}")

    @staticmethod
    def _response(found, status, to=None, lines=""):
        return (f"SIP/2.0 {status}\r\nVia: {found['via']}\r\nFrom: {found['from']}\r\nTo: {to or found['to']}\r\n"
                f"Call-ID: {found['call-id']}\r\nCSeq: {found['cseq']}\r\n{lines}Content-Length: 0\r\n\r\n")

    def _take(self, head, found, body):
        method = head.split(" ", 1)[0]
        if method == "SUBSCRIBE":
            return self._take_subscribe(found)
        if method == "NOTIFY":
            return self._take_notify(found, body)
        if method == "OPTIONS":
            return [self._response(found, "200 OK")]
        if not head.startswith("SIP/2.0 200"):
            self.problems.append(head.split("\r\n")[0] + " " + found["cseq"])
        elif found["cseq"].endswith("SUBSCRIBE"):
            dialog = self.endpoints[self._by_call_id[found["call-id"]]]
            dialog.remote, dialog.target = found["to"], uri_in(found["contact"])
            self._waiting.discard(found["call-id"])
        return []

    def _take_subscribe(self, found):
        number, cseq = number_of(uri_in(found["to"])), int(found["cseq"].split()[0])
        dialog = self.watched.get(number)
        if ";tag=" not in found["to"]:
            self.made += 1
            dialog = self.watched[number] = Dialog(found["call-id"], f"{found['to']};tag=p{number}", found["from"],
                                                   uri_in(found["contact"]))
        elif dialog is None or dialog.call_id != found["call-id"] or cseq <= dialog.remote_cseq:
            self.problems.append(f"SUBSCRIBE in dialog {found['call-id']}, CSeq {cseq}")
            return [self._response(found, "481 No Such Subscription")]
        dialog.remote_cseq = cseq
        dialog.target = uri_in(found["contact"])
        self.refreshed.add(number)
        return [self._response(found, "200 OK", dialog.local, f"Expires: {self._expires}\r\n"
                               f"Contact: <sip:{self._address}:5060;transport=tcp>\r\n"), self.notify(dialog)]

    def notify(self, dialog):
        return self._request(dialog, "NOTIFY", f"Subscription-State: active;expires={self._expires}\r\n"
                             "Content-Type: application/pidf+xml\r\n", PIDF.format(uri_in(dialog.local)[4:], self.basic))

    def _take_notify(self, found, body):
        number = self._by_call_id.get(found["call-id"])
        if number is None or not found["subscription-state"].startswith(("active", "pending")):
            self.problems.append(f"NOTIFY {found['call-id']} {found['subscription-state']}")
            return [self._response(found, "481 No Such Dialog")]
        dialog, cseq = self.endpoints[number], int(found["cseq"].split()[0])
        if cseq <= dialog.remote_cseq:
            self.problems.append(f"NOTIFY with CSeq {cseq} after {dialog.remote_cseq}")
        dialog.remote_cseq = cseq
        # active without a document: nothing is known.
        shown = re.search("<show [^>]*>(.*?)<", body)
        self.shown[number] = shown.group(1) if shown else ("open" if ">open<" in body else "closed" if body else
                                                           found["subscription-state"].partition(";")[0])
        return [self._response(found, "200 OK")]

    # ---- its users

    def subscribe(self, numbers):
        """An endpoint of each of these users subscribes."""
        if self._out is None:
            self._connect()
        for number in numbers:
            wait_polled(lambda: len(self._waiting) < WINDOW, lambda: f"{len(self._waiting)} SUBSCRIBEs are not answered", 60)
            with self._lock:
                call_id = f"endpoint-{number}"
                dialog = self.endpoints[number] = Dialog(call_id, f"<sip:u{number}@{LOCAL}>;tag=e{number}",
                                                         f"<sip:c{number}@{PARTNER}>", f"sip:c{number}@{PARTNER}")
                self._by_call_id[call_id] = number
                self._waiting.add(call_id)
                request = self._request(dialog, "SUBSCRIBE", f"Expires: {self._expires}\r\n")
            self._out.sendall(request.encode())

    def close(self):
        # close() alone leaves a listener alive in the thread's accept(), until that has swallowed one more connection.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._out:
            self._out.close()


class CrowdPeer:
    """
    The contacts' server. It approves whatever is asked and answers probes with show. heard: {type: count} of what it was
    sent; shown: {number: "available" or "unavailable"} of users, as contact cN sees uN.
    """

    def __init__(self, lab):
        self._raw = RawPeer(lab, PARTNER, sm=False)
        self.heard, self.shown, self.show = {}, {}, "away"
        self._lock, self._stream = threading.Lock(), None
        threading.Thread(target=self._accept, daemon=True).start()
        self.connect()

    def connect(self):
        """Anew, after poolbridge was started again."""
        with self._lock:
            self._stream = self._raw.connect(LOCAL)

    def _accept(self):
        while True:
            try:
                stream = self._raw.accept()
            except Exception:  # nobody has come for a while
                continue
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream):
        try:
            while True:
                stanza = stream.wait(r"<(presence|iq)\b([^>]*?)(/>|>.*?</\1>)")
                kind, attributes = stanza.group(1), dict(re.findall(r"([a-z]+)='([^']*)'", stanza.group(2)))
                self._take(kind, attributes)
        except (AssertionError, OSError):
            pass

    def _take(self, kind, attributes):
        if kind == "iq":
            if attributes.get("type") == "get":
                self.send(f"<iq type='result' id='{attributes['id']}' from='{attributes['to']}' to='{attributes['from']}'/>")
            return
        what = attributes.get("type", "available")
        self.heard[what] = self.heard.get(what, 0) + 1
        user, contact = attributes["from"].partition("/")[0], attributes["to"]
        if what in ("available", "unavailable"):
            self.shown[number_of(contact)] = what
        if what == "subscribe":
            self.send(f"<presence type='subscribed' from='{contact}' to='{user}'/>")
        if what in ("subscribe", "probe"):
            self.send(f"<presence from='{contact}/x' to='{user}'><show>{self.show}</show></presence>")

    def send(self, text):
        with self._lock:
            try:
                self._stream.send(text)
            except OSError:  # poolbridge is dead; what it asks is asked again
                pass

    def subscribe(self, numbers):
        for number in numbers:
            self.send(f"<presence type='subscribe' from='c{number}@{PARTNER}' to='u{number}@{LOCAL}'/>")

    def close(self):
        self._raw.close()


class Crowd:
    """Half of the subscriptions are of contacts, the others of the pool's users. lab: one without a pool, with PARTNER."""

    def __init__(self, lab, count, expires):
        self.lab, self.watched, self.watching = lab, range(count // 2), range(count // 2, count)
        self.pool, self.peer = CrowdPool(lab, expires), CrowdPeer(lab)

    def build(self, timeout):
        """Makes all of them; returns the daemon's resident KiB before, after the first half, and after both."""
        memory = [self.resident()]
        self.peer.subscribe(self.watched)
        self._wait(lambda: (len(self.peer.shown), len(self.pool.shown)), (len(self.watched), 0), timeout)
        memory.append(self.resident())
        self.pool.subscribe(self.watching)
        self._wait(lambda: sum(shown == "away" for shown in list(self.pool.shown.values())), len(self.watching), timeout)
        memory.append(self.resident())
        # What an endpoint has been told is on disk at the end of the daemon's turn.
        wanted = len(self.watched) + len(self.watching)
        self._wait(self._kept, (wanted, wanted), timeout)
        return memory

    def _kept(self):
        with sqlite3.connect(f"file:{os.path.join(self.lab.bridge.folder, 'registry.db.state')}?mode=ro", uri=True) as db:
            return tuple(db.execute(f"SELECT count(*) FROM {what}").fetchone()[0]
                         for what in ("subscription WHERE state = 'active'", "dialog"))

    def resident(self):
        with open(f"/proc/{self.lab.bridge.process.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

    def _wait(self, now, wanted, timeout):
        wait_polled(lambda: now() == wanted or self.pool.problems,
              lambda: f"{now()} rather than {wanted}; heard {self.peer.heard}", timeout)
        assert self.pool.problems == [], self.pool.problems[:5]

    def crash(self):
        """kill -9; meanwhile all users go, and all contacts are busy. Then it is started again."""
        self.lab.bridge.kill()
        with self.pool._lock:
            self.pool.basic, self.pool.made = "closed", 0
            self.pool.refreshed.clear()
        self.peer.show = "dnd"
        self.peer.heard.clear()
        self.lab.bridge.start()
        self.peer.connect()

    def check_alive(self, timeout):
        """Every dialog has gone on, both sides show what is true, and nobody was asked anything."""
        self._wait(lambda: len(self.pool.refreshed), len(self.watched), timeout)
        self._wait(lambda: sum(shown == "dnd" for shown in list(self.pool.shown.values())), len(self.watching), timeout)
        self._wait(lambda: sum(shown == "unavailable" for shown in list(self.peer.shown.values())), len(self.watched),
                   timeout)
        assert self.pool.made == 0, f"{self.pool.made} SUBSCRIBEs outside a dialog"
        asked = {what: count for what, count in self.peer.heard.items() if what not in ("unavailable", "probe")}
        assert asked == {}, asked

    def close(self):
        self.peer.close()
        self.pool.close()
