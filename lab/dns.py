"""DNS on loopback: one dnsmasq for each of the two views.

Outside is what a partner sees, inside what the legacy gateway sees. Port 5353,
so that no privilege is needed; every server of the lab can be told the port.
"""

import os

from lab.process import Process

PORT = 5353


class Zone:
    """What a view answers: the XMPP service of each domain, and addresses of hosts."""

    def __init__(self):
        self.lines = []

    def service(self, domain, address, name="xmpp", priority=0, service="xmpp-server", port=5269):
        host = f"{name}.{domain}"
        self.host(host, address)
        self.lines.append(f"srv-host=_{service}._tcp.{domain},{host},{port},{priority},5")

    def host(self, name, address):
        # host-record answers AAAA with an empty answer; address= would deny the name.
        self.lines.append(f"host-record={name},{address}")

    def no_service(self, domain):
        """The domain says that it has no XMPP service (RFC 2782: target ".")."""
        self.lines.append(f"srv-host=_xmpp-server._tcp.{domain},.,0")


class Dns:
    def __init__(self, lab, role, zone):
        self.address, self.port = lab.block.address(role), PORT
        config = os.path.join(lab.folder, role + ".conf")
        with open(config, "w", encoding="utf-8") as out:
            out.write("\n".join([
                "no-resolv", "no-hosts", "no-poll", "bind-interfaces", "cache-size=0", "local-ttl=1",
                "local=/test/", "log-facility=-", "pid-file=", f"port={PORT}",
                f"listen-address={self.address}", "user=", "group="] + zone.lines) + "\n")
        self._start = lambda: Process(role, ["dnsmasq", "--keep-in-foreground", f"--conf-file={config}"], lab.folder,
                                      lab.guard)
        self.start()

    def start(self):
        """Again, after process.kill()."""
        self.process = self._start()
        self.process.wait_line("started, version")
