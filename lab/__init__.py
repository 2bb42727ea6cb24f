"""The lab: real servers on loopback with poolbridge between them.

A partner (Prosody or ejabberd), the legacy gateway (another Prosody), the new
pool (Kamailio), DNS in two views, users of both kinds, and proxies that break
connections. ./quickstart shows it; tests/functional/ uses it.

Each lab has its own block of loopback addresses, its own temporary folder and
its own processes, so several run side by side. Nothing outlives the program
that made the lab, however that ends.
"""

from lab.lab import Lab

__all__ = ["Lab"]
