//! Money that buyers move by themselves: deposits to a virtual account, which the shop
//! confirmed before, and payments that the shop does not confirm at all.

use sqlx::SqliteConnection;

use super::{DuplicateOrders, Payment, Refusal, Standing, abort, by_key, is_captured, take_money};

/// A buyer has this long to deposit, from the moment of the confirm.
const DEPOSIT_WITHIN_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Why a payment ended that was cancelled before its deposit. The wire never shows it.
pub(super) const WITHDRAWN: &str = "WITHDRAWN";

/// The payment is by virtual account.
pub(in crate::simulator) async fn deposit_later(
    connection: &mut SqliteConnection,
    payment_key: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("/* deposit::deposit_later */ insert into deposit (payment_key) values (?)")
        .bind(payment_key)
        .execute(connection)
        .await?;
    Ok(())
}

/// The shop has confirmed: from now on the buyer's deposit is awaited.
pub(super) async fn await_deposit(
    connection: &mut SqliteConnection,
    payment: Payment,
    now_ms: i64,
) -> Result<Payment, sqlx::Error> {
    let due_at_ms = now_ms + DEPOSIT_WITHIN_MS;
    sqlx::query(
        "/* deposit::await_deposit */ update deposit set due_at_ms = ? where payment_key = ?",
    )
    .bind(due_at_ms)
    .bind(&payment.payment_key)
    .execute(connection)
    .await?;
    Ok(Payment { deposit_due_at_ms: Some(due_at_ms), ..payment })
}

/// The shop cancels before the deposit: from now on none is taken.
pub(super) async fn withdraw(
    connection: &mut SqliteConnection,
    payment: Payment,
) -> Result<Payment, sqlx::Error> {
    abort(connection, &payment.payment_key, WITHDRAWN).await?;
    let (state, failure_code) = ("ABORTED".to_owned(), Some(WITHDRAWN.to_owned()));
    Ok(Payment { state, failure_code, ..payment })
}

/// The buyer pays or deposits, without the shop.
pub(in crate::simulator) async fn pay(
    connection: &mut SqliteConnection,
    payment_key: &str,
    duplicates: DuplicateOrders,
    now_ms: i64,
) -> Result<Result<Payment, Refusal>, sqlx::Error> {
    let Some(payment) = by_key(connection, payment_key).await? else {
        return Ok(Err(Refusal::NoPayment));
    };
    match payment.standing(now_ms) {
        Standing::Authenticated | Standing::Requested if payment.by_deposit => {
            return Ok(Err(Refusal::NoSession));
        }
        Standing::Requested | Standing::Authenticated | Standing::AwaitsDeposit => {}
        Standing::Expired | Standing::Aborted | Standing::Withdrawn => {
            return Ok(Err(Refusal::NoSession));
        }
        Standing::Captured | Standing::CancelledInPart | Standing::Cancelled => {
            return Ok(Err(Refusal::AlreadyProcessed));
        }
    }
    if duplicates == DuplicateOrders::Refused && is_captured(connection, &payment.order_no).await? {
        return Ok(Err(Refusal::DuplicateOrder));
    }
    take_money(connection, payment, now_ms).await.map(Ok)
}
