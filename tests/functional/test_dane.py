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
# TLS from the start (XEP-0368): the records are those of the port that the service's own SRV record names.
# name: (its certificate, {port: TLSA records}, is it trusted?)
DIRECT = {
    "direct-key": ("rogue", {5270: ["3 1 1 {key}"]}, True),
    "direct-other-key": ("good", {5270: ["3 1 1 " + "00" * 32]}, False),
    "direct-other-port": ("rogue", {5269: ["3 1 1 {key}"]}, False),
    "direct-both": ("rogue", {5269: ["3 1 1 " + "00" * 32], 5270: ["3 1 1 {key}"]}, True),
}


def digests(certificate):
    with open(certificate, encoding="ascii") as file:
        whole = ssl.PEM_cert_to_DER_cert(file.read())
    key = subprocess.run(f"openssl x509 -in {certificate} -noout -pubkey | openssl pkey -pubin -outform DER",
                         shell=True, check=True, capture_output=True).stdout
    return {"file": hashlib.sha256(whole).hexdigest(), "key": hashlib.sha256(key).hexdigest()}


@pytest.fixture(scope="module")
def lab(own_lab):
    cases = CASES | DIRECT
    partners = [Partner(f"{name}.dane.test", certificate, POLICY) for name, (certificate, _, _) in cases.items()]
    lab = own_lab(federation=Federation("either", partners, direct_tls=True), pool=False,
                  settings={"s2s.queue_time": 6, "s2s.backoff_min": 0.1, "s2s.backoff_max": 0.3})
    records = []
    for name, (_, tlsa, _) in cases.items():
        service, port = ("xmpps-server", 5270) if name in DIRECT else ("xmpp-server", 5269)
        records += [f"_{service}._tcp.{name} IN SRV 0 0 {port} xmpp.{name}",
                    f"xmpp.{name} IN A {lab.block.address('partner')}"]
        digest = digests(lab.federation.of_partner[f"{name}.dane.test"][0])
        records += [f"_{at}._tcp.xmpp.{name} IN TLSA " + record.format(**digest)
                    for at, of_port in (tlsa if name in DIRECT else {port: tlsa}).items() for record in of_port]
    dns = SignedDns(lab, "dane.test", records)
    lab.bridge.write_config(dns__resolver=dns.resolver, dns__trust_anchor=dns.anchor)
    lab.bridge.restart()
    return lab


@pytest.mark.parametrize("name", CASES)
def test_dane(lab, name):
    check(lab, name, CASES[name][2])


@pytest.mark.parametrize("name", DIRECT)
def test_dane_with_direct_tls(lab, name):
    check(lab, name, DIRECT[name][2])
    if DIRECT[name][2]:
        link = lab.bridge.link(f"{name}.dane.test", "out")
        assert link["direct_tls"] and link["address"].endswith(":5270"), link


def check(lab, name, is_trusted):
    romeo = next((user for user in lab.users if user.where == "legacy"), None) or lab.legacy_user()
    juliet = lab.partner_user(f"juliet@{name}.dane.test")
    delivery = lab.deliver(romeo, juliet.address, timeout=40)
    if is_trusted:
        assert delivery.by == "partner", delivery
        assert lab.bridge.link(f"{name}.dane.test", "out")["auth"] == "external"
    else:
        assert delivery.by == "error" and "certificate" in delivery.item.error_text, delivery
