-- As in PostgreSQL.
alter table op_log add column hash_form integer not null default 1;
