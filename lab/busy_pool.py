"""A pool that never rests, played by Python: messages, sessions and presence, both ways, at any rate.

Every tenth user takes no IM sessions. Every contact may see every user. What comes is counted and forgotten.
"""

import contextlib
import itertools
import re
import socket
import threading
from collections import Counter

LOCAL = "corp.test"
SDP = "v=0\r\no=- 0 0 IN IP4 {0}\r\ns=session\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=message 5060 sip {1}\r\na=accept-types:text/plain\r\n"
PIDF = ("<?xml version='1.0' encoding='UTF-8'?><presence xmlns='urn:ietf:params:xml:ns:pidf' entity='{0}'>"
        "<tuple id='desk'><status><basic>{1}</basic></status></tuple></presence>")
BYE_AFTER = 40  # messages of a session; then the user hangs up


class Message:
    """A SIP message, read just enough."""

    def __init__(self, head, body):
        lines = head.split("\r\n")
        self.start, self.body, self.fields = lines[0], body, {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            # Via and Record-Route may come twice, and are copied with their order.
            self.fields[name] = f"{self.fields[name]}, {value.strip()}" if name in self.fields else value.strip()
        self.method = self.fields["cseq"].split()[1]
        self.is_request = not self.start.startswith("SIP/2.0")
        self.status = 0 if self.is_request else int(self.start.split(" ")[1])
        self.call_id = self.fields["call-id"]

    def uri(self, field):
        return re.search(r"<([^>]*)>|^([^;]*)", self.fields[field]).group(0).strip("<>")


def read(connection):
    """The messages of a connection, until it ends."""
    heard = b""
    while data := connection.recv(262144):
        heard += data
        at = 0
        while (end := heard.find(b"\r\n\r\n", at)) >= 0:
            head = heard[at:end].decode()
            length = re.search(r"(?i)\r\n(?:content-length|l)\s*:\s*(\d+)", head)
            after = end + 4 + int(length.group(1) if length else 0)
            if len(heard) < after:
                break
            if head.strip():
                yield Message(head.lstrip("\r\n"), heard[end + 4:after].decode())
            at = after
        heard = heard[at:]


class Dialog:
    def __init__(self, call_id, local, remote, target):
        self.call_id, self.local, self.remote, self.target = call_id, local, remote, target
        self.cseq, self.count = 0, 0


class BusyPool:
    """count: how often each thing has happened."""

    def __init__(self, lab):
        self._bridge = (lab.block.address("sip"), 5060)
        self._lock, self._numbers = threading.Lock(), itertools.count(1)
        self.count, self._dialogs, self._watched, self._out = Counter(), {}, {}, None
        self._host = lab.block.address("pool")
        self._listeners = [socket.create_server((lab.block.address(role), 5060)) for role in ("pool", "legacy-pool")]
        lab.at_close(self.close)
        for listener in self._listeners:
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    # ---- connections

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError):
            for message in read(connection):
                with self._lock:
                    answer = "".join(self._take(message))
                connection.sendall(answer.encode())
        with self._lock:
            if connection is self._out:
                self._out = None
        connection.close()

    def _send(self, text):
        """On the pool's own connection to the bridge; the caller holds the lock."""
        if self._out is None:
            self._out = socket.create_connection(self._bridge, 20, source_address=(self._host, 0))
            self._out.settimeout(None)
            threading.Thread(target=self._serve, args=(self._out,), daemon=True).start()
        self._out.sendall(text.encode())

    def reconnect(self):
        """The next request goes by a connection of its own; the old one ends with a reset."""
        with self._lock:
            if self._out is not None:
                self._out.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                with contextlib.suppress(OSError):
                    self._out.shutdown(socket.SHUT_RDWR)
                self._out = None

    # ---- what is written

    def _request(self, dialog, method, lines="", body="", cseq=None):
        if cseq is None:
            dialog.cseq += 1
            cseq = dialog.cseq
        return (f"{method} {dialog.target} SIP/2.0\r\nVia: SIP/2.0/TCP {self._host}:5060;branch=z9hG4bKbusy{next(self._numbers)}\r\n"
                f"Max-Forwards: 70\r\nFrom: {dialog.local}\r\nTo: {dialog.remote}\r\nCall-ID: {dialog.call_id}\r\n"
                f"CSeq: {cseq} {method}\r\nContact: <sip:{self._host}:5060;transport=tcp>\r\n"
                f"{lines}Content-Length: {len(body.encode())}\r\n\r\n{body}")

    @staticmethod
    def _response(message, status, lines="", body="", tag=None):
        kept = "".join(f"{name}: {message.fields[name]}\r\n"
                       for name in ("via", "from", "call-id", "cseq", "record-route") if name in message.fields)
        to = message.fields["to"] + (f";tag={tag}" if tag and ";tag=" not in message.fields["to"] else "")
        return f"SIP/2.0 {status}\r\n{kept}To: {to}\r\n{lines}Content-Length: {len(body.encode())}\r\n\r\n{body}"

    def _contact(self):
        return f"Contact: <sip:{self._host}:5060;transport=tcp>\r\n"

    # ---- what comes

    def _take(self, message):
        what = message.method if message.is_request else f"{message.method} {message.status}"
        self.count[what] += 1
        if not message.is_request:
            return self._take_response(message)
        handler = {"INVITE": self._invited, "MESSAGE": self._told, "SUBSCRIBE": self._subscribed, "BYE": self._ended}.get(message.method)
        if handler:
            return handler(message)
        return [] if message.method == "ACK" else [self._response(message, "200 OK", tag="pool")]

    def _user(self, message):
        """(number, URI) of the user whom a request is for."""
        uri = message.uri("to")
        return int(re.sub(r"\D", "", uri.partition("@")[0]) or 0), uri

    def _answering(self, message):
        """The dialog that a request of the other side makes."""
        return Dialog(message.call_id, message.fields["to"] + ";tag=pool", message.fields["from"], message.uri("contact"))

    def _invited(self, message):
        number, uri = self._user(message)
        if ";tag=" in message.fields["to"]:
            return [self._response(message, "200 OK", self._contact())]
        if number % 10 == 0:
            return [self._response(message, "488 Not Acceptable Here", tag="pool")]
        self._dialogs[message.call_id] = self._answering(message)
        return [self._response(message, "200 OK", self._contact() + "Supported: ms-text-format\r\nContent-Type: application/sdp\r\n",
                               SDP.format(self._host, uri), "pool")]

    def _told(self, message):
        dialog = self._dialogs.get(message.call_id)
        if ";tag=" in message.fields["to"] and dialog is None:
            return [self._response(message, "481 No Such Dialog")]
        if dialog:
            dialog.count += 1
            if dialog.count == BYE_AFTER:
                del self._dialogs[message.call_id]
                self._send(self._request(dialog, "BYE"))
        return [self._response(message, "200 OK", tag="pool")]

    def _subscribed(self, message):
        dialog = self._watched.get(message.call_id)
        if dialog is None and ";tag=" in message.fields["to"]:
            return [self._response(message, "481 No Such Subscription")]
        if dialog is None:
            dialog = self._watched[message.call_id] = self._answering(message)
        over = message.fields.get("expires") == "0"
        if over:
            del self._watched[message.call_id]
        self._send(self._notify(dialog, "terminated;reason=timeout" if over else "active;expires=60", "closed" if over else "open"))
        return [self._response(message, "200 OK", f"Expires: {message.fields.get('expires', 60)}\r\n" + self._contact(), tag="pool")]

    def _notify(self, dialog, state, basic):
        return self._request(dialog, "NOTIFY", f"Event: presence\r\nSubscription-State: {state}\r\nContent-Type: application/pidf+xml\r\n",
                             PIDF.format(re.search(r"<([^>]*)>", dialog.local).group(1)[4:], basic))

    def _ended(self, message):
        known = self._dialogs.pop(message.call_id, None)
        return [self._response(message, "200 OK" if known else "481 No Such Dialog")]

    # ---- what this side began

    def _take_response(self, message):
        if message.status < 200 or message.method not in ("INVITE", "SUBSCRIBE", "MESSAGE"):
            return []
        dialog = self._dialogs.get(message.call_id)
        if dialog is None or message.status >= 300:
            ack = message.method == "INVITE" and dialog
            self._dialogs.pop(message.call_id, None)
            return [self._ack_refusal(dialog, message)] if ack else []
        dialog.remote = message.fields["to"]
        if "contact" in message.fields:
            dialog.target = message.uri("contact")
        if message.method == "INVITE":
            return [self._request(dialog, "ACK", cseq=dialog.cseq),
                    self._request(dialog, "MESSAGE", "Content-Type: text/plain\r\n", "and one more")]
        if message.method == "MESSAGE":
            del self._dialogs[message.call_id]
            return [self._request(dialog, "BYE")]
        return []

    def _ack_refusal(self, dialog, message):
        """It has the INVITE's branch (RFC 3261 section 17.1.1.3)."""
        return (f"ACK {dialog.target} SIP/2.0\r\nVia: {message.fields['via']}\r\nMax-Forwards: 70\r\nFrom: {dialog.local}\r\n"
                f"To: {message.fields['to']}\r\nCall-ID: {dialog.call_id}\r\nCSeq: {dialog.cseq} ACK\r\nContent-Length: 0\r\n\r\n")

    def _begin(self, user, address):
        number = next(self._numbers)
        return Dialog(f"busy-{number}@{self._host}", f"<sip:{user}@{LOCAL}>;tag=b{number}", f"<sip:{address}>", f"sip:{address}")

    def message(self, user, address, text):
        with self._lock:
            self._send(self._request(self._begin(user, address), "MESSAGE", "Content-Type: text/plain\r\n", text))

    def session(self, user, address, cancel=False):
        """INVITE; when it is accepted, a message and BYE follow. cancel: CANCEL follows at once."""
        with self._lock:
            dialog = self._begin(user, address)
            self._dialogs[dialog.call_id] = dialog
            invite = self._request(dialog, "INVITE", "Content-Type: application/sdp\r\n", SDP.format(self._host, "null"))
            self._send(invite)
            if cancel:
                via = re.search(r"Via: ([^\r]*)", invite).group(1)
                self._send(re.sub(r"Via: [^\r]*", "Via: " + via, self._request(dialog, "CANCEL", cseq=dialog.cseq)))

    def subscribe(self, user, address):
        """An endpoint of this user watches the contact; unsubscribe() ends what is returned."""
        with self._lock:
            dialog = self._begin(user, address)
            self._dialogs[dialog.call_id] = dialog
            self._send(self._request(dialog, "SUBSCRIBE", "Event: presence\r\nExpires: 120\r\n"))
            return dialog

    def unsubscribe(self, dialog):
        with self._lock:
            self._send(self._request(dialog, "SUBSCRIBE", "Event: presence\r\nExpires: 0\r\n"))

    def change_presence(self):
        """Everybody who is watched is shown as away, or back."""
        with self._lock:
            for dialog in self._watched.values():
                self._send(self._notify(dialog, "active;expires=60", "open" if dialog.cseq % 2 else "closed"))

    def close(self):
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.reconnect()
