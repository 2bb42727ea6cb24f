"""Registries of many users, made by poolbridgectl: each is made once in a run of bench/run.

Users are u0@corp.test, u1@corp.test and so on, as bench/peer writes to them, every other one marked migrated. What
else is in them is what a lab's bridge begins with (lab.bridge.BASELINE).
"""

import atexit
import os
import shutil
import subprocess
import tempfile

from bench.measure import progress
from lab.bridge import BASELINE

DOMAIN, PARTNER = "corp.test", "partner.test"

_folders = {}


def address(number):
    return f"u{number}@{DOMAIN}"


def mark_of(number):
    return "migrated" if number % 2 else "legacy"


def path(session, users):
    """The registry file with so many users. Not to be changed: copy()."""
    if users not in _folders:
        _folders[users] = _make(session, users)
    return os.path.join(_folders[users], "registry.db")


def copy(session, users, folder):
    """It, as the registry of the lab's bridge in this folder, which does not run now."""
    for name in os.listdir(folder):
        if name.startswith("registry.db"):
            os.unlink(os.path.join(folder, name))
    with open(path(session, users), "rb") as source, open(os.path.join(folder, "registry.db"), "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())  # the disk is not to be busy with it while something is measured


def _make(session, users):
    progress(f"a registry of {users:,} users is made")
    folder = tempfile.mkdtemp(prefix="poolbridge-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    config, csv = os.path.join(folder, "poolbridge.conf"), os.path.join(folder, "users.csv")
    with open(config, "w", encoding="ascii") as out:
        out.write('registry = "registry.db";\n')
    with open(csv, "w", encoding="ascii") as out:
        out.write("address,mark\n")
        out.writelines(f"{address(n)},{mark_of(n)}\n" for n in range(users))
    for words in (*BASELINE, ("user", "import", csv)):
        subprocess.run([session.program("poolbridgectl"), "-c", config, *words], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    os.unlink(csv)
    return folder
