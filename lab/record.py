"""What happened to numbered messages, from the logs of playing ends (lab.ends), and the verdict on a run.

A message is lost when its sender was told that it is taken over (XEP-0198's h, SIP's 200), never told of an
error, and nobody got it. Messages are in order when those of each pair of users arrive first in the order of their
numbers, wherever they arrive.

Errors are answers, but a bridge that answers everything with an error would lose nothing either. So each flow has a
ceiling: those of its messages that had to be answered so, and a share of those that lived while something was broken.
What is above it counts as refused.

Where something was killed or broken, some of it is unavoidable, and counted apart as "in the window": a message that arrived,
but whose acknowledgement the break swallowed, arrives again; one that was not acknowledged at a crash of the bridge is sent
again, perhaps behind later ones; and an end that was silent may have got what its sender had to be told an error for.
"""

from collections import Counter, defaultdict

WINDOW = 2.0    # seconds before a break in which an acknowledgement may have been on its way
AFTER = 1.0     # seconds behind its end in which what had been read, or waited in sockets, is still noted
SILENCE = 40.0  # seconds behind a break in which outcomes that it made uncertain are told
REACH = 10.0    # seconds behind a break in which messages are still sent into what it has left: links and pools come back


class Message:
    __slots__ = ("sent", "acked", "error", "unknown", "got")

    def __init__(self):
        self.sent = self.acked = self.error = self.unknown = None
        self.got = ()  # ((time, end, connection), ...)


def read(ends):
    """{(flow, pair, number): Message} from {name of an end: path of its log}; times in seconds."""
    messages = defaultdict(Message)
    for name, path in ends.items():
        with open(path, encoding="ascii") as log:
            for line in log:
                if not line.endswith("\n"):
                    break  # the end was killed while it wrote
                at, note, flow, pair, number, connection = line.split()
                message, at = messages[flow, int(pair), int(number)], int(at) / 1e6
                if note == "s":
                    message.sent = at
                elif note == "a":
                    message.acked = at
                elif note == "e":
                    message.error = at
                elif note == "x":
                    message.unknown = at
                elif note == "g":
                    message.got += ((at, name, connection),)
    for message in messages.values():
        message.got = tuple(sorted(message.got))
    return dict(messages)


class Break:
    """From begin to end something was away. crash: it was the bridge itself."""

    def __init__(self, begin, end, crash):
        self.begin, self.end, self.crash = begin, end, crash


class Verdict:
    """
    Defects are lists of keys of messages; window: counts of what a break explains. due(key, message): whether
    that one's error had to be. broken: {flow: the part of its messages touched by a break that may end in an error}, all
    where it is not named.
    """

    def __init__(self, messages, breaks=(), due=None, broken=None):
        self.messages, self._breaks = messages, sorted(breaks, key=lambda b: b.begin)
        self.lost, self.doubled, self.both_sides, self.disorder, self.errored, self.open = [], [], [], [], [], []
        self.window = {"doubled": 0, "disorder": 0, "errored_and_delivered": 0, "open": 0}
        self.window_ms = 0
        for key, message in messages.items():
            self._judge(key, message)
        self._judge_order()
        self.errors, self.ceilings, self.refused = {}, {}, []
        self._judge_errors(due or (lambda key, message: False), broken or {})

    def _judge(self, key, m):
        if m.sent is None:  # of an end that was killed before it noted what the kernel had taken
            return
        if m.acked is not None and m.error is None and not m.got:
            self.lost.append(key)
        if len(m.got) > 1:
            self._judge_doubled(key, m)
        if m.error is not None and m.got:
            self._put(self.errored, "errored_and_delivered", key,
                      any(b.begin - WINDOW <= m.got[0][0] <= b.end + SILENCE and m.error >= b.begin for b in self._breaks))
        if m.acked is None and m.error is None and m.unknown is None:
            self._put(self.open, "open", key, bool(self._breaks))

    def _judge_doubled(self, key, m):
        first, last = m.got[0], m.got[-1]
        around = [b for b in self._breaks if b.begin - WINDOW <= first[0] <= b.end + AFTER and last[0] >= b.begin]
        same = any(one[1:] == other[1:] for one, other in zip(m.got, m.got[1:]))
        elsewhere = len({got[1] for got in m.got}) > 1
        if elsewhere:  # a connection that breaks is no reason to go to the other side
            around = [b for b in around if b.crash]
        if around and not (same and not any(b.crash for b in around)):
            self.window_ms = max(self.window_ms, round(1000 * max(min(b.begin - first[0] for b in around), 0)))
        self._put(self.both_sides if elsewhere else self.doubled, "doubled", key, bool(around))

    def _judge_order(self):
        pairs = defaultdict(list)
        for key, message in self.messages.items():
            # One whose sender was told that it failed has no place in the order any more.
            if message.got and message.sent is not None and message.error is None:
                pairs[key[:2]].append((message.got[0][0], key[2], key))
        for arrivals in pairs.values():
            highest = 0
            for _, number, key in sorted(arrivals):
                if number < highest:
                    self._put(self.disorder, "disorder", key, self._crashed_unacknowledged(self.messages[key]))
                highest = max(highest, number)

    def _judge_errors(self, due, broken):
        touched, expected, failed = Counter(), Counter(), defaultdict(list)
        for key, m in self.messages.items():
            if m.sent is None:
                continue
            is_touched = self._is_touched(m)
            touched[key[0]] += is_touched
            if m.error is not None and due(key, m):
                expected[key[0]] += 1
            elif m.error is not None:
                failed[key[0], is_touched].append(key)
        for flow in sorted(touched):
            most = round(broken.get(flow, 1) * touched[flow])
            self.errors[flow] = expected[flow] + len(failed[flow, False]) + len(failed[flow, True])
            self.ceilings[flow] = expected[flow] + most
            self.refused += failed[flow, False] + failed[flow, True][most:]

    def _is_touched(self, m):
        """Something was away between its sending and its end."""
        ends = [at for at in (m.acked, m.error) if at is not None]
        return any(m.sent <= b.end + REACH and (not ends or max(ends) >= b.begin) for b in self._breaks)

    def _crashed_unacknowledged(self, m):
        return any(b.crash and m.sent <= b.end and (m.acked is None or m.acked >= b.begin) and m.got[0][0] >= b.begin
                   for b in self._breaks)

    def _put(self, defects, name, key, in_window):
        if in_window:
            self.window[name] += 1
        else:
            defects.append(key)

    def ok(self):
        return not (self.lost or self.doubled or self.both_sides or self.disorder or self.errored or self.open or
                    self.refused)

    def document(self):
        count = {name: sum(getattr(m, name) is not None for m in self.messages.values())
                 for name in ("sent", "acked", "error", "unknown")}
        return {"sent": count["sent"], "acknowledged": count["acked"], "errors": count["error"],
                "errors_by_flow": self.errors, "errors_at_most": self.ceilings, "refused": len(self.refused),
                "unknown": count["unknown"], "delivered": sum(bool(m.got) for m in self.messages.values()),
                "lost": len(self.lost), "doubled": len(self.doubled), "both_sides": len(self.both_sides),
                "disorder": len(self.disorder), "errored_and_delivered": len(self.errored), "open": len(self.open),
                "in_window": self.window, "window_ms": self.window_ms, "ok": self.ok()}

    def stories(self, count=5):
        """A line for each of the first defects of every kind: what is known of the message."""
        for kind in ("lost", "doubled", "both_sides", "disorder", "errored", "open", "refused"):
            for key in getattr(self, kind)[:count]:
                m = self.messages[key]
                yield (f"{kind} {'-'.join(map(str, key))}: " +
                       " ".join(f"{name}={getattr(m, name):.3f}" for name in ("sent", "acked", "error", "unknown")
                                if getattr(m, name) is not None) +
                       "".join(f" got={at:.3f}:{end}#{connection}" for at, end, connection in m.got))
