"""A SIP user: registers at the pool, sends MESSAGE requests, and answers those that come.

Over UDP it retransmits and recognises retransmissions, so that a request which
comes twice is seen twice only when it really was sent twice.
"""

import asyncio
import secrets
import socket
import time

from lab import sip_message
from lab.inbox import WAIT, Inbox

PORT = 5060
PHRASES = {200: "OK", 202: "Accepted", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 410: "Gone",
           415: "Unsupported Media Type", 480: "Temporarily Unavailable", 486: "Busy Here",
           500: "Server Internal Error", 503: "Service Unavailable", 603: "Decline"}
TIMER_1, TIMER_2, TRANSACTION = 0.5, 4.0, 32.0


class Request:
    """A received request, and when it came."""

    def __init__(self, sip, write):
        self.at, self.sip, self.write = time.monotonic(), sip, write
        self.method, self.body = sip.method, sip.text
        self.sender = between(sip.header("from"), "<", ">")

    def header(self, name):
        return self.sip.header(name)

    def __str__(self):
        return str(self.sip)


class SipUser:
    """Set .reply to a status, or to None for silence, or to a function of the request giving (status, headers)."""

    def __init__(self, loop, block, address, server, transport="udp", register=True, host=None):
        self.address, self.transport, self.reply, self.display = address, transport, 200, ""
        self.host, self._server, self._loop = host or block.user_address(), server, loop
        self.inbox = Inbox("sip:" + address)
        self._waiting, self._answers = {}, {}
        self._closers, self._udp, self._stream = [], None, None
        self._sequence = 0
        loop.owns(self)
        loop.call(self._open())
        if register:
            self.register()

    async def _open(self):
        here = asyncio.get_running_loop()
        if self.transport == "udp":
            self._udp, _ = await here.create_datagram_endpoint(lambda: Datagrams(self), (self.host, PORT))
            self._closers.append(self._udp)
        else:
            listener = await asyncio.start_server(self._serve, self.host, PORT)
            self._closers.append(listener)

    # ---- receiving

    async def _serve(self, reader, writer):
        """One TCP connection, whoever opened it."""
        self._closers.append(writer)
        buffer = b""
        try:
            while data := await reader.read(65536):
                buffer += data
                while True:
                    sip, buffer = sip_message.take(buffer)
                    if sip is None:
                        break
                    self._received(sip, writer.write)
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _received(self, sip, write):
        if sip.is_response:
            waiter = self._waiting.get(sip.branch)
            if waiter and not waiter.done() and sip.status >= 200:
                waiter.set_result(sip)
            return
        if sip.branch in self._answers:
            if self._answers[sip.branch]:
                write(self._answers[sip.branch])
            return
        request = Request(sip, write)
        status, headers = self._choose(request)
        self._answers[sip.branch] = None
        if status is not None:
            self._answer(request, status, headers)
        self.inbox.put(request)

    def _answer(self, request, status, headers=()):
        answer = sip_message.answer(request.sip, status, PHRASES.get(status, "Status"), headers).encode()
        self._answers[request.sip.branch] = answer
        request.write(answer)

    def answer(self, request, status=200):
        """The late answer to a request that .reply was silent about."""
        async def late():
            self._answer(request, status)
        self._loop.call(late())

    def _choose(self, request):
        if callable(self.reply):
            return self.reply(request)
        return self.reply, ()

    # ---- sending

    async def _connect(self):
        if self._stream is None or self._stream.is_closing():
            reader, writer = await asyncio.open_connection(*self._server, local_addr=(self.host, 0))
            self._stream = writer
            asyncio.ensure_future(self._serve(reader, writer))
        return self._stream

    async def _exchange(self, sip):
        """Send a request and return its final response; TimeoutError after the transaction's time."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[sip.branch] = waiter
        try:
            if self.transport == "tcp":
                (await self._connect()).write(sip.encode())
                return await asyncio.wait_for(waiter, TRANSACTION)
            return await self._retransmit(sip, waiter)
        finally:
            del self._waiting[sip.branch]

    async def _retransmit(self, sip, waiter):
        interval, left = TIMER_1, TRANSACTION
        while left > 0:
            self._udp.sendto(sip.encode(), self._server)
            try:
                return await asyncio.wait_for(asyncio.shield(waiter), min(interval, left))
            except asyncio.TimeoutError:
                left -= interval
                interval = min(interval * 2, TIMER_2)
        raise TimeoutError(f"{self.address}: no final response to {sip.start}")

    def _request(self, method, uri, to, headers, body=b"", call_id=None):
        self._sequence += 1
        transport = self.transport.upper()
        return sip_message.Sip(f"{method} {uri} SIP/2.0", [
            ("via", f"SIP/2.0/{transport} {self.host}:{PORT};branch=z9hG4bK{secrets.token_hex(8)}"),
            ("max-forwards", "70"),
            ("from", f"{self.display}<sip:{self.address}>;tag={secrets.token_hex(4)}"),
            ("to", f"<{to}>"),
            ("call-id", call_id or f"{secrets.token_hex(8)}@{self.host}"),
            ("cseq", f"{self._sequence} {method}"),
        ] + list(headers), body)

    def register(self):
        domain = self.address.partition("@")[2]
        contact = f"<sip:{self.host}:{PORT};transport={self.transport}>"
        sip = self._request("REGISTER", "sip:" + domain, "sip:" + self.address,
                            [("contact", contact), ("expires", "3600")])
        response = self._loop.call(self._exchange(sip), TRANSACTION + 5)
        if response.status != 200:
            raise RuntimeError(f"{self.address}: the pool refused to register: {response.start}")

    def connect_to(self, pool):
        """What is sent from now on goes to this Kamailio."""
        self._server = (pool.address, PORT)

    def start_send(self, to, body, headers=(), call_id=None, content_type="text/plain;charset=UTF-8"):
        """Send a MESSAGE without waiting; .result() of what is returned is the final response."""
        data = body if isinstance(body, bytes) else body.encode("utf-8")
        sip = self._request("MESSAGE", "sip:" + to, "sip:" + to, [("content-type", content_type)] + list(headers),
                            data, call_id)
        return self._loop.start(self._exchange(sip))

    def send(self, to, body, **options):
        """Send a MESSAGE and return the final response."""
        return self.start_send(to, body, **options).result(TRANSACTION + 5)

    def send_again(self, to, body, call_id, number):
        """A MESSAGE that is the same as another of that Call-ID and number, as far as its receiver can tell."""
        sip = self._request("MESSAGE", "sip:" + to, "sip:" + to, [("content-type", "text/plain")], body.encode("utf-8"),
                            call_id)
        replaced = {"from": f"<sip:{self.address}>;tag={call_id}", "cseq": f"{number} MESSAGE"}
        sip.headers = [(name, replaced.get(name, value)) for name, value in sip.headers]
        return self._loop.call(self._exchange(sip), TRANSACTION + 5)

    def ask(self, method, to):
        """Send a request without a body and return the final response; by TCP, where nothing comes again."""
        sip = self._request(method, "sip:" + to, "sip:" + to, [("contact", f"<sip:{self.host};transport=tcp>")])
        return self._loop.call(self._exchange(sip), TRANSACTION + 5)

    def wait_message(self, body, timeout=WAIT):
        return self.inbox.wait(lambda r: r.method == "MESSAGE" and r.body == body, timeout)

    def close(self):
        async def end():
            for closer in self._closers:
                closer.close()

        self._loop.call(end())

    @classmethod
    def wait_for_server(cls, loop, block, server, process):
        """Return when the SIP server answers OPTIONS by UDP and by TCP."""
        for transport in ("tcp", "udp"):
            probe = cls(loop, block, "probe@lab.test", (server, PORT), transport, register=False)
            try:
                loop.call(probe._probe(process), TRANSACTION)
            finally:
                probe.close()

    async def _probe(self, process):
        # Before the server listens, the kernel refuses at once: ask again until it answers.
        while process.running():
            server = f"sip:{self._server[0]}:{PORT}"
            sip = self._request("OPTIONS", server, server, [])
            try:
                await asyncio.wait_for(self._exchange(sip), 1.0)
                return
            except (OSError, asyncio.TimeoutError):
                await asyncio.sleep(0.02)
        raise RuntimeError(f"{process.name} ended at its start\n{process.tail()}")


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, user):
        self._user = user

    def connection_made(self, transport):
        self._transport = transport
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    def datagram_received(self, data, source):
        sip, _ = sip_message.take(data)
        if sip is not None:
            self._user._received(sip, lambda answer: self._transport.sendto(answer, source))


def between(text, start, end):
    return text.partition(start)[2].partition(end)[0]
