//! The tables: payments, and beside it one module for each of the others. Every function
//! runs in the caller's transaction.

use saga_participant::{Arg, OperationError, Row, Sql, Tx};
use uuid::Uuid;

pub(crate) mod attempts;
pub(crate) mod cancels;
pub(crate) mod credits;
mod forget;
pub(crate) mod marks;
pub(crate) mod sightings;
pub(crate) mod strays;

pub(crate) use forget::forget;

/// Where a payment stands with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Prepared,
    Confirming,
    Completed,
    Failed,
    PartiallyCancelled,
    Cancelled,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "PREPARED",
            Self::Confirming => "CONFIRMING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::PartiallyCancelled => "PARTIALLY_CANCELLED",
            Self::Cancelled => "CANCELLED",
        }
    }

    fn parse(text: &str) -> Result<Self, sqlx::Error> {
        match text {
            "PREPARED" => Ok(Self::Prepared),
            "CONFIRMING" => Ok(Self::Confirming),
            "COMPLETED" => Ok(Self::Completed),
            "FAILED" => Ok(Self::Failed),
            "PARTIALLY_CANCELLED" => Ok(Self::PartiallyCancelled),
            "CANCELLED" => Ok(Self::Cancelled),
            other => Err(sqlx::Error::Decode(format!("payments: unknown status {other}").into())),
        }
    }

    /// Of a payment that was captured.
    fn captured(amount_minor: i64, cancelled_minor: i64) -> Self {
        match cancelled_minor {
            0 => Self::Completed,
            it if it == amount_minor => Self::Cancelled,
            _ => Self::PartiallyCancelled,
        }
    }
}

/// A row of `payments`.
#[derive(Clone, Debug)]
pub(crate) struct Payment {
    pub(crate) payment_id: Uuid,
    pub(crate) order_no: String,
    pub(crate) provider: String,
    pub(crate) provider_key: Option<String>,
    pub(crate) amount_minor: i64,
    pub(crate) cancelled_minor: i64,
    pub(crate) currency: String,
    /// With how many decimals its provider was told the amount.
    pub(crate) decimals: u32,
    pub(crate) status: Status,
    pub(crate) announced_at_ms: Option<i64>,
}

impl Payment {
    /// Whether money came, whatever was given back of it.
    pub(crate) fn is_captured(&self) -> bool {
        match self.status {
            Status::Prepared | Status::Confirming | Status::Failed => false,
            Status::Completed | Status::PartiallyCancelled | Status::Cancelled => true,
        }
    }

    /// What is left with us, in minor units.
    pub(crate) fn balance_minor(&self) -> i64 {
        if self.is_captured() { self.amount_minor - self.cancelled_minor } else { 0 }
    }

    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            payment_id: row.uuid(0)?,
            order_no: row.text(1)?,
            provider: row.text(2)?,
            provider_key: row.optional_text(3)?,
            amount_minor: row.int(4)?,
            cancelled_minor: row.int(5)?,
            currency: row.text(6)?,
            status: Status::parse(&row.text(7)?)?,
            announced_at_ms: row.optional_int(8)?,
            decimals: decimals(row.int(9)?)?,
        })
    }
}

fn decimals(stored: i64) -> Result<u32, sqlx::Error> {
    u32::try_from(stored).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// A select of payments. With `locked`, other transactions wait until ours has ended; in
/// SQLite a transaction that may write has the database for itself.
macro_rules! select {
    ($name:literal, $rest:literal) => {
        concat!(
            "/* ",
            $name,
            " */ select payment_id, order_no, provider, provider_key, amount_minor, \
             cancelled_minor, currency, status, announced_at_ms, decimals from payments ",
            $rest
        )
    };
    (locked $name:literal, $rest:literal) => {
        Sql {
            postgres: concat!(select!($name, $rest), " for update"),
            sqlite: select!($name, $rest),
        }
    };
}

async fn one(
    tx: &mut Tx,
    sql: impl Into<Sql>,
    args: &[Arg<'_>],
) -> Result<Option<Payment>, sqlx::Error> {
    tx.row(sql, args).await?.as_ref().map(Payment::read).transpose()
}

/// Lets one transaction at a time decide what becomes of a provider's payment, also where
/// there is no row of it yet. Held until the transaction ends.
pub(crate) async fn lock_key(
    tx: &mut Tx,
    provider: &str,
    provider_key: &str,
) -> Result<(), sqlx::Error> {
    let sql = Sql {
        postgres: "/* payments::lock_key */
            select pg_advisory_xact_lock(hashtextextended($1 || '/' || $2, 0))",
        // A transaction that may write has the whole database for itself.
        sqlite: "/* payments::lock_key */ select $1, $2",
    };
    tx.execute(sql, &[Arg::Text(provider), Arg::Text(provider_key)]).await?;
    Ok(())
}

/// The order's live payment, locked.
pub(crate) async fn live(tx: &mut Tx, order_no: &str) -> Result<Option<Payment>, sqlx::Error> {
    let sql = select!(
        locked "payments::live",
        "where order_no = $1
            and status in ('PREPARED', 'CONFIRMING', 'COMPLETED', 'PARTIALLY_CANCELLED')"
    );
    one(tx, sql, &[Arg::Text(order_no)]).await
}

/// The payment that holds the provider's key, locked.
pub(crate) async fn by_provider_key(
    tx: &mut Tx,
    provider: &str,
    provider_key: &str,
) -> Result<Option<Payment>, sqlx::Error> {
    let sql = select!(
        locked "payments::by_provider_key",
        "where provider = $1 and provider_key = $2 and status <> 'FAILED'"
    );
    one(tx, sql, &[Arg::Text(provider), Arg::Text(provider_key)]).await
}

/// A payment, locked.
pub(crate) async fn by_id(tx: &mut Tx, payment_id: Uuid) -> Result<Option<Payment>, sqlx::Error> {
    let sql = select!(locked "payments::by_id", "where payment_id = $1");
    one(tx, sql, &[Arg::Uuid(payment_id)]).await
}

/// A payment, as it was at one moment.
pub(crate) async fn seen_by_id(
    tx: &mut Tx,
    payment_id: Uuid,
) -> Result<Option<Payment>, sqlx::Error> {
    let sql = select!("payments::seen_by_id", "where payment_id = $1");
    one(tx, sql, &[Arg::Uuid(payment_id)]).await
}

/// The order's newest payment, as it was at one moment: the live one where there is one.
pub(crate) async fn seen_by_order(
    tx: &mut Tx,
    order_no: &str,
) -> Result<Option<Payment>, sqlx::Error> {
    let sql = select!(
        "payments::seen_by_order",
        "where order_no = $1
        order by case when status in ('FAILED', 'CANCELLED') then 1 else 0 end,
            created_at_ms desc
        limit 1"
    );
    one(tx, sql, &[Arg::Text(order_no)]).await
}

/// The newest announced payment of the order, whatever became of it: the price stays the
/// price when a card is declined.
pub(crate) async fn announced(tx: &mut Tx, order_no: &str) -> Result<Option<Payment>, sqlx::Error> {
    let sql = select!(
        "payments::announced",
        "where order_no = $1 and announced_at_ms is not null
        order by created_at_ms desc limit 1"
    );
    one(tx, sql, &[Arg::Text(order_no)]).await
}

/// Whether a payment by that provider has ever taken money.
pub(crate) async fn ever_took(tx: &mut Tx, provider: &str) -> Result<bool, sqlx::Error> {
    let sql = "/* payments::ever_took */
        select payment_id from payments where provider = $1 and approved_at_ms is not null limit 1";
    Ok(tx.row(sql, &[Arg::Text(provider)]).await?.is_some())
}

/// A payment to be written.
pub(crate) struct NewPayment<'a> {
    pub(crate) payment_id: Uuid,
    pub(crate) order_no: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) provider_key: Option<&'a str>,
    pub(crate) amount_minor: i64,
    pub(crate) currency: &'a str,
    pub(crate) decimals: u32,
    pub(crate) announced_at_ms: Option<i64>,
    pub(crate) created_at_ms: i64,
}

/// Writes a payment: announced, or about to be confirmed where it has a key. False: the
/// order has a live payment, or the key is in use. Waits for a transaction that is about
/// to make one.
pub(crate) async fn insert(tx: &mut Tx, new: NewPayment<'_>) -> Result<bool, sqlx::Error> {
    let status = match new.provider_key {
        None => Status::Prepared,
        Some(_) => Status::Confirming,
    };
    let inserted = tx
        .execute(
            "/* payments::insert */
            insert into payments
                (payment_id, order_no, provider, provider_key, amount_minor, currency, status,
                 announced_at_ms, created_at_ms, decimals)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            on conflict do nothing",
            &[
                Arg::Uuid(new.payment_id),
                Arg::Text(new.order_no),
                Arg::Text(new.provider),
                new.provider_key.into(),
                Arg::Int(new.amount_minor),
                Arg::Text(new.currency),
                Arg::Text(status.as_str()),
                new.announced_at_ms.into(),
                Arg::Int(new.created_at_ms),
                Arg::Int(new.decimals.into()),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// With what an announced payment is to be confirmed.
pub(crate) struct Confirming<'a> {
    pub(crate) payment_id: Uuid,
    pub(crate) provider: &'a str,
    pub(crate) provider_key: &'a str,
    pub(crate) decimals: u32,
}

/// An announced payment is about to be confirmed with the provider's key.
///
/// # Errors
///
/// [`OperationError::Conflict`]: another transaction took the key a moment ago.
pub(crate) async fn begin_confirming(
    tx: &mut Tx,
    with: Confirming<'_>,
) -> Result<(), OperationError> {
    let updated = tx
        .execute(
            "/* payments::begin_confirming */
            update payments set status = 'CONFIRMING', provider = $2, provider_key = $3,
                decimals = $4
            where payment_id = $1",
            &[
                Arg::Uuid(with.payment_id),
                Arg::Text(with.provider),
                Arg::Text(with.provider_key),
                Arg::Int(with.decimals.into()),
            ],
        )
        .await;
    match updated {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Err(in_progress()),
        Err(source) => Err(source.into()),
    }
}

/// The provider captured the payment and holds `balance_minor` of it.
pub(crate) async fn complete(
    tx: &mut Tx,
    payment: &Payment,
    balance_minor: i64,
    approved_at_ms: i64,
) -> Result<(), sqlx::Error> {
    let elsewhere_minor = payment.amount_minor - balance_minor;
    let status = Status::captured(payment.amount_minor, elsewhere_minor);
    tx.execute(
        "/* payments::complete */
        update payments
        set status = $2, approved_at_ms = $3, cancelled_minor = $4, cancelled_elsewhere_minor = $4
        where payment_id = $1",
        &[
            Arg::Uuid(payment.payment_id),
            Arg::Text(status.as_str()),
            Arg::Int(approved_at_ms),
            Arg::Int(elsewhere_minor),
        ],
    )
    .await?;
    Ok(())
}

/// The payment settles no order. What the buyer may have paid is not ours.
pub(crate) async fn fail(tx: &mut Tx, payment_id: Uuid) -> Result<(), sqlx::Error> {
    tx.execute(
        "/* payments::fail */ update payments set status = 'FAILED' where payment_id = $1",
        &[Arg::Uuid(payment_id)],
    )
    .await?;
    Ok(())
}

/// After a cancel the provider holds `balance_minor`; `ours_minor` of what it gave back
/// since we looked last is our doing.
pub(crate) async fn give_back(
    tx: &mut Tx,
    payment: &Payment,
    balance_minor: i64,
    ours_minor: i64,
) -> Result<(), sqlx::Error> {
    let cancelled_minor = payment.amount_minor - balance_minor;
    let elsewhere_minor = cancelled_minor - payment.cancelled_minor - ours_minor;
    let status = Status::captured(payment.amount_minor, cancelled_minor);
    tx.execute(
        "/* payments::give_back */
        update payments
        set status = $2, cancelled_minor = $3,
            cancelled_elsewhere_minor = cancelled_elsewhere_minor + $4
        where payment_id = $1",
        &[
            Arg::Uuid(payment.payment_id),
            Arg::Text(status.as_str()),
            Arg::Int(cancelled_minor),
            Arg::Int(elsewhere_minor),
        ],
    )
    .await?;
    Ok(())
}

/// Another operation is at work on the payment. Nothing was done by this one.
pub(crate) fn in_progress() -> OperationError {
    OperationError::Conflict {
        reason: crate::reason::PAYMENT_IN_PROGRESS,
        message: "another operation on this payment is not settled yet; try again".to_owned(),
        retry_after_ms: 200,
    }
}
