"""Certificates for the lab's servers, made by openssl.

make() gives a self-signed one that nobody trusts: the servers prove themselves
to each other by dialback. An Authority signs certificates, good ones and each
kind of bad one: see VARIANTS.
"""

import os
import subprocess

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

# What OpenSSL's configuration calls the two names of XMPP that it does not know.
SRV_NAME, XMPP_ADDRESS = "otherName:1.3.6.1.5.5.7.8.7;IA5STRING:_xmpp-server.", "otherName:1.3.6.1.5.5.7.8.5;UTF8:"

BOTH_USAGES, SERVER_USAGE = "serverAuth,clientAuth", "serverAuth"
VALID, OVER, FUTURE = ("20240101000000Z", "20991231000000Z"), ("20200101000000Z", "20210101000000Z"), \
    ("20900101000000Z", "20991231000000Z")

# name: (names, usage, dates, who signs); {} stands for the domain.
VARIANTS = {
    "good": ("DNS:{}", BOTH_USAGES, VALID, "root"),
    "intermediate": ("DNS:{}", BOTH_USAGES, VALID, "intermediate"),
    "server-only": ("DNS:{}", SERVER_USAGE, VALID, "root"),
    "srv-only": (SRV_NAME + "{}", BOTH_USAGES, VALID, "root"),
    "xmppaddr-only": (XMPP_ADDRESS + "{}", BOTH_USAGES, VALID, "root"),
    "wildcard": ("DNS:*.{parent}", BOTH_USAGES, VALID, "root"),
    "wildcard-above": ("DNS:*.{}", BOTH_USAGES, VALID, "root"),
    "expired": ("DNS:{}", BOTH_USAGES, OVER, "root"),
    "future": ("DNS:{}", BOTH_USAGES, FUTURE, "root"),
    "wrong-name": ("DNS:elsewhere.test", BOTH_USAGES, VALID, "root"),
    "rogue": ("DNS:{}", BOTH_USAGES, VALID, "rogue"),
}

CA_CONFIG = """\
[ca]
default_ca = this
[this]
database = {folder}/index.txt
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
organizationName = optional
[leaf]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
extendedKeyUsage = {usage}
subjectAltName = {names}
[above]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
"""


def openssl(*words):
    subprocess.run(["openssl"] + list(words), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def make(folder, domain):
    """Returns (certificate, key): PEM files in the folder, made once per domain."""
    stem = os.path.join(folder, domain)
    certificate, key = stem + ".crt", stem + ".key"
    if not os.path.exists(certificate):
        openssl("req", "-x509", *CURVE, "-days", "30", "-subj", f"/CN={domain}",
                "-addext", f"subjectAltName=DNS:{domain}", "-keyout", key, "-out", certificate)
    return certificate, key


class Authority:
    """A root (.pem) that the servers trust, an intermediate below it, and a rogue root that nobody trusts."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "ca")
        os.makedirs(self.folder)
        self._numbers = 0
        for name in ("root", "rogue"):
            openssl("req", "-x509", *CURVE, "-days", "3650", "-subj", f"/O=Lab/CN=Lab {name}",
                    "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                    "-keyout", self._path(name + ".key"), "-out", self._path(name + ".pem"))
        self._sign("root", "/O=Lab/CN=Lab intermediate", self._path("intermediate.key"),
                   self._path("intermediate.pem"), VALID, "above")
        self.pem, self.rogue_pem = self._path("root.pem"), self._path("rogue.pem")

    def _path(self, name):
        return os.path.join(self.folder, name)

    def _sign(self, signer, subject, key, out, dates, extensions, usage=BOTH_USAGES, names="DNS:none.test"):
        self._numbers += 1
        request, config = self._path(f"{self._numbers}.csr"), self._path(f"{self._numbers}.conf")
        with open(self._path("index.txt"), "a", encoding="utf-8"), open(config, "w", encoding="utf-8") as file:
            file.write(CA_CONFIG.format(folder=self.folder, usage=usage, names=names))
        openssl("req", "-new", *CURVE, "-subj", subject, "-keyout", key, "-out", request)
        openssl("ca", "-batch", "-notext", "-config", config, "-extensions", extensions, "-startdate", dates[0],
                "-enddate", dates[1], "-cert", self._path(signer + ".pem"), "-keyfile", self._path(signer + ".key"),
                "-outdir", self.folder, "-in", request, "-out", out)

    def make(self, folder, domain, variant="good", more=()):
        """
        Returns (certificate, key): PEM files DOMAIN.crt, with the chain below the root, and DOMAIN.key in the
        folder. more: further domains with the same certificate.
        """
        names, usage, dates, signer = VARIANTS[variant]
        os.makedirs(folder, exist_ok=True)
        certificate, key = (os.path.join(folder, domain + end) for end in (".crt", ".key"))
        all_names = ",".join(names.format(name, parent=name.partition(".")[2]) for name in (domain, *more))
        self._sign(signer, f"/O=Lab/CN={variant} {domain}", key, certificate, dates, "leaf", usage, all_names)
        if signer == "intermediate":
            with open(certificate, "a", encoding="utf-8") as out, open(self._path("intermediate.pem"),
                                                                       encoding="utf-8") as above:
                out.write(above.read())
        return certificate, key
