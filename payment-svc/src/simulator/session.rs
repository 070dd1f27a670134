//! What buyers do before the shop asks for their money.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;

use super::{Shared, book, fault, fault::FaultScript};
use crate::limits::{is_order_no, is_provider_key};

/// How far the buyer got before the test begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The payment page is open. A confirm is refused.
    Requested,
    /// The buyer authenticated: the payment can be confirmed.
    #[default]
    Authenticated,
    /// The buyer authenticated, and will deposit the money after the confirm.
    VirtualAccount,
    /// The buyer paid: there is nothing left to confirm.
    Paid,
}

/// A payment that a buyer begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The provider's key, 1 to 200 characters.
    pub payment_key: String,
    /// The order it is for.
    pub order_no: String,
    /// What the buyer agreed to pay, in minor units, at least 1.
    pub amount_minor: i64,
    /// How far the buyer got.
    #[serde(default)]
    pub stage: Stage,
    /// What goes wrong with it. None: what the mix says.
    #[serde(default)]
    pub faults: Option<FaultScript>,
}

impl Session {
    pub(super) fn is_valid(&self) -> bool {
        is_provider_key(&self.payment_key)
            && self.payment_key != fault::ANY_PAYMENT
            && is_order_no(&self.order_no)
            && 1 <= self.amount_minor
            && self.faults.as_ref().is_none_or(FaultScript::is_possible)
    }
}

/// Opens the payments that are not open yet, and returns the key of the first one that
/// exists for another order or amount; those behind it are not opened.
pub(super) async fn open_all(
    connection: &mut SqliteConnection,
    shared: Arc<Shared>,
    sessions: Vec<Session>,
) -> Result<Option<String>, sqlx::Error> {
    let now_ms = shared.clock.now_ms();
    for session in sessions {
        let currency = &shared.config.currency;
        if insert(connection, &session, currency, now_ms).await? {
            let mix = || shared.config.mix.script(&session.payment_key);
            let script = session.faults.clone().unwrap_or_else(mix);
            fault::add(connection, &session.payment_key, &script).await?;
            take_stage(connection, &shared, &session, now_ms).await?;
            continue;
        }
        let known = book::row(connection, &session.payment_key).await?;
        let is_same = known.is_some_and(|it| {
            it.order_no == session.order_no && it.amount_minor == session.amount_minor
        });
        if !is_same {
            return Ok(Some(session.payment_key));
        }
    }
    Ok(None)
}

/// What is beyond the session itself. A second payment of an order that is paid stays
/// unpaid where the provider refuses such.
async fn take_stage(
    connection: &mut SqliteConnection,
    shared: &Shared,
    session: &Session,
    now_ms: i64,
) -> Result<(), sqlx::Error> {
    let payment_key = session.payment_key.as_str();
    match session.stage {
        Stage::Requested | Stage::Authenticated => Ok(()),
        Stage::VirtualAccount => book::deposit_later(connection, payment_key).await,
        Stage::Paid => {
            let duplicates = shared.config.duplicate_orders;
            book::pay(connection, payment_key, duplicates, now_ms).await.map(drop)
        }
    }
}

async fn insert(
    connection: &mut SqliteConnection,
    session: &Session,
    currency: &str,
    now_ms: i64,
) -> Result<bool, sqlx::Error> {
    let authenticated_at_ms = match session.stage {
        Stage::Requested => None,
        Stage::Authenticated | Stage::VirtualAccount | Stage::Paid => Some(now_ms),
    };
    let inserted = sqlx::query(
        "/* session::insert */
        insert into session
            (payment_key, order_no, amount_minor, currency, state, requested_at_ms,
             authenticated_at_ms)
        values (?, ?, ?, ?, 'OPEN', ?, ?)
        on conflict (payment_key) do nothing",
    )
    .bind(&session.payment_key)
    .bind(&session.order_no)
    .bind(session.amount_minor)
    .bind(currency)
    .bind(now_ms)
    .bind(authenticated_at_ms)
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The buyer authenticates a payment that was only requested. False: there is none, or
/// its time is over.
pub(super) async fn authenticate(
    connection: &mut SqliteConnection,
    payment_key: &str,
    now_ms: i64,
) -> Result<bool, sqlx::Error> {
    let updated = sqlx::query(
        "/* session::authenticate */
        update session set authenticated_at_ms = ?
        where payment_key = ? and state = 'OPEN' and authenticated_at_ms is null
            and ? <= requested_at_ms + ?",
    )
    .bind(now_ms)
    .bind(payment_key)
    .bind(now_ms)
    .bind(book::AUTHENTICATE_WITHIN_MS)
    .execute(connection)
    .await?;
    Ok(updated.rows_affected() == 1)
}
