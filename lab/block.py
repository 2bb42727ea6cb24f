"""A block of loopback addresses, 127.77.N.0/24, that belongs to one lab alone.

The lock is a bound abstract Unix socket: the kernel frees it with the process
that holds it, and it is seen exactly as far as the addresses are, in one
network namespace. A lock file would know neither.

Nobody else may have a socket there: what one lab leaves behind would answer, or
swallow, what the next one sends. So a block that is not empty is not taken, and
a lab that does not leave its block empty has failed.
"""

import errno
import os
import socket
import time

HOSTS = {
    "dns-outside": 53,
    "dns-inside": 54,
    "partner": 11,
    "legacy": 12,
    "external": 40,
    "internal": 41,
    "sip": 42,
    "legacy-proxy": 45,
    "pool-proxy": 46,
    "pool": 60,
    "legacy-pool": 62,
    "sipp": 61,
    "dns-signed": 55,
    "front": 56,
    "front-proxy": 57,
    "raw": 70,
    "stranger": 71,
    "nobody": 99,
}
FIRST_USER = 100
BLOCKS = range(1, 255)
WAIT = 10.0
# /proc/net/tcp: connections that no program holds any more end by themselves.
HELD = ("01", "02", "03", "07", "08", "0A")


class Block:
    """Addresses by role: block.address("partner") is "127.77.N.11"."""

    def __init__(self):
        self.number, self._lock = self._take()
        self._users = FIRST_USER

    @staticmethod
    def _take():
        for number in BLOCKS:
            lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                lock.bind(f"\0poolbridge-lab/127.77.{number}.0")
                if not sockets_in(number):
                    return number, lock
                lock.close()
            except OSError as error:
                lock.close()
                if error.errno != errno.EADDRINUSE:
                    raise
        raise RuntimeError("every block of loopback addresses is taken by another lab")

    def address(self, role):
        return f"127.77.{self.number}.{HOSTS[role]}"

    def user_address(self):
        """An address of its own for one SIP user."""
        self._users += 1
        return f"127.77.{self.number}.{self._users}"

    def release(self):
        """Raises AssertionError when somebody still has a socket there."""
        deadline = time.monotonic() + WAIT
        try:
            while left := sockets_in(self.number):
                if time.monotonic() > deadline:
                    raise AssertionError("the lab has left sockets behind:\n" +
                                         "\n".join(f"{name} of {owner(inode)}" for name, inode in left.items()))
                time.sleep(0.02)
        finally:
            self._lock.close()


def sockets_in(number):
    """{"tcp 127.77.N.60:5060 listens": inode}: who has an address of a block."""
    wanted, found = f"{number:02X}4D7F", {}
    for protocol in ("tcp", "udp"):
        with open(f"/proc/net/{protocol}", encoding="ascii") as table:
            for line in table.readlines()[1:]:
                fields = line.split()
                local, remote, state, inode = fields[1], fields[2], fields[3], int(fields[9])
                if local[2:8] == wanted and (state in HELD) and inode:
                    found[f"{protocol} {_readable(local)} {'listens' if state in ('0A', '07') else _readable(remote)}"] = inode
    return found


def _readable(address):
    host, _, port = address.partition(":")
    return ".".join(str(part) for part in reversed(bytes.fromhex(host))) + f":{int(port, 16)}"


def owner(inode):
    """The process that holds a socket: "pid 1234 (kamailio ...)"."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{fd}") == f"socket:[{inode}]":
                    with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as words:
                        return f"pid {pid} ({words.read()[:100]})".replace("\0", " ")
        except OSError:
            continue
    return "nobody"
