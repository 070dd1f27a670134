//! What the simulated provider does with money, whatever wire it is asked over. Each
//! function runs inside the caller's transaction.

use serde::{Deserialize, Serialize};
use serde_json::Number;
use sqlx::SqliteConnection;

use crate::provider::amount;

mod deposit;
mod ledger;

pub(super) use deposit::{deposit_later, pay};
pub use ledger::OrderLedger;
pub(super) use ledger::{Movement, Movements, ledger_page, movements, order_ledger};

/// A buyer has this long to authenticate, from the moment the payment is requested.
pub(super) const AUTHENTICATE_WITHIN_MS: i64 = 30 * 60 * 1000;

/// The shop has this long to confirm, from the moment the buyer authenticated.
pub(super) const CONFIRM_WITHIN_MS: i64 = 10 * 60 * 1000;

/// What a confirm of a second payment of an order that is paid already meets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateOrders {
    /// It is refused, as the real provider does.
    #[default]
    Refused,
    /// It is captured: the ledger then shows every double charge that was asked for.
    Captured,
}

/// A payment, as far as its row tells.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Payment {
    pub(super) payment_key: String,
    pub(super) order_no: String,
    pub(super) amount_minor: i64,
    pub(super) currency: String,
    state: String,
    pub(super) requested_at_ms: i64,
    authenticated_at_ms: Option<i64>,
    pub(super) approved_at_ms: Option<i64>,
    pub(super) failure_code: Option<String>,
    /// Whether the buyer deposits the money after the confirm.
    by_deposit: bool,
    deposit_due_at_ms: Option<i64>,
    #[sqlx(skip)]
    pub(super) refunds: Vec<Refund>,
}

/// The shop asks to give money back.
pub(super) struct Return<'a> {
    pub(super) payment_key: &'a str,
    /// None: all that is left.
    pub(super) amount_minor: Option<i64>,
    /// What the shop thinks is left, where it says so.
    pub(super) expected_balance_minor: Option<i64>,
    pub(super) reason: &'a str,
}

/// Money that was given back.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Refund {
    pub(super) seq: i64,
    pub(super) amount_minor: i64,
    pub(super) reason: String,
    pub(super) at_ms: i64,
}

/// Where a payment stands at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Requested,
    Authenticated,
    AwaitsDeposit,
    /// Cancelled before the deposit.
    Withdrawn,
    Expired,
    Aborted,
    Captured,
    CancelledInPart,
    Cancelled,
}

impl Payment {
    /// An amount of it as providers write it.
    pub(super) fn written(&self, amount_minor: i64) -> Number {
        amount::written(amount_minor, amount::decimals(&self.currency).unwrap_or(0))
    }

    /// What is left of the captured money, in minor units. Before a capture: the amount.
    pub(super) fn balance_minor(&self) -> i64 {
        if self.is_withdrawn() {
            return 0;
        }
        self.amount_minor - self.refunds.iter().map(|it| it.amount_minor).sum::<i64>()
    }

    fn is_withdrawn(&self) -> bool {
        self.failure_code.as_deref() == Some(deposit::WITHDRAWN)
    }

    /// A remaining cancel after a partial one leaves the payment "cancelled in part" with
    /// a balance of 0, as the real provider does.
    pub(super) fn standing(&self, now_ms: i64) -> Standing {
        match (self.state.as_str(), self.authenticated_at_ms, self.refunds.as_slice()) {
            ("CAPTURED", _, []) => Standing::Captured,
            ("CAPTURED", _, [only]) if only.amount_minor == self.amount_minor => {
                Standing::Cancelled
            }
            ("CAPTURED", _, _) => Standing::CancelledInPart,
            ("ABORTED", _, _) if self.is_withdrawn() => Standing::Withdrawn,
            ("ABORTED", _, _) => Standing::Aborted,
            _ if self.deposit_due_at_ms.is_some_and(|it| now_ms <= it) => Standing::AwaitsDeposit,
            _ if self.deposit_due_at_ms.is_some() => Standing::Expired,
            (_, None, _) if now_ms <= self.requested_at_ms + AUTHENTICATE_WITHIN_MS => {
                Standing::Requested
            }
            (_, Some(at_ms), _) if now_ms <= at_ms + CONFIRM_WITHIN_MS => Standing::Authenticated,
            _ => Standing::Expired,
        }
    }
}

/// Why the provider does not do what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NoSession,
    NoPayment,
    AlreadyProcessed,
    OrderOrAmountDiffers,
    DuplicateOrder,
    NotCaptured,
    AlreadyCancelled,
    MoreThanBalance,
    /// The balance is not the one that the request expects.
    BalanceDiffers,
}

/// The shop asks to capture a payment.
pub(super) struct Charge<'a> {
    pub(super) payment_key: &'a str,
    pub(super) order_no: &'a str,
    pub(super) amount_minor: i64,
    pub(super) duplicates: DuplicateOrders,
}

pub(super) async fn capture(
    connection: &mut SqliteConnection,
    charge: Charge<'_>,
    now_ms: i64,
) -> Result<Result<Payment, Refusal>, sqlx::Error> {
    let Some(payment) = by_key(connection, charge.payment_key).await? else {
        return Ok(Err(Refusal::NoSession));
    };
    match payment.standing(now_ms) {
        Standing::Authenticated => {}
        Standing::AwaitsDeposit
        | Standing::Withdrawn
        | Standing::Captured
        | Standing::CancelledInPart
        | Standing::Cancelled => return Ok(Err(Refusal::AlreadyProcessed)),
        Standing::Requested | Standing::Expired | Standing::Aborted => {
            return Ok(Err(Refusal::NoSession));
        }
    }
    if payment.order_no != charge.order_no || payment.amount_minor != charge.amount_minor {
        return Ok(Err(Refusal::OrderOrAmountDiffers));
    }
    if charge.duplicates == DuplicateOrders::Refused
        && is_captured(connection, charge.order_no).await?
    {
        return Ok(Err(Refusal::DuplicateOrder));
    }
    if payment.by_deposit {
        return deposit::await_deposit(connection, payment, now_ms).await.map(Ok);
    }
    take_money(connection, payment, now_ms).await.map(Ok)
}

async fn take_money(
    connection: &mut SqliteConnection,
    payment: Payment,
    now_ms: i64,
) -> Result<Payment, sqlx::Error> {
    sqlx::query(
        "/* book::take_money */
        update session set state = 'CAPTURED', approved_at_ms = ? where payment_key = ?",
    )
    .bind(now_ms)
    .bind(&payment.payment_key)
    .execute(&mut *connection)
    .await?;
    let amount_minor = payment.amount_minor;
    let entry = Entry { kind: "CAPTURE", amount_minor, reason: "", now_ms };
    enter(connection, &payment, entry).await?;
    Ok(Payment { state: "CAPTURED".to_owned(), approved_at_ms: Some(now_ms), ..payment })
}

/// The buyer's bank refuses. The payment is over.
pub(super) async fn abort(
    connection: &mut SqliteConnection,
    payment_key: &str,
    code: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "/* book::abort */
        update session set state = 'ABORTED', failure_code = ?
        where payment_key = ? and state = 'OPEN'",
    )
    .bind(code)
    .bind(payment_key)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn refund(
    connection: &mut SqliteConnection,
    wanted: Return<'_>,
    now_ms: i64,
) -> Result<Result<Payment, Refusal>, sqlx::Error> {
    let Return { payment_key, reason, .. } = wanted;
    let Some(payment) = by_key(connection, payment_key).await? else {
        return Ok(Err(Refusal::NoPayment));
    };
    match payment.standing(now_ms) {
        Standing::Captured | Standing::CancelledInPart | Standing::Cancelled => {}
        Standing::AwaitsDeposit if wanted.amount_minor.is_none() => {
            return deposit::withdraw(connection, payment).await.map(Ok);
        }
        Standing::Withdrawn => return Ok(Err(Refusal::AlreadyCancelled)),
        _ => return Ok(Err(Refusal::NotCaptured)),
    }
    let balance_minor = payment.balance_minor();
    if balance_minor == 0 {
        return Ok(Err(Refusal::AlreadyCancelled));
    }
    if wanted.expected_balance_minor.is_some_and(|it| it != balance_minor) {
        return Ok(Err(Refusal::BalanceDiffers));
    }
    let amount_minor = wanted.amount_minor.unwrap_or(balance_minor);
    if balance_minor < amount_minor {
        return Ok(Err(Refusal::MoreThanBalance));
    }
    enter(connection, &payment, Entry { kind: "CANCEL", amount_minor, reason, now_ms }).await?;
    let refunds = refunds(connection, payment_key).await?;
    Ok(Ok(Payment { refunds, ..payment }))
}

/// What happened to money, oldest first: the payment as it was right after it. At most as
/// many as `limit`, of one payment or of all.
pub(super) async fn history(
    connection: &mut SqliteConnection,
    payment_key: Option<&str>,
    limit: u32,
) -> Result<Vec<Payment>, sqlx::Error> {
    let rows: Vec<(i64, String)> = sqlx::query_as(
        "/* book::history */
        select seq, payment_key from book
        where ? is null or payment_key = ?
        order by seq limit ?",
    )
    .bind(payment_key)
    .bind(payment_key)
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let mut moments = Vec::with_capacity(rows.len());
    for (seq, payment_key) in rows {
        if let Some(mut payment) = by_key(connection, &payment_key).await? {
            payment.refunds.retain(|it| it.seq <= seq);
            moments.push(payment);
        }
    }
    Ok(moments)
}

struct Entry<'a> {
    kind: &'static str,
    amount_minor: i64,
    reason: &'a str,
    now_ms: i64,
}

async fn enter(
    connection: &mut SqliteConnection,
    payment: &Payment,
    entry: Entry<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "/* book::enter */
        insert into book (payment_key, order_no, kind, amount_minor, reason, at_ms)
        values (?, ?, ?, ?, ?, ?)",
    )
    .bind(&payment.payment_key)
    .bind(&payment.order_no)
    .bind(entry.kind)
    .bind(entry.amount_minor)
    .bind(entry.reason)
    .bind(entry.now_ms)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn by_key(
    connection: &mut SqliteConnection,
    payment_key: &str,
) -> Result<Option<Payment>, sqlx::Error> {
    let Some(payment) = row(connection, payment_key).await? else { return Ok(None) };
    let refunds = refunds(connection, payment_key).await?;
    Ok(Some(Payment { refunds, ..payment }))
}

/// The payment of an order: the captured one, or else the newest.
pub(super) async fn by_order(
    connection: &mut SqliteConnection,
    order_no: &str,
) -> Result<Option<Payment>, sqlx::Error> {
    let key: Option<String> = sqlx::query_scalar(
        "/* book::by_order */
        select payment_key from session where order_no = ?
        order by state = 'CAPTURED' desc, requested_at_ms desc
        limit 1",
    )
    .bind(order_no)
    .fetch_optional(&mut *connection)
    .await?;
    match key {
        Some(key) => by_key(connection, &key).await,
        None => Ok(None),
    }
}

pub(super) async fn row(
    connection: &mut SqliteConnection,
    payment_key: &str,
) -> Result<Option<Payment>, sqlx::Error> {
    sqlx::query_as(
        "/* book::row */
        select session.payment_key, order_no, amount_minor, currency, state, requested_at_ms,
            authenticated_at_ms, approved_at_ms, failure_code,
            deposit.payment_key is not null as by_deposit,
            deposit.due_at_ms as deposit_due_at_ms
        from session left join deposit on deposit.payment_key = session.payment_key
        where session.payment_key = ?",
    )
    .bind(payment_key)
    .fetch_optional(connection)
    .await
}

async fn refunds(
    connection: &mut SqliteConnection,
    payment_key: &str,
) -> Result<Vec<Refund>, sqlx::Error> {
    sqlx::query_as(
        "/* book::refunds */
        select seq, amount_minor, reason, at_ms from book
        where payment_key = ? and kind = 'CANCEL' order by seq",
    )
    .bind(payment_key)
    .fetch_all(connection)
    .await
}

async fn is_captured(
    connection: &mut SqliteConnection,
    order_no: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "/* book::is_captured */
        select exists (select 1 from book where order_no = ? and kind = 'CAPTURE')",
    )
    .bind(order_no)
    .fetch_one(connection)
    .await
}
