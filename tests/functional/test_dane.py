"""DANE (RFC 7673): TLSA records that DNSSEC proves decide about a partner's certificate, instead of the CAs."""

import hashlib
import ssl
import subprocess

import pytest

from lab.federation import Federation, Partner
from lab.signed_dns import SignedDns

POLICY = ("--tls", "required", "--sasl", "required", "--dialback", "no")

# name: (its certificate, TLSA records with {key} for its key's and {file} for its own digest, is it trusted?)
CASES = {
    "key": ("rogue", ["3 1 1 {key}"], True),
    "whole": ("rogue", ["3 0 1 {file}"], True),
    "expired": ("expired", ["3 1 1 {key}"], True),
    "one-fits": ("rogue", ["3 1 1 " + "00" * 32, "3 1 1 {key}"], True),
    "none": ("good", [], True),
    "none-rogue": ("rogue", [], False),
    "other-key": ("good", ["3 1 1 " + "00" * 32], False),
    "unusable": ("good", ["9 8 7 00"], True),
}


def digests(certificate):
    with open(certificate, encoding="ascii") as file:
        whole = ssl.PEM_cert_to_DER_cert(file.read())
    key = subprocess.run(f"openssl x509 -in {certificate} -noout -pubkey | openssl pkey -pubin -outform DER",
                         shell=True, check=True, capture_output=True).stdout
    return {"file": hashlib.sha256(whole).hexdigest(), "key": hashlib.sha256(key).hexdigest()}


@pytest.fixture(scope="module")
def lab(own_lab):
    partners = [Partner(f"{name}.dane.test", certificate, POLICY) for name, (certificate, _, _) in CASES.items()]
    lab = own_lab(federation=Federation("either", partners), pool=False,
                  settings={"s2s.queue_time": 6, "s2s.backoff_min": 0.1, "s2s.backoff_max": 0.3})
    records = []
    for name, (_, tlsa, _) in CASES.items():
        records += [f"_xmpp-server._tcp.{name} IN SRV 0 0 5269 xmpp.{name}",
                    f"xmpp.{name} IN A {lab.block.address('partner')}"]
        digest = digests(lab.federation.of_partner[f"{name}.dane.test"][0])
        records += [f"_5269._tcp.xmpp.{name} IN TLSA " + record.format(**digest) for record in tlsa]
    dns = SignedDns(lab, "dane.test", records)
    lab.bridge.write_config(dns__resolver=dns.resolver, dns__trust_anchor=dns.anchor)
    lab.bridge.restart()
    return lab


@pytest.mark.parametrize("name", CASES)
def test_dane(lab, name):
    romeo = next((user for user in lab.users if user.where == "legacy"), None) or lab.legacy_user()
    juliet = lab.partner_user(f"juliet@{name}.dane.test")
    delivery = lab.deliver(romeo, juliet.address, timeout=40)
    if CASES[name][2]:
        assert delivery.by == "partner", delivery
        assert lab.bridge.link(f"{name}.dane.test", "out")["auth"] == "external"
    else:
        assert delivery.by == "error" and "certificate" in delivery.item.error_text, delivery
