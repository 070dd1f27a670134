//! The providers' ledgers, read a page at a time since a mark (F73): each payment whose money
//! moved is looked at, whether or not anybody told us of it. Audit judges what was seen.
//!
//! No field of a ledger is believed but the payment's key, which says where to look. The mark
//! is moved when the payments before it were looked at, so what a crash or a silent provider
//! left out is read again. Several instances may read at once: to look twice does no harm.

use std::{collections::HashSet, time::Duration};

use saga_participant::{OperationError, Participant, Settled};
use serde::Deserialize;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{
    Payments,
    payments::marks,
    provider::{LedgerMark, LedgerSpan, Movement, Provider},
    webhooks::{
        follow::{Followed, follow},
        hint::Hint,
    },
};

/// How far back a ledger is read that was never read before.
const FIRST_LOOK_BACK_MS: i64 = 24 * 60 * 60 * 1000;

/// The provider's clock may be ahead of ours.
const AHEAD_MS: i64 = 24 * 60 * 60 * 1000;

/// What is configured under `[service.ledger]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerConfig {
    /// Pause between two readings. 0: no ledger is read.
    pub read_every_ms: u64,
    /// Movements that are asked for at once.
    pub movements_max: u32,
    /// Look-ups in a second.
    pub look_ups_per_second_max: u32,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self { read_every_ms: 15_000, movements_max: 100, look_ups_per_second_max: 50 }
    }
}

impl LedgerConfig {
    /// No ledger is read: for programs that judge the provider's books themselves.
    pub fn off() -> Self {
        Self { read_every_ms: 0, ..Self::default() }
    }
}

/// A limit of 0 would read nothing, and say nothing.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("ledger: movements_max and look_ups_per_second_max begin at 1")]
pub struct LedgerConfigError;

/// Reads the ledgers of all providers that have one.
#[derive(Clone, Copy, Debug)]
pub struct LedgerReader {
    config: LedgerConfig,
}

impl LedgerReader {
    /// A reader that reads nothing yet.
    ///
    /// # Errors
    ///
    /// [`LedgerConfigError`] says what to correct.
    pub fn new(config: LedgerConfig) -> Result<Self, LedgerConfigError> {
        if [config.movements_max, config.look_ups_per_second_max].contains(&0) {
            return Err(LedgerConfigError);
        }
        Ok(Self { config })
    }

    /// Reads again and again until it is dropped. What it does to the database runs in tasks
    /// of the database, which come to their end.
    pub async fn run(self, participant: Participant<Payments>) {
        if self.config.read_every_ms == 0 {
            return;
        }
        let mut rounds = interval(Duration::from_millis(self.config.read_every_ms));
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.read_all(&participant).await;
        }
    }

    /// Reads every ledger from its mark to its present end.
    pub async fn read_all(&self, participant: &Participant<Payments>) {
        let mut pace = interval(Duration::from_secs(1) / self.config.look_ups_per_second_max);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for provider in &participant.service().providers.configured {
            let provider = provider.as_ref();
            if let Err(error) = self.read(provider, participant, &mut pace).await {
                let provider = provider.name();
                tracing::warn!(%error, provider, "a ledger was not read to its end");
            }
        }
    }

    async fn read(
        &self,
        provider: &dyn Provider,
        participant: &Participant<Payments>,
        pace: &mut Interval,
    ) -> Result<(), OperationError> {
        let (name, now_ms) = (provider.name(), participant.service().clock.now_ms());
        let mark = participant
            .database()
            .read(move |mut tx| async move { Ok(marks::find(&mut tx, name).await?) })
            .await?;
        let first = LedgerMark {
            at_ms: now_ms.saturating_sub(FIRST_LOOK_BACK_MS),
            transaction_key: String::new(),
        };
        let mut span = LedgerSpan {
            from: mark.unwrap_or(first),
            until_ms: now_ms.saturating_add(AHEAD_MS),
            movements_max: self.config.movements_max,
        };
        let mut all_answered = true;
        loop {
            let page = match provider.movements(&span).await {
                Settled::Definite(Some(page)) => page,
                Settled::Definite(None) => return Ok(()),
                Settled::Configuration { message } => {
                    return Err(OperationError::Configuration { message });
                }
                Settled::Unknown { message } | Settled::Wait { message } => {
                    tracing::warn!(provider = name, message, "a ledger was not read to its end");
                    return Ok(());
                }
            };
            let Some(last) = page.last() else { return Ok(()) };
            let is_full = u32::try_from(page.len()).is_ok_and(|it| it == span.movements_max);
            let last =
                LedgerMark { at_ms: last.at_ms, transaction_key: last.transaction_key.clone() };
            // Who comes later must find what was not looked at; the others are looked at now.
            all_answered &= look_at(name, &page, participant, pace).await?;
            if all_answered {
                advance(name, last.clone(), participant).await?;
            }
            if !is_full || last == span.from {
                return Ok(());
            }
            span.from = last;
        }
    }
}

/// Looks at each payment of a page. False: the provider did not answer for one of them.
async fn look_at(
    provider: &'static str,
    page: &[Movement],
    participant: &Participant<Payments>,
    pace: &mut Interval,
) -> Result<bool, OperationError> {
    let mut looked_at = HashSet::new();
    let mut all_answered = true;
    for Movement { provider_key, .. } in page {
        if !looked_at.insert(provider_key) {
            continue;
        }
        let Some(hint) = Hint::of(provider, provider_key.clone()) else { continue };
        pace.tick().await;
        if follow(&hint, participant).await? == Followed::Unanswered {
            tracing::warn!(provider, provider_key, "a payment whose money moved was not shown");
            all_answered = false;
        }
    }
    Ok(all_answered)
}

async fn advance(
    provider: &'static str,
    mark: LedgerMark,
    participant: &Participant<Payments>,
) -> Result<(), OperationError> {
    participant
        .database()
        .write(move |mut tx| async move {
            marks::advance(&mut tx, provider, &mark).await?;
            tx.commit().await
        })
        .await
}
