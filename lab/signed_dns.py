"""A DNS server (nsd) with one zone that DNSSEC proves, for poolbridge alone."""

import os
import subprocess

PORT = 5353

HEAD = """\
$ORIGIN {zone}.
$TTL 60
@ IN SOA ns hostmaster 1 3600 900 86400 60
@ IN NS ns
ns IN A {address}
"""

CONFIG = """\
server:
    ip-address: {address}@{port}
    server-count: 1
    username: ""
    database: ""
    zonesdir: "{folder}"
    pidfile: ""
    xfrdfile: ""
    xfrdir: "{folder}"
    zonelistfile: ""
remote-control:
    control-enable: no
zone:
    name: {zone}
    zonefile: signed
"""


class SignedDns:
    """.resolver and .anchor are what poolbridge's options dns.resolver and dns.trust_anchor want."""

    def __init__(self, lab, zone, records):
        """records: lines of the zone file."""
        address, folder = lab.block.address("dns-signed"), os.path.join(lab.folder, "dns-signed")
        os.makedirs(folder)
        write(os.path.join(folder, "zone"), HEAD.format(zone=zone, address=address) + "\n".join(records) + "\n")
        key = subprocess.run(["ldns-keygen", "-a", "ECDSAP256SHA256", "-k", zone], cwd=folder, check=True,
                             capture_output=True, text=True).stdout.strip()
        subprocess.run(["ldns-signzone", "-f", "signed", "-o", zone, "zone", key], cwd=folder, check=True)
        config = os.path.join(folder, "nsd.conf")
        write(config, CONFIG.format(address=address, port=PORT, folder=folder, zone=zone))
        self.resolver, self.anchor = f"{address}@{PORT}", os.path.join(folder, key + ".ds")
        process = lab.run("dns-signed", ["nsd", "-d", "-c", config])
        process.wait_line("nsd started")


def write(path, text):
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
