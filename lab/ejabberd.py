"""ejabberd: another partner's server, or another legacy gateway.

The Erlang virtual machine is started directly, without distribution: no epmd,
no second port, no change of user. SRV records come from the lab's DNS, but the
addresses of their targets from libc, which knows neither the DNS server nor its
port: nss_wrapper gives this one process a hosts file of its own.
"""

import glob
import os

from lab import certificates
from lab.process import Process

CONFIG = """\
hosts:
{hosts}
loglevel: info
certfiles:
{pems}{ca}
s2s_use_starttls: {tls}
s2s_access: all
s2s_max_retry_delay: 2
outgoing_s2s_families: [ipv4]
auth_method: anonymous
anonymous_protocol: login_anon
allow_multiple_connections: true
acme:
  auto: false
listen:
  -
    port: 5222
    ip: "{address}"
    module: ejabberd_c2s
    starttls: false
  -
    port: 5269
    ip: "{address}"
    module: ejabberd_s2s_in
    backlog: 128
    max_stanza_size: 524288
{components}modules:
  mod_disco: {{}}
  mod_ping: {{}}
  mod_roster: {{}}
{dialback}"""

COMPONENTS = """\
  -
    port: 5347
    ip: "{address}"
    module: ejabberd_service
    global_routes: false
    hosts:
{hosts}"""

INETRC = """\
{{lookup, [file, dns]}}.
{{resolv_conf, ""}}.
{{hosts_file, ""}}.
{{host, {{127,0,0,1}}, ["localhost"]}}.
{{nameserver, {{{nameserver}}}, {port}}}.
"""


class Ejabberd:
    """Anybody may log in with any password; users are known while they are logged in."""

    def __init__(self, lab, role, domains, hosts, dns, tls, federation=None, components=None):
        """
        hosts: {name: address} of the SRV records' targets. tls: "required", "optional" or "none".
        federation: certificates that count. components: {domain: secret}, served at port 5347.
        """
        self.lab, self.role, self.address = lab, role, lab.block.address(role)
        self.folder = os.path.join(lab.folder, role)
        os.makedirs(os.path.join(self.folder, "spool"), exist_ok=True)
        pairs = list(federation.of_partner.items()) if federation else []
        pems = []
        for domain, (certificate, key) in pairs + [("own", certificates.make(self.folder, domains[0]))]:
            pems.append(self._path(domain + ".pem"))
            write(pems[-1], read(certificate) + read(key))
        write(self._path("ejabberd.yml"), CONFIG.format(
            hosts="\n".join(f'  - "{domain}"' for domain in domains),
            pems="\n".join(f'  - "{pem}"' for pem in pems),
            ca=f'\nca_file: "{federation.trusted}"\ns2s_cafile: "{federation.trusted}"' if federation else "",
            dialback="  mod_s2s_dialback: {}\n" if not federation or federation.dialback else "",
            components=component_listener(self.address, components) if components else "",
            tls="false" if tls == "none" else tls, address=self.address))
        write(self._path("inetrc"), INETRC.format(nameserver=dns.address.replace(".", ","), port=dns.port))
        write(self._path("hosts"), "".join(f"{address} {name}\n" for name, address in hosts.items()))
        self.start()

    def _path(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        libraries = glob.glob("/usr/lib/*/ejabberd-*")
        if not libraries:
            raise FileNotFoundError("ejabberd is not installed: apt-get install ejabberd")
        env = {
            "EJABBERD_CONFIG_PATH": self._path("ejabberd.yml"),
            "EJABBERD_LOG_PATH": self._path("ejabberd.log"),
            "ERL_INETRC": self._path("inetrc"),
            "ERL_LIBS": os.path.dirname(libraries[0]),
            "ERL_CRASH_DUMP": self._path("erl_crash.dump"),
            "LD_PRELOAD": "libnss_wrapper.so",
            "NSS_WRAPPER_HOSTS": self._path("hosts"),
            "HOME": self.folder,
        }
        # No busy waiting: other processes of the lab want the processor too.
        argv = ["erl", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "-noinput",
                "-mnesia", "dir", f'"{self._path("spool")}"', "-s", "ejabberd"]
        self.process = Process(self.role, argv, self.lab.folder, self.lab.guard, env=env, cwd=self.folder)
        self.process.wait_line(r"Start accepting TCP connections at .*:5222")
        self.process.wait_line(r"Start accepting TCP connections at .*:5269")

    def stop(self):
        return self.process.stop()

    def restart(self):
        self.stop()
        self.start()


def component_listener(address, components):
    # By default every component would serve all hosts of the listener.
    hosts = "".join(f'      "{domain}":\n        password: "{secret}"\n' for domain, secret in components.items())
    return COMPONENTS.format(address=address, hosts=hosts)


def write(path, text):
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()
