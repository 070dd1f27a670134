//! What is done about a hint: operations that wait for the provider are settled, and the
//! provider is asked how the payment stands now.

use std::{sync::Arc, time::Duration};

use saga_participant::{OperationError, Participant, ParticipantApi, Settled};
use saga_proto::saga::participant::v1::{
    ResolveMode, ResolveRequest, participant_service_server::ParticipantService as _,
};
use tokio::time::{MissedTickBehavior, interval};
use tonic::Request;
use uuid::Uuid;

use super::hint::{Hint, Hints};
use crate::{
    Payments,
    payments::sightings,
    provider::{Seen, Standing, Wanted},
};

/// Follows hints, one after another and not faster than the limit.
pub(super) async fn follow_all(
    hints: Arc<Hints>,
    participant: Participant<Payments>,
    look_ups_per_second_max: u32,
) {
    let mut pace = interval(Duration::from_secs(1) / look_ups_per_second_max);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        let hint = hints.next().await;
        match follow(&hint, &participant).await {
            Ok(_) => {}
            // The provider repeats its hints, and without them nothing is lost.
            Err(error) => tracing::warn!(%error, provider = hint.provider, "hint not followed"),
        }
    }
}

/// What became of a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    /// The provider told how the payment stands.
    Seen,
    /// It did not. Nothing was written down.
    Unanswered,
}

/// Looks at the payment at its provider, and writes down what it shows.
pub(crate) async fn follow(
    hint: &Hint,
    participant: &Participant<Payments>,
) -> Result<Followed, OperationError> {
    let Some(provider) = participant.service().providers.named(hint.provider).cloned() else {
        return Ok(Followed::Unanswered);
    };
    for op_id in open_operations(hint, participant).await? {
        settle(op_id, participant).await;
    }
    let seen_at_ms = participant.service().clock.now_ms();
    match provider.look_up(Wanted::Key(&hint.provider_key)).await {
        Settled::Definite(Some(seen))
            if seen.provider_key == hint.provider_key
                && matches!(seen.standing, Standing::Captured { .. }) =>
        {
            record(hint.provider, seen, seen_at_ms, participant).await?;
            Ok(Followed::Seen)
        }
        // Forged, or not paid, or not known: there is nothing to write down.
        Settled::Definite(_) => Ok(Followed::Seen),
        _ => Ok(Followed::Unanswered),
    }
}

async fn open_operations(
    hint: &Hint,
    participant: &Participant<Payments>,
) -> Result<Vec<Uuid>, OperationError> {
    let Hint { provider, provider_key } = hint.clone();
    participant
        .database()
        .read(move |mut tx| async move {
            Ok(sightings::open_operations(&mut tx, provider, &provider_key).await?)
        })
        .await
}

/// An inquiry about an operation that has begun asks the provider again. It cannot fence
/// anything, because the operation's row is there.
async fn settle(op_id: Uuid, participant: &Participant<Payments>) {
    let request = ResolveRequest { op_id: op_id.to_string(), mode: ResolveMode::Fence.into() };
    let api = ParticipantApi::new(participant.clone());
    if let Err(status) = api.resolve(Request::new(request)).await {
        tracing::debug!(%status, op.id = %op_id, "an operation is still open");
    }
}

async fn record(
    provider: &'static str,
    seen: Seen,
    seen_at_ms: i64,
    participant: &Participant<Payments>,
) -> Result<(), OperationError> {
    participant
        .database()
        .write(move |mut tx| async move {
            sightings::record(&mut tx, provider, &seen, seen_at_ms).await?;
            sightings::take_over(&mut tx, provider, &seen).await?;
            tx.commit().await
        })
        .await
}
