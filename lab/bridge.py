"""poolbridge itself: its configuration, the daemon, and poolbridgectl.

The programs are taken from the build folder that the environment variable
POOLBRIDGE_BUILD names, else from ./build.
"""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess

from lab import certificates
from lab.process import WAIT, Process, ProcessError

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("POOLBRIDGE_BUILD", os.path.join(TOP, "build"))
DAEMON, CONTROL = os.path.join(BUILD, "poolbridge"), os.path.join(BUILD, "poolbridgectl")


def missing_program(*more):
    """What a program that needs poolbridge, and these of the build folder, says where there is none; None: all are there."""
    for path in (DAEMON, CONTROL, *(os.path.join(BUILD, name) for name in more)):
        if not os.path.exists(path):
            return f"{path} is missing: make and make bench-programs, or set POOLBRIDGE_BUILD"
    return None


# A finding ends with a status that poolbridge never has.
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=86",
    "LSAN_OPTIONS": f"suppressions={TOP}/tests/lsan.supp:print_suppressions=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=86",
}


# What the registry holds at the start. Prosody's and ejabberd's certificates prove nothing here, so
# that dialback does; TLS is optional, so that partners with and without it can be played.
BASELINE = [
    ("domain", "add", "corp.test"),
    ("domain", "add", "branch.test"),
    ("partner", "add", "partner.test", "--tls", "optional"),
    ("partner", "add", "direct.test", "--tls", "optional"),
    ("partner", "add", "blocked.test", "--tls", "optional", "--gateway", "blocked"),
    ("partner", "add", "down.test", "--tls", "optional"),
    ("partner", "add", "without.test", "--tls", "optional"),
    ("user", "mark", "legacy", "romeo@corp.test", "benvolio@corp.test"),
    ("user", "mark", "migrated", "tybalt@corp.test", "paris@corp.test"),
]
TABLES = ["domain", "partner", "partner_alias", "user"]


class BridgeError(Exception):
    pass


class CommandError(BridgeError):
    """poolbridgectl failed: .status and .message, what it said on standard error."""

    def __init__(self, words, status, message):
        super().__init__(f"poolbridgectl {' '.join(words)}: exit status {status}: {message}")
        self.status, self.message = status, message


def value_text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[ " + ", ".join(value_text(item) for item in value) + " ]"
    return json.dumps(value, ensure_ascii=False)


def config_text(settings):
    """{"group.option": value} as libconfig's text."""
    groups, lines = {}, []
    for name, value in settings.items():
        group, dot, option = name.partition(".")
        if dot:
            groups.setdefault(group, []).append((option, value))
        else:
            lines.append(f"{name} = {value_text(value)};")
    for group, options in groups.items():
        lines += [group + ":", "{"]
        lines += [f"    {option} = {value_text(value)};" for option, value in options]
        lines.append("};")
    return "\n".join(lines) + "\n"


class Bridge:
    def __init__(self, lab, wiring, chaos, settings, federation=None):
        self._lab, self._federation = lab, federation
        self.folder = os.path.join(lab.folder, "bridge")
        os.makedirs(self.folder, exist_ok=True)
        self.config = os.path.join(self.folder, "poolbridge.conf")
        self.settings = dict(self._defaults(wiring, chaos), **settings)
        self.process, self._starts = None, 0
        self.write_config()
        self.fill_registry()
        self.start()

    def _defaults(self, wiring, chaos):
        address = self._lab.block.address
        certificate, key = certificates.make(self.folder, "corp.test")
        return {
            "registry": "registry.db",
            "log_level": "debug",
            "external.listen": [f"{address('external')}:5269"],
            "external.certificate": certificate,
            "external.key": key,
            "external.bind": address("external"),
            "internal.listen": [f"{address('internal')}:5269"] if wiring == "relay" else [],
            "internal.gateway": f"{address('legacy-proxy' if chaos else 'legacy')}:5269",
            "internal.bind": address("internal"),
            "internal.tls": "optional",
            "dns.resolver": f"{self._lab.outside.address}@{self._lab.outside.port}",
            "dns.transparent_zones": ["test"],
            "sip.listen": [f"udp:{address('sip')}:5060", f"tcp:{address('sip')}:5060"],
            "sip.allow": [address("pool"), address("legacy-pool"), address("sipp")],
            "sip.new_pool": f"sip:{address('pool-proxy' if chaos else 'pool')}:5060;transport=tcp",
            "sip.legacy_pool": f"sip:{address('legacy-pool')}:5060;transport=tcp",
            # What lab.sip_user takes; where other clients log in, each says what it takes.
            "sip.new_pool_mode": "auto" if self._lab.presence else "pager",
            "sip.legacy_pool_mode": "auto" if self._lab.presence else "pager",
        } | (self._certified() if self._federation else {})

    def _certified(self):
        """Every local domain has its own certificate; the one for all is nobody's."""
        return {
            "external.ca": self._federation.authority.pem,
            "external.certificates": self._federation.own,
            "external.listen_tls": [f"{self._lab.block.address('external')}:5270"] if self._federation.direct_tls else [],
        }

    def write_config(self, **changes):
        """changes: further settings, with __ for the dot: s2s__queue_time=5."""
        self.settings.update({name.replace("__", "."): value for name, value in changes.items()})
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(config_text(self.settings))

    def fill_registry(self):
        """Two local domains, the partners, and users of both marks; reset_registry() comes back to it."""
        for words in BASELINE:
            self.ctl(*words)
        if self._federation:
            for domain in self._federation.local:
                if ("domain", "add", domain) not in BASELINE:
                    self.ctl("domain", "add", domain)
            for partner in self._federation.partners:
                if partner.policy is not None:
                    self.ctl("partner", "add", partner.domain, *partner.policy)
        self.baseline = self._rows()

    # ---- the registry, as an administrator with the sqlite3 shell sees it

    def _registry(self):
        return sqlite3.connect(os.path.join(self.folder, "registry.db"), timeout=WAIT, isolation_level=None)

    def sql(self, statement, *values):
        """A change by hand. Returns rows where there are any."""
        with contextlib.closing(self._registry()) as db:
            return db.execute(statement, values).fetchall()

    def _rows(self):
        with contextlib.closing(self._registry()) as db:
            return {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}

    def reset_registry(self):
        if self._rows() == self.baseline:
            return
        with contextlib.closing(self._registry()) as db:
            db.execute("BEGIN IMMEDIATE")
            for table in reversed(TABLES):
                db.execute(f"DELETE FROM {table}")
            for table in TABLES:
                for row in self.baseline[table]:
                    db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
            db.execute("COMMIT")

    # ---- the daemon

    def start(self, before=()):
        """Returns when the daemon says that it is ready. before: the words of a program that starts it."""
        notify = os.path.join(self.folder, "notify")
        if os.path.exists(notify):
            os.unlink(notify)
        self._starts += 1
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.bind(notify)
            ready.settimeout(0.2)
            self.process = Process("poolbridge" if self._starts == 1 else f"poolbridge-{self._starts}",
                                   [*before, DAEMON, "-c", self.config], self._lab.folder, self._lab.guard,
                                   env=dict(SANITIZERS, NOTIFY_SOCKET=notify))
            for _ in range(int(WAIT / 0.2)):
                try:
                    if "READY=1" in ready.recv(4096).decode().split("\n"):
                        return
                except socket.timeout:
                    if not self.process.running():
                        break
        raise ProcessError(f"poolbridge did not get ready\n{self.process.tail()}")

    def reload(self):
        mark = self.process.mark()
        self.process.signal(signal.SIGHUP)
        return mark

    def stop(self):
        """SIGTERM. Raises BridgeError unless it ends by itself, with 0 and without a sanitizer's complaint."""
        process, self.process = self.process, None
        status = process.stop()
        complaints = [line for line in process.lines if "Sanitizer" in line or "runtime error:" in line]
        if status != 0 or complaints:
            raise BridgeError(f"poolbridge ended with {status}\n" + "\n".join(complaints) + "\n" + process.tail(80))

    def restart(self):
        self.stop()
        self.start()

    def kill(self):
        """SIGKILL: what a power cut leaves behind."""
        process, self.process = self.process, None
        process.kill()

    def close(self):
        if self.process:
            self.stop()

    # ---- poolbridgectl

    def run(self, *words, json_output=False, config=None):
        """Run poolbridgectl; the CompletedProcess."""
        argv = [CONTROL, "-c", config or self.config] + (["--json"] if json_output else []) + list(words)
        return subprocess.run(argv, capture_output=True, text=True, timeout=WAIT,
                              env=dict(os.environ, **SANITIZERS), check=False)

    def ctl(self, *words):
        """Run poolbridgectl; its output. CommandError when it fails."""
        done = self.run(*words)
        if done.returncode != 0:
            raise CommandError(words, done.returncode, done.stderr.strip())
        return done.stdout

    def json(self, *words):
        """Run poolbridgectl --json; the document."""
        done = self.run(*words, json_output=True)
        if done.returncode != 0:
            raise CommandError(words, done.returncode, done.stderr.strip())
        return json.loads(done.stdout)

    def link(self, remote, direction, local="corp.test"):
        """The external edge's link with a partner as status shows it, an authenticated one before others, or None."""
        found = [link for link in self.json("status")["links"] if link["edge"] == "external" and
                 (link["remote"], link["local"], link["direction"]) == (remote, local, direction)]
        return min(found, key=lambda link: link["auth"] == "none", default=None)

    def mark(self, mark, *addresses):
        self.ctl("user", "mark", mark, *addresses)
