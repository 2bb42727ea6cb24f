"""Thousands of live presence subscriptions survive kill -9: all are taken up again, and nobody is asked anything."""

import os

from lab.crowd import PARTNER, Crowd
from lab.federation import Federation, Partner

# POOLBRIDGE_SUBSCRIPTIONS: another number. presence.expires is as long as the making of them may take.
COUNT = int(os.environ.get("POOLBRIDGE_SUBSCRIPTIONS", "10000"))
EXPIRES = 300
RAW = Partner(PARTNER, policy=("--tls", "none", "--sasl", "none"), services=(("xmpp-server", 0, "raw", 5269),))


def test_subscriptions_survive(new_lab):
    lab = new_lab(pool=False, federation=Federation("plain", [RAW]),
                  settings={"presence.expires": EXPIRES, "log_level": "notice"})
    lab.bridge.ctl("domain", "set", "corp.test", "--phase", "migrated")
    crowd = Crowd(lab, COUNT, EXPIRES)
    crowd.build(timeout=EXPIRES)
    crowd.crash()
    crowd.check_alive(timeout=EXPIRES)
    crowd.close()
