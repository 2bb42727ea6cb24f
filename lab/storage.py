"""One life of poolbridge on a disk that fails: messages are sent to it and held, and what became of each is known.

The partner's server and the new pool are played, so that both the acknowledgements (XEP-0198) and the
answers (SIP) are in our hands; both are as patient as real ones: what was not acknowledged is sent again.
"""

import contextlib
import os
import re
import shutil
import sqlite3
import tempfile
import threading
import time

from lab import Lab, tracer
from lab.federation import Federation, Partner
from lab.process import ProcessError
from lab.raw_peer import Ended, RawPeer
from lab.sip_user import SipUser

DOMAIN = "raw.test"
RAW = Partner(DOMAIN, policy=("--tls", "none", "--sasl", "none"), services=(("xmpp-server", 0, "raw", 5269),))
SETTINGS = {"s2s.backoff_min": 0.1, "s2s.backoff_max": 0.3, "sip.backoff_max": 1, "s2s.queue_time": 20}
PATIENCE = 30.0
HELD, DIRECT = "romeo@corp.test", "paris@corp.test"


class Lost(AssertionError):
    """What must not be."""


class Rig:
    """The servers, for all lives."""

    def __init__(self):
        self.lab = Lab(federation=Federation("either", [RAW]), pool=False, settings=SETTINGS)
        self.bridge = self.lab.bridge
        self.peer = RawPeer(self.lab, DOMAIN, sm=False)
        self.pool = SipUser(self.lab.loop, self.lab.block, "pool@corp.test", None, "tcp", register=False,
                            host=self.lab.block.address("pool"))
        self.legacy = self.lab.legacy_user("benvolio@corp.test")
        self.state = os.path.join(self.bridge.folder, "registry.db.state")
        self.registry = os.path.join(self.bridge.folder, "registry.db")
        self.errors = []
        threading.Thread(target=self._read_errors, daemon=True).start()
        self._lives = 0

    def _read_errors(self):
        """What poolbridge sends to the partner, by whatever stream."""
        while True:
            with contextlib.suppress(Exception):
                stream = self.peer.accept()
                threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream):
        with contextlib.suppress(Ended, OSError):
            while True:
                tag = stream.wait(r"<message [^>]*type='error'[^>]*>|<message [^>]*type=\"error\"[^>]*>").group(0)
                self.errors.append(re.search(r" id=['\"]([^'\"]*)['\"]", tag).group(1))

    def life(self):
        self._lives += 1
        return Life(self, f"l{self._lives}")

    def stop(self):
        if self.bridge.process:
            self.bridge.stop()

    def clean(self):
        """A daemon with an empty state file, and everybody as at the start."""
        self.stop()
        self.remove_state()
        self.bridge.reset_registry()
        self.bridge.start()

    def recover(self):
        """After a case that failed: nothing of it is left."""
        process, self.bridge.process = self.bridge.process, None
        if process:
            process.kill()
        self.remove_state()
        self.bridge.reset_registry()

    def remove_state(self):
        for path in tracer.files_of(self.state):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def close(self):
        self.peer.close()
        self.pool.close()
        self.lab.close()


class Life:
    """Messages with names of their own. A name is "LIFE-NUMBER", the body of the message too."""

    def __init__(self, rig, name):
        self.rig, self.name = rig, name
        self.sent, self.to, self.acknowledged = [], {}, set()
        self.again, self.spooled_at_end, self.deaths = set(), set(), []
        self.shown = []  # what the log said at each of the deaths
        self._stream, self._unacknowledged, self._on_stream = None, [], []

    # ---- the partner's server

    def connect(self):
        self._stream = self.rig.peer.connect()
        self._stream.enable()
        self._on_stream = []

    def send(self, to, count=1):
        """What is sent into a stream that breaks is sent again on the next."""
        names = [f"{self.name}-{len(self.sent) + k}" for k in range(count)]
        self.sent += names
        self._unacknowledged += names
        self.to.update(dict.fromkeys(names, to))
        for name in names:
            self._write(name)
        return names

    def _write(self, name):
        with contextlib.suppress(OSError):
            self._on_stream.append(name)
            self._stream.send(f"<message from='mercutio@{DOMAIN}' to='{self.to[name]}' type='chat' id='{name}'>"
                              f"<body>{name}</body></message>")

    def ask(self):
        """The h of now. Ended when the stream is over."""
        try:
            h = self._stream.count()
        except OSError as error:
            raise Ended(str(error)) from error
        for name in self._on_stream[:h]:
            self.acknowledged.add(name)
            if name in self._unacknowledged:
                self._unacknowledged.remove(name)

    def settle(self):
        """Until all is acknowledged, or the daemon is gone: then True."""
        end = time.monotonic() + PATIENCE
        while self._unacknowledged:
            try:
                self.ask()
            except (Ended, AssertionError):
                return True
            if time.monotonic() > end:
                raise Lost(f"not acknowledged in {PATIENCE:g} s: {self._unacknowledged}")
            time.sleep(0.02)
        return False

    def again_on_a_new_stream(self):
        self.connect()
        self.again |= set(self._unacknowledged)
        for name in list(self._unacknowledged):
            self._write(name)

    # ---- the daemon

    def gone(self, wait=0.0):
        process = self.rig.bridge.process
        end = time.monotonic() + wait
        while process.running():
            if time.monotonic() >= end:
                return False
            time.sleep(0.01)
        return True

    def bury(self):
        """It has ended: what it left is looked at before anybody else touches it."""
        process, self.rig.bridge.process = self.rig.bridge.process, None
        self.deaths.append(process.kill())
        self.shown.append(next((line for line in process.lines if "state-not-on-disk" in line), ""))
        for path in (self.rig.state, self.rig.registry):
            with look(path) as db:
                verdict = db.execute("PRAGMA integrity_check").fetchone()[0]
                if verdict != "ok":
                    raise Lost(f"{path}: {verdict}")
                if path == self.rig.state:
                    tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
                    rows = db.execute("SELECT stanza FROM message").fetchall() if "message" in tables else []
                    self.spooled_at_end |= {match.group(1) for row in rows
                                            for match in re.finditer(rf"id='({self.name}-\d+)'",
                                                                     bytes(row[0]).decode("utf-8", "replace"))}

    # ---- what became of all

    def outcomes(self):
        delivered = [item.body for item in list(self.rig.pool.inbox.history) + list(self.rig.legacy.inbox.history)
                     if (getattr(item, "body", "") or "").startswith(self.name + "-")]
        failed = [name for name in list(self.rig.errors) if name.startswith(self.name + "-")]
        return delivered, failed

    def wait_outcomes(self):
        end = time.monotonic() + PATIENCE
        while True:
            delivered, failed = self.outcomes()
            missing = [name for name in self.sent if name not in delivered and name not in failed]
            if not missing:
                return
            if time.monotonic() > end:
                raise Lost(f"neither delivered nor answered with an error: {missing}; acknowledged: "
                           f"{sorted(set(missing) & self.acknowledged)}\n{self.rig.bridge.process.tail(30)}")
            time.sleep(0.02)

    def judge(self):
        """The verdict's members. Lost when something is not as it must be."""
        delivered, failed = self.outcomes()
        doubled = sorted({name for name in delivered if delivered.count(name) > 1} |
                         {name for name in delivered if name in failed} |
                         {name for name in failed if failed.count(name) > 1})
        window = self.again | self.spooled_at_end if self.deaths else set()
        if set(doubled) - window:
            raise Lost(f"doubled outside the window: {sorted(set(doubled) - window)}; delivered {delivered}, "
                       f"errors {failed}")
        for to in (HELD, DIRECT):
            first = list(dict.fromkeys(name for name in delivered if self.to.get(name) == to))
            if first != sorted(first, key=self.sent.index) and not self.again:
                raise Lost(f"out of order: {first}")
        return {"sent": len(self.sent), "delivered": len(set(delivered)), "errors": len(set(failed)),
                "doubled_in_window": len(doubled)}


@contextlib.contextmanager
def look(path):
    """A connection to a copy of a database as it is now: looking would change it."""
    with tempfile.TemporaryDirectory(prefix="poolbridge-look-") as folder:
        for end in ("", "-wal"):
            if os.path.exists(path + end):
                shutil.copy(path + end, os.path.join(folder, "copy.db" + end))
        with contextlib.closing(sqlite3.connect(os.path.join(folder, "copy.db"))) as db:
            yield db


def start_or_not(bridge, before=()):
    """Start the daemon behind these words; False when it does not get ready."""
    try:
        bridge.start(before)
        return True
    except ProcessError:
        bridge.process.kill()
        bridge.process = None
        return False
