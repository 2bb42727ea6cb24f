-- state-003-failed: messages that will not be delivered, and whose senders are
-- being told so.
--
-- A row leaves only when the error has been delivered, or never will be: until then
-- a restart tells its sender again. It is not sent any more, whatever becomes of
-- its user and its next hop.

ALTER TABLE message ADD COLUMN failed TEXT NOT NULL DEFAULT ''; -- the condition he is told; why: trouble
CREATE INDEX message_failed ON message (id) WHERE failed <> '';
