"""Between XMPP and SIP: CPU of a message and messages a second at saturation, latency at 200 a second.

300-byte messages of 1,024 pairs of users, one under way of each (by UDP 64, which is what a socket's buffer holds). See
bench/gateway_rigs.py for who is measured: Kamailio's xmpp module does the same work, Kamailio as a relay only SIP's
half, twice, and nta, the floor, is one transaction of sofia-sip without anything around it.
"""

import os

from bench.gateway_rigs import XMPP_MODULE, opened
from bench.measure import progress

RATE = 200
SECONDS, PACED_SECONDS = 2.0, 3.0
# Way, transport, mode, and whether latency is measured, too.
BENCHES = [(way, transport, mode, (transport, mode) == ("tcp", "pager"))
           for way in ("to-sip", "from-sip")
           for transport, mode in (("tcp", "pager"), ("udp", "pager"), ("tls", "pager"), ("tcp", "session"))]


def name_of(way, transport, mode):
    return f"gateway-{way}-{transport}" + ("-session" if mode == "session" else "")


def judge(session, bench, rig):
    """What a peer does wrong is told; what poolbridge does wrong fails the run."""
    faults = {name: count for name, count in rig.faults().items() if count}
    if faults and rig.is_peer:
        words = " and ".join(f"{count} {name}" for name, count in faults.items())
        session.note(f"{rig.subject} in `{bench}`: {words}, of {rig.sink.status()['got']} messages that arrived")
    elif faults:
        session.faults(bench, rig.subject, **faults)


def measure(session, way, transport, mode, paced):
    bench, part = name_of(way, transport, mode), 0.3 if session.quick else 1.0
    progress(bench)
    with opened(way, transport, mode) as rigs:
        results = session.alternate({
            rig.subject: lambda rig=rig: rig.trial(SECONDS * part, RATE if paced else 0, PACED_SECONDS * part) for rig in rigs})
        for rig in rigs:
            judge(session, bench, rig)
    for subject, trials in results.items():
        session.figure(bench, subject, [trial.cpu for trial in trials], "us CPU", "message")
    for subject, trials in results.items():
        session.figure(f"{bench}-rate", subject, [trial.per_second for trial in trials], "messages", "second")
    if paced:
        for quantile in ("p50", "p99"):
            for subject, trials in results.items():
                if subject != "nta":
                    session.figure(f"{bench}-{RATE}-{quantile}", subject, [getattr(trial, quantile) for trial in trials], "us",
                                   f"message, at {RATE} a second")


def run(session):
    if not os.path.exists(XMPP_MODULE):
        session.note("Kamailio's xmpp module (kamailio-xmpp-modules) is not installed")
    for bench in BENCHES:
        if bench[1:3] == ("tcp", "pager") or not session.quick:
            measure(session, *bench)
    for way, words in (("to-sip", "XMPP to SIP"), ("from-sip", "SIP to XMPP")):
        bench = name_of(way, "tcp", "pager")
        session.goal(f"{words}, CPU of a message, beside Kamailio's xmpp module", bench, "poolbridge", at_most=1 / 3,
                     of=(bench, "Kamailio xmpp"))
        session.goal(f"{words}, CPU of a message, beside the nta transaction alone", bench, "poolbridge", at_most=2.5,
                     of=(bench, "nta"))
