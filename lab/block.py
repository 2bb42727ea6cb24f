"""A block of loopback addresses, 127.77.N.0/24, that belongs to one lab alone.

The lock is a bound abstract Unix socket: the kernel frees it with the process
that holds it, and it is seen exactly as far as the addresses are, in one
network namespace. A lock file would know neither.
"""

import errno
import socket

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
                return number, lock
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
        self._lock.close()
