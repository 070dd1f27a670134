//! Sagas and events as clients see them. Never a payload.

use std::{collections::HashMap, sync::Arc};

use prost_types::Timestamp;
use saga_core::{
    By, Direction, Offer, SagaId, Settled, Settlement, StepIndex, StepPhase, StuckReason,
    TurnBackReason, cancel_effect,
    explain::{self, StepView, UndoView},
};
use saga_draft::{Subject, labels};
use saga_log::{CauseRow, SagaRow, Standing, Status as RowStatus, StuckRow};
use saga_proto::saga::v1::{self as pb, SagaState, SagaVerb, StepState, StepUndo};

use crate::{
    api::why::why,
    definition::CompiledDefinition,
    driver::standing::{Care, WAITING_ON_OPERATOR, standing},
    engine::{EndState, Snapshot},
};

/// A point in time, from milliseconds since the Unix epoch.
pub(super) fn timestamp(at_ms: u64) -> Timestamp {
    let seconds = i64::try_from(at_ms / 1_000).unwrap_or(i64::MAX);
    let nanos = i32::try_from(at_ms % 1_000 * 1_000_000).unwrap_or(0);
    Timestamp { seconds, nanos }
}

/// A saga as its index row tells it, without steps.
pub(super) fn saga_of_row(row: &SagaRow) -> pb::Saga {
    let standing = &row.standing;
    let state = match standing.status {
        RowStatus::Completed => SagaState::Completed,
        RowStatus::Compensated => SagaState::Compensated,
        RowStatus::Closed => SagaState::Closed,
        _ if standing.stuck.is_some() => SagaState::Stuck,
        RowStatus::Running => SagaState::Running,
        RowStatus::Compensating => SagaState::Compensating,
    };
    // A saga that is being driven has a wake-up time only for the case that its owner dies.
    let wake_at = standing.wake_at_ms.filter(|_| standing.owner.is_none());
    pb::Saga {
        saga_id: row.saga.to_string(),
        namespace: row.namespace.clone(),
        business_key: row.business_key.clone(),
        definition: row.definition.clone(),
        definition_version: row.definition_version,
        state: state.into(),
        started_at: Some(timestamp(row.started_at_ms)),
        ended_at: standing.ended_at_ms.map(timestamp),
        wake_at: wake_at.map(timestamp),
        stuck: standing.stuck.as_ref().map(|stuck| pb::Stuck {
            reason: stuck.reason.clone(),
            step: stuck.step.clone(),
            message: stuck.message.clone(),
            since: Some(timestamp(stuck.since_ms)),
        }),
        turned_back: standing.turned_back.clone().unwrap_or_default(),
        owner: standing.owner.map(|node| node.to_string()).unwrap_or_default(),
        waiting_on: awaited(standing).to_owned(),
        why: match (awaited(standing), &standing.cause) {
            _ if standing.stuck.is_some() => {
                standing.stuck.as_ref().map(stuck_why).unwrap_or_default()
            }
            ("", Some(cause)) => held_up(cause),
            ("", _) => String::new(),
            (awaited, _) => format!("It waits for {awaited}."),
        },
        ..pb::Saga::default()
    }
}

/// Why a saga needs a person, as far as its index row tells it.
fn stuck_why(stuck: &StuckRow) -> String {
    let step = &stuck.step;
    let said = stuck.message.strip_prefix(&format!("{step}: ")).unwrap_or(&stuck.message);
    let is = |reasons: &[StuckReason]| reasons.iter().any(|it| it.code() == stuck.reason);
    if is(&[StuckReason::OutcomeUnknown, StuckReason::InquiryUnsupported]) {
        format!("Nobody knows whether {step} was applied (last: {said}).")
    } else if is(&[StuckReason::CompensationFailing]) {
        format!("{step} is not undone (last: {said}).")
    } else if is(&[StuckReason::ForwardFailing]) {
        format!("{step} is not done (last: {said}).")
    } else {
        stuck.message.clone()
    }
}

/// What holds a saga up that needs nobody yet: `payment: NOT_SENT: connection refused`.
fn held_up(cause: &CauseRow) -> String {
    let parts = [&cause.participant, &cause.code, &cause.message].map(String::as_str);
    // A message that begins with its code says it once.
    let code = if cause.message.starts_with(&cause.code) { "" } else { parts[1] };
    let parts = [parts[0], code, parts[2]];
    parts.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(": ")
}

/// What a saga waits for from outside, or nothing. That it waits for a person is said by
/// why it is stuck.
fn awaited(standing: &Standing) -> &str {
    let awaited = standing.waiting_on.as_deref().filter(|_| standing.stuck.is_none());
    awaited.filter(|it| *it != WAITING_ON_OPERATOR).unwrap_or_default()
}

/// A saga as its whole log tells it at `now_ms`. The index entry was read before the log and
/// may be behind it, so that only what the log does not hold is taken from there.
pub(super) fn saga(snapshot: &Snapshot, now_ms: u64) -> pb::Saga {
    let Snapshot { row, definition, state, version } = snapshot;
    let core = &definition.core;
    let name = |index: StepIndex| core.step(index).name.clone();
    let steps = core.indices().map(|index| step(snapshot, index)).collect();
    let rejected_reason = match state.turned_back() {
        Some(TurnBackReason::StepRejected { reason, .. }) => reason.clone(),
        _ => String::new(),
    };
    let row = SagaRow { standing: standing_of(snapshot), ..row.clone() };
    pb::Saga {
        steps,
        version: *version,
        why: why(snapshot, now_ms),
        rejected_reason,
        offers: offers_of(snapshot, now_ms),
        undo_order: explain::undo_order(core, state).into_iter().map(name).collect(),
        cancel_effect: effect(cancel_effect(core, state)).into(),
        labels: labels_of(snapshot),
        deadline_at: deadline_at_ms(snapshot).map(timestamp),
        ..saga_of_row(&row)
    }
}

/// When the saga turns back by itself, where it still may.
fn deadline_at_ms(snapshot: &Snapshot) -> Option<u64> {
    let Snapshot { definition, state, .. } = snapshot;
    let is_over = state.ended().is_some() || state.turned_back().is_some();
    let deadline_ms = definition.core.deadline_ms.filter(|_| !is_over)?;
    let may = !state.passed_pivot(&definition.core);
    may.then(|| state.started_at_ms().saturating_add(deadline_ms))
}

fn labels_of(snapshot: &Snapshot) -> HashMap<String, String> {
    let Snapshot { row, definition, state, .. } = snapshot;
    let (business_key, namespace) = (row.business_key.as_str(), row.namespace.as_str());
    let subject = Subject { definition, business_key, namespace, request_bytes_max: 0 };
    labels(subject, state).into_iter().collect()
}

fn standing_of(snapshot: &Snapshot) -> Standing {
    let Snapshot { row, definition, state, .. } = snapshot;
    let care = match row.standing.owner {
        Some(node) => Care::Owned(node),
        None => Care::Parked { until_ms: row.standing.wake_at_ms, held: None },
    };
    let mut told = standing(definition, state, &care, row.standing.wake_at_ms.unwrap_or(0));
    if row.standing.rank.is_some() {
        // Which participant holds it back is not in its log.
        told.waiting_on.clone_from(&row.standing.waiting_on);
        told.rank = row.standing.rank;
    }
    if told.ended_at_ms.is_none() && is_set_aside(row) {
        return Standing { stuck: row.standing.stuck.clone(), ..told };
    }
    told
}

/// Whether the saga cannot be driven and was set aside, which its log does not say.
pub(super) fn is_set_aside(row: &SagaRow) -> bool {
    row.standing.stuck.as_ref().is_some_and(|stuck| stuck.step.is_empty())
}

fn offers_of(snapshot: &Snapshot, now_ms: u64) -> Vec<pb::SagaOffer> {
    let Snapshot { row, definition, state, .. } = snapshot;
    let mut offers = saga_core::offers(&definition.core, state, now_ms);
    let is_live = state.ended().is_none();
    if is_live && is_set_aside(row) && !offers.contains(&Offer::Retry) {
        offers.push(Offer::Retry);
    }
    let name = |index: StepIndex| definition.core.step(index).name.clone();
    let offer = |offer: Offer| match offer {
        Offer::Retry => of_verb(SagaVerb::Retry, String::new()),
        Offer::Cancel => of_verb(SagaVerb::Cancel, String::new()),
        Offer::Settle { step, settled: Settled::Applied } => {
            of_verb(SagaVerb::SettleApplied, name(step))
        }
        Offer::Settle { step, settled: Settled::NotApplied } => {
            of_verb(SagaVerb::SettleNotApplied, name(step))
        }
        Offer::Renew { step } => of_verb(SagaVerb::Renew, name(step)),
        Offer::Close => of_verb(SagaVerb::Close, String::new()),
        Offer::Signal { step } => {
            let signal = definition.signals().find(|signal| signal.step == step);
            let signal = signal.map(|signal| signal.name.to_owned()).unwrap_or_default();
            pb::SagaOffer { signal, ..of_verb(SagaVerb::Signal, name(step)) }
        }
    };
    offers.into_iter().map(offer).collect()
}

fn of_verb(verb: SagaVerb, step: String) -> pb::SagaOffer {
    pb::SagaOffer { verb: verb.into(), step, ..pb::SagaOffer::default() }
}

/// What a cancel does, as clients see it.
pub(super) fn effect(effect: saga_core::CancelEffect) -> pb::CancelEffect {
    match effect {
        saga_core::CancelEffect::TurnsBack => pb::CancelEffect::TurnsBack,
        saga_core::CancelEffect::TooLate => pb::CancelEffect::TooLate,
        saga_core::CancelEffect::Undecided => pb::CancelEffect::Undecided,
        saga_core::CancelEffect::Ended(_) => pb::CancelEffect::Ended,
    }
}

/// A saga that has just ended here, without reading its log again.
pub(super) fn ended(
    id: SagaId,
    namespace: String,
    business_key: String,
    definition: Arc<CompiledDefinition>,
    end: &EndState,
) -> pb::Saga {
    let state = end.state.clone();
    let standing = standing(&definition, &state, &Care::Parked { until_ms: None, held: None }, 0);
    let row = SagaRow {
        saga: id,
        namespace,
        business_key,
        definition: definition.core.name.clone(),
        definition_version: definition.core.version,
        request_hash: [0; 32],
        started_at_ms: state.started_at_ms(),
        standing,
    };
    let at_ms = state.ended().map_or(0, |ended| ended.at_ms);
    saga(&Snapshot { row, definition, state, version: end.version }, at_ms)
}

fn step(snapshot: &Snapshot, index: StepIndex) -> pb::SagaStep {
    let Snapshot { definition, state, .. } = snapshot;
    let rules = definition.core.step(index);
    let view = explain::step_view(state, index);
    let is_open = matches!(
        view,
        StepView::Calling
            | StepView::Retrying
            | StepView::Faulted
            | StepView::Unknown
            | StepView::Undoing
    );
    let attempt = match state.step(index).phase {
        StepPhase::InFlight { tries, .. }
        | StepPhase::Inquiring { tries }
        | StepPhase::Open { tries, .. }
            if is_open =>
        {
            tries.attempt
        }
        _ => 0,
    };
    pb::SagaStep {
        name: rules.name.clone(),
        state: step_state(view).into(),
        attempt,
        action_op_id: state.operation(&definition.core, index, Direction::Forward).to_string(),
        last_result: last_result(state.step(index)),
        undo: step_undo(explain::undo_view(&definition.core, state, index)).into(),
        pivot: rules.pivot,
    }
}

fn step_state(view: StepView) -> StepState {
    match view {
        StepView::NotBegun => StepState::Pending,
        StepView::Skipped => StepState::Skipped,
        StepView::Waiting => StepState::Waiting,
        StepView::Calling => StepState::InFlight,
        StepView::Retrying => StepState::Retrying,
        StepView::Faulted => StepState::Faulted,
        StepView::Unknown => StepState::Unknown,
        StepView::Applied => StepState::Applied,
        StepView::Rejected => StepState::Rejected,
        StepView::NotDone => StepState::NotDone,
        StepView::Undoing => StepState::Compensating,
        StepView::Undone => StepState::Compensated,
        StepView::Kept => StepState::Kept,
    }
}

fn step_undo(undo: UndoView) -> StepUndo {
    match undo {
        UndoView::Nothing => StepUndo::Nothing,
        UndoView::Stays => StepUndo::Stays,
        UndoView::Planned => StepUndo::Planned,
        UndoView::IfApplied => StepUndo::IfApplied,
        UndoView::Underway => StepUndo::Underway,
        UndoView::Done => StepUndo::Done,
    }
}

/// What a person said became of the step, where that is what counts; whose signal it was;
/// else what the last call that did not succeed said.
fn last_result(step: &saga_core::StepState) -> String {
    let is_settled =
        matches!(step.phase, StepPhase::Applied | StepPhase::Fenced | StepPhase::Undone);
    if let Some(Settlement { by, .. }) = step.settled.as_ref().filter(|_| is_settled) {
        return format!("settled by {}: {}", by.actor, by.reason);
    }
    match (&step.last_trouble, &step.signal) {
        (None, Some(signal)) if step.phase == StepPhase::Applied => from(&signal.by),
        (None, _) => String::new(),
        (Some(trouble), _) if trouble.message.is_empty() => trouble.reason.clone(),
        (Some(trouble), _) => format!("{}: {}", trouble.reason, trouble.message),
    }
}

/// Who sent a signal, as far as anybody said.
fn from(by: &By) -> String {
    match (by.actor.as_str(), by.reason.as_str()) {
        ("", reason) => reason.to_owned(),
        (actor, "") => format!("signal of {actor}"),
        (actor, reason) => format!("signal of {actor}: {reason}"),
    }
}
