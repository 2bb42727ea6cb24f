-- state-001-ledger: presence subscriptions across the bridge, and their SIP dialogs.
--
-- The daemon alone writes here. The rules are the schema's all the same: what
-- is read at the next start must be what the program knows.

-- One half of a subscription; no row: none. Addresses are bare and normalised.
CREATE TABLE subscription (
	local TEXT NOT NULL,
	contact TEXT NOT NULL,
	direction TEXT NOT NULL, -- to-contact: the local user watches the contact
	state TEXT NOT NULL,
	via TEXT NOT NULL,       -- whose user made it
	evidence TEXT NOT NULL,  -- how we know
	since INTEGER NOT NULL,  -- Unix seconds: in this state
	seen INTEGER NOT NULL,   -- Unix seconds: last shown to be so
	told TEXT NOT NULL DEFAULT '', -- the presence that the watcher was told last
	PRIMARY KEY (local, contact, direction),
	CONSTRAINT "subscription.local is local@domain"
		CHECK (local GLOB '?*@?*' AND length(CAST(local AS BLOB)) <= 1277),
	CONSTRAINT "subscription.contact is an address without a resource"
		CHECK (contact <> '' AND contact NOT GLOB '*/*' AND length(CAST(contact AS BLOB)) <= 1277),
	CONSTRAINT "subscription.direction is to-contact or to-local"
		CHECK (direction = 'to-contact' OR direction = 'to-local'),
	CONSTRAINT "subscription.state is pending or active"
		CHECK (state = 'pending' OR state = 'active'),
	CONSTRAINT "subscription.via is gateway or legacy"
		CHECK (via = 'gateway' OR via = 'legacy'),
	CONSTRAINT "subscription.evidence is probe, presence or handshake"
		CHECK (evidence = 'probe' OR evidence = 'presence' OR evidence = 'handshake'),
	CONSTRAINT "subscription.since and seen are whole seconds"
		CHECK (typeof(since) = 'integer' AND typeof(seen) = 'integer')
) WITHOUT ROWID;

-- How many rows each local user has, and under '' all of them: counting them
-- whenever one comes would be a way to keep the daemon busy. Unproved is what is
-- not an active handshake.
CREATE TABLE holding (
	local TEXT NOT NULL PRIMARY KEY,
	subscriptions INTEGER NOT NULL,
	unproved INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TRIGGER subscription_insert AFTER INSERT ON subscription BEGIN
	INSERT INTO holding (local, subscriptions, unproved)
		VALUES ('', 1, new.state <> 'active' OR new.evidence <> 'handshake'),
			(new.local, 1, new.state <> 'active' OR new.evidence <> 'handshake')
		ON CONFLICT (local) DO UPDATE SET subscriptions = subscriptions + 1,
			unproved = unproved + excluded.unproved;
END;

CREATE TRIGGER subscription_update AFTER UPDATE OF state, evidence ON subscription
WHEN (old.state <> 'active' OR old.evidence <> 'handshake')
	<> (new.state <> 'active' OR new.evidence <> 'handshake')
BEGIN
	UPDATE holding SET unproved = unproved + (new.state <> 'active' OR new.evidence <> 'handshake')
		- (old.state <> 'active' OR old.evidence <> 'handshake')
		WHERE local = '' OR local = new.local;
END;

CREATE TRIGGER subscription_delete AFTER DELETE ON subscription BEGIN
	UPDATE holding SET subscriptions = subscriptions - 1,
		unproved = unproved - (old.state <> 'active' OR old.evidence <> 'handshake')
		WHERE local = '' OR local = old.local;
	DELETE FROM holding WHERE local = old.local AND subscriptions = 0;
END;

-- The SIP dialogs by which a subscription is carried. Numbers are never used
-- twice, so that a late word about an old one meets no new one.
CREATE TABLE dialog (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	local TEXT NOT NULL,
	contact TEXT NOT NULL,
	direction TEXT NOT NULL,
	dialog TEXT NOT NULL,              -- as JSON
	event_id TEXT NOT NULL DEFAULT '', -- the id parameter of Event
	expires_at INTEGER NOT NULL,       -- Unix seconds
	FOREIGN KEY (local, contact, direction)
		REFERENCES subscription (local, contact, direction) ON DELETE CASCADE,
	CONSTRAINT "dialog.dialog is JSON"
		CHECK (json_valid(dialog)),
	CONSTRAINT "dialog.expires_at is whole seconds"
		CHECK (typeof(expires_at) = 'integer')
);
CREATE INDEX dialog_subscription ON dialog (local, contact, direction);
