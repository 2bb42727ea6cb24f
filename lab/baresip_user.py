"""A user of baresip, a standard SIP client: text by MESSAGE, presence by PIDF.

It takes text/plain alone: isComposing and message/cpim are answered 415, an INVITE
without audio 488. It shows away as offline. Its commands go to a TCP port as JSON
in netstrings; what it shows is on its standard output.
"""

import json
import re
import socket
import time

from lab.console_user import ConsoleUser, Event
from lab.inbox import NothingCame
from lab.process import WAIT

CONTROL_PORT = 4444

CONFIG = """\
poll_method epoll
sip_listen {host}:5060
sip_verify_server no
audio_path /usr/share/baresip
module_path /usr/lib/baresip/modules
module stdio.so
module_tmp uuid.so
module_tmp account.so
module_app contact.so
module_app menu.so
module_app presence.so
module_app ctrl_tcp.so
ctrl_tcp_listen {host}:{port}
"""

COLOUR = re.compile("\x1b\\[[0-9;]*m|\r")
REGISTERED = re.compile(r"200 OK .*\[\d+ binding")
MESSAGE = re.compile(r'^<?sip:([^>;]+)[^ ]*: "(.*)$')
PRESENCE = re.compile(r"<sip:([^>]+)> changed status from \w+ to (\w+)")
CONTACT = re.compile(r"^(>?)\s+(Online|Offline|Unknown|Busy)\s.*<sip:([^>]+)>")


class BaresipUser(ConsoleUser):
    program = "baresip"

    def __init__(self, lab, address, pool, transport="tcp", contacts=()):
        """contacts: addresses whose presence it asks for, and the only ones that it sends to."""
        super().__init__(lab, address)
        self._host = lab.block.user_address()
        self._put("config", CONFIG.format(host=self._host, port=CONTROL_PORT))
        self._put("accounts", f'<sip:{address}>;outbound="sip:{pool.address}:5060;transport={transport}";'
                              "regint=600;pubint=600;answermode=manual;auth_pass=secret\n")
        self._put("contacts", "".join(f'"{contact}" <sip:{contact}>;presence=p2p\n' for contact in contacts))
        # Without stdbuf it would keep what it says until there is more.
        self._start(["stdbuf", "-oL", "baresip", "-f", self.folder])
        self._wait_connected()

    def _line(self, text):
        text = COLOUR.sub("", text)
        if self._text:
            self._text.append(text)
        elif found := MESSAGE.match(text):
            self._text = [found[1], found[2]]
        elif found := PRESENCE.search(text):
            self.inbox.put(presence(found[1], found[2]))
        elif REGISTERED.search(text):
            self.inbox.put(Event("connected"))
        if self._text and self._text[-1].endswith('"'):
            self._text[-1] = self._text[-1][:-1]
            self._end_message()

    def _do(self, command, parameters=""):
        """What the program answers."""
        asked = json.dumps({"command": command, "params": parameters, "token": "lab"}).encode()
        with socket.create_connection((self._host, CONTROL_PORT), WAIT) as control:
            control.sendall(b"%d:%s," % (len(asked), asked))
            with control.makefile("rb") as answers:
                while True:
                    answer = json.loads(netstring(answers))
                    if answer.get("token") == "lab":
                        return COLOUR.sub("", answer["data"])

    def _contacts(self):
        """[(is the one in use, status, address)]"""
        return [match.groups() for match in map(CONTACT.match, self._do("contacts").split("\n")) if match]

    def send(self, to, text):
        """What became of it does not show."""
        for _ in self._contacts():
            if next(address for use, _, address in self._contacts() if use) == to:
                self._do("message", text)
                return
            self._do("contact_next")
        raise LookupError(f"{to} is not among the contacts of {self.address}")

    def wait_presence(self, sender, status=None, online=None, note=None, timeout=WAIT):
        """A change from what it did not know yet is not shown by itself, so it is asked until time is up."""
        deadline = time.monotonic() + timeout
        while True:
            self.inbox.put(next(presence(address, shown) for _, shown, address in self._contacts() if address == sender))
            try:
                return super().wait_presence(sender, status, online, note, min(0.2, timeout))
            except NothingCame:
                if time.monotonic() > deadline:
                    raise

    def status(self, online):
        self._do("presence_online" if online else "presence_offline")


def presence(sender, status):
    return Event("presence", sender, status=status.lower(), online=status == "Online")


def netstring(file):
    digits = b""
    while (octet := file.read(1)) != b":":
        if not octet.isdigit():
            raise ConnectionError("baresip has closed its control connection")
        digits += octet
    return file.read(int(digits) + 1)[:-1]
