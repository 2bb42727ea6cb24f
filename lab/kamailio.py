"""Kamailio: the new pool, and the legacy pool's SIP side.

A registrar in memory for the local domains and a static route that sends every
other domain to poolbridge. lab/pool.cfg is the configuration; here is what
differs from pool to pool.

Without a legacy pool of its own, the new one plays it at a second address: the
same users, but what comes in there is marked with a header, so that a test sees
which door it took.
"""

import os
import re
import shutil
import subprocess

from lab.process import WAIT, Process
from lab.sip_user import SipUser

CONFIG = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pool.cfg")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

TLS_CONFIG = """\
[server:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
certificate = {certificate}
private_key = {key}
ca_list = {ca}
[client:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
certificate = {certificate}
private_key = {key}
ca_list = {ca}
"""


class Kamailio:
    def __init__(self, lab, domains, role="pool", legacy=None, silence_ms=3000, presence=False, categories=False,
                 sibling=False, users=(), tls=None, route_transport=None):
        """
        legacy: the role of a second address, which marks what comes in with X-Pool: legacy.
        silence_ms: what a user's program leaves unanswered this long is answered 408.
        presence: it is a presence server, and Microsoft's clients can log in; categories: they see OCS 2007
        and use its presence and m=message, else OCS 2005.
        sibling: users of our domains that never registered here and are not among users (addresses) are
        looked for by way of poolbridge.
        tls: (certificate, key, CA): PEM files, for port 5061.
        route_transport: "udp", "tcp" or "tls" to poolbridge; without, as the request came in.
        """
        self.lab, self.role, self.address = lab, role, lab.block.address(role)
        self._users, self._folder = users, os.path.join(lab.folder, role)
        os.makedirs(self._folder, exist_ok=True)
        words = {"ADDRESS": self.address, "BRIDGE": lab.block.address("sip"), "FOLDER": self._folder,
                 "SILENCE_MS": silence_ms}
        if legacy:
            words["LEGACY"] = lab.block.address(legacy)
        if route_transport:
            words |= {"ROUTE_TRANSPORT": route_transport, "ROUTE_PORT": 5061 if route_transport == "tls" else 5060}
        if tls:
            with open(os.path.join(self._folder, "tls.cfg"), "w", encoding="utf-8") as out:
                out.write(TLS_CONFIG.format(certificate=tls[0], key=tls[1], ca=tls[2]))
        features = {"LEGACY": legacy, "PRESENCE": presence, "CATEGORIES": categories, "SIBLING": sibling,
                    "TLS": tls, "ROUTE_TRANSPORT": route_transport}
        self.config = os.path.join(self._folder, "kamailio.cfg")
        with open(CONFIG, encoding="utf-8") as file:
            text = re.sub(r"@([A-Z_]+)@", lambda match: str(words.get(match[1], "")), file.read())
        with open(self.config, "w", encoding="utf-8") as out:
            out.write("\n".join(
                ["#!KAMAILIO"] + [f"#!define WITH_{name}" for name, wanted in features.items() if wanted] +
                [f'alias="{domain}"' for domain in domains] + [text]))
        self.start()

    def start(self):
        program = shutil.which("kamailio", path=PATH)
        self.process = Process(
            self.role, [program or "kamailio", "-DD", "-E", "-f", self.config, "-m", "64", "-M", "8",
                        "-w", self._folder, "-Y", self._folder],
            self.lab.folder, self.lab.guard)
        SipUser.wait_for_server(self.lab.loop, self.lab.block, self.address, self.process)
        for user in self._users:
            self.own(user)

    def stop(self):
        return self.process.stop()

    def restart(self):
        """Registrations, subscriptions and publications are in memory: users register again afterwards."""
        self.stop()
        self.start()

    # ---- whose user somebody is, for a pool with a sibling

    def own(self, user):
        self._command("htable.sets", "users", user, "1")

    def disown(self, user):
        """The user has moved away: forgotten, registrations and all."""
        self._command("htable.delete", "users", user)
        self._command("ul.rm", "location", user)

    def published(self):
        """The addresses of users whose presence is there to be seen."""
        text = self._command("presence.presentity_list")
        return {"@".join(pair) for pair in re.findall(r"user: (\S+)\s+domain: (\S+)", text)}

    def _command(self, *words):
        done = subprocess.run([shutil.which("kamcmd", path=PATH) or "kamcmd", "-s", f"unix:{self._folder}/ctl", *words],
                              capture_output=True, text=True, timeout=WAIT, check=False)
        return done.stdout + done.stderr
