"""Self-signed certificates for the lab's servers, made by openssl.

Nobody trusts them: the servers prove themselves to each other by dialback.
"""

import os
import subprocess


def make(folder, domain):
    """Returns (certificate, key): PEM files in the folder, made once per domain."""
    stem = os.path.join(folder, domain)
    certificate, key = stem + ".crt", stem + ".key"
    if not os.path.exists(certificate):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "30", "-subj", f"/CN={domain}", "-addext", f"subjectAltName=DNS:{domain}",
             "-keyout", key, "-out", certificate],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return certificate, key
