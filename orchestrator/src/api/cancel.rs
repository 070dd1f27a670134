//! `CancelSaga`: asks a saga to turn back, and says what becomes of that only once it is
//! certain (F81).

use std::time::Duration;

use saga_core::{CancelEffect, Event, SagaId, cancel_effect};
use saga_proto::saga::v1 as pb;
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use crate::{
    api::{
        field, repeat,
        saga::{find_row, span},
        view,
    },
    engine::{Engine, ReachError, Snapshot},
};

/// The first pause between two looks at a saga that has not decided, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

pub(super) async fn cancel(
    engine: &Engine,
    request: pb::CancelSagaRequest,
) -> Result<pb::CancelSagaResponse, Status> {
    field::words(&request.actor, &request.reason)?;
    let request_id = field::own_request_id(engine, request.request_id)?;
    let wait = span("wait", request.wait)?.unwrap_or_default();
    let row = find_row(engine, request.name).await?;
    let saga = row.saga;
    let before = engine.snapshot_of(row).await?;
    let pb::CancelSagaRequest { actor, reason, expected_version, .. } = request;
    let at_ms = engine.shared.clock.now_ms();
    let asked = Event::CancelRequested { actor, reason, request_id, at_ms };
    let is_decided = before.state.ended().is_some() || before.state.cancel_requested();
    if !repeat::is_done(engine, &before, &asked).await? && !is_decided {
        repeat::still_at(engine, &before, expected_version).await?;
        match engine.tell_at(saga, asked.clone(), expected_version).await {
            Ok(()) => {}
            // It ended meanwhile, or another node was told the same; the log says how.
            Err(ReachError::DoesNotFit) => {
                let now = engine.snapshot(saga).await?;
                if !repeat::is_done_behind(engine, &now, before.version, &asked).await? {
                    repeat::still_at(engine, &now, expected_version).await?;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    let (after, effect) = decided(engine, saga, wait).await?;
    let saga = Some(view::saga(&after, engine.shared.clock.now_ms()));
    Ok(pb::CancelSagaResponse { saga, effect: view::effect(effect).into() })
}

/// What the cancel that is in the log does, as soon as that is certain or `wait` has passed.
async fn decided(
    engine: &Engine,
    saga: SagaId,
    wait: Duration,
) -> Result<(Snapshot, CancelEffect), ReachError> {
    let deadline = Instant::now() + wait;
    let mut pause = PAUSES.0;
    loop {
        let snapshot = engine.snapshot(saga).await?;
        let effect = match cancel_effect(&snapshot.definition.core, &snapshot.state) {
            CancelEffect::TurnsBack if may_have_passed(engine, &snapshot) => {
                CancelEffect::Undecided
            }
            effect => effect,
        };
        let now = Instant::now();
        if effect != CancelEffect::Undecided || deadline <= now {
            return Ok((snapshot, effect));
        }
        sleep_until(deadline.min(now + pause)).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Whether the pivot may be applied in rows that the log has lost, of which the saga has not
/// heard.
fn may_have_passed(engine: &Engine, Snapshot { definition, state, .. }: &Snapshot) -> bool {
    state.log_epoch() < engine.log_mark().epoch
        && state.turned_back().is_none()
        && !definition.core.pivots().is_empty()
}
