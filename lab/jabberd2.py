"""jabberd2: a partner's server of the old kind, which knows dialback and no certificates.

Four programs that meet at a router. Its resolver takes name servers, and their
port, from the environment. Users are rows of the table that its module for
SQLite reads; what else it keeps of them are files.
"""

import contextlib
import glob
import os
import sqlite3

from lab import certificates
from lab.process import Process
from lab.prosody import PASSWORD

ROUTER = """\
<router>
  <id>router</id>
  {log}
  <local><ip>{address}</ip><port>5347</port><users>{folder}/users.xml</users><secret>{secret}</secret></local>
  <io><max_fds>1024</max_fds><access><order>allow,deny</order></access></io>
  <aci><acl type='all'><user>jabberd</user></acl></aci>
</router>
"""
USERS = "<users><user><name>jabberd</name><secret>inside</secret></user></users>\n"

JOIN = """\
  <router>
    <ip>{address}</ip><port>5347</port><user>jabberd</user><pass>inside</pass>
    <retry><init>100</init><lost>3</lost><sleep>1</sleep></retry>
  </router>
  {log}"""

# What happens to a message on its way, in modules; those for privacy lists, vCards and the like are left out.
SM = """\
<sm>
  <id>sm</id>
{join}
  <local>{domains}</local>
  <storage><path>{modules}</path><driver>fs</driver><fs><path>{folder}/storage</path></fs></storage>
  <modules>
    <path>{modules}</path>
    <chain id='in-sess'><module>validate</module><module>roster</module><module>disco</module>
      <module>presence</module><module>deliver</module></chain>
    <chain id='in-router'><module>session</module><module>validate</module><module>presence</module></chain>
    <chain id='pkt-sm'><module>disco</module><module>presence</module></chain>
    <chain id='pkt-user'><module>roster</module><module>presence</module><module>disco</module>
      <module>deliver</module><module>offline</module></chain>
    <chain id='pkt-router'><module>session</module><module>disco</module></chain>
    <chain id='user-load'><module>active</module><module>roster</module></chain>
    <chain id='user-create'><module>active</module></chain>
  </modules>
  <user><auto-create/></user>
</sm>
"""

C2S = """\
<c2s>
  <id>c2s</id>
{join}
  <local>{domains}<ip>{address}</ip><port>5222</port></local>
  <io><max_fds>1024</max_fds><access><order>allow,deny</order></access></io>
  <authreg>
    <path>{modules}</path><module>sqlite</module>
    <mechanisms><sasl><plain/></sasl></mechanisms>
    <sqlite><dbname>{folder}/users.db</dbname><password_type><plaintext/></password_type></sqlite>
  </authreg>
</c2s>
"""

S2S = """\
<s2s>
  <id>s2s</id>
{join}
  <local><ip>{address}</ip><port>5269</port>{pemfile}</local>
  <io><max_fds>1024</max_fds></io>
  <check><interval>1</interval><queue>3</queue><retry>2</retry></check>
  <lookup><srv>xmpp-server</srv><min-ttl>1</min-ttl><max-ttl>1</max-ttl><bad-host-timeout>1</bad-host-timeout></lookup>
  <security>{require}</security>
</s2s>
"""

CONFIGS = {"router": ROUTER, "users": USERS, "sm": SM, "c2s": C2S, "s2s": S2S}
READY = {"router": "listening for incoming connections", "sm": "ready for sessions", "c2s": "ready for connections",
         "s2s": "ready for connections"}


class Jabberd2:
    """
    Domains and users as of lab.prosody; tls: "required", "optional" or "none" towards other servers.
    components: {domain: secret}, served at port 5347; one secret for all.
    """

    def __init__(self, lab, role, domains, users, dns, tls, components=None):
        self.lab, self.role, self.address, self._dns = lab, role, lab.block.address(role), dns
        self.folder = os.path.join(lab.folder, role)
        modules = glob.glob("/usr/lib/*/jabberd2")
        if not modules:
            raise FileNotFoundError("jabberd2 is not installed: apt-get install jabberd2")
        os.makedirs(os.path.join(self.folder, "storage"), exist_ok=True)
        words = {"folder": self.folder, "address": self.address, "modules": modules[0],
                 "domains": "".join(f"<id>{domain}</id>" for domain in domains),
                 "log": "<log type='stdout'/>", "secret": next(iter((components or {}).values()), "none"),
                 "pemfile": f"<pemfile>{self._pem(domains[0])}</pemfile>" if tls != "none" else "",
                 "require": "<require_tls>1</require_tls>" if tls == "required" else ""}
        words["join"] = JOIN.format(**words)
        for name, text in CONFIGS.items():
            with open(os.path.join(self.folder, name + ".xml"), "w", encoding="utf-8") as out:
                out.write(text.format(**words))
        self._add_users(users)
        self.start()

    def _pem(self, domain):
        path = os.path.join(self.folder, "own.pem")
        with open(path, "w", encoding="ascii") as out:
            for part in certificates.make(self.folder, domain):
                with open(part, encoding="ascii") as file:
                    out.write(file.read())
        return path

    def _add_users(self, users):
        with contextlib.closing(sqlite3.connect(os.path.join(self.folder, "users.db"))) as db, db:
            db.execute("CREATE TABLE authreg (username TEXT, realm TEXT, password TEXT)")
            db.executemany("INSERT INTO authreg VALUES (?, ?, ?)", [(*user.split("@"), PASSWORD) for user in users])

    def start(self):
        env = {"NAMESERVERS": self._dns.address, "RES_OPTIONS": f"port:{self._dns.port}", "HOME": self.folder}
        self.processes = []
        for name in ("router", "sm", "c2s", "s2s"):
            argv = [f"/usr/sbin/jabberd2-{name}", "-c", os.path.join(self.folder, name + ".xml")]
            process = Process(f"{self.role}-{name}", argv, self.lab.folder, self.lab.guard, env=env, cwd=self.folder)
            self.processes.append(process)
            process.wait_line(READY[name])

    def stop(self):
        return max(abs(process.stop()) for process in reversed(self.processes))

    def restart(self):
        self.stop()
        self.start()
