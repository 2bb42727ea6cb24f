"""Kamailio: the new pool.

A registrar in memory for the local domains and a static route that sends every
other domain to poolbridge, by the transport the request came in with. At a
second address it plays the legacy pool: the same users, but what comes in there
is marked with a header, so that a test sees which door it took.
"""

import os
import shutil

from lab.process import Process
from lab.sip_user import SipUser

CONFIG = """\
#!KAMAILIO
debug=2
log_stderror=yes
children=2
tcp_children=2
tcp_accept_no_cl=yes
tcp_rd_buf_size=131072
tcp_source_ipv4={address}
auto_aliases=no
dns=no
rev_dns=no
{aliases}
listen=udp:{address}:5060
listen=tcp:{address}:5060
listen=udp:{legacy}:5060
listen=tcp:{legacy}:5060

loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "textops.so"
loadmodule "siputils.so"

# What a user's program leaves unanswered this long is answered 408.
modparam("tm", "fr_timer", {silence_ms})
modparam("tm", "failure_reply_mode", 3)
modparam("usrloc", "db_mode", 0)
modparam("registrar", "default_expires", 3600)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("OPTIONS") && $rU == $null) {{ sl_send_reply("200", "OK"); exit; }}
    if (is_method("REGISTER")) {{ if (!save("location")) sl_reply_error(); exit; }}
    if (uri != myself) {{
        $du = "sip:{bridge}:5060;transport=" + $proto;
        route(RELAY);
    }}
    if ($Ri == "{legacy}") append_hf("X-Pool: legacy\r\n");
    if (!lookup("location")) {{
        if ($rU =~ "^nosuch") sl_send_reply("404", "Not Found");
        else sl_send_reply("480", "Temporarily Unavailable");
        exit;
    }}
    route(RELAY);
}}

route[RELAY] {{
    if (!t_relay()) sl_reply_error();
    exit;
}}
"""


class Kamailio:
    def __init__(self, lab, domains, silence_ms=3000):
        self.lab, self.address = lab, lab.block.address("pool")
        folder = os.path.join(lab.folder, "pool")
        os.makedirs(folder, exist_ok=True)
        self.config = os.path.join(folder, "kamailio.cfg")
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(CONFIG.format(
                address=self.address, legacy=lab.block.address("legacy-pool"), bridge=lab.block.address("sip"), silence_ms=silence_ms,
                aliases="\n".join(f'alias="{domain}"' for domain in domains)))
        self._folder = folder
        self.start()

    def start(self):
        program = shutil.which("kamailio", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        self.process = Process(
            "pool", [program or "kamailio", "-DD", "-E", "-f", self.config, "-m", "64", "-M", "8",
                     "-w", self._folder, "-Y", self._folder],
            self.lab.folder, self.lab.guard)
        SipUser.wait_for_server(self.lab.loop, self.lab.block, self.address, self.process)

    def stop(self):
        return self.process.stop()

    def restart(self):
        """Registrations are in memory: users register again afterwards."""
        self.stop()
        self.start()
