"""How the partner's server and poolbridge prove themselves to each other by certificates.

A lab without a Federation has self-signed certificates only, and dialback.
"""

import os

from lab.certificates import Authority

# What the partner's server asks of others, and itself has to show: (TLS, does either side trust the other's
# certificate, dialback).
MODES = {
    "external": ("required", True, False),
    "either": ("required", True, True),
    "dialback": ("required", False, True),
    "plain": ("none", True, True),
    "optional-external": ("optional", True, False),
    "optional": ("optional", True, True),
    "optional-dialback": ("optional", False, True),
    "nothing": ("required", False, False),
}


class Partner:
    """
    One domain of the partner's server. certificate: one of certificates.VARIANTS. policy: words for
    `poolbridgectl partner add`; None leaves it out of the registry. services: its SRV records, as
    (service, priority, role of the host in lab.block, port).
    """

    def __init__(self, domain, certificate="good", policy=(), services=(("xmpp-server", 0, "partner", 5269),)):
        self.domain, self.certificate, self.policy, self.services = domain, certificate, policy, services


class Federation:
    """
    mode: see MODES. partners: Partner objects. local: {local domain: variant of its certificate}, "good" for
    corp.test and branch.test where they are not named; further ones are added to the registry.
    direct_tls: the partner's server and poolbridge take streams that begin with TLS, at port 5270.
    local_services: {local domain: SRV records, as a Partner's}, where they are not the usual one.
    """

    def __init__(self, mode="either", partners=(), local=None, direct_tls=False, local_services=None):
        self.mode, self.partners, self.direct_tls = mode, list(partners), direct_tls
        self.tls, self._trusting, self.dialback = MODES[mode]
        self._local_services = local_services or {}
        self.local = dict({"corp.test": "good", "branch.test": "good"}, **(local or {}))

    def local_services(self, domain):
        return self._local_services.get(domain, (("xmpp-server", 0, "external", 5269),))

    def make_certificates(self, folder):
        """Returns nothing; .authority, .own (the folder for poolbridge) and .of_partner are there afterwards."""
        self.authority = Authority(folder)
        self.own = os.path.join(folder, "own-certificates")
        for domain, variant in self.local.items():
            self.authority.make(self.own, domain, variant)
        others = self.folder_of_partner = os.path.join(folder, "partner-certificates")
        self.of_partner = {
            partner.domain: self.authority.make(others, partner.domain,
                                                partner.certificate if self._trusting else "rogue")
            for partner in self.partners}

    @property
    def trusted(self):
        """The CA file of the partner's server."""
        return self.authority.pem if self._trusting else self.authority.rogue_pem
