"""A user of linphonec, a standard SIP client: text by MESSAGE, presence by PIDF with RPID.

It answers isComposing and message/cpim with 200 and shows neither, other types
with 415, and an INVITE without audio with 488. It reads commands from standard
input and says what it does in its debugging log, which ends with a line that
begins with a time, also after a text of several lines.
"""

import os
import re

from lab.bridge import BUILD
from lab.console_user import ConsoleUser, Event

PORT = 5073
FAREWELL = os.path.join(BUILD, "lab", "farewell.so")

CONFIG = """\
[sip]
sip_port={port}
sip_tcp_port={port}
sip_tls_port=0
bind_address={host}
contact="{name}" <sip:{address}>
default_proxy=0
register_only_when_network_is_up=0
auto_net_state_mon=0
guess_hostname=1
use_ipv6=0
ping_with_options=0
publish_expires=600
[net]
mtu=1300
firewall_policy=0
[proxy_0]
reg_proxy=<sip:{server}:5060;transport={transport}>
reg_route=<sip:{server}:5060;transport={transport};lr>
reg_identity="{name}" <sip:{address}>
reg_expires=600
reg_sendregister=1
publish=1
dial_escape_plus=0
[misc]
prefer_basic_chat_room=1
[app]
publish_presence=1
[sound]
playback_dev_id=
[video]
enabled=0
"""
FRIEND = """\
[friend_{number}]
url=<sip:{address}>
pol=accept
subscribe=1
"""

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3} ")
MESSAGE = re.compile(r"Message received from <?sip:([^>\s]+?)>?: (.*)")
PRESENCE = re.compile(r"Friend .*<sip:([^>]+)> is (\w+)")
NOT_DELIVERED = re.compile(r"Chat message .*peer=IdentityAddress\(sip:([^)]+)\).* to NotDelivered")


class LinphoneUser(ConsoleUser):
    program, farewell = "linphone", "quit"

    def __init__(self, lab, address, pool, transport="tcp", contacts=()):
        """contacts: addresses whose presence it asks for. Returns when it is registered."""
        super().__init__(lab, address)
        os.makedirs(os.path.join(self.folder, ".local", "share", "linphone"))
        friends = [FRIEND.format(number=number, address=contact) for number, contact in enumerate(contacts)]
        self._put("linphonerc", CONFIG.format(
            port=PORT, host=lab.block.user_address(), name=address.partition("@")[0].title(), address=address,
            server=pool.address, transport=transport) + "".join(friends))
        # Its last words are to be read: see there. Without it they nearly always are.
        preload = {"LD_PRELOAD": FAREWELL} if os.access(FAREWELL, os.R_OK) else {}
        self._start(["linphonec", "-d", "6", "-c", os.path.join(self.folder, "linphonerc")], **preload)
        self._wait_connected()

    def _line(self, text):
        if self._text:
            if not TIME.match(text):
                self._text.append(text)
                return
            self._end_message()
        if found := MESSAGE.search(text):
            self._text = [found[1], found[2]]
        elif found := PRESENCE.search(text):
            status = found[2].lower()
            self.inbox.put(Event("presence", found[1], status=status, online=status != "offline"))
        elif found := NOT_DELIVERED.search(text):
            self.inbox.put(Event("error", found[1], text))
        elif "to [LinphoneRegistrationOk]" in text:
            self.inbox.put(Event("connected"))

    def send(self, to, text):
        """One line; what became of it shows only when it failed: an error event."""
        self.process.write(f"chat sip:{to} {text}")

    def add(self, contact):
        self.process.write(f"friend add {contact} sip:{contact}")
