-- state-004-occupancy: what a kept message costs is cut to a quarter.
--
-- The daemon is the only writer, and knows from its memory what waits, in which
-- order, and how much it is. A trigger for each row, three sums in a table, and the
-- journal that SQLite keeps of a statement with triggers were more than half of the
-- cost; and of what was written most were pages of the index by pair, of which each
-- pair has its own.

DROP TRIGGER message_insert;
DROP TRIGGER message_hop;
DROP TRIGGER message_delete;
DROP TABLE occupancy;

-- Only lists for people look for messages so: they walk through all.
DROP INDEX message_position;
DROP INDEX message_user;
DROP INDEX message_pair;
