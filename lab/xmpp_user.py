"""An XMPP user: a slixmpp client that logs in, sends, and keeps what it receives."""

import asyncio
import itertools
import logging
import time
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

logging.getLogger("slixmpp").setLevel(logging.CRITICAL)

import slixmpp  # noqa: E402  (its import logs)

from lab.inbox import WAIT, Inbox, wait_until  # noqa: E402

# A carriage return survives an XML parser only as a reference.
CR = {"\r": "&#13;"}
CLIENT = "{jabber:client}"
STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
CHAT_STATES, RECEIPTS, NICK = "{http://jabber.org/protocol/chatstates}", "{urn:xmpp:receipts}", "{http://jabber.org/protocol/nick}nick"
ROSTER = "{jabber:iq:roster}"
_numbers = itertools.count(1)


class Stanza:
    """A received stanza, read from its XML; None where there is nothing."""

    def __init__(self, element):
        self.at = time.monotonic()
        self.xml = element
        self.kind = element.tag.rpartition("}")[2]
        self.sender, self.to = element.get("from"), element.get("to")
        self.id, self.type = element.get("id"), element.get("type")
        self.lang = element.get("{http://www.w3.org/XML/1998/namespace}lang")
        self.body = element.findtext(CLIENT + "body")
        self.subject = element.findtext(CLIENT + "subject")
        self.thread = element.findtext(CLIENT + "thread")
        self.show, self.status = element.findtext(CLIENT + "show"), element.findtext(CLIENT + "status")
        self.priority, self.nick = element.findtext(CLIENT + "priority"), element.findtext(NICK)
        # The chat state (XEP-0085); whether a receipt is asked for, and the id that one is for (XEP-0184).
        self.chat_state = next((child.tag[len(CHAT_STATES):] for child in element if child.tag.startswith(CHAT_STATES)), None)
        self.wants_receipt = element.find(RECEIPTS + "request") is not None
        receipt = element.find(RECEIPTS + "received")
        self.receipt = receipt.get("id") if receipt is not None else None

    @property
    def bare(self):
        return (self.sender or "").partition("/")[0]

    @property
    def error(self):
        """The error condition, such as "item-not-found"."""
        error = self.xml.find(CLIENT + "error")
        for child in error if error is not None else ():
            if child.tag.startswith(STANZAS) and not child.tag.endswith("}text"):
                return child.tag[len(STANZAS):]
        return None

    @property
    def error_text(self):
        return self.xml.findtext(f"{CLIENT}error/{STANZAS}text")

    def __str__(self):
        return ElementTree.tostring(self.xml, encoding="unicode")[:400]


class Client(slixmpp.ClientXMPP):
    """slixmpp, told where the server is: no DNS, no TLS on this leg."""

    def __init__(self, jid, password):
        super().__init__(jid, password)
        self.roster.auto_authorize, self.roster.auto_subscribe = None, False
        self.plugin["feature_mechanisms"].unencrypted_plain = True
        self.plugin["feature_mechanisms"].unencrypted_scram = True
        for plugin in ("xep_0030", "xep_0199"):
            self.register_plugin(plugin)

    async def get_dns_records(self, domain, port=None):
        return []

    def init_parser(self):
        super().init_parser()
        self._rest = b""

    def data_received(self, data):
        """
        COMPAT: expat leaves a start tag that comes to it in two pieces unread until there are twice the bytes of the
        first; Python 3.11 offers no way to ask it. So the parser gets whole tags only.
        """
        whole, end, self._rest = (self._rest + data).rpartition(b">")
        if end:
            super().data_received(whole + end)


class XmppUser:
    def __init__(self, loop, address, host, password="secret", resource=None, reflects=True):
        """
        Logs in and returns when the server shows the user as available. reflects: does it show that to the user,
        too, as RFC 6121 has it?
        """
        self.address, self._loop, self._resource, self._reflects = address, loop, resource, reflects
        self.inbox = Inbox(f"{address}/{resource}" if resource else address)
        self._loop.call(self._open(host, password))

    async def _open(self, host, password):
        self.client = Client(f"{self.address}/{self._resource}" if self._resource else self.address, password)
        # A filter sees what comes in and leaves it to slixmpp, which answers iq requests as any client does.
        self.client.add_filter("in", self._received)
        started, failed = asyncio.Event(), asyncio.get_running_loop().create_future()
        self.client.add_event_handler("session_start", lambda event: started.set())
        self.client.add_event_handler(
            "failed_all_auth", lambda event: failed.set_exception(PermissionError(f"{self.address}: login refused")))
        self.client.connect((host, 5222), force_starttls=False, disable_starttls=True)
        waits = [asyncio.ensure_future(started.wait()), failed]
        done, _ = await asyncio.wait(waits, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise TimeoutError(f"{self.address}: no login at {host}")
        done.pop().result()
        failed.cancel()
        # Who has asked for the roster is told of answers to subscription requests.
        await self.client.get_roster()
        await self._show_presence()

    def _received(self, stanza):
        self.inbox.put(Stanza(stanza.xml))
        return stanza

    async def _show_presence(self):
        if not self._reflects:
            self.client.send_presence()
            await self.client.get_roster()
            return
        # The server reflects one's own presence once it has taken it.
        shown = asyncio.get_running_loop().create_future()

        def reflected(presence):
            if presence["from"] == self.client.boundjid and not shown.done():
                shown.set_result(True)

        self.client.add_event_handler("presence_available", reflected)
        self.client.send_presence()
        await asyncio.wait_for(shown, 20)
        self.client.del_event_handler("presence_available", reflected)
        self.inbox.clear()

    @property
    def full(self):
        return str(self.client.boundjid)

    def send_xml(self, xml):
        """Raw XML, in jabber:client."""

        async def send():
            self.client.send_raw(xml)

        self._loop.call(send())

    def send(self, to, body, kind="chat", subject=None, thread=None, lang=None, extra=""):
        """Send a message; returns its id."""
        number = f"lab-{next(_numbers)}"
        parts = [("subject", subject), ("body", body), ("thread", thread)]
        inner = "".join(f"<{name}>{escape(text, CR)}</{name}>" for name, text in parts if text is not None)
        language = f" xml:lang={quoteattr(lang)}" if lang else ""
        self.send_xml(f"<message to={quoteattr(to)} type={quoteattr(kind)} id='{number}'{language}>{inner}{extra}</message>")
        return number

    def presence(self, to, kind=None):
        """Send a presence stanza: subscribe, subscribed, unsubscribe, ... or availability."""
        kind = f" type={quoteattr(kind)}" if kind else ""
        self.send_xml(f"<presence to={quoteattr(to)}{kind}/>")

    # ---- presence and the roster (RFC 6121)

    def subscribe(self, contact):
        self.presence(contact, "subscribe")

    def approve(self, contact):
        self.presence(contact, "subscribed")

    def deny(self, contact):
        """Also takes an approval back."""
        self.presence(contact, "unsubscribed")

    def unsubscribe(self, contact):
        self.presence(contact, "unsubscribe")

    def remove(self, contact):
        """Off the roster, with whatever subscriptions there are."""
        return self.ask(self.address, f"<query xmlns='jabber:iq:roster'><item jid={quoteattr(contact)} "
                                      "subscription='remove'/></query>", kind="set")

    def roster(self):
        """{address: subscription}; "none+" is one that waits for its answer."""
        items = self.ask(self.address, "<query xmlns='jabber:iq:roster'/>").xml.iter(ROSTER + "item")
        return {item.get("jid"): item.get("subscription") + ("+" if item.get("ask") else "") for item in items}

    def status(self, show=None, text=None, priority=None, to=None, lang=None):
        """Available to all who are subscribed, or to one: show is away, chat, dnd, xa or None."""
        parts = (("show", show), ("status", text), ("priority", priority))
        inner = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in parts if value is not None)
        self.send_xml(f"<presence{attribute('to', to)}{attribute('xml:lang', lang)}>{inner}</presence>")

    def unavailable(self, text=None, to=None):
        inner = f"<status>{escape(text)}</status>" if text else ""
        self.send_xml(f"<presence type='unavailable'{attribute('to', to)}>{inner}</presence>")

    def wait_status(self, sender, show=None, text=None, timeout=WAIT):
        """Available presence from this bare address with exactly this show and status."""
        return self.inbox.wait(lambda s: s.kind == "presence" and s.bare == sender and s.type is None and
                               (s.show, s.status) == (show, text), timeout)

    # ---- chat states and receipts

    def chat_state(self, to, state, thread=None, extra=""):
        """A standalone state: active, composing, paused, inactive or gone. Returns its id."""
        return self.send(to, None, thread=thread, extra=f"<{state} xmlns='http://jabber.org/protocol/chatstates'/>{extra}")

    def wait_chat_state(self, sender, state, timeout=WAIT):
        """A message without text that is this state."""
        return self.inbox.wait(lambda s: s.kind == "message" and s.bare == sender and s.body is None and
                               s.chat_state == state and s.type != "error", timeout)

    def wait_receipt(self, number, timeout=WAIT):
        return self.inbox.wait(lambda s: s.kind == "message" and s.receipt == number, timeout)

    def record(self, sender):
        """What came from this bare address so far, in order: ("message", text), ("state", state), ("receipt", id),
        ("error", condition), ("presence", type or show or "available")."""
        return [entry for stanza in list(self.inbox.history) if stanza.bare == sender for entry in entries(stanza)]

    def wait_record(self, sender, wanted, timeout=WAIT):
        """Returns when the record ends with these entries."""
        wait_until(lambda: self.record(sender)[-len(wanted):] == list(wanted), timeout)

    def ask(self, to, query, timeout=WAIT, kind="get"):
        """Send an iq and wait for its result or error."""
        number = f"lab-{next(_numbers)}"
        self.send_xml(f"<iq to={quoteattr(to)} type='{kind}' id='{number}'>{query}</iq>")
        return self.inbox.wait(
            lambda s: s.kind == "iq" and s.id == number and s.type in ("result", "error"), timeout)

    def wait_message(self, body, timeout=WAIT):
        """The message with this body that is not an error."""
        return self.inbox.wait(
            lambda s: s.kind == "message" and s.type != "error" and s.body == body, timeout)

    def wait_error(self, number, timeout=WAIT):
        """The error for the stanza sent with this id."""
        return self.inbox.wait(lambda s: s.type == "error" and s.id == number, timeout)

    def wait_presence(self, sender, kind=None, timeout=WAIT):
        """A presence from this bare address."""
        return self.inbox.wait(
            lambda s: s.kind == "presence" and s.bare == sender and s.type == kind, timeout)

    def close(self):
        async def end():
            await self.client.disconnect(wait=5.0)

        self._loop.call(end())


def attribute(name, value):
    return f" {name}={quoteattr(value)}" if value else ""


def entries(stanza):
    if stanza.type == "error":
        yield "error", stanza.error
    elif stanza.kind == "presence":
        yield "presence", stanza.type or stanza.show or "available"
    elif stanza.kind == "message":
        if stanza.chat_state and stanza.body is None:
            yield "state", stanza.chat_state
        if stanza.receipt:
            yield "receipt", stanza.receipt
        if stanza.body is not None:
            yield "message", stanza.body
