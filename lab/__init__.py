"""The lab: real servers on loopback with poolbridge between them.

A partner (Prosody or ejabberd), the legacy gateway (another Prosody), the new
pool (Kamailio), DNS in two views, users of both kinds, and proxies that break
connections. ./quickstart shows it; tests/functional/ uses it.

The whole picture, with real clients on every side:

    with Lab(presence="2005", legacy_pool=True) as lab:
        juliet = lab.partner_user("juliet@partner.test")                  # slixmpp at the partner's Prosody
        tybalt = lab.sipe_user("tybalt@corp.test")                        # pidgin-sipe at the new pool
        paris = lab.baresip_user("paris@corp.test", contacts=["juliet@partner.test"])
        romeo = lab.sipe_user("romeo@corp.test", pool=lab.legacy_pool)    # a colleague who has not moved
        juliet.subscribe("tybalt@corp.test")
        juliet.wait_status("tybalt@corp.test")                            # available
        tybalt.status("away")
        juliet.wait_status("tybalt@corp.test", "away")
        tybalt.send("juliet@partner.test", "Good morrow")
        juliet.wait_message("Good morrow")

What a user is shown lies in its inbox as an event, in order, and every wait is
for an event. The registry's marks say who is where (lab.bridge.mark); users log
in where the test says. With sip_tls=True the pools and poolbridge talk by TLS;
presence="2007" makes the Microsoft client use the later protocol (but nobody
takes its lists of contacts apart, so it sees no presence there). lab.sip_user
is no client but a few lines of SIP, for what real clients never do, and
lab.play_bridge sits in poolbridge's place.

Each lab has its own block of loopback addresses, its own temporary folder and
its own processes, so several run side by side. Nothing outlives the program
that made the lab, however that ends.
"""

from lab.lab import Lab

__all__ = ["Lab"]
