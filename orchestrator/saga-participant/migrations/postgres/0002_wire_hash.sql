-- What request_hash is made of. 1: the request as the service encoded it anew, which for
-- a map or a field that it does not know gives other bytes each time. 2: the bytes that
-- came over the wire. Without a check, so that no table is read through under a lock.
alter table op_log add column hash_form integer not null default 1;
