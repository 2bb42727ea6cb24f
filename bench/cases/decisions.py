"""Route decisions: what one costs among 1 k, 10 k, 100 k and 1 M users, with everything known and with nothing."""

import json
import subprocess

from bench import registries

WAYS = {
    "any": "users of all, by chance",
    "active": "a thousand users who talk",
    "alone": "the same, each message by itself",
    "first": "any user, after a change of the registry",
}


def run(session):
    sizes = (1000, 10000, 100000) if session.quick else (1000, 10000, 100000, 1000000)
    files = {users: registries.path(session, users) for users in sizes}
    count = 100000 if session.quick else 300000
    results = session.alternate({users: lambda users=users: _decide(session, files[users], users, count) for users in sizes})
    for way, meaning in WAYS.items():
        for users in sizes:
            session.figure(f"decisions-{way}", f"{users:,} users", [r[way] for r in results[users]], "us", "decision",
                           meaning=meaning)
    largest, least = f"{sizes[-1]:,} users", f"{sizes[0]:,} users"
    for users in sizes:
        session.figure("decisions-rate", f"{users:,} users", [1e6 / r["active"] for r in results[users]], "decisions", "second")
    session.goal(f"a route decision among {largest}, any of them: at most 4 us", "decisions-any", largest, at_most=4)
    session.goal(f"flat: of a thousand active users among {largest} at most 2 times as among {least}", "decisions-active",
                 largest, at_most=2, of=("decisions-active", least))


def _decide(session, file, users, count):
    words = [session.program("bench", "decisions"), file, registries.DOMAIN, registries.PARTNER, str(users), str(count)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
