"""SIP messages as plain values: parsing and writing, just enough for the lab's users."""

import secrets

COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length",
           "c": "content-type", "s": "subject"}


class Sip:
    """start: the first line. headers: [(lower-case name, value)]. body: bytes."""

    def __init__(self, start, headers, body=b""):
        self.start, self.headers, self.body = start, headers, body

    @property
    def is_response(self):
        return self.start.startswith("SIP/2.0 ")

    @property
    def status(self):
        return int(self.start.split(" ")[1])

    @property
    def phrase(self):
        return self.start.split(" ", 2)[2]

    @property
    def method(self):
        return self.start.split(" ")[0]

    @property
    def uri(self):
        return self.start.split(" ")[1]

    @property
    def text(self):
        return self.body.decode("utf-8")

    def all(self, name):
        return [value for key, value in self.headers if key == name]

    def header(self, name):
        values = self.all(name.lower())
        return values[0] if values else None

    @property
    def branch(self):
        for part in (self.header("via") or "").split(";"):
            if part.strip().startswith("branch="):
                return part.strip()[7:]
        return None

    def encode(self):
        lines = [self.start] + [f"{name}: {value}" for name, value in self.headers]
        lines.append(f"content-length: {len(self.body)}")
        return "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + self.body

    def __str__(self):
        return self.encode().decode("utf-8", "replace").replace("\r\n", " | ")[:600]


def parse(head, body):
    lines = head.decode("utf-8").split("\r\n")
    headers = []
    for line in lines[1:]:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        headers.append((COMPACT.get(name, name), value.strip()))
    return Sip(lines[0], [h for h in headers if h[0] != "content-length"], body)


def take(buffer):
    """(message or None, rest): the first whole message of a stream."""
    while buffer.startswith(b"\r\n"):
        buffer = buffer[2:]
    head, mark, rest = buffer.partition(b"\r\n\r\n")
    if not mark:
        return None, buffer
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() in (b"content-length", b"l"):
            length = int(value)
    if len(rest) < length:
        return None, buffer
    return parse(head, rest[:length]), rest[length:]


def answer(request, status, phrase, headers=()):
    """A response with what must be copied (RFC 3261 section 8.2.6)."""
    kept = [(name, value) for name, value in request.headers
            if name in ("via", "from", "call-id", "cseq", "record-route")]
    to = request.header("to")
    if ";tag=" not in to:
        to += ";tag=" + secrets.token_hex(4)
    return Sip(f"SIP/2.0 {status} {phrase}", kept + [("to", to)] + list(headers))
