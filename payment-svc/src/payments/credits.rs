//! Credit accounts and what payments did to them.

use saga_participant::{Arg, Tx};
use uuid::Uuid;

/// What a payment did to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Grant,
    Revoke,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "GRANT",
            Self::Revoke => "REVOKE",
        }
    }
}

/// A row of the ledger. Without an account it did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) account: Option<String>,
    pub(crate) credits: i64,
}

/// What the payment did, if it did it.
pub(crate) async fn find(
    tx: &mut Tx,
    payment_id: Uuid,
    kind: Kind,
) -> Result<Option<Entry>, sqlx::Error> {
    let row = tx
        .row(
            "/* credits::find */
            select account, credits from credit_ledger where payment_id = $1 and kind = $2",
            &[Arg::Uuid(payment_id), Arg::Text(kind.as_str())],
        )
        .await?;
    row.map(|it| Ok(Entry { account: it.optional_text(0)?, credits: it.int(1)? })).transpose()
}

/// Adds to an account, which is made where it is absent, and returns its balance. A
/// commutative change: grants of different payments do not wait for each other's sagas.
pub(crate) async fn add(tx: &mut Tx, account: &str, credits: i64) -> Result<i64, sqlx::Error> {
    let row = tx
        .row(
            "/* credits::add */
            insert into credit_accounts (account, balance) values ($1, $2)
            on conflict (account) do update
            set balance = credit_accounts.balance + excluded.balance
            returning balance",
            &[Arg::Text(account), Arg::Int(credits)],
        )
        .await?;
    row.ok_or(sqlx::Error::RowNotFound)?.int(0)
}

/// Takes from an account that has it, and returns its balance.
pub(crate) async fn take(tx: &mut Tx, account: &str, credits: i64) -> Result<i64, sqlx::Error> {
    let row = tx
        .row(
            "/* credits::take */
            update credit_accounts set balance = balance - $2 where account = $1
            returning balance",
            &[Arg::Text(account), Arg::Int(credits)],
        )
        .await?;
    row.ok_or(sqlx::Error::RowNotFound)?.int(0)
}

/// What an account has; 0 where there is none.
pub(crate) async fn balance(tx: &mut Tx, account: &str) -> Result<i64, sqlx::Error> {
    let row = tx
        .row(
            "/* credits::balance */ select balance from credit_accounts where account = $1",
            &[Arg::Text(account)],
        )
        .await?;
    row.map_or(Ok(0), |it| it.int(0))
}

/// A row of the ledger to be written. The payment's row must be locked.
pub(crate) struct NewEntry<'a> {
    pub(crate) payment_id: Uuid,
    pub(crate) kind: Kind,
    pub(crate) entry: &'a Entry,
    pub(crate) op_id: Uuid,
    pub(crate) at_ms: i64,
}

pub(crate) async fn enter(tx: &mut Tx, new: NewEntry<'_>) -> Result<(), sqlx::Error> {
    tx.execute(
        "/* credits::enter */
        insert into credit_ledger (payment_id, kind, account, credits, op_id, at_ms)
        values ($1, $2, $3, $4, $5, $6)",
        &[
            Arg::Uuid(new.payment_id),
            Arg::Text(new.kind.as_str()),
            new.entry.account.as_deref().into(),
            Arg::Int(new.entry.credits),
            Arg::Uuid(new.op_id),
            Arg::Int(new.at_ms),
        ],
    )
    .await?;
    Ok(())
}
