-- The timeline of the database that the log was last written on. PostgreSQL begins another one
-- wherever a standby is promoted or a backup is restored: rows may be missing from then on.
-- Null: not written since this column was made, or the database does not tell.
alter table log_identity add column timeline bigint;
