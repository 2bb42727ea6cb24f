"""The short form of tests/storage, and that its verdict finds what it is there to find."""

import json
import os
import subprocess
import sys
import types

import pytest

from lab.bridge import TOP
from lab.storage import DIRECT, HELD, Life, Lost


@pytest.mark.parametrize("groups", [("order", "lasting", "files", "big"), ("commit",), ("start",), ("registry",)], ids="-".join)
def test_storage(groups):
    done = subprocess.run([sys.executable, os.path.join(TOP, "tests", "storage"), "--short", *groups],
                          capture_output=True, text=True, timeout=900, check=False)
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [verdict for verdict in verdicts if verdict.get("ok") is False] == [], done.stderr
    assert done.returncode == 0 and verdicts[-1]["passed"] >= 8, done.stdout + done.stderr


# ---- the verdict

def life(delivered, errors=(), again=(), spooled=(), deaths=()):
    items = [types.SimpleNamespace(body=f"x-{number}") for number in delivered]
    nobody = types.SimpleNamespace(inbox=types.SimpleNamespace(history=[]))
    rig = types.SimpleNamespace(pool=types.SimpleNamespace(inbox=types.SimpleNamespace(history=items)), legacy=nobody,
                                errors=[f"x-{number}" for number in errors])
    one = Life(rig, "x")
    one.sent = [f"x-{number}" for number in range(3)]
    one.to = {"x-0": HELD, "x-1": HELD, "x-2": DIRECT}
    one.again, one.spooled_at_end, one.deaths = {f"x-{n}" for n in again}, {f"x-{n}" for n in spooled}, list(deaths)
    return one


@pytest.mark.parametrize("good", [
    life([0, 1, 2]), life([2, 0, 1]), life([0, 2], errors=[1]),
    life([0, 1, 0, 2], again=[0], deaths=[-9]), life([0, 1, 1, 2], spooled=[1], deaths=[-9]),
])
def test_verdict_good(good):
    assert good.judge()["sent"] == 3


@pytest.mark.parametrize("bad", [
    life([0, 1, 1, 2]), life([1, 0, 2]), life([0, 1, 2], errors=[1]), life([0, 1], errors=[2, 2]),
    life([0, 1, 1, 2], spooled=[0], deaths=[-9]), life([0, 1, 1, 2], again=[1]),
])
def test_verdict_bad(bad):
    with pytest.raises(Lost):
        bad.judge()
