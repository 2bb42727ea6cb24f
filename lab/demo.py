"""What ./quickstart shows: messages both ways, a user moved, and the move undone.

    python3 -m lab.demo                     the story, then everything ends
    python3 -m lab.demo --keep              the story, then the lab goes on in the background
    python3 -m lab.demo --send FROM TO TEXT one more message through the lab that was kept
    python3 -m lab.demo --stop              the end of the lab that was kept

The kept lab is a process of its own that listens on a Unix socket in the lab's
folder; the file lab.folder in the build folder says where that is.
"""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys

from lab.bridge import BUILD, CONTROL, BridgeError, CommandError
from lab.inbox import WAIT, NothingCame
from lab.lab import Lab
from lab.process import ProcessError

WHO = {"legacy": "the legacy gateway", "pool": "the new pool", "partner": "the partner"}
FOLDER_FILE = os.path.join(BUILD, "lab.folder")


class Demo:
    def __init__(self, lab):
        self.lab = lab
        self.sent = self.arrived = 0
        self.people = [
            lab.partner_user("juliet@partner.test"),
            lab.legacy_user("romeo@corp.test"), lab.sip_user("romeo@corp.test", "tcp"),
            lab.legacy_user("tybalt@corp.test"), lab.sip_user("tybalt@corp.test", "udp"),
        ]

    # ---- one message

    def find(self, address):
        """The user's program that is in use: on the legacy gateway or at the pool, as the route says."""
        here = [user for user in self.people if user.address == address]
        if not here:
            names = sorted({user.address for user in self.people})
            raise LookupError(f"{address} has no program in the lab; these have: {', '.join(names)}")
        if len(here) == 1:
            return here[0]
        route = self.explain(address, "juliet@partner.test")["route"]
        return next(user for user in here if user.where == ("legacy" if route == "legacy" else "pool"))

    def explain(self, sender, to):
        return self.lab.bridge.json("route", "explain", sender, to)

    def send(self, sender, to, text=None):
        """Send one message; returns the line of the transcript."""
        explained = self.explain(sender, to)
        if domain(sender) == domain(to):
            explained = {"route": "-", "reason": "same domain"}  # their own server's business
        self.sent += 1
        try:
            delivery = self.lab.deliver(self.find(sender), to, text, timeout=patience(explained, to))
        except NothingCame:
            return line(sender, to, explained, self.whereabouts(sender, to))
        if delivery.by == "error":
            why = delivery.response.start if delivery.response else delivery.condition
            return line(sender, to, explained, f"answered with an error: {why}")
        self.arrived += 1
        milliseconds = max(round(delivery.seconds * 1000), 1)
        return line(sender, to, explained, f"delivered by {WHO[delivery.by]}", f"{milliseconds} ms")

    def whereabouts(self, sender, to):
        """What became of a message that nobody got and nobody answered."""
        for waits in self.lab.bridge.json("spool", "list"):
            if (waits["from"], waits["to"]) == (bare(sender), bare(to)):
                return f"kept on disk, waits for: {waits['waits_for']}"
        return "lost: neither delivered nor answered"

    # ---- the story

    def tell(self):
        say("")
        for sender, to in (("juliet", "romeo"), ("juliet", "tybalt"), ("romeo", "juliet"), ("tybalt", "juliet")):
            self.say_message(sender, to)
        say("")
        self.command("user", "mark", "migrated", "romeo@corp.test")
        self.say_message("juliet", "romeo")
        self.say_message("romeo", "juliet")
        say("")
        self.command("audit", "undo", str(self.lab.bridge.json("audit", "list")[-1]["id"]))
        self.say_message("juliet", "romeo")
        self.say_message("romeo", "juliet")
        say("")
        say(f"{self.sent} messages sent, {self.arrived} arrived. "
            "romeo@corp.test was moved to the new pool and moved back; nobody else noticed.")
        return self.sent == self.arrived

    def say_message(self, sender, to):
        full = {"juliet": "juliet@partner.test"}
        say("   " + self.send(full.get(sender, sender + "@corp.test"), full.get(to, to + "@corp.test")))

    def command(self, *words):
        say("   $ poolbridgectl " + shlex.join(words))
        for text in self.lab.bridge.ctl(*words).splitlines():
            say("     " + text)

    def introduce(self):
        address = self.lab.block.address
        say("")
        say(f"   partner.test     Prosody       {address('partner'):<13} the partner's XMPP server: juliet")
        say(f"   corp.test        poolbridge    {address('external'):<13} what partners find as corp.test")
        say(f"   legacy gateway   Prosody       {address('legacy'):<13} XMPP, for users not moved yet: romeo")
        say(f"   new pool         Kamailio      {address('pool'):<13} SIP, for users who have moved: tybalt")

    # ---- the kept lab

    def keep(self):
        """Serve --send until --stop, whose connection is returned: its end says that all has ended."""
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(os.path.join(self.lab.folder, "door"))
            door.listen(4)
            with open(FOLDER_FILE, "w", encoding="utf-8") as out:
                out.write(self.lab.folder)
            self.explain_keeping()
            silence()
            while True:
                visitor, _ = door.accept()
                with contextlib.suppress(OSError, ValueError):
                    words = json.loads(visitor.makefile().readline())
                    if words == ["stop"]:
                        os.unlink(FOLDER_FILE)
                        return visitor
                    visitor.sendall((self.answer(words) + "\n").encode())
                visitor.close()

    def answer(self, words):
        if words == ["are you there"]:
            return "yes"
        try:
            return self.send(*words)
        except (LookupError, CommandError) as error:
            return str(error)

    def explain_keeping(self):
        control = f"{os.path.relpath(CONTROL)} -c {self.lab.bridge.config}"
        say("")
        say("The lab goes on running. To look at it:")
        say(f"   {control} status")
        say(f"   {control} user list")
        say(f"   {control} route explain juliet@partner.test romeo@corp.test")
        say("To change it, and to see what the change does:")
        say(f"   {control} user mark migrated romeo@corp.test")
        say("   ./quickstart --send juliet@partner.test romeo@corp.test 'Good morrow'")
        say("What every server says:")
        say(f"   ls {self.lab.folder}/*.log")
        say("To stop it:")
        say("   ./quickstart --stop")


def patience(explained, to):
    """Seconds; a message for a user who is being moved is not expected to arrive."""
    return 2 if explained["route"] == "hold" and explained["local"] == bare(to) else WAIT


def bare(address):
    return address.partition("/")[0].lower()


def domain(address):
    return address.rpartition("@")[2].lower()


def line(sender, to, explained, what, time=""):
    way = f"{explained['route']:<9} {explained['reason']:<24}"
    return f"{sender:<19} -> {to:<19} {way} {what:<33} {time:>7}".rstrip()


def say(text):
    print(text, flush=True)


def silence():
    """The story is told: whoever reads our output may go."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (1, 2):
        os.dup2(nothing, number)
    os.close(nothing)


def story(keep):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(1))
    good, visitor = False, None
    try:
        with Lab() as lab:
            try:
                demo = Demo(lab)
                demo.introduce()
                good = demo.tell()
                if good and keep:
                    visitor = demo.keep()
            finally:
                if not good:
                    say("\nThis is what the servers said last:\n" + lab.logs(15))
    except (BridgeError, ProcessError, NothingCame, OSError, RuntimeError) as error:
        say(f"\nThat did not work: {error}")
        good = False
    if visitor:
        visitor.close()
    return 0 if good else 1


def start_kept():
    """The story in a process that outlives this one; we show what it says until it falls silent."""
    if ask(["are you there"], quiet=True):
        say("A lab is running already. ./quickstart --stop ends it.")
        return 1
    with contextlib.suppress(FileNotFoundError):
        os.unlink(FOLDER_FILE)
    kept = subprocess.Popen([sys.executable, "-m", "lab.demo", "--serve"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        for text in kept.stdout:
            say(text.rstrip("\n"))
    except KeyboardInterrupt:
        kept.terminate()
        kept.wait()
        raise
    # It falls silent when it is ready to serve, or because it has ended.
    return 0 if os.path.exists(FOLDER_FILE) else kept.wait()


def ask(words, quiet=False):
    try:
        with open(FOLDER_FILE, encoding="utf-8") as file:
            folder = file.read()
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(os.path.join(folder, "door"))
            door.sendall((json.dumps(words) + "\n").encode())
            return door.makefile().read()
    except OSError:
        if not quiet:
            say("No lab is running. ./quickstart --keep starts one.")
        return None


def main(words):
    if words[:1] == ["--keep"]:
        return start_kept()
    if words[:1] == ["--serve"]:
        return story(keep=True)
    if words[:1] == ["--stop"]:
        if ask(["stop"]) is None:
            return 1
        say("The lab has stopped.")
        return 0
    if words[:1] == ["--send"] and len(words) in (3, 4):
        answer = ask(words[1:])
        if answer is None:
            return 1
        say("   " + answer.strip())
        return 0 if "delivered by" in answer else 1
    return story(keep=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
