-- 002-moving: since when a user is being moved, and what he was before, so that
-- a move that nobody ends can be ended.
--
-- Triggers keep it, whoever marks the user. The audit has the same facts, but no
-- index by key: to find them there again is a walk through all of it.

CREATE TABLE moving (
	address TEXT NOT NULL PRIMARY KEY,
	since TEXT NOT NULL, -- as audit.at
	was TEXT             -- the mark before; NULL: he was not listed
) WITHOUT ROWID;

CREATE INDEX moving_since ON moving (since);

INSERT INTO moving (address, since, was)
	SELECT address, coalesce((SELECT at FROM audit WHERE id = begun), strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
		(SELECT json_extract(before, '$.mark') FROM audit WHERE id = begun)
	FROM user LEFT JOIN (SELECT key, max(id) AS begun FROM audit
		WHERE object = 'user' AND json_extract(after, '$.mark') = 'moving'
			AND json_extract(before, '$.mark') IS NOT 'moving'
		GROUP BY key) ON key = address
	WHERE mark = 'moving';

-- INSERT OR REPLACE fires no delete trigger: what was there is in "replaced".
CREATE TRIGGER user_insert_moving AFTER INSERT ON user WHEN new.mark = 'moving' BEGIN
	DELETE FROM moving WHERE address = new.address
		AND json_extract((SELECT row FROM replaced), '$.mark') IS NOT 'moving';
	INSERT INTO moving (address, since, was)
		SELECT new.address, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
			json_extract((SELECT row FROM replaced), '$.mark')
		WHERE NOT EXISTS (SELECT 1 FROM moving WHERE address = new.address);
END;

CREATE TRIGGER user_insert_moved AFTER INSERT ON user
WHEN new.mark <> 'moving' AND EXISTS (SELECT 1 FROM moving WHERE address = new.address)
BEGIN
	DELETE FROM moving WHERE address = new.address;
END;

-- A user who is given another address while he is being moved goes on being moved.
CREATE TRIGGER user_update_moving AFTER UPDATE OF address, mark ON user
WHEN (old.mark = 'moving' OR new.mark = 'moving') AND (old.address, old.mark) IS NOT (new.address, new.mark)
BEGIN
	UPDATE moving SET address = new.address
		WHERE address = old.address AND old.mark = 'moving' AND new.mark = 'moving';
	DELETE FROM moving WHERE address = old.address AND new.mark <> 'moving';
	INSERT INTO moving (address, since, was)
		SELECT new.address, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), old.mark
		WHERE new.mark = 'moving' AND old.mark <> 'moving';
END;

CREATE TRIGGER user_delete_moving AFTER DELETE ON user WHEN old.mark = 'moving' BEGIN
	DELETE FROM moving WHERE address = old.address;
END;
