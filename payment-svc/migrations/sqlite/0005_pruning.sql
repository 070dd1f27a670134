-- As in PostgreSQL.
create index attempts_refused on attempts (intended_at_ms) where state = 'REFUSED';
