"""One message sent, and what became of it: who got it, or which error its sender."""

import itertools
import time

from lab import inbox
from lab.sip_user import SipUser

_numbers = itertools.count(1)


class Delivery:
    """
    by: "legacy", "pool", "partner" (which server's user got it) or "error".
    item: what was received there. response: the SIP sender's final response.
    """

    def __init__(self, by, item, seconds, response=None):
        self.by, self.item, self.seconds, self.response = by, item, seconds, response

    @property
    def condition(self):
        return self.item.error if self.by == "error" and self.response is None else None

    @property
    def status(self):
        return self.response.status if self.response else None

    def __str__(self):
        return f"by {self.by} after {self.seconds:.3f} s: {self.response.start if self.response else self.item}"


def deliver(sender, receivers, to, body=None, timeout=inbox.WAIT, **options):
    """Send from an XmppUser or SipUser to an address, and wait until one of the receivers, or an error, shows up."""
    body = body or f"message {next(_numbers)} to {to}"
    waits = [(user.inbox, lambda item, body=body: is_text(item, body)) for user in receivers]
    where = {id(user.inbox): user.where for user in receivers}
    began = time.monotonic()
    if isinstance(sender, SipUser):
        return deliver_sip(sender, waits, where, to, body, timeout, began, options)
    number = sender.send(to, body, **options)
    waits.append((sender.inbox, lambda item: getattr(item, "type", None) == "error" and item.id == number))
    box, item = inbox.first(waits, timeout)
    by = "error" if box is sender.inbox and item.type == "error" else where[id(box)]
    return Delivery(by, item, item.at - began)


def deliver_sip(sender, waits, where, to, body, timeout, began, options):
    """A SIP sender always gets a final response; a message that came through has a 2xx besides."""
    sent = sender.start_send(to, body, **options)
    failed = inbox.Inbox("the final response")
    sent.add_done_callback(lambda done: note_failure(failed, done))
    box, item = inbox.first(waits + [(failed, lambda item: True)], timeout)
    response = sent.result(timeout)
    if box is failed:
        return Delivery("error", response, time.monotonic() - began, response)
    return Delivery(where[id(box)], item, item.at - began, response)


def note_failure(failed, done):
    if isinstance(done.exception(), Exception) or done.result().status >= 300:
        failed.put(done)


def is_text(item, body):
    return item.body == body and getattr(item, "type", None) != "error" and getattr(item, "kind", "message") == "message"
