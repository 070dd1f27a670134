//! What is deleted of operations of long ago: confirms that were refused. Those that captured money
//! stay with their payments, and so do the cancels.

use saga_participant::{
    Arg, Prune, Tx,
    prune::{Batch, Pruned},
};

pub(crate) const PRUNES: &[Prune] = &[Prune { what: "refused attempts", batch: refused_attempts }];

/// Of operations whose row the kit has pruned.
fn refused_attempts(tx: &mut Tx, batch: Batch) -> Pruned<'_> {
    Box::pin(async move {
        tx.execute(
            "/* prune: refused attempts */
            delete from attempts where op_id in (
                select attempts.op_id from attempts
                where state = 'REFUSED' and intended_at_ms <= $1
                    and not exists (select 1 from op_log where op_log.op_id = attempts.op_id)
                order by intended_at_ms limit $2
            )",
            &[Arg::Int(batch.pruned_at_ms), Arg::Int(batch.rows_max)],
        )
        .await
    })
}
