"""The lab as a whole: which servers, which users, which wiring."""

import contextlib
import os
import shutil
import tempfile

from lab import certificates
from lab.baresip_user import BaresipUser
from lab.block import Block
from lab.bridge import Bridge
from lab.chaos import Chaos
from lab.delivery import deliver
from lab.dns import Dns, Zone
from lab.ejabberd import Ejabberd
from lab.guard import Guard
from lab.jabberd2 import Jabberd2
from lab.kamailio import Kamailio
from lab.linphone_user import LinphoneUser
from lab.loop import Loop
from lab.process import Process
from lab.prosody import PASSWORD, Prosody
from lab.sip_user import PORT as SIP_PORT
from lab.sip_user import SipUser
from lab.sipe_user import SipeUser
from lab.xmpp_user import XmppUser

XMPP_PORT, COMPONENT_PORT = 5269, 5347

# The local domains, and the users that the legacy gateway knows in each.
LOCAL = ("corp.test", "branch.test")
LEGACY_USERS = ("romeo", "tybalt", "mercutio", "benvolio", "nurse")
# The partner's domains. The legacy gateway reaches direct.test without us, whatever the wiring.
PARTNERS = ("partner.test", "direct.test", "blocked.test", "stranger.test")
# What another server may serve for us, with poolbridge as its component.
COMPONENT, COMPONENT_SECRET = "corp.test", "a secret between the two"
# Domains of the partner that are found in other ways: only an address record; a first target that
# does not answer; nothing at all in DNS.
ODD_PARTNERS = ("plain.test", "backup.test", "hidden.test")
PARTNER_USERS = ("juliet", "rosaline", "benedick", "hero")


class Lab:
    """
    partner: "prosody", "ejabberd" or "jabberd2"; partner_tls: "required", "optional" or "none". None: no servers of
    XMPP, neither the partner's nor the legacy gateway: they are played.
    legacy: the legacy gateway is "prosody" or, in the wiring "relay", "ejabberd".
    wiring: "relay" (the legacy gateway sends to poolbridge) or "direct" (it sends to partners, and knows
    poolbridge by its address).
    chaos: proxies stand before the legacy gateway (.legacy_proxy) and the pool (.pool_proxy).
    bridge: False leaves poolbridge out: the partner and the legacy gateway federate directly.
    pool: False leaves Kamailio out.
    presence: "2005" or "2007": the pools are presence servers, and Microsoft's clients, which see a pool of OCS 2005
    or of OCS 2007 and later, log in there.
    legacy_pool: a Kamailio of its own, .legacy_pool, with its own users; each pool looks for users whom it does not
    have by way of poolbridge. Without, the new pool plays the legacy one at a second address, see lab.kamailio.
    sip_tls: poolbridge and the pools talk by TLS, with certificates that both sides check.
    settings: further options for poolbridge's configuration, {"s2s.queue_time": 5}.
    federation: a lab.federation.Federation: certificates that count; partner_tls is not used then.
    front: "prosody" or "ejabberd": a server that faces the partners for corp.test, with poolbridge as its component
    by way of .front_proxy; "raw": there is none, the test plays it at the block's address "front".
    modules, log: further modules of the partner's Prosody, and the least level of its log.
    """

    def __init__(self, partner="prosody", partner_tls="required", wiring="relay", chaos=False, bridge=True, pool=True,
                 settings=None, federation=None, front=None, modules=(), log="info", presence=None, legacy_pool=False,
                 sip_tls=False, legacy="prosody"):
        self._ends = contextlib.ExitStack()
        try:
            self._begin()
            self.presence = presence
            self.federation = federation
            if federation:
                federation.make_certificates(self.folder)
            self._start_dns(bridge, wiring, front)
            if partner:
                self._start_partner(partner, federation.tls if federation else partner_tls, modules, log)
                self._start_legacy(legacy, wiring)
            self.sip_authority = certificates.Authority(os.path.join(self.folder, "sip")) if sip_tls else None
            if pool:
                self._start_pools(presence, legacy_pool)
            if front:
                self._start_front(front)
                settings = dict(self._component_settings(front), **(settings or {}))
            if chaos:
                self._start_proxies()
            if sip_tls:
                settings = dict(self._sip_tls_settings(), **(settings or {}))
            if bridge:
                self.bridge = Bridge(self, wiring, chaos, settings or {}, federation)
        except BaseException:
            self._ends.close()
            raise

    def _begin(self):
        self.block = Block()
        self._ends.callback(self.block.release)
        self.folder = tempfile.mkdtemp(prefix="poolbridge-lab-")
        self._ends.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.guard = Guard(self.folder)
        self._ends.callback(self.guard.close)
        self.loop = Loop()
        self._ends.callback(self.loop.close)
        self.bridge = self.pool = self.legacy_pool = self.legacy_proxy = self.pool_proxy = None
        self.users = []

    def _start_dns(self, bridge, wiring, front):
        address = self.block.address
        outside, inside = Zone(), Zone()
        for domain in self._local():
            if self.federation:
                add_services(outside, domain, self.federation.local_services(domain), address)
            else:
                outside.service(domain, address("front" if front and domain == COMPONENT else
                                                "external" if bridge else "legacy"))
            inside.service(domain, address("legacy"))
        for partner in self.federation.partners if self.federation else ():
            add_services(outside, partner.domain, partner.services, address)
            inside.service(partner.domain, address("internal"))
        for domain in PARTNERS:
            direct = not bridge or wiring == "direct" or domain == "direct.test"
            outside.service(domain, address("partner"))
            inside.service(domain, address("partner" if direct else "internal"))
        outside.host("plain.test", address("partner"))
        outside.service("backup.test", address("nobody"), name="first", priority=1)
        outside.service("backup.test", address("partner"), name="second", priority=2)
        # Partners that cannot be reached, and a domain of ours that the registry does not know.
        outside.service("down.test", address("nobody"))
        outside.no_service("without.test")
        outside.service("alien.test", address("external"))
        for role in ("pool", "legacy-pool"):
            outside.host(f"{role}.corp.test", address(role))
        for domain in ("down.test", "without.test") + ODD_PARTNERS:
            inside.service(domain, address("internal"))
        self.outside = Dns(self, "dns-outside", outside)
        self.inside = Dns(self, "dns-inside", inside)
        self._ends.callback(lambda: [dns.process.kill() for dns in (self.outside, self.inside)])
        self._local_host = address("front" if front else "external" if bridge else "legacy")

    def _local(self):
        return LOCAL + tuple(set(self.federation.local) - set(LOCAL) if self.federation else ())

    def _start_partner(self, kind, tls, modules, log):
        domains = PARTNERS + ODD_PARTNERS + tuple(p.domain for p in (self.federation.partners if self.federation else ()))
        users = [f"{user}@{domain}" for domain in domains for user in PARTNER_USERS]
        if kind == "ejabberd":
            hosts = {f"xmpp.{domain}": self._local_host for domain in self._local()}
            self.partner = Ejabberd(self, "partner", domains, hosts, self.outside, tls, self.federation)
        elif kind == "jabberd2":
            self.partner = Jabberd2(self, "partner", domains, users, self.outside, tls)
        else:
            self.partner = Prosody(self, "partner", domains, users, self.outside, tls, federation=self.federation,
                                   modules=modules, log=log)
        self._ends.callback(lambda: self.partner.stop())

    def _start_legacy(self, kind, wiring):
        users = [f"{user}@{domain}" for domain in self._local() for user in LEGACY_USERS]
        # In the direct wiring its DNS shows it the partners, so it must know us without asking them.
        trusted = [self.block.address("internal")] if wiring == "direct" else []
        if kind == "ejabberd":
            hosts = {f"xmpp.{domain}": self.block.address("internal") for domain in PARTNERS}
            self.legacy = Ejabberd(self, "legacy", self._local(), hosts, self.inside, "optional")
        else:
            self.legacy = Prosody(self, "legacy", self._local(), users, self.inside, tls="optional", trusted=trusted)
        self._ends.callback(lambda: self.legacy.stop())

    def _start_pools(self, presence, legacy_pool):
        options = {"presence": bool(presence), "categories": presence == "2007", "sibling": legacy_pool}
        self.pool = Kamailio(self, LOCAL, legacy=None if legacy_pool else "legacy-pool", **options,
                             **self._sip_tls_options("pool"))
        self._ends.callback(lambda: self.pool.stop())
        if legacy_pool:
            self.legacy_pool = Kamailio(self, LOCAL, "legacy-pool", **options, **self._sip_tls_options("legacy-pool"))
            self._ends.callback(lambda: self.legacy_pool.stop())

    def _sip_tls_options(self, role):
        if not self.sip_authority:
            return {}
        folder = os.path.join(self.folder, role)
        return {"tls": (*self.sip_authority.make(folder, f"{role}.corp.test"), self.sip_authority.pem),
                "route_transport": "tls"}

    def _sip_tls_settings(self):
        """Poolbridge finds the pools by name, which is what their certificates say."""
        certificate, key = self.sip_authority.make(os.path.join(self.folder, "sip-bridge"), "bridge.corp.test")
        return {"sip.listen": [f"tls:{self.block.address('sip')}:5061"],
                "sip.certificate": certificate, "sip.key": key, "sip.ca": self.sip_authority.pem,
                "sip.new_pool": "sip:pool.corp.test:5061;transport=tls",
                "sip.legacy_pool": "sip:legacy-pool.corp.test:5061;transport=tls"}

    def _start_front(self, kind):
        components = {COMPONENT: COMPONENT_SECRET}
        if kind == "ejabberd":
            hosts = {f"xmpp.{domain}": self.partner.address for domain in PARTNERS}
            self.front = Ejabberd(self, "front", ("front.test",), hosts, self.outside, "optional", components=components)
        elif kind == "prosody":
            self.front = Prosody(self, "front", ("front.test",), (), self.outside, "optional", components=components)
        if kind == "raw":
            return
        self._ends.callback(lambda: self.front.stop())
        self.front_proxy = Chaos(self.loop, self.block.address("front-proxy"), COMPONENT_PORT,
                                 (self.front.address, COMPONENT_PORT), self.block.address("external"))
        self._ends.callback(self.front_proxy.close)

    def _component_settings(self, kind):
        server = self.block.address("front" if kind == "raw" else "front-proxy")
        return {"external.listen": [], "component.server": f"{server}:{COMPONENT_PORT}",
                "component.domain": COMPONENT, "component.secret": COMPONENT_SECRET}

    def _start_proxies(self):
        address = self.block.address
        self.legacy_proxy = Chaos(self.loop, address("legacy-proxy"), XMPP_PORT, (address("legacy"), XMPP_PORT),
                                  address("internal"))
        self._ends.callback(self.legacy_proxy.close)
        self.pool_proxy = Chaos(self.loop, address("pool-proxy"), SIP_PORT, (address("pool"), SIP_PORT),
                                address("sip"))
        self._ends.callback(self.pool_proxy.close)

    # ---- users

    def partner_user(self, address="juliet@partner.test", resource=None):
        reflects = not isinstance(self.partner, Jabberd2)
        return self._keep(XmppUser(self.loop, address, self.partner.address, PASSWORD, resource, reflects), "partner")

    def legacy_user(self, address="romeo@corp.test", resource=None):
        return self._keep(XmppUser(self.loop, address, self.legacy.address, PASSWORD, resource), "legacy")

    def sip_user(self, address="tybalt@corp.test", transport="udp", pool=None):
        pool = pool or self.pool
        return self._keep_at(pool, SipUser(self.loop, self.block, address, (pool.address, SIP_PORT), transport))

    def play_bridge(self, transport="udp"):
        """Whoever sits where poolbridge would: takes what the pools send there, and with connect_to(pool) sends."""
        return SipUser(self.loop, self.block, "bridge@lab.test", (self.pool.address, SIP_PORT), transport, register=False,
                       host=self.block.address("sip"))

    # Real clients, which take a second to start; pool: self.legacy_pool for its users.

    def sipe_user(self, address="tybalt@corp.test", pool=None):
        pool = pool or self.pool
        return self._keep_at(pool, SipeUser(self, address, pool))

    def baresip_user(self, address="paris@corp.test", pool=None, transport="tcp", contacts=()):
        pool = pool or self.pool
        return self._keep_at(pool, BaresipUser(self, address, pool, transport, contacts))

    def linphone_user(self, address="paris@corp.test", pool=None, transport="tcp", contacts=()):
        pool = pool or self.pool
        return self._keep_at(pool, LinphoneUser(self, address, pool, transport, contacts))

    def _keep_at(self, pool, user):
        return self._keep(user, "legacy pool" if pool is self.legacy_pool else "pool")

    def _keep(self, user, where):
        user.where = where
        self.users.append(user)
        return user

    def deliver(self, sender, to, body=None, **options):
        """Send a message and wait for what becomes of it: see lab.delivery."""
        address = to.partition("/")[0].lower()
        receivers = [user for user in self.users if user.address == address]
        return deliver(sender, receivers, to, body, **options)

    def run(self, name, argv, **options):
        """A further program, such as sipp, that ends with the lab at the latest."""
        process = Process(name, argv, self.folder, self.guard, **options)
        self._ends.callback(process.kill)
        return process

    # ---- the end

    def at_close(self, function):
        """Called when poolbridge has ended: whoever is played in this process gives its addresses back there."""
        self._ends.callback(function)

    def logs(self, count=60):
        """The last lines of every log, for a failure's report."""
        parts = []
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".log"):
                with open(os.path.join(self.folder, name), encoding="utf-8", errors="replace") as log:
                    lines = log.read().splitlines()[-count:]
                parts.append(f"---- {name}\n" + "\n".join(lines))
        return "\n".join(parts)

    def close(self):
        """End everything. Raises BridgeError when poolbridge did not end cleanly."""
        with self._ends:
            for user in self.users:
                with contextlib.suppress(Exception):
                    user.close()
            if self.bridge:
                self.bridge.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def add_services(zone, domain, services, address):
    for number, (service, priority, role, port) in enumerate(services):
        # The first has the name that ejabberd's hosts file knows.
        zone.service(domain, address(role), name=f"xmpp{number or ''}", priority=priority, service=service, port=port)
