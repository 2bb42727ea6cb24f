"""A TCP proxy that breaks real connections to real servers, in the ways that networks do.

It stands before the legacy gateway or the pool. Its receive buffer is as small
as the kernel allows, so that what it has not read is, but for a few kilobytes,
not acknowledged to the sender's TCP either.
"""

import asyncio
import socket
import struct
import threading

from lab.inbox import WAIT

LINGER_RESET = struct.pack("ii", 1, 0)
CHUNK = 2048


class Pair:
    """A client's connection and ours to the server behind it."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.tasks = []
        self.tail = b""  # the end of what went to the server, for a pattern cut in two by packets


class Chaos:
    """A method sets the way of breaking, until the next one does; forward() is whole again."""

    def __init__(self, loop, address, port, target, source):
        """source: the address that the server sees connections come from, that of the client proper."""
        self._loop, self._address, self._target, self._source = loop, (address, port), target, source
        self._listener, self._pairs, self._tasks = None, set(), set()
        self._changed = threading.Condition()
        self.connections, self._buffer = 0, 1
        loop.call(self._set())

    # ---- ways

    def widen(self):
        """For much traffic: the receive buffer of new connections is an ordinary one."""
        self._buffer = 1 << 16
        if self._listener:
            self._listener[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)

    def forward(self):
        """Everything passes."""
        self._loop.call(self._set())

    def refuse(self):
        """Connections are refused, and those that exist are reset."""
        self._loop.call(self._refuse())

    def reset(self):
        """Existing connections are reset; new ones pass."""
        self._loop.call(self._reset_all())

    def stall(self):
        """Connections are accepted, and nothing moves on any."""
        self._loop.call(self._set(moving=False))

    def slow(self, bytes_per_second):
        """Bytes towards the server trickle."""
        self._loop.call(self._set(rate=bytes_per_second))

    def swallow(self):
        """What the server answers does not arrive, nor that it has gone, until a reset; what is sent to it does."""
        self._loop.call(self._set(hearing=False))

    def cut_after(self, count):
        """So many more bytes reach the server; then the connection is reset, and all is whole again."""
        self._loop.call(self._set(left=count))

    def cut_at(self, pattern, keep):
        """Likewise, when these bytes come by first: `keep` bytes from their beginning reach the server."""
        self._loop.call(self._set(pattern=pattern, keep=keep))

    async def _set(self, moving=True, hearing=True, rate=0, left=None, pattern=None, keep=0):
        self._rate, self._left, self._pattern, self._keep = rate, left, pattern, keep
        self._moving = getattr(self, "_moving", None) or asyncio.Event()
        self._hearing = getattr(self, "_hearing", None) or asyncio.Event()
        for event, on in ((self._moving, moving), (self._hearing, hearing)):
            event.set() if on else event.clear()
        if self._listener is None:
            self._listen()

    # ---- waiting

    def wait_cut(self, timeout=WAIT):
        """Return when cut_after or cut_at has done its work."""
        self._wait(lambda: self._left is None and self._pattern is None, timeout, "nothing came by to be cut off")

    def wait_connections(self, count, timeout=WAIT):
        """Return when so many connections have come in since the start."""
        self._wait(lambda: self.connections >= count, timeout, "too few connections came in")

    def _wait(self, reached, timeout, complaint):
        with self._changed:
            if not self._changed.wait_for(reached, timeout):
                raise AssertionError(f"{complaint} in {timeout:g} s")

    def _note(self):
        with self._changed:
            self._changed.notify_all()

    # ---- connections

    def _listen(self):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        listener.setblocking(False)
        listener.bind(self._address)
        listener.listen(64)
        self._listener = (listener, self._spawn(self._accept(listener)))

    def _spawn(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, listener):
        here = asyncio.get_running_loop()
        while True:
            client, _ = await here.sock_accept(listener)
            self.connections += 1
            self._note()
            pair = Pair(client, socket.socket())
            pair.server.bind((self._source, 0))
            self._pairs.add(pair)
            pair.tasks.append(self._spawn(self._serve(pair)))

    async def _serve(self, pair):
        here = asyncio.get_running_loop()
        for end in (pair.client, pair.server):
            end.setblocking(False)
        try:
            await self._moving.wait()
            await here.sock_connect(pair.server, self._target)
            back = self._spawn(self._carry(pair.server, pair.client, self._hear))
            pair.tasks.append(back)
            cut = await self._carry(pair.client, pair.server, lambda data: self._inspect(pair, data), slow=True)
            if not cut:
                await back
        except OSError:
            pass
        self._spawn(self._reset(pair))

    async def _carry(self, source, sink, inspect, slow=False):
        """Returns True when the rule says to cut, False at the end of the source."""
        here = asyncio.get_running_loop()
        while True:
            await self._moving.wait()
            rate = self._rate if slow else 0
            data = await here.sock_recv(source, max(rate // 10, 1) if rate else CHUNK)
            if not data:
                if not slow:
                    await self._hearing.wait()
                sink.shutdown(socket.SHUT_WR)
                return False
            await self._moving.wait()
            passing, cut = inspect(data)
            await here.sock_sendall(sink, passing)
            if cut:
                return True
            if rate:
                await asyncio.sleep(len(data) / rate)

    def _hear(self, data):
        return (data if self._hearing.is_set() else b""), False

    def _inspect(self, pair, data):
        """(what may pass, whether the connection is cut behind it)"""
        if self._pattern is not None:
            at = (pair.tail + data).find(self._pattern) - len(pair.tail)
            if at >= -len(pair.tail):
                self._left, self._pattern = max(at + self._keep, 0), None
            pair.tail = (pair.tail + data)[-64:]
        if self._left is None:
            return data, False
        passing = data[:self._left]
        self._left -= len(passing)
        if self._left > 0:
            return passing, False
        self._left = None
        self._note()
        return passing, True

    async def _reset(self, pair):
        """End the connection with a reset on both sides."""
        if pair not in self._pairs:
            return
        self._pairs.discard(pair)
        tasks = [task for task in pair.tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in (pair.client, pair.server):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
            end.close()

    async def _reset_all(self):
        self._hearing.set()
        for pair in list(self._pairs):
            await self._reset(pair)

    async def _refuse(self):
        if self._listener is not None:
            listener, accepting = self._listener
            self._listener = None
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            listener.close()
        await self._reset_all()

    def close(self):
        self._loop.call(self._refuse())
