//! What holds sagas up, of those that a filter means.

use super::condition::{Bind, Statement, holds};
use super::saga_columns;
use crate::store::{Held, HeldQuery};

/// The oldest sagas of each group, with the size of the group. What is held names the index.
pub(crate) fn groups(query: &HeldQuery) -> Statement {
    let mut statement = Statement::default();
    statement.say(concat!(
        "/* cause_groups */ select ",
        saga_columns!(),
        ", group_sagas, group_wake_at_ms from (
            select ",
        saga_columns!(),
        ",
                count(*) over alike as group_sagas,
                min(case when owner is null then wake_at_ms end) over alike as group_wake_at_ms,
                row_number() over (
                    partition by stuck_reason, cause, definition, stuck_step
                    order by coalesce(stuck_since_ms, cause_since_ms), saga_id
                ) as place
            from saga
            where ended_at_ms is null and "
    ));
    statement.say(match query.held {
        Held::Stuck => "stuck_reason is not null",
        Held::Waiting => "cause is not null and stuck_reason is null",
    });
    statement.say(" and ");
    holds(&mut statement, &query.filter);
    statement.say(
        " window alike as (partition by stuck_reason, cause, definition, stuck_step)
        ) as held
        where place <= ",
    );
    statement.bind(Bind::Number(i64::from(query.examples_max.max(1))));
    statement
}
