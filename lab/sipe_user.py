"""A user of pidgin-sipe, a real client of the Microsoft protocol: drives lab/sipe_user.c.

The program is taken from the build folder, as poolbridge is. It is built where
libpurple's headers are; BUILT says whether.
"""

import json
import os
import re

from lab.bridge import BUILD
from lab.console_user import ConsoleUser, Event

PROGRAM = os.path.join(BUILD, "lab", "sipe_user")
BUILT = os.access(PROGRAM, os.X_OK)

# What the plugin says when it has compared the pool's list of contacts with its own.
LIST_TAKEN = re.compile(r"sipe: sipe_buddy_cleanup_local_list: \d+ sipe buddies")


class SipeUser(ConsoleUser):
    program, farewell = "sipe", '["quit"]'

    def __init__(self, lab, address, pool, transport="tcp"):
        """Logs in at the Kamailio, which must have presence, and returns when it has its list of contacts: what is
        added before that disappears."""
        super().__init__(lab, address)
        port = "5061" if transport == "tls" else "5060"
        self._start([PROGRAM, self.folder, address, pool.address, port, transport])
        self._wait_connected()

    def _line(self, text):
        if LIST_TAKEN.match(text):
            self.inbox.put(Event("connected"))
        if not text.startswith('{"event":'):
            return
        said = json.loads(text)
        kind = said["event"]
        if kind == "connected":
            return
        self.inbox.put(Event(
            kind, said.get("from") or said.get("about"), said.get("text") or said.get("primary"),
            said.get("status") or said.get("state"), said.get("online"), said.get("note"), said))

    def _do(self, *words):
        self.process.write(json.dumps(words))

    def send(self, to, text):
        self._do("send", to, text)

    def send_html(self, to, html):
        self._do("send-html", to, html)

    def typing(self, to, yes=True):
        """No is a pause: that it has stopped without a message, this client tells nobody."""
        self._do("typing", to, "yes" if yes else "no")

    def close_chat(self, to):
        """
        Closes the window, which ends the session; returns when the other side has seen that.

        COMPAT: pidgin-sipe 1.25 answers an INVITE that it reads together with the BYE of the session before, and does
        not show the text that is in it.
        """
        mark = self.process.mark()
        self._do("close", to)
        self.process.wait_line(r"msg->response\(\d+\),msg->method\(BYE\)", after=mark)

    def add(self, contact):
        self._do("add", contact)

    def remove(self, contact):
        self._do("remove", contact)

    def show(self, contact):
        """Asks for a presence event with what is shown of the contact now."""
        self._do("show", contact)

    def status(self, status, note=""):
        """available, busy, do-not-disturb, be-right-back, away or invisible. Changes within a second become one."""
        self._do("status", status, note)
