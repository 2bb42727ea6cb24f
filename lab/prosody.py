"""Prosody: the partner's server, and the legacy gateway.

Facts that shape the configuration: it refuses to run as root unless told so;
its resolver, libunbound, answers for "test." by itself unless the zone is made
transparent; Debian's default limits and Nagle's algorithm would slow a stream
with small writes.
"""

import os

from lab import certificates
from lab.process import Process

PASSWORD = "secret"
PLUGINS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "plugins")

CONFIG = """\
run_as_root = true
pidfile = "{folder}/pid"
data_path = "{folder}/data"
log = {{ {{ levels = {{ min = "{log}" }}, to = "console" }} }}
interfaces = {{ "{address}" }}; use_ipv6 = false
c2s_ports = {{ 5222 }}; s2s_ports = {{ 5269 }}
c2s_direct_tls_ports = {{}}; s2s_direct_tls_ports = {{ {direct_tls} }}
unbound = {{
    resolvconf = false; hoststxt = false; forward = "{dns_address}@{dns_port}";
    options = {{ ["do-not-query-localhost:"] = "no"; ["local-zone:"] = "test. transparent" }};
}}
network_settings = {{ nagle = false }}
limits = {{}}
c2s_stanza_size_limit = 1024 * 1024; s2s_stanza_size_limit = 1024 * 1024
modules_enabled = {{
    "roster", "saslauth", "tls", "disco", "ping", "presence", "message", "iq",
    "version", "vcard", "offline", "trusted_address"{modules}
}}
modules_disabled = {{ {without} }}
smacks_s2s_resend = {resend}
plugin_paths = {{ "{plugins}" }}
trusted_addresses = {{ {trusted} }}
authentication = "internal_plain"; storage = "internal"
c2s_require_encryption = false; allow_unencrypted_plain_auth = true
s2s_secure_auth = {certified}; s2s_timeout = 5
s2s_require_encryption = {require}; s2s_allow_encryption = {allow}
ssl = {{ certificate = "{certificate}"; key = "{key}"{ca} }}
{certificates}
component_interfaces = {{ "{address}" }}; component_ports = {{ {components} }}
"""
# What has to be switched on or off by name.
MODULES = ("dialback", "s2s_bidi", "smacks")


class Prosody:
    def __init__(self, lab, role, domains, users, dns, tls, trusted=(), federation=None, modules=(), log="info",
                 components=None):
        """
        domains: the first names the certificate. users: addresses; all have PASSWORD.
        tls: "required", "optional" or "none" towards other servers.
        trusted: addresses of servers that need no dialback. federation: certificates that count.
        modules: further ones, "smacks" or "s2s_bidi"; "resend": what was not acknowledged is sent again (with
        smacks), rather than answered with an error. log: the least level.
        components: {domain: secret}, served at port 5347.
        """
        self.lab, self.role, self.address = lab, role, lab.block.address(role)
        self.folder = os.path.join(lab.folder, role)
        os.makedirs(os.path.join(self.folder, "data"), exist_ok=True)
        for user in users:
            self._add_user(user)
        certificate, key = certificates.make(self.folder, domains[0])
        certified = federation is not None and not federation.dialback
        resend = lua("resend" in modules)
        modules = [name for name in MODULES if name in modules or name == "dialback" and not certified]
        self.config = os.path.join(self.folder, "prosody.cfg.lua")
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(CONFIG.format(
                folder=self.folder, address=self.address, dns_address=dns.address, dns_port=dns.port,
                plugins=PLUGINS, trusted=", ".join(f'"{address}"' for address in trusted),
                require=lua(tls == "required"), allow=lua(tls != "none"), certificate=certificate, key=key,
                log=log, certified=lua(certified), resend=resend, modules="".join(f', "{name}"' for name in modules),
                without=", ".join(f'"{name}"' for name in MODULES if name not in modules),
                ca=f'; cafile = "{federation.trusted}"; capath = false' if federation else "",
                # By SNI, on the port for direct TLS; the virtual host's own settings count for STARTTLS only.
                certificates=f'certificates = "{federation.folder_of_partner}"' if federation else "",
                direct_tls="5270" if federation and federation.direct_tls else "",
                components="5347" if components else ""))
            for domain in domains:
                out.write(f'VirtualHost "{domain}"\n')
                if federation and domain in federation.of_partner:
                    out.write('    ssl = {{ certificate = "{}"; key = "{}" }}\n'.format(*federation.of_partner[domain]))
            for domain, secret in (components or {}).items():
                out.write(f'Component "{domain}"\n    component_secret = "{secret}"\n    modules_enabled = {{ "dialback" }}\n')
        self.start()

    def _add_user(self, address):
        # The file that "prosodyctl register" would write; writing it takes no second.
        local, domain = address.split("@")
        folder = os.path.join(self.folder, "data", encode(domain), "accounts")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, encode(local) + ".dat"), "w", encoding="utf-8") as out:
            out.write(f'return {{ ["password"] = "{PASSWORD}"; }};\n')

    def start(self):
        self.process = Process(self.role, ["prosody", "-F", "--config", self.config], self.lab.folder, self.lab.guard)
        self.process.wait_line("Activated service 'c2s'")
        self.process.wait_line("Activated service 's2s'")

    def stop(self):
        return self.process.stop()

    def restart(self):
        self.stop()
        self.start()


def encode(name):
    """Prosody's names of files: all but letters and digits as %xx."""
    return "".join(c if c.isascii() and c.isalnum() else "".join(f"%{b:02x}" for b in c.encode()) for c in name)


def lua(truth):
    return "true" if truth else "false"
