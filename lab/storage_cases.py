"""The cases of tests/storage. Each is a generator of (name, function of the rig); the function returns the members
of its verdict, or raises Lost.

Short runs take one call of each kind, in the middle; long runs take all.
"""

import contextlib
import functools
import hashlib
import os
import shutil
import sqlite3
import time

from lab import tracer
from lab.bridge import CONTROL, SANITIZERS
from lab.storage import DIRECT, HELD, PATIENCE, Lost, look, start_or_not

# What a failing disk says, by call.
WRITES = ("pwrite64", "ftruncate", "fallocate", "mmap")
SYNCS = ("fdatasync", "fsync")


def some(count, short):
    """Numbers of calls, from 1."""
    return [(count + 1) // 2] if short and count else range(1, count + 1)


def log_of(rig):
    return os.path.join(rig.lab.folder, "strace.log")


# ---- the commit path: hold, acknowledge, let go, remove

def move(rig):
    rig.bridge.mark("migrated", HELD)


def first_half(rig, life):
    """Three messages are held and one passes; True when the daemon has ended."""
    life.send(HELD, 3)
    life.send(DIRECT)
    return life.settle()


def second_half(rig, life):
    """The held ones go on, and one follows."""
    move(rig)
    life.send(HELD)
    return life.settle()


def lasts(inject):
    return inject is not None and inject.endswith("+")


def live(rig, inject):
    """One life with a fault in it. The verdict's members."""
    rig.clean()
    rig.bridge.mark("moving", HELD)
    life = rig.life()
    life.connect()
    trace = tracer.Tracer(rig.bridge.process.pid, log_of(rig), tracer.files_of(rig.state), inject=inject)
    try:
        over = first_half(rig, life) or second_half(rig, life)
        # What is still to be written is the removal of the last one.
        end = time.monotonic() + (1 if lasts(inject) else PATIENCE)
        while not over and not life.gone() and not is_empty(rig) and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        trace.close()
    while life.gone(wait=0.05 if over else 0):
        life.bury()
        rig.bridge.start()
        life.again_on_a_new_stream()
        move(rig)
        over = life.settle()
    move(rig)
    life.wait_outcomes()
    wait_empty(rig)
    rig.bridge.stop()
    verdict = dict(life.judge(), ended=life.deaths, injected=-9 in life.deaths or tracer.was_injected(log_of(rig)))
    check_files(rig)
    return verdict, life


def is_empty(rig):
    with contextlib.suppress(Exception):
        return rig.bridge.json("status")["spool"]["messages"] == 0
    return False


def wait_empty(rig):
    end = time.monotonic() + PATIENCE
    while not is_empty(rig):
        if time.monotonic() > end:
            raise Lost(f"something stays in the spool: {rig.bridge.ctl('spool', 'list')}")
        time.sleep(0.02)


def check_files(rig):
    for path in (rig.state, rig.registry):
        with contextlib.closing(sqlite3.connect(path)) as db:
            verdict = db.execute("PRAGMA integrity_check").fetchone()[0]
        if verdict != "ok":
            raise Lost(f"{path}: {verdict}")


def commit_case(inject, rig):
    verdict, life = live(rig, inject)
    call, fault, *_ = inject.split(":")
    if not verdict["injected"]:
        number = int(inject.rpartition("=")[2].rstrip("+"))
        if tracer.counts(log_of(rig)).get(call, 0) >= number:
            raise Lost("the fault was not injected")
        return verdict  # one life has some calls more than another
    if fault == "signal=KILL" and life.deaths != [-9]:
        raise Lost(f"killed, it ended {life.deaths}")
    if call in SYNCS and fault != "signal=KILL" and (life.deaths[:1] != [1] or not life.shown[0]):
        raise Lost(f"after a failed sync it must end with 1, and say why: {life.deaths}, {life.shown}")
    if call not in SYNCS and fault != "signal=KILL" and life.deaths:
        raise Lost(f"it ended: {life.deaths}")
    return verdict


def commit_path(rig, short):
    """Kill at each call, and errors, once and for good."""
    live(rig, None)
    counts = tracer.counts(log_of(rig))
    yield "commit/calls", lambda rig: counts
    for call, count in sorted(counts.items()):
        for number in some(count, short):
            inject = f"{call}:signal=KILL:when={number}"
            yield "commit/" + inject, functools.partial(commit_case, inject)
    for error in ("EIO", "ENOSPC"):
        for call in WRITES + SYNCS + (("pread64",) if error == "EIO" else ()):
            for number in some(counts.get(call, 0), short):
                for good in ("", "+"):
                    inject = f"{call}:error={error}:when={number}{good}"
                    yield "commit/" + inject, functools.partial(commit_case, inject)


# ---- the order of things: what is acknowledged has been synced

def order_case(rig):
    """In a trace of all that is written: no h leaves before the sync of the log that holds what it counts."""
    rig.clean()
    rig.bridge.mark("moving", HELD)
    life = rig.life()
    life.connect()
    log = log_of(rig)
    trace = tracer.Tracer(rig.bridge.process.pid, log, [], calls=("pwrite64", "fdatasync", "write", "sendto", "sendmsg", "writev"),
                          more=("-s", "400", "-y"))
    try:
        for _ in range(20):
            life.send(HELD)
            if life.settle():
                raise Lost("it ended")
    finally:
        trace.close()
    dirty, handled, syncs = False, 0, 0
    with open(log, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("pwrite64(") and ".state-wal" in line:
                dirty = True
            elif line.startswith("fdatasync(") and ".state-wal" in line:
                dirty, syncs = False, syncs + 1
            elif "<a " in line and "urn:xmpp:sm:3" in line:
                handled += 1
                if dirty:
                    raise Lost(f"acknowledged before it was synced: {line[:200]}")
    if handled == 0 or syncs < 20:
        raise Lost(f"the trace shows {handled} acknowledgements and {syncs} syncs")
    move(rig)
    life.wait_outcomes()
    return dict(life.judge(), acknowledgements=handled, syncs=syncs)


def order(rig, short):
    yield "order/sync before acknowledgement", order_case


# ---- the start

def keep_messages(rig):
    """A state file with three held messages in its log, as a killed daemon leaves it, and its copies."""
    rig.clean()
    rig.bridge.mark("moving", HELD)
    life = rig.life()
    life.connect()
    life.send(HELD, 3)
    if life.settle():
        raise Lost("it ended")
    rig.bridge.kill()
    for path in tracer.files_of(rig.state)[:2]:
        shutil.copy(path, path + ".kept")
    return life


def restore(rig):
    rig.remove_state()
    for path in tracer.files_of(rig.state)[:2]:
        shutil.copy(path + ".kept", path)


def start_case(inject, with_messages, rig):
    """The start fails, or does not; the next one has all that was there."""
    life = keep_messages(rig) if with_messages else rig.life()
    if not with_messages:
        rig.stop()
        rig.remove_state()
        rig.bridge.mark("moving", HELD)
    log = log_of(rig)
    # -D: the daemon is our child, strace is its.
    before = tracer.words(log, tracer.files_of(rig.state) + [rig.bridge.folder], inject=inject,
                          more=("-D", "-y")) + ["--"]
    started = start_or_not(rig.bridge, before)
    if started:
        rig.bridge.kill()
        with open(log, encoding="utf-8", errors="replace") as lines:
            if any(line.startswith(SYNCS) and "(INJECTED)" in line and rig.state in line for line in lines):
                raise Lost("it started on what it could not sync")
    rig.bridge.start()
    life.connect()
    life.send(HELD)
    if life.settle():
        raise Lost("it ended")
    move(rig)
    life.wait_outcomes()
    wait_empty(rig)
    rig.bridge.stop()
    check_files(rig)
    delivered, failed = life.outcomes()
    if sorted(delivered) != life.sent or failed:
        raise Lost(f"sent {life.sent}, delivered {delivered}, errors {failed}")
    return {"started": started, "delivered": len(delivered)}


def starts(rig, short):
    for with_messages, name in ((True, "start"), (False, "first-start")):
        start_case(None, with_messages, rig)
        counts = tracer.counts(log_of(rig))
        yield f"{name}/calls", lambda rig, counts=counts: counts
        for call, count in sorted(counts.items()):
            faults = ["signal=KILL"] + (["error=EIO"] if call in WRITES + SYNCS + ("pread64",) else []) + \
                (["error=ENOSPC"] if call in WRITES + ("openat",) else [])
            if short and call not in WRITES + SYNCS:
                continue
            for fault in faults:
                for number in some(count, short):
                    inject = f"{call}:{fault}:when={number}"
                    yield f"{name}/{inject}", functools.partial(start_case, inject, with_messages)


# ---- the registry, as poolbridgectl changes it

USERS = [f"user{k}@corp.test" for k in range(5)]


def registry_rows(rig):
    with look(rig.registry) as db:
        if db.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
            raise Lost("the registry is damaged")
        marks = db.execute("SELECT count(*) FROM user WHERE address LIKE 'user_@corp.test' AND mark = 'migrated'").fetchone()[0]
        audit = db.execute("SELECT count(*) FROM audit WHERE object = 'user' AND key LIKE 'user_@corp.test'").fetchone()[0]
        actor = db.execute("SELECT count(*) FROM actor").fetchone()[0]
    return marks, audit, actor


def registry_case(words, inject, lonely, rig):
    """lonely: the daemon is not running, so that the last one to leave also empties the log."""
    rig.bridge.sql("DELETE FROM user WHERE address LIKE 'user_@corp.test'")
    rig.bridge.sql("DELETE FROM audit")
    if lonely:
        rig.stop()
    elif not rig.bridge.process:
        rig.bridge.start()
    log = log_of(rig)
    done = tracer.run([CONTROL, "-c", rig.bridge.config] + words, log, tracer.files_of(rig.registry), inject=inject,
                      env=dict(SANITIZERS, ASAN_OPTIONS="detect_leaks=0"))
    marks, audit, actor = registry_rows(rig)
    if (marks, audit) not in ((0, 0), (5, 5)) or actor:
        raise Lost(f"half done: {marks} marks, {audit} rows of audit, {actor} actors")
    if done.returncode == 0 and marks != 5:
        raise Lost("it said that it was done")
    if done.returncode > 0 and marks and "may not be on disk" not in done.stderr:
        raise Lost(f"it said that it failed, and it is done: {done.stderr.strip()}")
    if done.returncode > 0 and rig.registry not in done.stderr:
        raise Lost(f"it does not name the file: {done.stderr.strip()}")
    if "No space left" in done.stderr and "make room" not in done.stderr:
        raise Lost(f"it does not say how to mend it: {done.stderr.strip()}")
    again = rig.bridge.run(*words)
    if again.returncode != 0 or registry_rows(rig)[:2] != (5, 5):
        raise Lost(f"it does not work afterwards: {again.stderr.strip()}")
    return {"status": done.returncode, "done": marks == 5, "said": done.stderr.strip()[:200]}


def registry(rig, short):
    csv = os.path.join(rig.lab.folder, "users.csv")
    with open(csv, "w", encoding="utf-8") as out:
        out.write("address,mark\n" + "".join(f"{user},migrated\n" for user in USERS))
    commands = {"mark": ["user", "mark", "migrated", *USERS], "import": ["user", "import", csv]}
    rig.clean()
    for name, words in commands.items():
        for lonely in (False, True):
            where = f"registry/{name}{' alone' if lonely else ''}"
            registry_case(words, None, lonely, rig)
            for call, count in sorted(tracer.counts(log_of(rig)).items()):
                faults = ["signal=KILL"] + (["error=EIO"] if call in WRITES + SYNCS + ("pread64",) else []) + \
                    (["error=ENOSPC"] if call in WRITES else [])
                for fault in faults:
                    for number in some(count, short):
                        inject = f"{call}:{fault}:when={number}"
                        yield f"{where}/{inject}", functools.partial(registry_case, words, inject, lonely)


# ---- a full disk, and a lock, for as long as they last

def without_the_spool(rig, undo):
    """What needs no spool passes, what does gets an error, commands answer; and afterwards all works again."""
    life = rig.life()
    life.connect()
    pid = rig.bridge.process.pid
    try:
        held = life.send(HELD, 2)
        passing = life.send(DIRECT, 2) + life.send("benvolio@corp.test", 2)
        if life.settle():
            raise Lost("it ended")
        life.wait_outcomes()
        delivered, failed = life.outcomes()
        if sorted(failed) != held or sorted(delivered) != sorted(passing):
            raise Lost(f"delivered {delivered}, errors {failed}")
        state = rig.bridge.json("status")["state"]
        if state["writable"] or not state["trouble"]:
            raise Lost(f"status says {state}")
        said = rig.bridge.process.wait_line("state-unwritable").string
        rig.bridge.ctl("user", "list")
    finally:
        undo()
    life.send(HELD, 2)
    if life.settle():
        raise Lost("it ended")
    move(rig)
    life.wait_outcomes()
    wait_empty(rig)
    delivered, failed = life.outcomes()
    if sorted(failed) != held or len(delivered) != 6:
        raise Lost(f"afterwards: delivered {delivered}, errors {failed}")
    if not rig.bridge.json("status")["state"]["writable"] or rig.bridge.process.pid != pid:
        raise Lost("status does not say that it works again")
    return dict(life.judge(), trouble=state["trouble"], log=said)


def full_disk(rig):
    rig.clean()
    rig.bridge.mark("moving", HELD)
    trace = tracer.Tracer(rig.bridge.process.pid, log_of(rig), tracer.files_of(rig.state),
                          inject="pwrite64,ftruncate,fallocate:error=ENOSPC")
    return without_the_spool(rig, trace.close)


def full_while_released(rig):
    """The disk fills when messages are held already, and the move ends: what was kept arrives, each once."""
    rig.clean()
    rig.bridge.mark("moving", HELD)
    life = rig.life()
    life.connect()
    life.send(HELD, 3)
    if life.settle():
        raise Lost("it ended")
    trace = tracer.Tracer(rig.bridge.process.pid, log_of(rig), tracer.files_of(rig.state),
                          inject="pwrite64,ftruncate,fallocate:error=ENOSPC")
    try:
        move(rig)
        rig.bridge.process.wait_line("state-unwritable")
        life.send(DIRECT, 2)
        if life.settle():
            raise Lost("it ended")
        rig.pool.inbox.wait(lambda item: item.body == life.sent[-1])
        meanwhile = len(life.outcomes()[0]) - 2
    finally:
        trace.close()
    life.wait_outcomes()
    wait_empty(rig)
    if life.outcomes()[1]:
        raise Lost(f"errors: {life.outcomes()[1]}")
    return dict(life.judge(), released_while_full=meanwhile)


def locked_state(rig):
    rig.clean()
    rig.bridge.mark("moving", HELD)
    shell = sqlite3.connect(rig.state, isolation_level=None, check_same_thread=False)
    shell.execute("BEGIN IMMEDIATE")
    return without_the_spool(rig, shell.close)


def locked_registry(rig):
    """An administrator's transaction that nobody ends: reading goes on, a command says who is in the way."""
    rig.clean()
    life = rig.life()
    life.connect()
    with contextlib.closing(sqlite3.connect(rig.registry, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        done = rig.bridge.run("user", "mark", "migrated", USERS[0])
        life.send(DIRECT, 2)
        if life.settle():
            raise Lost("it ended")
        life.wait_outcomes()
    if done.returncode != 1 or "locked" not in done.stderr or "another program" not in done.stderr:
        raise Lost(f"poolbridgectl: {done.returncode} {done.stderr}")
    if life.outcomes()[1]:
        raise Lost("messages failed")
    return dict(life.judge(), said=done.stderr.strip())


def lasting(rig, short):
    yield "lasting/full disk", full_disk
    yield "lasting/full disk while held ones go on", full_while_released
    yield "lasting/state file locked", locked_state
    yield "lasting/registry locked", locked_registry


# ---- files that cannot be used

def digest(path):
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as data:
        return hashlib.sha256(data.read()).hexdigest()


def overwrite(path, offset, data):
    with open(path, "r+b") as out:
        out.seek(offset)
        out.write(data)


def damage_all(path):
    """Every page but the first."""
    size = os.path.getsize(path)
    overwrite(path, 4096, b"\xa5" * (size - 4096))


def newer(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def foreign(path):
    os.unlink(path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE somebody_elses (x)")
        db.commit()


def not_a_database(path):
    overwrite(path, 0, b"This is a text and no database at all, whatever its name may say.\n" * 10)


# (name, what is done to the file, words that the message must have)
SPOILED = [
    ("damaged", damage_all, ("restore it from a copy", ".recover")),
    ("from the future", newer, ("schema 99", "use the newer poolbridge")),
    ("another program's", foreign, ("database of another program", "in the configuration file")),
    ("no database", not_a_database, ("not a database", "restore the file from a copy")),
]


def spoiled_case(which, spoil, expected, rig):
    """The daemon does not start, says what is wrong, where and how to mend it, and touches nothing."""
    rig.clean()
    rig.bridge.stop()
    path = {"state": rig.state, "registry": rig.registry}[which]
    shutil.copy(path, path + ".good")
    try:
        spoil(path)
        before = digest(path)
        if start_or_not(rig.bridge):
            rig.bridge.stop()
            raise Lost("it started")
        said = last_words(rig)
        check_words(path, expected, said)
        if digest(path) != before:
            raise Lost("the file was changed")
        words = ("spool", "list") if which == "state" else ("user", "list")
        done = rig.bridge.run(*words)
        if done.returncode != 1:
            raise Lost(f"poolbridgectl {' '.join(words)}: {done.returncode} {done.stderr}")
        check_words(path, (), done.stderr)
        if digest(path) != before:
            raise Lost("poolbridgectl changed the file")
    finally:
        for file in tracer.files_of(path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file)
        os.replace(path + ".good", path)
    return {"said": said}


def last_words(rig):
    with open(newest_log(rig), encoding="utf-8", errors="replace") as log:
        return log.read().strip()


def newest_log(rig):
    logs = [os.path.join(rig.lab.folder, name) for name in os.listdir(rig.lab.folder) if name.startswith("poolbridge-")]
    return max(logs, key=os.path.getmtime)


def check_words(path, expected, said):
    missing = [word for word in (path, *expected) if word not in said]
    if missing:
        raise Lost(f"it does not say {missing}: {said}")


def absent_folder(rig):
    rig.stop()
    rig.bridge.write_config(state=os.path.join(rig.bridge.folder, "nowhere", "state.db"))
    try:
        if start_or_not(rig.bridge):
            raise Lost("it started")
        said = last_words(rig)
        check_words(os.path.join(rig.bridge.folder, "nowhere"), ("No such file or directory", "make the folder"), said)
    finally:
        rig.bridge.settings.pop("state")
        rig.bridge.write_config()
    return {"said": said}


def no_permission(which, rig):
    """By somebody who may read the file and not write it: root without its powers, or ourselves."""
    rig.clean()
    rig.bridge.stop()
    path = {"state": rig.state, "registry": rig.registry}[which]
    before = digest(path)
    powers = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    os.chmod(path, 0o400)
    try:
        if start_or_not(rig.bridge, powers):
            raise Lost("it started")
        said = last_words(rig)
        check_words(path, ("Permission denied", "chown"), said)
        if digest(path) != before:
            raise Lost("the file was changed")
    finally:
        os.chmod(path, 0o600)
    return {"said": said}


def damaged_while_running(rig):
    """The registry's rows are damaged under the daemon: an error to each sender, never a default route."""
    rig.clean()
    rig.bridge.stop()
    shutil.copy(rig.registry, rig.registry + ".good")
    try:
        with contextlib.closing(sqlite3.connect(rig.registry)) as db:
            pages = [row[0] for row in db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'user'")]
        overwrite(rig.registry, (pages[0] - 1) * 4096, b"\xa5" * 4096)
        rig.bridge.start()
        life = rig.life()
        life.connect()
        life.send(DIRECT, 2)
        if life.settle():
            raise Lost("it ended")
        life.wait_outcomes()
        delivered, failed = life.outcomes()
        if delivered or len(failed) != 2:
            raise Lost(f"delivered {delivered}, errors {failed}")
        said = rig.bridge.process.wait_line("registry-unreadable").string
        done = rig.bridge.run("user", "list")
        if done.returncode != 1 or rig.registry not in done.stderr:
            raise Lost(f"poolbridgectl: {done.returncode} {done.stderr}")
        rig.bridge.stop()
    finally:
        rig.stop()
        for file in tracer.files_of(rig.registry):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file)
        os.replace(rig.registry + ".good", rig.registry)
    return dict(life.judge(), log=said)


def files(rig, short):
    for which in ("state", "registry"):
        for name, spoil, expected in SPOILED:
            if (which, name) != ("registry", "damaged"):
                yield f"files/{which} {name}", functools.partial(spoiled_case, which, spoil, expected)
        yield f"files/{which} without permission", functools.partial(no_permission, which)
    yield "files/folder missing", absent_folder
    yield "files/registry damaged while it runs", damaged_while_running


# ---- a big spool

def big_spool(count, rig):
    """The daemon starts with so many messages, in memory that does not follow their size."""
    rig.clean()
    rig.bridge.mark("moving", HELD)
    rig.bridge.stop()
    with contextlib.closing(sqlite3.connect(rig.state)) as db:
        now = int(time.time())
        columns = [row[1] for row in db.execute("PRAGMA table_info(message)")]
        stanza = ("<message from='u{0}@raw.test' to='romeo@corp.test' type='chat' id='big-{0}'><body>{1}</body></message>")
        for number in range(count):
            row = {"pair": f"u{number % 5000}@raw.test romeo@corp.test", "user": HELD, "hop": "move", "origin": "partner",
                   "stanza": stanza.format(number, "x" * 600).encode(), "received_at": now, "expires_at": now + 86400,
                   "position": number}
            row = {name: value for name, value in row.items() if name in columns}
            db.execute(f"INSERT INTO message ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
        db.commit()
    before = time.monotonic()
    rig.bridge.start()
    took = time.monotonic() - before
    with open(f"/proc/{rig.bridge.process.pid}/status", encoding="ascii") as status:
        memory = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024
    waiting = rig.bridge.json("status")["spool"]["messages"]
    rig.bridge.stop()
    size = os.path.getsize(rig.state) // 1048576
    if waiting != count:
        raise Lost(f"{waiting} of {count} messages wait")
    if memory > 160 + size:
        raise Lost(f"{memory} MiB of memory for {size} MiB on disk")
    return {"messages": count, "start_seconds": round(took, 2), "memory_mib": memory, "file_mib": size}


def big(rig, short):
    count = 10000 if short else 100000
    yield f"big/{count} messages at the start", functools.partial(big_spool, count)


GROUPS = {"order": order, "commit": commit_path, "start": starts, "registry": registry, "lasting": lasting,
          "files": files, "big": big}
