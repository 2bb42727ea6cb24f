"""SIPp as the pool's far end: another SIP implementation than the pool's, and many messages at once."""

import os
import shutil

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
COUNT = 200
TRANSPORTS = {"udp": "u1", "tcp": "t1"}


def sipp(lab, name, scenario, transport, *words):
    if not shutil.which("sipp"):
        pytest.skip("sipp is not installed: apt-get install sip-tester")
    return lab.run(name, [
        "sipp", "-sf", os.path.join(HERE, "sipp", scenario), "-i", lab.block.address("sipp"), "-p", "5060",
        "-t", TRANSPORTS[transport], "-m", str(COUNT), "-nostdin", "-trace_err",
        "-error_file", os.path.join(lab.folder, name + "-errors.log"), *words], cwd=lab.folder)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_sipp_takes_messages(new_lab, transport):
    lab = new_lab(pool=False, settings={"sip.queue_messages": COUNT})
    lab.bridge.write_config(sip__new_pool=f"sip:{lab.block.address('sipp')}:5060;transport={transport}")
    lab.bridge.restart()
    juliet, romeo = lab.partner_user(), lab.legacy_user()
    far_end = sipp(lab, "sipp", "uas_message.xml", transport)
    for number in range(COUNT):
        juliet.send("tybalt@corp.test", f"to sipp {number}")
    assert far_end.wait() == 0, far_end.tail()
    # The legacy leg is behind them all on juliet's stream: by now an error would be here.
    assert lab.deliver(juliet, "romeo@corp.test").by == romeo.where
    assert not juliet.inbox.all(lambda s: s.type == "error")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_sipp_sends_messages(new_lab, transport):
    lab = new_lab(pool=False)
    juliet = lab.partner_user()
    far_end = sipp(lab, "sipp", "uac_message.xml", transport, "-r", "100", "-l", "20",
                   f"{lab.block.address('sip')}:5060")
    assert far_end.wait() == 0, far_end.tail()
    for number in range(1, COUNT + 1):
        juliet.inbox.wait(lambda s: (s.body or "").strip() == f"from sipp, number {number}")
