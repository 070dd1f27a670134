//! Captured payments as a look-up showed them, whether or not they are ours.

use saga_participant::{Arg, Row, Sql, Tx};
use uuid::Uuid;

use super::{Payment, Status, by_provider_key};
use crate::provider::Seen;

/// Records what a look-up showed that began at `seen_at_ms`, unless a later one was
/// recorded.
pub(crate) async fn record(
    tx: &mut Tx,
    provider: &str,
    seen: &Seen,
    seen_at_ms: i64,
) -> Result<(), sqlx::Error> {
    tx.execute(
        "/* sightings::record */
        insert into sightings
            (provider, provider_key, order_no, amount_minor, balance_minor, seen_at_ms, currency)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (provider, provider_key) do update
        set balance_minor = excluded.balance_minor, seen_at_ms = excluded.seen_at_ms,
            currency = excluded.currency
        where sightings.seen_at_ms <= excluded.seen_at_ms",
        &[
            Arg::Text(provider),
            Arg::Text(&seen.provider_key),
            Arg::Text(&seen.order_no),
            Arg::Int(seen.amount_minor),
            Arg::Int(seen.balance_minor),
            Arg::Int(seen_at_ms),
            Arg::Text(&seen.currency),
        ],
    )
    .await?;
    Ok(())
}

/// The operations about a provider's payment that wait for the provider.
pub(crate) async fn open_operations(
    tx: &mut Tx,
    provider: &str,
    provider_key: &str,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let rows = tx
        .rows(
            "/* sightings::open_operations */
            select attempts.op_id from attempts
            join payments on payments.payment_id = attempts.payment_id
            where payments.provider = $1 and payments.provider_key = $2
                and attempts.state = 'OPEN'
            union all
            select cancels.op_id from cancels
            join payments on payments.payment_id = cancels.payment_id
            where payments.provider = $1 and payments.provider_key = $2
                and cancels.state = 'OPEN'
            union all
            select op_id from stray_cancels
            where provider = $1 and provider_key = $2 and state = 'OPEN'",
            &[Arg::Text(provider), Arg::Text(provider_key)],
        )
        .await?;
    rows.iter().map(|it: &Row| it.uuid(0)).collect()
}

/// Takes over what somebody else gave back at the provider, as a look-up showed it. Balances
/// only fall, and a cancel of ours is open from before the provider is asked until its
/// outcome is written: so where none is open, what is missing there and not here was given
/// back by somebody else, however old the look-up is.
pub(crate) async fn take_over(tx: &mut Tx, provider: &str, seen: &Seen) -> Result<(), sqlx::Error> {
    let Some(payment) = quiet(tx, provider, &seen.provider_key).await? else { return Ok(()) };
    let told = seen.clone().told_with(&payment.currency, payment.decimals);
    let Some(seen) = told else { return Ok(()) };
    let is_same = payment.order_no == seen.order_no && payment.amount_minor == seen.amount_minor;
    if is_same && (0..payment.balance_minor()).contains(&seen.balance_minor) {
        super::give_back(tx, &payment, seen.balance_minor, 0).await?;
    }
    Ok(())
}

/// The payment, locked, where it was captured and no cancel of it is open.
async fn quiet(
    tx: &mut Tx,
    provider: &str,
    provider_key: &str,
) -> Result<Option<Payment>, sqlx::Error> {
    let payment = by_provider_key(tx, provider, provider_key).await?;
    let captured =
        payment.filter(|it| matches!(it.status, Status::Completed | Status::PartiallyCancelled));
    let Some(payment) = captured else { return Ok(None) };
    let sql = Sql::from(
        "/* sightings::open_cancel */
        select op_id from cancels where payment_id = $1 and state = 'OPEN'",
    );
    let open = tx.row(sql, &[Arg::Uuid(payment.payment_id)]).await?;
    Ok(open.is_none().then_some(payment))
}
