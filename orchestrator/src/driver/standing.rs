//! Where a saga stands, for the index: what people list and what nodes claim.

use saga_core::{Cause, Ending, NodeId, State, StepPhase, cause, stuck};
use saga_log::{CauseRow, Standing, Status, StuckRow};

use crate::definition::CompiledDefinition;

/// Who cares for the saga until something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// This node drives it.
    Owned(NodeId),
    /// It is parked, and due at this time. `None`: only a person or a client wakes it.
    Parked { until_ms: Option<u64> },
}

/// What a saga waits for when no time wakes it.
pub(crate) const WAITING_ON_OPERATOR: &str = "operator";

/// The index entry of `state`.
pub(crate) fn standing(
    definition: &CompiledDefinition,
    state: &State,
    care: Care,
    now_ms: u64,
) -> Standing {
    let core = &definition.core;
    let turned_back = state.turned_back().map(|reason| reason.code().to_owned());
    if let Some(ended) = state.ended() {
        let status = match ended.ending {
            Ending::Completed => Status::Completed,
            Ending::Compensated => Status::Compensated,
            Ending::Closed => Status::Closed,
        };
        return Standing {
            status,
            wake_at_ms: None,
            waiting_on: None,
            owner: None,
            stuck: None,
            turned_back,
            ended_at_ms: Some(ended.at_ms),
            cause: None,
        };
    }
    let stuck = stuck(core, state).map(|stuck| StuckRow {
        reason: stuck.reason.code().to_owned(),
        step: core.step(stuck.step).name.clone(),
        message: stuck_message(definition, state, stuck),
        since_ms: stuck.since_ms,
    });
    let (owner, wake_at_ms) = match care {
        Care::Owned(node) => (Some(node), Some(now_ms)),
        Care::Parked { until_ms } => (None, until_ms),
    };
    let waiting_on = awaited_signal(definition, state)
        .or_else(|| wake_at_ms.is_none().then(|| WAITING_ON_OPERATOR.to_owned()));
    let status = if turned_back.is_some() { Status::Compensating } else { Status::Running };
    // A call that is repeated at once holds nothing up; the index is not written for it.
    let is_short = |cause: &CauseRow| {
        owner.is_some()
            && stuck.is_none()
            && now_ms.saturating_sub(cause.since_ms) < HELD_UP_AFTER_MS
    };
    let cause = cause_row(definition, state).filter(|cause| !is_short(cause));
    let ended_at_ms = None;
    Standing { status, wake_at_ms, waiting_on, owner, stuck, turned_back, ended_at_ms, cause }
}

/// From when on a saga that is being driven is told as held up.
const HELD_UP_AFTER_MS: u64 = 1_000;

/// What the outside is told to hold a saga up.
fn cause_row(definition: &CompiledDefinition, state: &State) -> Option<CauseRow> {
    match cause(&definition.core, state)? {
        Cause::Call { step, direction, code, message, since_ms } => {
            let call = definition.call(step, direction);
            let method = call.map_or("", |call| call.path.path().trim_start_matches('/'));
            Some(CauseRow {
                participant: call.map_or_else(String::new, |call| call.participant.clone()),
                method: method.to_owned(),
                code: for_the_index(last_code(code, message)),
                message: for_the_index(message),
                since_ms,
            })
        }
        Cause::Signal { step, since_ms } => {
            let signal = definition.signals().find(|signal| signal.step == step)?;
            Some(CauseRow {
                participant: String::new(),
                method: format!("signal {}", signal.name),
                code: SIGNAL_AWAITED.to_owned(),
                message: String::new(),
                since_ms,
            })
        }
    }
}

/// The code of a saga that waits for a signal.
pub(crate) const SIGNAL_AWAITED: &str = "SIGNAL_AWAITED";

/// What was said last, as near to its source as it is known: the status that said nothing
/// definite, where one came.
fn last_code<'s>(code: &'s str, message: &'s str) -> &'s str {
    let is_code = |it: &str| {
        2 < it.len()
            && it.chars().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_')
    };
    let said = message.split([':', ' ']).next().filter(|it| is_code(it));
    match (code, said) {
        ("INDEFINITE_STATUS" | "BUSY" | "INQUIRY_UNANSWERED", Some(said)) => said,
        _ => code,
    }
}

/// The signal that a saga waits for, as in `signal approval`. A timer may end the wait too.
pub(crate) fn awaited_signal(definition: &CompiledDefinition, state: &State) -> Option<String> {
    if state.turned_back().is_some() || state.ended().is_some() {
        return None;
    }
    let is_awaited = |step| {
        let step = state.step(step);
        matches!(step.phase, StepPhase::Waiting { .. }) && step.signal.is_none()
    };
    let awaited = definition.signals().find(|signal| is_awaited(signal.step))?;
    Some(format!("signal {}", awaited.name))
}

/// One sentence that says what the step met last.
fn stuck_message(
    definition: &CompiledDefinition,
    state: &State,
    stuck: saga_core::Stuck,
) -> String {
    let name = &definition.core.step(stuck.step).name;
    let message = match &state.step(stuck.step).last_trouble {
        Some(trouble) if trouble.message.is_empty() => format!("{name}: {}", trouble.reason),
        Some(trouble) => format!("{name}: {}: {}", trouble.reason, trouble.message),
        None => format!("{name}: no answer is known"),
    };
    for_the_index(&message)
}

/// What others said, as far as an index entry holds it: databases refuse NUL, and
/// nobody reads a page in a list.
pub(crate) fn for_the_index(said: &str) -> String {
    const CHARS_MAX: usize = 1_000;
    said.chars().filter(|it| *it != '\0').take(CHARS_MAX).collect()
}

/// Whether the index has to be written: everything but the wake-up time of a saga that
/// is being driven, which says nothing.
pub(crate) fn differs(written: Option<&Standing>, standing: &Standing) -> bool {
    let Some(written) = written else {
        return true;
    };
    let both_owned = written.owner.is_some() && written.owner == standing.owner;
    if both_owned {
        let wake_at_ms = written.wake_at_ms;
        let mut same = Standing { wake_at_ms, ..standing.clone() };
        // Each attempt may be told in words of its own.
        if let (Some(was), Some(is)) = (&written.cause, &mut same.cause) {
            is.message.clone_from(&was.message);
        }
        return *written != same;
    }
    written != standing
}
