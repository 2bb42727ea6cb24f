"""What a contact has seen of a user, from all presence that came: who is there, and what must not happen."""

REQUESTS = ("subscribe", "subscribed", "unsubscribe", "unsubscribed")


class View:
    """
    Of one user, over a part of a contact's history, or what take() is given. resources: those that are available at the
    end; flaps: how often there was nobody after there had been somebody; asked: whatever concerns approval.
    """

    def __init__(self, history=(), user=None, resources=()):
        self.resources, self.flaps, self.asked, self.order = set(resources), 0, [], []
        for item in list(history):
            if getattr(item, "kind", None) == "presence" and item.bare == user:
                self.take(item.sender, item.type)

    def take(self, sender, kind):
        if kind in REQUESTS:
            self.asked.append(kind)
        if kind not in (None, "unavailable"):
            return
        before = bool(self.resources)
        self.order.append((kind or "available", sender.partition("/")[2]))
        if kind is None:
            self.resources.add(sender)
        elif "/" in sender:
            self.resources.discard(sender)
        else:
            self.resources.clear()  # some clients read it so
        self.flaps += before and not self.resources
