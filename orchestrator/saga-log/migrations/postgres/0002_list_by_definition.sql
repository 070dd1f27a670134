-- Serves the list of one definition, newest first: a definition that few sagas have is found
-- among many that others have.
create index saga_definition on saga (definition, status, saga_id);
