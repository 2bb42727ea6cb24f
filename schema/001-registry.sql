-- 001-registry: local domains, partners, users, and the audit of their changes.
--
-- Administrators, LDAP scripts and the sqlite3 shell write here as well as
-- poolbridgectl, so the rules are the schema's: names are normalised, words are
-- known ones, a user's domain is listed, a partner can be authenticated. The
-- shell leaves foreign_keys off; what the keys promise, triggers keep as well.
-- Words are compared one by one because IN (...) builds a temporary table each
-- time, which made loading users half as fast.
-- A constraint's name is the sentence that a hand-typed mistake is answered with.

CREATE TABLE domain (
	name TEXT NOT NULL PRIMARY KEY,
	phase TEXT NOT NULL DEFAULT 'coexist',
	unlisted TEXT NOT NULL DEFAULT 'legacy',
	xmpp_access NUMERIC NOT NULL DEFAULT 1,
	CONSTRAINT "domain.name is a lower-case ASCII domain name, such as corp.example"
		CHECK (name NOT GLOB '*[^a-z0-9._-]*' AND name GLOB '[^.]*' AND name NOT GLOB '*..*'
			AND name NOT GLOB '*.' AND length(name) <= 253 AND typeof(name) = 'text'),
	CONSTRAINT "domain.phase is legacy, coexist or migrated"
		CHECK (phase = 'legacy' OR phase = 'coexist' OR phase = 'migrated'),
	CONSTRAINT "domain.unlisted is legacy, migrated or reject"
		CHECK (unlisted = 'legacy' OR unlisted = 'migrated' OR unlisted = 'reject'),
	CONSTRAINT "domain.xmpp_access is 1 or 0 (also 'on' or 'off', 'yes' or 'no')"
		CHECK (xmpp_access = 0 OR xmpp_access = 1 OR xmpp_access = 'off' OR xmpp_access = 'on'
			OR xmpp_access = 'no' OR xmpp_access = 'yes')
) WITHOUT ROWID;

CREATE TABLE partner (
	name TEXT NOT NULL PRIMARY KEY, -- '*' is every domain that is not listed
	gateway TEXT NOT NULL DEFAULT 'by-user',
	type TEXT NOT NULL DEFAULT 'federated',
	tls TEXT NOT NULL DEFAULT 'required',
	sasl TEXT NOT NULL DEFAULT 'optional',
	dialback NUMERIC NOT NULL DEFAULT 1,
	keepalive NUMERIC NOT NULL DEFAULT 1,
	connections INTEGER NOT NULL DEFAULT 0, -- 0 is the configuration's limit
	proxy TEXT NOT NULL DEFAULT '',
	description TEXT NOT NULL DEFAULT '',
	CONSTRAINT "partner.name is a lower-case ASCII domain name, or *"
		CHECK (name = '*' OR (name NOT GLOB '*[^a-z0-9._-]*' AND name GLOB '[^.]*' AND name NOT GLOB '*..*'
			AND name NOT GLOB '*.' AND length(name) <= 253 AND typeof(name) = 'text')),
	CONSTRAINT "partner.gateway is legacy, by-user, bridge or blocked"
		CHECK (gateway = 'legacy' OR gateway = 'by-user' OR gateway = 'bridge' OR gateway = 'blocked'),
	CONSTRAINT "partner.type is federated, public-verified or public-unverified"
		CHECK (type = 'federated' OR type = 'public-verified' OR type = 'public-unverified'),
	CONSTRAINT "partner.tls is required, optional or none"
		CHECK (tls = 'required' OR tls = 'optional' OR tls = 'none'),
	CONSTRAINT "partner.sasl is required, optional or none"
		CHECK (sasl = 'required' OR sasl = 'optional' OR sasl = 'none'),
	CONSTRAINT "partner.dialback is 1 or 0 (also 'yes' or 'no', 'on' or 'off')"
		CHECK (dialback = 0 OR dialback = 1 OR dialback = 'off' OR dialback = 'on'
			OR dialback = 'no' OR dialback = 'yes'),
	CONSTRAINT "partner.keepalive is 1 or 0 (also 'yes' or 'no', 'on' or 'off')"
		CHECK (keepalive = 0 OR keepalive = 1 OR keepalive = 'off' OR keepalive = 'on'
			OR keepalive = 'no' OR keepalive = 'yes'),
	CONSTRAINT "partner.connections is a whole number from 0 (the configured limit) to 4294967295"
		CHECK (typeof(connections) = 'integer' AND connections BETWEEN 0 AND 4294967295),
	CONSTRAINT "partner.proxy is HOST, HOST:PORT or empty, in lower case and at most 511 bytes"
		CHECK (proxy NOT GLOB '*[^][a-z0-9.:_-]*' AND length(proxy) <= 511 AND typeof(proxy) = 'text'),
	CONSTRAINT "partner.description is a text of at most 511 bytes"
		CHECK (length(CAST(description AS BLOB)) <= 511 AND typeof(description) = 'text'),
	-- Without dialback only SASL EXTERNAL is left, and that needs TLS.
	CONSTRAINT "partner cannot be authenticated: without dialback, tls and sasl must be required or optional"
		CHECK (dialback = 1 OR dialback = 'on' OR dialback = 'yes' OR (tls <> 'none' AND sasl <> 'none'))
) WITHOUT ROWID;

CREATE TABLE partner_alias (
	alias TEXT NOT NULL PRIMARY KEY,
	partner TEXT NOT NULL REFERENCES partner (name) ON UPDATE CASCADE ON DELETE CASCADE,
	CONSTRAINT "partner_alias.alias is a lower-case ASCII domain name"
		CHECK (alias NOT GLOB '*[^a-z0-9._-]*' AND alias GLOB '[^.]*' AND alias NOT GLOB '*..*'
			AND alias NOT GLOB '*.' AND length(alias) <= 253 AND typeof(alias) = 'text'),
	CONSTRAINT "partner_alias.partner is a partner's name, not *"
		CHECK (partner <> '*')
) WITHOUT ROWID;

-- No index by domain or mark: it would double the file and the time of every
-- load, and lists are read in order of address anyway.
CREATE TABLE user (
	address TEXT NOT NULL PRIMARY KEY,
	-- The part after the '@'. May be left out: a trigger fills it in.
	domain TEXT REFERENCES domain (name) ON UPDATE RESTRICT ON DELETE RESTRICT,
	mark TEXT NOT NULL,
	xmpp_access NUMERIC NOT NULL DEFAULT 1,
	-- char(1, 45, 32) is the range of the control characters and the space.
	CONSTRAINT "user.address is local@domain in lower case, with one @ and no spaces or / (no sip: before it)"
		CHECK (address = lower(address) AND address GLOB '?*@?*' AND address NOT GLOB '*@*@*'
			AND address NOT GLOB '*["&''/:<>' || char(1, 45, 32, 127) || ']*'
			AND length(CAST(address AS BLOB)) <= 1277),
	CONSTRAINT "user.domain is the part of the address after the @"
		CHECK (domain = substr(address, instr(address, '@') + 1)),
	CONSTRAINT "user.mark is legacy, moving or migrated"
		CHECK (mark = 'legacy' OR mark = 'moving' OR mark = 'migrated'),
	CONSTRAINT "user.xmpp_access is 1 or 0 (also 'on' or 'off', 'yes' or 'no')"
		CHECK (xmpp_access = 0 OR xmpp_access = 1 OR xmpp_access = 'off' OR xmpp_access = 'on'
			OR xmpp_access = 'no' OR xmpp_access = 'yes')
) WITHOUT ROWID;

-- Who changes the registry: one row inside a transaction of ours, else none.
CREATE TABLE actor (name TEXT NOT NULL);

-- Numbers are never used twice, so that a reader can ask for what came after one.
CREATE TABLE audit (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
	actor TEXT NOT NULL,
	object TEXT NOT NULL, -- domain, partner, alias, user
	key TEXT NOT NULL,    -- its name; the old one when it was renamed
	before TEXT,          -- the row as JSON; NULL when it did not exist
	after TEXT            -- NULL when it was removed
);

-- INSERT OR REPLACE overwrites a row without firing the delete trigger. What
-- was there is put aside before each insert, so that the audit can tell.
CREATE TABLE replaced (row TEXT NOT NULL);

-- The audited rows as the audit writes them.
CREATE VIEW present (object, key, row) AS
	SELECT 'domain', name, json_object('name', name, 'phase', phase, 'unlisted', unlisted,
		'xmpp_access', xmpp_access) FROM domain
	UNION ALL
	SELECT 'partner', name, json_object('name', name, 'gateway', gateway, 'type', type, 'tls', tls,
		'sasl', sasl, 'dialback', dialback, 'keepalive', keepalive, 'connections', connections,
		'proxy', proxy, 'description', description) FROM partner
	UNION ALL
	SELECT 'alias', alias, json_object('alias', alias, 'partner', partner) FROM partner_alias
	UNION ALL
	SELECT 'user', address, json_object('address', address, 'domain', domain, 'mark', mark,
		'xmpp_access', xmpp_access) FROM user;

-- domain

CREATE TRIGGER domain_insert_before BEFORE INSERT ON domain BEGIN
	DELETE FROM replaced;
	INSERT INTO replaced SELECT row FROM present WHERE object = 'domain' AND key = new.name;
END;

CREATE TRIGGER domain_insert AFTER INSERT ON domain BEGIN
	INSERT INTO audit (actor, object, key, before, after)
		SELECT coalesce((SELECT name FROM actor), 'sql'), 'domain', new.name, old_row, new_row
		FROM (SELECT (SELECT row FROM replaced) AS old_row, json_object('name', new.name, 'phase', new.phase,
			'unlisted', new.unlisted, 'xmpp_access', new.xmpp_access) AS new_row)
		WHERE old_row IS NOT new_row;
END;

CREATE TRIGGER domain_update_before BEFORE UPDATE OF name ON domain WHEN old.name <> new.name BEGIN
	SELECT RAISE (ABORT, 'a domain of that name is in the registry already')
		WHERE EXISTS (SELECT 1 FROM domain WHERE name = new.name);
	SELECT RAISE (ABORT, 'users of the domain are in the registry: remove them first')
		WHERE EXISTS (SELECT 1 FROM user WHERE domain = old.name);
END;

CREATE TRIGGER domain_update AFTER UPDATE ON domain
WHEN (old.name, old.phase, old.unlisted, old.xmpp_access)
	IS NOT (new.name, new.phase, new.unlisted, new.xmpp_access)
BEGIN
	INSERT INTO audit (actor, object, key, before, after)
		SELECT coalesce((SELECT name FROM actor), 'sql'), 'domain', old.name,
			json_object('name', old.name, 'phase', old.phase, 'unlisted', old.unlisted,
				'xmpp_access', old.xmpp_access),
			json_object('name', new.name, 'phase', new.phase, 'unlisted', new.unlisted,
				'xmpp_access', new.xmpp_access);
END;

CREATE TRIGGER domain_delete_before BEFORE DELETE ON domain BEGIN
	SELECT RAISE (ABORT, 'users of the domain are in the registry: remove them first')
		WHERE EXISTS (SELECT 1 FROM user WHERE domain = old.name);
END;

CREATE TRIGGER domain_delete AFTER DELETE ON domain BEGIN
	DELETE FROM replaced;
	INSERT INTO audit (actor, object, key, before)
		SELECT coalesce((SELECT name FROM actor), 'sql'), 'domain', old.name,
			json_object('name', old.name, 'phase', old.phase, 'unlisted', old.unlisted,
				'xmpp_access', old.xmpp_access);
END;

-- partner

CREATE TRIGGER partner_insert_before BEFORE INSERT ON partner BEGIN
	SELECT RAISE (ABORT, 'the name is an alias of another partner')
		WHERE EXISTS (SELECT 1 FROM partner_alias WHERE alias = new.name);
	DELETE FROM replaced;
	INSERT INTO replaced SELECT row FROM present WHERE object = 'partner' AND key = new.name;
END;

CREATE TRIGGER partner_insert AFTER INSERT ON partner BEGIN
	INSERT INTO audit (actor, object, key, before, after)
		SELECT coalesce((SELECT name FROM actor), 'sql'), 'partner', new.name, old_row, new_row
		FROM (SELECT (SELECT row FROM replaced) AS old_row, json_object('name', new.name,
			'gateway', new.gateway, 'type', new.type, 'tls', new.tls, 'sasl', new.sasl,
			'dialback', new.dialback, 'keepalive', new.keepalive, 'connections', new.connections,
			'proxy', new.proxy, 'description', new.description) AS new_row)
		WHERE old_row IS NOT new_row;
END;

CREATE TRIGGER partner_update_before BEFORE UPDATE OF name ON partner WHEN old.name <> new.name BEGIN
	SELECT RAISE (ABORT, 'a partner of that name is in the registry already')
		WHERE EXISTS (SELECT 1 FROM partner WHERE name = new.name);
	SELECT RAISE (ABORT, 'the name is an alias of a partner')
		WHERE EXISTS (SELECT 1 FROM partner_alias WHERE alias = new.name);
END;

CREATE TRIGGER partner_update AFTER UPDATE ON partner
WHEN (old.name, old.gateway, old.type, old.tls, old.sasl, old.dialback, old.keepalive, old.connections,
	old.proxy, old.description)
	IS NOT (new.name, new.gateway, new.type, new.tls, new.sasl, new.dialback, new.keepalive,
	new.connections, new.proxy, new.description)
BEGIN
	INSERT INTO audit (actor, object, key, before, after)
		SELECT coalesce((SELECT name FROM actor), 'sql'), 'partner', old.name,
			json_object('name', old.name, 'gateway', old.gateway, 'type', old.type, 'tls', old.tls,
				'sasl', old.sasl, 'dialback', old.dialback, 'keepalive', old.keepalive,
				'connections', old.connections, 'proxy', old.proxy, 'description', old.description),
			json_object('name', new.name, 'gateway', new.gateway, 'type', new.type, 'tls', new.tls,
				'sasl', new.sasl, 'dialback', new.dialback, 'keepalive', new.keepalive,
				'connections', new.connections, 'proxy', new.proxy, 'description', new.description);
	UPDATE partner_alias SET partner = new.name WHERE partner = old.name AND old.name <> new.name;
END;

-- The aliases go first, so that undoing from the newest entry back brings them home to their partner.
CREATE TRIGGER partner_delete_before BEFORE DELETE ON partner BEGIN
	DELETE FROM partner_alias WHERE partner = old.name;
END;

CREATE TRIGGER partner_delete AFTER DELETE ON partner BEGIN
	DELETE FROM replaced;
	INSERT INTO audit (actor, object, key, before)
		SELECT coalesce((SELECT name FROM actor), 'sql'), 'partner', old.name,
			json_object('name', old.name, 'gateway', old.gateway, 'type', old.type, 'tls', old.tls,
				'sasl', old.sasl, 'dialback', old.dialback, 'keepalive', old.keepalive,
				'connections', old.connections, 'proxy', old.proxy, 'description', old.description);
END;

-- partner_alias

CREATE TRIGGER partner_alias_insert_before BEFORE INSERT ON partner_alias BEGIN
	SELECT RAISE (ABORT, 'the partner of the alias is not in the registry: add it first')
		WHERE NOT EXISTS (SELECT 1 FROM partner WHERE name = new.partner);
	SELECT RAISE (ABORT, 'the alias is the name of a partner')
		WHERE EXISTS (SELECT 1 FROM partner WHERE name = new.alias);
	DELETE FROM replaced;
	INSERT INTO replaced SELECT row FROM present WHERE object = 'alias' AND key = new.alias;
END;

CREATE TRIGGER partner_alias_insert AFTER INSERT ON partner_alias BEGIN
	INSERT INTO audit (actor, object, key, before, after)
		SELECT coalesce((SELECT name FROM actor), 'sql'), 'alias', new.alias, old_row, new_row
		FROM (SELECT (SELECT row FROM replaced) AS old_row,
			json_object('alias', new.alias, 'partner', new.partner) AS new_row)
		WHERE old_row IS NOT new_row;
END;

CREATE TRIGGER partner_alias_update_before BEFORE UPDATE ON partner_alias BEGIN
	SELECT RAISE (ABORT, 'the partner of the alias is not in the registry: add it first')
		WHERE NOT EXISTS (SELECT 1 FROM partner WHERE name = new.partner);
	SELECT RAISE (ABORT, 'the alias is the name of a partner')
		WHERE EXISTS (SELECT 1 FROM partner WHERE name = new.alias);
	SELECT RAISE (ABORT, 'the alias is in the registry already')
		WHERE old.alias <> new.alias AND EXISTS (SELECT 1 FROM partner_alias WHERE alias = new.alias);
END;

CREATE TRIGGER partner_alias_update AFTER UPDATE ON partner_alias
WHEN (old.alias, old.partner) IS NOT (new.alias, new.partner)
BEGIN
	INSERT INTO audit (actor, object, key, before, after)
		SELECT coalesce((SELECT name FROM actor), 'sql'), 'alias', old.alias,
			json_object('alias', old.alias, 'partner', old.partner),
			json_object('alias', new.alias, 'partner', new.partner);
END;

CREATE TRIGGER partner_alias_delete AFTER DELETE ON partner_alias BEGIN
	DELETE FROM replaced;
	INSERT INTO audit (actor, object, key, before)
		SELECT coalesce((SELECT name FROM actor), 'sql'), 'alias', old.alias,
			json_object('alias', old.alias, 'partner', old.partner);
END;

-- user

CREATE TRIGGER user_insert_before BEFORE INSERT ON user BEGIN
	SELECT RAISE (ABORT, 'the domain of the address is not in the registry: add it first')
		WHERE NOT EXISTS (SELECT 1 FROM domain
			WHERE name = lower(substr(new.address, instr(new.address, '@') + 1)));
	DELETE FROM replaced;
	INSERT INTO replaced SELECT row FROM present WHERE object = 'user' AND key = new.address;
END;

CREATE TRIGGER user_insert_domain AFTER INSERT ON user WHEN new.domain IS NULL BEGIN
	UPDATE user SET domain = substr(address, instr(address, '@') + 1) WHERE address = new.address;
END;

CREATE TRIGGER user_insert AFTER INSERT ON user BEGIN
	INSERT INTO audit (actor, object, key, before, after)
		SELECT coalesce((SELECT name FROM actor), 'sql'), 'user', new.address, old_row, new_row
		FROM (SELECT (SELECT row FROM replaced) AS old_row, json_object('address', new.address,
			'domain', substr(new.address, instr(new.address, '@') + 1), 'mark', new.mark,
			'xmpp_access', new.xmpp_access) AS new_row)
		WHERE old_row IS NOT new_row;
END;

CREATE TRIGGER user_update_before BEFORE UPDATE OF address, domain ON user BEGIN
	SELECT RAISE (ABORT, 'the domain of the address is not in the registry: add it first')
		WHERE NOT EXISTS (SELECT 1 FROM domain
			WHERE name = lower(substr(new.address, instr(new.address, '@') + 1)));
	SELECT RAISE (ABORT, 'a user of that address is in the registry already')
		WHERE old.address <> new.address AND EXISTS (SELECT 1 FROM user WHERE address = new.address);
	SELECT RAISE (ABORT, 'user.domain is the part of the address after the @')
		WHERE new.domain IS NULL;
END;

-- The domain follows from the address; filling it in is no change.
CREATE TRIGGER user_update AFTER UPDATE ON user
WHEN (old.address, old.mark, old.xmpp_access) IS NOT (new.address, new.mark, new.xmpp_access)
BEGIN
	INSERT INTO audit (actor, object, key, before, after)
		SELECT coalesce((SELECT name FROM actor), 'sql'), 'user', old.address,
			json_object('address', old.address, 'domain', old.domain, 'mark', old.mark,
				'xmpp_access', old.xmpp_access),
			json_object('address', new.address, 'domain', new.domain, 'mark', new.mark,
				'xmpp_access', new.xmpp_access);
END;

CREATE TRIGGER user_delete AFTER DELETE ON user BEGIN
	DELETE FROM replaced;
	INSERT INTO audit (actor, object, key, before)
		SELECT coalesce((SELECT name FROM actor), 'sql'), 'user', old.address,
			json_object('address', old.address, 'domain', old.domain, 'mark', old.mark,
				'xmpp_access', old.xmpp_access);
END;

-- Putting a row back as the audit has it: the view can be written.

CREATE TRIGGER present_insert INSTEAD OF INSERT ON present BEGIN
	INSERT INTO domain (name, phase, unlisted, xmpp_access)
		SELECT json_extract(new.row, '$.name'), json_extract(new.row, '$.phase'),
			json_extract(new.row, '$.unlisted'), json_extract(new.row, '$.xmpp_access')
		WHERE new.object = 'domain';
	INSERT INTO partner (name, gateway, type, tls, sasl, dialback, keepalive, connections, proxy,
		description)
		SELECT json_extract(new.row, '$.name'), json_extract(new.row, '$.gateway'),
			json_extract(new.row, '$.type'), json_extract(new.row, '$.tls'),
			json_extract(new.row, '$.sasl'), json_extract(new.row, '$.dialback'),
			json_extract(new.row, '$.keepalive'), json_extract(new.row, '$.connections'),
			json_extract(new.row, '$.proxy'), json_extract(new.row, '$.description')
		WHERE new.object = 'partner';
	INSERT INTO partner_alias (alias, partner)
		SELECT json_extract(new.row, '$.alias'), json_extract(new.row, '$.partner')
		WHERE new.object = 'alias';
	INSERT INTO user (address, domain, mark, xmpp_access)
		SELECT json_extract(new.row, '$.address'), json_extract(new.row, '$.domain'),
			json_extract(new.row, '$.mark'), json_extract(new.row, '$.xmpp_access')
		WHERE new.object = 'user';
END;

CREATE TRIGGER present_update INSTEAD OF UPDATE ON present BEGIN
	UPDATE domain SET name = json_extract(new.row, '$.name'), phase = json_extract(new.row, '$.phase'),
		unlisted = json_extract(new.row, '$.unlisted'),
		xmpp_access = json_extract(new.row, '$.xmpp_access')
		WHERE old.object = 'domain' AND name = old.key;
	UPDATE partner SET name = json_extract(new.row, '$.name'),
		gateway = json_extract(new.row, '$.gateway'), type = json_extract(new.row, '$.type'),
		tls = json_extract(new.row, '$.tls'), sasl = json_extract(new.row, '$.sasl'),
		dialback = json_extract(new.row, '$.dialback'),
		keepalive = json_extract(new.row, '$.keepalive'),
		connections = json_extract(new.row, '$.connections'),
		proxy = json_extract(new.row, '$.proxy'),
		description = json_extract(new.row, '$.description')
		WHERE old.object = 'partner' AND name = old.key;
	UPDATE partner_alias SET alias = json_extract(new.row, '$.alias'),
		partner = json_extract(new.row, '$.partner')
		WHERE old.object = 'alias' AND alias = old.key;
	UPDATE user SET address = json_extract(new.row, '$.address'),
		domain = json_extract(new.row, '$.domain'), mark = json_extract(new.row, '$.mark'),
		xmpp_access = json_extract(new.row, '$.xmpp_access')
		WHERE old.object = 'user' AND address = old.key;
END;

CREATE TRIGGER present_delete INSTEAD OF DELETE ON present BEGIN
	DELETE FROM domain WHERE old.object = 'domain' AND name = old.key;
	DELETE FROM partner WHERE old.object = 'partner' AND name = old.key;
	DELETE FROM partner_alias WHERE old.object = 'alias' AND alias = old.key;
	DELETE FROM user WHERE old.object = 'user' AND address = old.key;
END;
