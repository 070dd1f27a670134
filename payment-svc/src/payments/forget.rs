//! What is left of operations that are forgotten: the money that they moved, and nothing of
//! what was refused.

use saga_participant::{Arg, OperationError, Sql, Tx};
use uuid::Uuid;

/// Takes away what was asked of providers by these operations and came to nothing. Captures and
/// cancels stay with their payments: what was taken and given back is told by them.
///
/// # Errors
///
/// Those of the database. The transaction must be rolled back.
pub(crate) async fn forget(tx: &mut Tx, op_ids: &[Uuid]) -> Result<(), OperationError> {
    for sql in [ATTEMPTS, CANCELS, STRAYS] {
        tx.execute(sql, &[Arg::Uuids(op_ids)]).await?;
    }
    Ok(())
}

const ATTEMPTS: Sql = Sql {
    postgres: "/* forget: attempts */
        delete from attempts where op_id = any($1) and state = 'REFUSED'",
    sqlite: "/* forget: attempts */
        delete from attempts
        where op_id in (select unhex(value) from json_each($1)) and state = 'REFUSED'",
};

const CANCELS: Sql = Sql {
    postgres: "/* forget: cancels */
        delete from cancels where op_id = any($1) and state = 'REFUSED'",
    sqlite: "/* forget: cancels */
        delete from cancels
        where op_id in (select unhex(value) from json_each($1)) and state = 'REFUSED'",
};

const STRAYS: Sql = Sql {
    postgres: "/* forget: stray cancels */
        delete from stray_cancels where op_id = any($1) and state in ('NOTHING', 'REFUSED')",
    sqlite: "/* forget: stray cancels */
        delete from stray_cancels
        where op_id in (select unhex(value) from json_each($1))
            and state in ('NOTHING', 'REFUSED')",
};
