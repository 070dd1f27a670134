-- Who asked for what is stored here, and by which request: a repeated request is known by its id.
-- Empty in rows of before, and where nobody asked: a node reads definitions from its folder.
alter table definition add column request_id text not null default '';
alter table definition add column actor text not null default '';
alter table definition add column reason text not null default '';
alter table log_epoch add column request_id text not null default '';

-- Of two requests with the same id, one is stored.
create unique index definition_request on definition (request_id) where request_id <> '';
