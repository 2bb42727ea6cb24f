"""The short form of tests/soak: everything at once for some seconds, and afterwards all is as it was before."""

import json
import os
import subprocess

from lab.bridge import TOP

# In so short a time much is still being remembered for the first time, by sanitizers, too.
MINUTES, RISE = 0.4, 40


def test_soak():
    # Its own processes are the daemon of the build that POOLBRIDGE_BUILD names, as here.
    done = subprocess.run([os.path.join(TOP, "tests", "soak"), "--minutes", str(MINUTES), "--rise", str(RISE)],
                          capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["soak"] == "ok" and verdict["after"]["spool"] == 0
    # It was a load, and of each kind.
    assert all(verdict["sent"][what] > 0 for what in ("message", "by TLS", "from the pool", "session", "presence", "move",
                                                      "stranger", "trouble of the partner")), verdict["sent"]
    assert verdict["pool"]["MESSAGE"] > 100 and verdict["partner"]["message chat"] > 0, verdict
