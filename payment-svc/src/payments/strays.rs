//! Cancels of strays: payments that a provider holds and that settle no order of ours.

use saga_participant::{Arg, Tx};
use uuid::Uuid;

/// What we did with a stray payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing.
    Untouched,
    /// It is being given back; the outcome is not known yet.
    BeingGivenBack,
    /// Its money went back.
    GivenBack,
}

pub(crate) async fn standing(
    tx: &mut Tx,
    provider: &str,
    provider_key: &str,
) -> Result<Standing, sqlx::Error> {
    let row = tx
        .row(
            "/* strays::standing */
            select state from stray_cancels
            where provider = $1 and provider_key = $2 and state in ('OPEN', 'DONE')
            order by state desc limit 1",
            &[Arg::Text(provider), Arg::Text(provider_key)],
        )
        .await?;
    Ok(match row.map(|it| it.text(0)).transpose()?.as_deref() {
        None => Standing::Untouched,
        Some("OPEN") => Standing::BeingGivenBack,
        Some(_) => Standing::GivenBack,
    })
}

/// A cancel to be written, before the provider is called.
pub(crate) struct NewStrayCancel<'a> {
    pub(crate) op_id: Uuid,
    pub(crate) provider: &'a str,
    pub(crate) provider_key: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) now_ms: i64,
}

/// Writes the intent. False: another cancel of it is not settled yet.
pub(crate) async fn open(tx: &mut Tx, new: NewStrayCancel<'_>) -> Result<bool, sqlx::Error> {
    let inserted = tx
        .execute(
            "/* strays::open */
            insert into stray_cancels
                (op_id, provider, provider_key, reason, state, intended_at_ms)
            values ($1, $2, $3, $4, 'OPEN', $5)
            on conflict do nothing",
            &[
                Arg::Uuid(new.op_id),
                Arg::Text(new.provider),
                Arg::Text(new.provider_key),
                Arg::Text(new.reason),
                Arg::Int(new.now_ms),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// What became of the cancel of a stray.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended<'a> {
    /// So much was given back of it, in all.
    Done { cancelled_minor: i64 },
    /// There was nothing to give back.
    Nothing,
    /// It was refused, for this reason.
    Refused { code: &'a str },
}

/// Writes what became of it.
pub(crate) async fn end(tx: &mut Tx, op_id: Uuid, ended: Ended<'_>) -> Result<(), sqlx::Error> {
    let (state, cancelled_minor, code) = match ended {
        Ended::Done { cancelled_minor } => ("DONE", Some(cancelled_minor), None),
        Ended::Nothing => ("NOTHING", None, None),
        Ended::Refused { code } => ("REFUSED", None, Some(code)),
    };
    tx.execute(
        "/* strays::end */
        update stray_cancels set state = $2, cancelled_minor = $3, code = $4 where op_id = $1",
        &[Arg::Uuid(op_id), Arg::Text(state), cancelled_minor.into(), code.into()],
    )
    .await?;
    Ok(())
}
