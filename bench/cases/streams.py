"""Idle TLS streams, by 1 to 10,000: memory each, and what setting one up costs, beside Prosody and ejabberd.

A stream is idle when it has had STARTTLS and a second header and has proved nothing yet; that is the same for all
three. The memory is the growth of the resident size since before the first one, of all processes of a server. The
strangers at the end are what may be held against us before authentication: streams that say nothing, a header, or an
element that never ends.
"""

import resource

from bench.ends import Player
from bench.measure import children, cpu_us, resident_kib
from lab import Lab

COUNTS, QUICK_COUNTS = (1, 100, 1000, 10000), (1, 100, 1000)
PEER_MOST = 1000
STRANGERS = {"nothing": 20, "header": 20, "element": 70}  # KiB at most, as docs/conformance.md has it
FILES = 20000  # descriptors: of the server, and of the crowd
LIMITS = {"s2s.streams": 30000, "s2s.streams_unauthenticated": 15000, "s2s.streams_per_address": 30000,
          "s2s.establish_time": 600, "log_level": "warning"}


class Measured:
    """A server under test, and streams to it: the memory of each, and what the last ones of so many cost to set up."""

    def __init__(self, lab, subject, pid, address, names, counts, said="secure"):
        sender, to = names
        crowd = Player(lab, f"crowd-{subject}-{said}", "crowd", listen=lab.block.address("raw"), connect=address, said=said,
                       to=to, **{"from": sender})
        pids, opened = children(pid), 0
        self.memory, self.cpu, self.rate = {}, {}, {}
        before = resident_kib(*pids)
        for count in counts:
            cpu = cpu_us(pids)
            answer = crowd.ask(f"open {count - opened}")
            cpu, more, opened = cpu_us(pids) - cpu, count - opened, count
            self.memory[count] = (resident_kib(*pids) - before) / count
            self.cpu[count], self.rate[count] = cpu / more, more / answer["seconds"]
        self.refused = answer["ended"]
        crowd.close()


def run(session):
    allow_files()
    counts = QUICK_COUNTS if session.quick else COUNTS
    results = {}
    for _ in range(session.runs):
        for subject, measured in one_after_the_other(session, counts):
            results.setdefault(subject, []).append(measured)
    for name, what, unit, per in (("idle-tls", "memory", "KiB", "stream"), ("stream-setup", "cpu", "us CPU", "stream"),
                                  ("stream-setup-rate", "rate", "streams", "second")):
        for count in counts if what == "memory" else counts[2:]:
            for subject, all_runs in results.items():
                if count in all_runs[0].memory:
                    session.figure(f"{name}-{count}", subject, [getattr(one, what)[count] for one in all_runs], unit, per)
    for subject, all_runs in results.items():
        session.faults("idle-tls", subject, errors=sum(one.refused for one in all_runs))
    strangers(session, counts[-1])
    session.goal("an idle TLS stream, of 1,000, beside ejabberd", "idle-tls-1000", "poolbridge", at_most=0.5,
                 of=("idle-tls-1000", "ejabberd"))
    session.goal("an idle TLS stream, of 1,000, beside Prosody", "idle-tls-1000", "poolbridge", at_most=1,
                 of=("idle-tls-1000", "prosody"))


def allow_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))


def one_after_the_other(session, counts):
    """Yields what was measured of each that is wanted and there."""
    if session.wants("poolbridge"):
        yield "poolbridge", of_poolbridge(counts, "secure")
    for peer in filter(session.wants, ("prosody", "ejabberd")):
        try:
            lab = Lab(partner=peer, legacy=peer, bridge=False, pool=False)
        except FileNotFoundError as error:
            session.note(f"without {peer}: {error}")
            continue
        with lab:
            if peer == "prosody":
                be_patient(lab.partner)
            yield peer, Measured(lab, peer, lab.partner.process.pid, lab.partner.address, ("corp.test", "partner.test"),
                                 [count for count in counts if count <= PEER_MOST])


def of_poolbridge(counts, said):
    with Lab(partner=None, pool=False, settings=LIMITS) as lab:
        return Measured(lab, "poolbridge", lab.bridge.process.pid, lab.block.address("external"),
                        ("partner.test", "corp.test"), counts, said)


def be_patient(prosody):
    """In the lab it ends streams that have proved nothing for 5 s."""
    with open(prosody.config, encoding="utf-8") as config:
        text = config.read()
    with open(prosody.config, "w", encoding="utf-8") as config:
        config.write(text.replace("s2s_timeout = 5", "s2s_timeout = 600"))
    prosody.restart()


def strangers(session, count):
    for said, ceiling in STRANGERS.items():
        measured = of_poolbridge([count], said)
        session.figure(f"strangers-{said}", "poolbridge", [measured.memory[count]], "KiB", "stream", streams=count)
        session.faults(f"strangers-{said}", "poolbridge", errors=measured.refused)
        session.goal(f"memory before authentication: {said}", f"strangers-{said}", "poolbridge", at_most=ceiling)
