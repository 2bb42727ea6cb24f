"""The lab itself, most of it without poolbridge: what fails here is the lab's fault or the machine's, not ours."""

import os
import socket
import subprocess
import sys

import pytest

from lab.bridge import CONTROL, DAEMON, TOP


@pytest.mark.parametrize("partner", ["prosody", "ejabberd"])
@pytest.mark.parametrize("tls", ["required", "none"])
def test_partner_and_legacy_gateway_federate(new_lab, partner, tls):
    lab = new_lab(bridge=False, pool=False, partner=partner, partner_tls=tls)
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
    assert lab.deliver(romeo, "juliet@partner.test").by == "partner"
    assert lab.deliver(juliet, "nobody@corp.test").condition == "service-unavailable"


def test_pool_connects_two_users(new_lab):
    lab = new_lab(bridge=False)
    tybalt, paris = lab.sip_user("tybalt@corp.test", "udp"), lab.sip_user("paris@corp.test", "tcp")
    assert lab.deliver(tybalt, "paris@corp.test").status == 200
    assert lab.deliver(paris, "tybalt@corp.test").status == 200
    assert lab.deliver(paris, "nosuchuser@corp.test").status == 404
    tybalt.reply = 486
    assert lab.deliver(paris, "tybalt@corp.test").status == 486


def test_proxy_cuts_where_it_is_told(new_lab):
    lab = new_lab(bridge=False, chaos=True)
    lab.legacy_proxy.cut_after(10)
    with socket.create_connection((lab.block.address("legacy-proxy"), 5269), timeout=15) as stream:
        stream.sendall(b"<?xml version='1.0'?>")
        lab.legacy_proxy.wait_cut()
        with pytest.raises(ConnectionResetError):
            stream.recv(4096)
    lab.legacy_proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((lab.block.address("legacy-proxy"), 5269), timeout=15)


def test_kept_lab(tmp_path):
    """What ./quickstart does with --keep, --send and --stop: each comes back, also when its output is captured."""
    for program in (DAEMON, CONTROL):
        os.symlink(os.path.abspath(program), tmp_path / os.path.basename(program))

    def demo(*words):
        return subprocess.run([sys.executable, "-m", "lab.demo", *words], capture_output=True, text=True, timeout=120,
                              check=False, cwd=TOP, env=dict(os.environ, POOLBRIDGE_BUILD=str(tmp_path)))

    kept = demo("--keep")
    try:
        assert kept.returncode == 0, kept.stdout + kept.stderr
        sent = demo("--send", "juliet@partner.test", "romeo@corp.test", "Good morrow")
        assert sent.returncode == 0 and "delivered by the legacy gateway" in sent.stdout
        assert demo("--keep").returncode == 1
    finally:
        stopped = demo("--stop")
    assert stopped.returncode == 0
    assert demo("--stop").returncode == 1
