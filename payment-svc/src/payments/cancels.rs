//! Cancels that were asked for.

use saga_participant::{Arg, Tx};
use uuid::Uuid;

/// A cancel to be written, before the provider is called.
pub(crate) struct NewCancel<'a> {
    pub(crate) op_id: Uuid,
    pub(crate) payment_id: Uuid,
    pub(crate) amount_minor: i64,
    pub(crate) reason: &'a str,
    pub(crate) now_ms: i64,
}

/// Writes the intent. False: another cancel of the payment is not settled yet.
pub(crate) async fn open(tx: &mut Tx, new: NewCancel<'_>) -> Result<bool, sqlx::Error> {
    let inserted = tx
        .execute(
            "/* cancels::open */
            insert into cancels (op_id, payment_id, amount_minor, reason, state, intended_at_ms)
            values ($1, $2, $3, $4, 'OPEN', $5)
            on conflict do nothing",
            &[
                Arg::Uuid(new.op_id),
                Arg::Uuid(new.payment_id),
                Arg::Int(new.amount_minor),
                Arg::Text(new.reason),
                Arg::Int(new.now_ms),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// The payment that a cancel is about, and how much it wants to give back.
pub(crate) async fn find(tx: &mut Tx, op_id: Uuid) -> Result<Option<(Uuid, i64)>, sqlx::Error> {
    let row = tx
        .row(
            "/* cancels::find */ select payment_id, amount_minor from cancels where op_id = $1",
            &[Arg::Uuid(op_id)],
        )
        .await?;
    row.map(|it| Ok((it.uuid(0)?, it.int(1)?))).transpose()
}

/// It gave back `cancelled_minor`.
pub(crate) async fn done(
    tx: &mut Tx,
    op_id: Uuid,
    cancelled_minor: i64,
) -> Result<(), sqlx::Error> {
    tx.execute(
        "/* cancels::done */
        update cancels set state = 'DONE', cancelled_minor = $2 where op_id = $1",
        &[Arg::Uuid(op_id), Arg::Int(cancelled_minor)],
    )
    .await?;
    Ok(())
}

/// The provider gave nothing back.
pub(crate) async fn refused(tx: &mut Tx, op_id: Uuid, code: &str) -> Result<(), sqlx::Error> {
    tx.execute(
        "/* cancels::refused */ update cancels set state = 'REFUSED', code = $2 where op_id = $1",
        &[Arg::Uuid(op_id), Arg::Text(code)],
    )
    .await?;
    Ok(())
}
