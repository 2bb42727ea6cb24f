-- state-002-spool: messages that wait, because their user is being moved or their
-- next hop is away.
--
-- A row is a message in our custody: it was acknowledged to its sender when it was
-- committed, and leaves only when the next hop has it, or its sender an error.

CREATE TABLE message (
	id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
	-- The order of arrival, which is not that of the ids: a message may come back from a next hop that
	-- did not take it, when newer ones are here already.
	position INTEGER NOT NULL,
	pair TEXT NOT NULL,            -- "FROM TO", bare: order is kept within
	user TEXT NOT NULL,            -- the local user, bare
	hop TEXT NOT NULL,             -- what is waited for: a move, or a next hop
	origin TEXT NOT NULL,          -- where it came from
	stanza BLOB NOT NULL,
	received_at INTEGER NOT NULL,  -- Unix seconds, for its delay stamp
	expires_at INTEGER NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	begun INTEGER NOT NULL DEFAULT 0, -- attempts of which nothing was heard: the process ended meanwhile
	trouble TEXT NOT NULL DEFAULT '', -- why the last attempt failed
	quarantined INTEGER NOT NULL DEFAULT 0,
	CONSTRAINT "message.hop is move, legacy-gateway, legacy-pool or new-pool"
		CHECK (hop = 'move' OR hop = 'legacy-gateway' OR hop = 'legacy-pool' OR hop = 'new-pool'),
	CONSTRAINT "message.origin is partner or pool"
		CHECK (origin = 'partner' OR origin = 'pool'),
	CONSTRAINT "message.quarantined is 1 or 0"
		CHECK (quarantined = 0 OR quarantined = 1),
	CONSTRAINT "message.position is a whole number; received_at and expires_at are whole seconds"
		CHECK (typeof(position) = 'integer' AND typeof(received_at) = 'integer'
			AND typeof(expires_at) = 'integer')
);
CREATE INDEX message_position ON message (position);
CREATE INDEX message_pair ON message (pair, position);
CREATE INDEX message_user ON message (user, position);
CREATE INDEX message_expiry ON message (expires_at) WHERE quarantined = 0;
CREATE INDEX message_quarantine ON message (id) WHERE quarantined = 1;

-- Messages and bytes of each user, each hop ("hop:NAME"), and of all (""): what
-- limits are checked against, kept by triggers, since counting would cost more
-- the fuller the spool is.
CREATE TABLE occupancy (
	owner TEXT NOT NULL PRIMARY KEY,
	messages INTEGER NOT NULL,
	bytes INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TRIGGER message_insert AFTER INSERT ON message BEGIN
	INSERT INTO occupancy (owner, messages, bytes)
		VALUES ('', 1, length(new.stanza)), (new.user, 1, length(new.stanza)),
			('hop:' || new.hop, 1, length(new.stanza))
		ON CONFLICT (owner) DO UPDATE SET messages = messages + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER message_hop AFTER UPDATE OF hop ON message WHEN old.hop <> new.hop BEGIN
	UPDATE occupancy SET messages = messages - 1, bytes = bytes - length(old.stanza)
		WHERE owner = 'hop:' || old.hop;
	INSERT INTO occupancy (owner, messages, bytes) VALUES ('hop:' || new.hop, 1, length(new.stanza))
		ON CONFLICT (owner) DO UPDATE SET messages = messages + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER message_delete AFTER DELETE ON message BEGIN
	UPDATE occupancy SET messages = messages - 1, bytes = bytes - length(old.stanza)
		WHERE owner = '' OR owner = old.user OR owner = 'hop:' || old.hop;
	DELETE FROM occupancy WHERE owner = old.user AND messages = 0;
END;

-- What was delivered or taken into custody lately, so that what a peer sends again, since it
-- never got our acknowledgement, is not delivered again. A row is what was written at one
-- time: keyed hashes, 16 bytes each, without a word of what they stand for. The number is that
-- of the first; the oldest rows are deleted.
CREATE TABLE seen (
	number INTEGER PRIMARY KEY,
	at INTEGER NOT NULL, -- Unix seconds
	hashes BLOB NOT NULL,
	CONSTRAINT "seen.at is whole seconds"
		CHECK (typeof(at) = 'integer'),
	CONSTRAINT "seen.hashes has 16 bytes for each"
		CHECK (typeof(hashes) = 'blob' AND length(hashes) > 0 AND length(hashes) % 16 = 0)
);

-- The key of the hashes, made with the file: nobody outside can make two of them meet.
CREATE TABLE seen_key (
	id INTEGER PRIMARY KEY CHECK (id = 1),
	bytes BLOB NOT NULL,
	CONSTRAINT "seen_key.bytes has 16"
		CHECK (typeof(bytes) = 'blob' AND length(bytes) = 16)
);
INSERT INTO seen_key (id, bytes) VALUES (1, randomblob(16));
