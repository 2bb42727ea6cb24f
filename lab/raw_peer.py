"""A partner's server that says what a test tells it to: bytes in, bytes out, without TLS.

It vouches for its domain by itself: whoever asks whether a dialback key is its
own hears that it is.
"""

import contextlib
import queue
import re
import socket
import threading

WAIT = 20.0

HEADER = ("<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
          "xmlns:stream='http://etherx.jabber.org/streams' {} version='1.0'>")
FEATURES = ("<stream:features><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>{}"
            "</stream:features>")
SM = "<sm xmlns='urn:xmpp:sm:3'/>"


class Ended(AssertionError):
    pass


class RawStream:
    """One stream, whoever opened it."""

    def __init__(self, connection, domain, local):
        self._connection, self.domain, self.local, self.heard = connection, domain, local, ""
        connection.settimeout(WAIT)

    def send(self, text):
        self._connection.sendall(text.encode())

    def wait(self, pattern):
        """The next match in what comes in; what is before and in it is used up. Ended when the stream is over."""
        while True:
            match = re.search(pattern, self.heard)
            if match:
                self.heard = self.heard[match.end():]
                return match
            more = self._connection.recv(65536)
            if not more:
                raise Ended(f"the stream is over; waited for {pattern}, have {self.heard}")
            self.heard += more.decode()

    # ---- XEP-0198

    def enable(self):
        self.send("<enable xmlns='urn:xmpp:sm:3'/>")
        self.wait("<enabled [^>]*/>")

    def request(self):
        self.send("<r xmlns='urn:xmpp:sm:3'/>")

    def wait_h(self):
        """The next acknowledgement. It comes at once, and again when all that was asked about is in other hands."""
        return int(self.wait("<a [^>]*h=['\"]([0-9]+)['\"]").group(1))

    def count(self):
        self.request()
        return self.wait_h()

    def wait_count(self, wanted):
        h = self.count()
        while h < wanted:
            h = self.wait_h()

    def acknowledge(self, h):
        self.send(f"<a xmlns='urn:xmpp:sm:3' h='{h}'/>")

    # ---- stanzas

    def wait_bodies(self, count):
        return [self.wait(r"<body>([^<]*)</body>").group(1) for _ in range(count)]

    def rest(self):
        """All that comes until the other side closes the connection."""
        try:
            while True:
                more = self._connection.recv(65536)
                if not more:
                    break
                self.heard += more.decode()
        except ConnectionResetError:
            pass
        return self.heard

    def break_off(self):
        """Gone without a word, as a killed server."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._connection.close()

    def close(self):
        self._connection.close()

    def message(self, number, to, sender="raw"):
        self.send(f"<message from='{sender}@{self.domain}' to='{to}' type='chat' id='{number}'>"
                  f"<body>{number}</body></message>")


class RawPeer:
    """
    Listens at the lab's address "raw" for streams to its domain. Those that only ask about a key are answered;
    those that bring stanzas come out of accept(), trusted, with XEP-0198 enabled where it is offered.
    """

    def __init__(self, lab, domain, sm=True):
        self.lab, self.domain = lab, domain
        self._streams, self._open = queue.Queue(), []
        self.offer(sm)
        lab.at_close(self.close)
        self.listen()

    def offer(self, sm):
        self._features = FEATURES.format(SM if sm else "")

    def listen(self):
        self._listener = socket.create_server((self.lab.block.address("raw"), 5269), reuse_port=False)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self):
        """No new connections from now on."""
        if self._listener:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self._listener = None

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        stream = RawStream(connection, self.domain, None)
        try:
            local = stream.wait(r"<stream:stream [^>]*from='([^']*)'").group(1)
            stream.wait(">")
            stream.local = local
            stream.send(HEADER.format(f"id='raw-{id(stream)}' from='{self.domain}' to='{local}'") + self._features)
            while True:
                asked = stream.wait(r"<db:(result|verify)([^>]*)>[^<]*</db:\1>")
                number = re.search(r" id='[^']*'", asked.group(2))
                stream.send(f"<db:{asked.group(1)} from='{self.domain}' to='{local}'"
                            f"{number.group(0) if number else ''} type='valid'/>")
                if asked.group(1) == "result":
                    break
            if SM in self._features:
                stream.wait("<enable [^>]*/>")
                stream.send("<enabled xmlns='urn:xmpp:sm:3'/>")
            self._streams.put(stream)
        except (Ended, OSError):
            pass

    def accept(self):
        return self._streams.get(timeout=WAIT)

    def none_came(self):
        return self._streams.empty()

    def connect(self, local="corp.test"):
        """A stream of our own to the external edge, trusted by dialback."""
        stream = RawStream(socket.create_connection((self.lab.block.address("external"), 5269), timeout=WAIT),
                           self.domain, local)
        stream.send(HEADER.format(f"from='{self.domain}' to='{local}'"))
        stream.wait("</stream:features>")
        stream.send(f"<db:result from='{self.domain}' to='{local}'>0123</db:result>")
        stream.wait("type='valid'")
        return stream

    def close(self):
        self.refuse()
        for connection in self._open:
            # close() alone would not end a connection that another thread reads from.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
