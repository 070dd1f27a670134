//! The queries that PostgreSQL and SQLite share, word for word. sqlx has a connection type
//! per database and no usable common one, so [`sql_store`] writes the functions for each.

pub(crate) mod acts;
pub(crate) mod condition;
pub(crate) mod find;
pub(crate) mod groups;
mod store;
pub(crate) mod times;

pub(crate) use acts::sql_acts;
pub(crate) use find::{bound, sql_finds};
pub(crate) use store::sql_store;
pub(crate) use times::sql_times;

/// The columns of [`crate::rows::SagaRecord`].
macro_rules! saga_columns {
    () => {
        "saga_id, namespace, business_key, definition, definition_version, request_hash,
        started_at_ms, status, wake_at_ms, waiting_on, owner, stuck_reason, stuck_step,
        stuck_message, stuck_since_ms, turned_back, ended_at_ms, cause, cause_message,
        cause_since_ms, rank"
    };
}
pub(crate) use saga_columns;

pub(crate) const SAGA: &str =
    concat!("/* saga */ select ", saga_columns!(), " from saga where saga_id = $1");

pub(crate) const SAGA_BY_KEY: &str = concat!(
    "/* saga_by_key */ select ",
    saga_columns!(),
    " from saga where namespace = $1 and business_key = $2"
);

pub(crate) const LOAD: &str = "/* load */
    select version, writer, append_id, at_ms, events from saga_event
    where saga_id = $1 and version > $2
    order by version
    limit $3";

/// The append ids at a version and at the one before, and the epoch of the log.
pub(crate) const LOOK_UP: &str = "/* write: look_up */
    select
        (select append_id from saga_event where saga_id = $1 and version = $2),
        (select append_id from saga_event where saga_id = $1 and version = $2 - 1),
        (select max(epoch) from log_epoch)";

pub(crate) const CLAIMABLE_DUE: &str = "/* claimable: due */
    select wake_at_ms, saga_id from saga
    where owner is null and ended_at_ms is null and wake_at_ms <= $1
    order by wake_at_ms
    limit $2";

pub(crate) const CLAIMABLE_SET_AHEAD: &str = "/* claimable: set ahead */
    select wake_at_ms, saga_id from saga
    where owner is null and ended_at_ms is null and wake_at_ms is not null
    and wake_set_at_ms > $1
    order by wake_set_at_ms
    limit $2";

pub(crate) const CLAIMABLE_DEAD: &str = "/* claimable: dead */
    select wake_at_ms, saga_id from saga
    where owner = $1 and ended_at_ms is null
    order by wake_at_ms nulls first
    limit $2";

pub(crate) const HELD: &str = "/* held */
    select saga_id from saga
    where rank is not null and owner is null and ended_at_ms is null and waiting_on = $1
    order by rank, started_at_ms, saga_id
    limit $2";

pub(crate) const REGISTER_NODE: &str = "/* register_node */
    insert into node (node_id, registered_at_ms, beat_at_ms) values ($1, $2, $2)
    on conflict do nothing";

pub(crate) const BEAT: &str = "/* beat */
    update node set beats = beats + 1, beat_at_ms = $2 where node_id = $1";

pub(crate) const MARK: &str = "/* mark */
    update log_identity set mark_at_ms = $1 where mark_at_ms < $1";

pub(crate) const IDENTITY: &str = "/* identity */
    select log_id, epoch, began_at_ms, behind_ms, log_identity.mark_at_ms
    from log_identity, (
        select epoch, began_at_ms, behind_ms from log_epoch order by epoch desc limit 1
    ) as present";

/// The primary key lets one of two through.
pub(crate) const BEGIN_EPOCH: &str = "/* begin_epoch */
    insert into log_epoch (epoch, began_at_ms, actor, reason, mark_at_ms, behind_ms, request_id)
    select $1, $2, $3, $4, $5, $6, $7 where (select max(epoch) from log_epoch) = $8
    on conflict do nothing";

pub(crate) const EPOCHS: &str = "/* epochs */
    select epoch, began_at_ms, actor, reason, mark_at_ms, behind_ms, request_id from log_epoch
    order by epoch";

pub(crate) const FORGET_NODE: &str = "/* forget_node */ delete from node where node_id = $1";

/// The owners come from one look into the index per owner, not from all live sagas.
pub(crate) const NODES: &str = "/* nodes */
    with recursive owned (owner) as (
        select (
            select owner from saga
            where owner is not null and ended_at_ms is null
            order by owner limit 1
        )
        union all
        select (
            select saga.owner from saga
            where saga.owner > owned.owner and saga.ended_at_ms is null
            order by saga.owner limit 1
        ) from owned where owned.owner is not null
    )
    select node_id, beats from node
    union all
    select owner, cast(null as bigint) from owned
    where owner is not null and not exists (select 1 from node where node_id = owner)";

pub(crate) const PUT_DEFINITION: &str = "/* put_definition */
    insert into definition
        (name, version, hash, yaml, descriptors, registered_at_ms, language_level, retires,
        request_id, actor, reason)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    on conflict do nothing";

/// The columns of [`crate::rows::DefinitionRecord`].
macro_rules! definition_columns {
    () => {
        "name, version, hash, yaml, descriptors, registered_at_ms, language_level, retires,
        request_id, actor, reason"
    };
}

/// The version itself, or else what the same request has stored.
pub(crate) const STORED_DEFINITION: &str = concat!(
    "/* put_definition: stored */ select ",
    definition_columns!(),
    " from definition
    where (name = $1 and version = $2) or (request_id = $3 and request_id <> '')
    order by case when name = $1 and version = $2 then 0 else 1 end
    limit 1"
);

pub(crate) const DEFINITION_OF_REQUEST: &str = concat!(
    "/* definition_of_request */ select ",
    definition_columns!(),
    " from definition where request_id = $1 and request_id <> ''"
);

pub(crate) const DEFINITION: &str = concat!(
    "/* definition */ select ",
    definition_columns!(),
    " from definition
    where name = $1 and version between $2 and $3
    order by version desc
    limit 1"
);

pub(crate) const DEFINITIONS: &str = concat!(
    "/* definitions */ select ",
    definition_columns!(),
    " from definition
    where version = (select max(version) from definition as other
        where other.name = definition.name)"
);

pub(crate) const RETIRED: &str = "/* retired */
    select name, max(retires) from definition where retires > 0 group by name order by name";
