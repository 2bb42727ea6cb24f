"""Next hops that are down, slow, silent, or close in the middle: the sender is told, and nothing vanishes."""

import itertools
import time

import pytest

from conftest import RESET_BEHIND
from lab import inbox

LONG = "wherefore art thou " * 1100  # more than the kernel takes in at once behind the proxy
FAST = {"s2s.queue_time": 4, "s2s.connect_time": 2, "s2s.confirm_time": 3, "s2s.backoff_min": 0.1, "s2s.backoff_max": 0.5,
        "sip.backoff_min": 0.1, "sip.backoff_max": 0.5,
        "spool.keep_time": 3,  # what waits longer is another file's: test_hold.py
        "internal.tls": "none"}  # the proxy is to see where a message is cut
_runs = itertools.count(1)


@pytest.fixture(scope="module")
def stage(own_lab):
    """One lab with proxies for the whole file; each test leaves them whole again."""
    lab = own_lab(chaos=True, settings=FAST)
    return lab, {"juliet": lab.partner_user(), "romeo": lab.legacy_user(),
                 "tybalt": lab.sip_user("tybalt@corp.test", "tcp")}


@pytest.fixture(params=["legacy", "pool"])
def hop(stage, request):
    """(lab, the proxy in the way, juliet, the one behind the proxy)"""
    lab, people = stage
    proxy = lab.legacy_proxy if request.param == "legacy" else lab.pool_proxy
    yield lab, proxy, people["juliet"], people["romeo" if request.param == "legacy" else "tybalt"]
    proxy.forward()
    recover(lab, people["juliet"], people["romeo" if request.param == "legacy" else "tybalt"])


def recover(lab, sender, recipient):
    """After the fault, messages arrive again without anybody's help."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        mark = lab.bridge.process.mark()
        if lab.deliver(sender, recipient.address, timeout=60).by != "error":
            # The next test may begin with a fault: what has been read and not acknowledged could come again.
            lab.bridge.process.wait_line(f"delivered from={sender.address}", after=mark)
            return
    raise AssertionError("the next hop is there again, and messages still fail")


def send(lab, sender, recipient, text, timeout=60):
    return lab.deliver(sender, recipient.address, f"{next(_runs)} {text}", timeout=timeout)


def send_before(lab, sender, recipient):
    """It has arrived, and poolbridge knows: what breaks now does not concern it."""
    mark = lab.bridge.process.mark()
    assert send(lab, sender, recipient, "before").by != "error"
    lab.bridge.process.wait_line(f"delivered from={sender.address}", after=mark)


def test_refused(hop):
    lab, proxy, juliet, recipient = hop
    send_before(lab, juliet, recipient)
    proxy.refuse()
    for number in [juliet.send(recipient.address, f"{next(_runs)} refused") for _ in range(3)]:
        juliet.wait_error(number, timeout=60)
    assert not [item for item in recipient.inbox.history if (item.body or "").endswith(" refused")]


def test_silent_from_the_start(hop):
    lab, proxy, juliet, recipient = hop
    proxy.refuse()
    proxy.stall()
    assert send(lab, juliet, recipient, "into the void").by == "error"


def test_silent_in_mid_stream(hop):
    lab, proxy, juliet, recipient = hop
    send_before(lab, juliet, recipient)
    proxy.stall()
    assert send(lab, juliet, recipient, LONG).by == "error"
    proxy.refuse()


def test_slow(hop):
    lab, proxy, juliet, recipient = hop
    proxy.slow(4000)
    assert send(lab, juliet, recipient, LONG[:4000]).by != "error"


@pytest.mark.parametrize("keep", [1, 30, 3000])
def test_closed_in_mid_message(hop, keep):
    """So many bytes of a long message reach the next hop. It may come again whole, or fail; not both, not neither."""
    lab, proxy, juliet, recipient = hop
    send_before(lab, juliet, recipient)
    proxy.cut_at(b"wherefore", keep)
    text = f"{next(_runs)} {LONG}"
    number = juliet.send(recipient.address, text)
    proxy.wait_cut()

    def came_of_it():
        return [item for item in recipient.inbox.history if item.body == text] + \
            [item for item in juliet.inbox.history if item.type == "error" and item.id == number]

    inbox.wait_until(came_of_it, timeout=60)
    recover(lab, juliet, recipient)
    assert len(came_of_it()) == 1


def test_reset_between_messages(hop):
    lab, proxy, juliet, recipient = hop
    for number in range(5):
        send(lab, juliet, recipient, f"{RESET_BEHIND} {number}")  # raises when it neither arrives nor is answered
        proxy.reset()
    assert send(lab, juliet, recipient, "after resets").by != "error"


def test_flow_through_a_bad_line(hop):
    """A hundred messages while the line is reset again and again: each arrives once or is answered with an error."""
    lab, proxy, juliet, recipient = hop
    run = next(_runs)
    numbers = {}
    for number in range(100):
        text = f"{RESET_BEHIND} {run} {number}"
        numbers[juliet.send(recipient.address, text)] = text
        if number % 10 == 5:
            proxy.reset()
    missing = dict(numbers)
    while missing:
        _, item = inbox.first([
            (juliet.inbox, lambda s: s.type == "error" and s.id in missing),
            (recipient.inbox, lambda s: s.body in missing.values())], timeout=60)
        if item.body in missing.values() and getattr(item, "type", None) != "error":
            missing = {key: text for key, text in missing.items() if text != item.body}
        else:
            missing.pop(item.id)


def test_legacy_gateway_restarts(stage):
    lab, people = stage
    juliet = people["juliet"]
    assert lab.deliver(juliet, "romeo@corp.test").by == "legacy"
    lab.legacy.stop()
    assert send(lab, juliet, people["romeo"], "nobody home").by == "error"
    lab.legacy.start()
    people["romeo"] = lab.legacy_user()
    recover(lab, juliet, people["romeo"])
    assert lab.deliver(people["romeo"], "juliet@partner.test", timeout=60).by == "partner"


def test_partner_is_down(stage):
    """Senders on both our sides are told, and when the partner is back, messages arrive."""
    lab, people = stage
    assert lab.deliver(people["tybalt"], "juliet@partner.test").by == "partner"
    lab.partner.stop()
    assert lab.deliver(people["tybalt"], "juliet@partner.test", timeout=60).by == "error"
    assert lab.deliver(people["romeo"], "juliet@partner.test", timeout=60).condition == "remote-server-timeout"
    lab.partner.start()
    people["juliet"] = lab.partner_user()
    recover(lab, people["tybalt"], people["juliet"])
    recover(lab, people["romeo"], people["juliet"])


def test_pool_restarts(stage):
    lab, people = stage
    assert lab.deliver(people["juliet"], "tybalt@corp.test").by == "pool"
    lab.pool.restart()
    people["tybalt"].register()
    recover(lab, people["juliet"], people["tybalt"])
    assert lab.deliver(people["tybalt"], "juliet@partner.test").by == "partner"


def test_killed_and_started_again(stage):
    """What a power cut leaves: the registry whole, and no message sent afterwards in trouble."""
    lab, people = stage
    lab.bridge.mark("migrated", "romeo@corp.test")
    lab.bridge.kill()
    lab.bridge.start()
    assert lab.bridge.json("user", "show", "romeo@corp.test")["mark"] == "migrated"
    lab.bridge.mark("legacy", "romeo@corp.test")
    recover(lab, people["juliet"], people["romeo"])
    recover(lab, people["romeo"], people["juliet"])
    recover(lab, people["tybalt"], people["juliet"])
