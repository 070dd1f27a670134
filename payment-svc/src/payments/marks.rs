//! How far the providers' ledgers were read.

use saga_participant::{Arg, Tx};

use crate::provider::LedgerMark;

pub(crate) async fn find(tx: &mut Tx, provider: &str) -> Result<Option<LedgerMark>, sqlx::Error> {
    let row = tx
        .row(
            "/* marks::find */
            select at_ms, transaction_key from ledger_marks where provider = $1",
            &[Arg::Text(provider)],
        )
        .await?;
    row.map(|it| Ok(LedgerMark { at_ms: it.int(0)?, transaction_key: it.text(1)? })).transpose()
}

/// Moves the mark on. Of two readers the one that is behind changes nothing: what it has
/// looked at was looked at.
pub(crate) async fn advance(
    tx: &mut Tx,
    provider: &str,
    mark: &LedgerMark,
) -> Result<(), sqlx::Error> {
    tx.execute(
        "/* marks::advance */
        insert into ledger_marks (provider, at_ms, transaction_key) values ($1, $2, $3)
        on conflict (provider) do update
        set at_ms = excluded.at_ms, transaction_key = excluded.transaction_key
        where ledger_marks.at_ms <= excluded.at_ms",
        &[Arg::Text(provider), Arg::Int(mark.at_ms), Arg::Text(&mark.transaction_key)],
    )
    .await?;
    Ok(())
}
