//! Confirms that were asked for.

use saga_participant::{Arg, Tx};
use uuid::Uuid;

/// What became of a confirm.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended<'a> {
    /// The money was captured.
    Captured,
    /// No money was taken; a sentence tells why.
    Refused(&'a str),
}

/// Writes the intent, before the provider is called.
pub(crate) async fn open(
    tx: &mut Tx,
    op_id: Uuid,
    payment_id: Uuid,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    tx.execute(
        "/* attempts::open */
        insert into attempts (op_id, payment_id, state, intended_at_ms)
        values ($1, $2, 'OPEN', $3)",
        &[Arg::Uuid(op_id), Arg::Uuid(payment_id), Arg::Int(now_ms)],
    )
    .await?;
    Ok(())
}

/// The payment that a confirm was about.
pub(crate) async fn payment_of(tx: &mut Tx, op_id: Uuid) -> Result<Option<Uuid>, sqlx::Error> {
    let row = tx
        .row(
            "/* attempts::payment_of */ select payment_id from attempts where op_id = $1",
            &[Arg::Uuid(op_id)],
        )
        .await?;
    row.map(|it| it.uuid(0)).transpose()
}

/// Writes what became of it.
pub(crate) async fn end(tx: &mut Tx, op_id: Uuid, ended: Ended<'_>) -> Result<(), sqlx::Error> {
    let (state, why) = match ended {
        Ended::Captured => ("CAPTURED", None),
        Ended::Refused(why) => ("REFUSED", Some(why)),
    };
    tx.execute(
        "/* attempts::end */ update attempts set state = $2, why = $3 where op_id = $1",
        &[Arg::Uuid(op_id), Arg::Text(state), why.into()],
    )
    .await?;
    Ok(())
}
