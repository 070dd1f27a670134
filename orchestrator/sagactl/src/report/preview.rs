//! What a change would do, shown before the question.

use saga_proto::saga::v1::{
    CancelEffect, ForceOutcomeRequest, Saga, SettledOutcome, SignalSagaRequest, StepState,
    StepUndo, signal_saga_request::Payload,
};

use crate::{
    look::plain,
    name::shown_key,
    report::words::{pivots, saga_state, step_state},
};

/// What turning back means for this saga.
pub(crate) fn cancel(saga: &Saga) -> String {
    match saga.cancel_effect() {
        CancelEffect::TooLate => {
            let told = "has passed its pivot and goes on to its end; a cancel comes too late.";
            return format!("{} {told}", intro(saga));
        }
        CancelEffect::Ended => return format!("{} has ended; nothing is changed.", intro(saga)),
        _ => {}
    }
    let with_undo = |wanted: StepUndo| -> Vec<&str> {
        let steps = saga.steps.iter().filter(|it| it.undo() == wanted && !it.pivot);
        steps.map(|it| it.name.as_str()).collect()
    };
    let turns_back = !saga.turned_back.is_empty();
    let told = if turns_back { "is turning back already." } else { "will be asked to turn back." };
    let mut lines = vec![format!("{} {told}", intro(saga))];
    let (open, underway) = (with_undo(StepUndo::IfApplied), with_undo(StepUndo::Underway));
    if !open.is_empty() {
        lines.push(format!("settled first, and undone if it was applied: {}", open.join(", ")));
    }
    if !underway.is_empty() {
        lines.push(format!("being undone already: {}", underway.join(", ")));
    }
    if !saga.undo_order.is_empty() {
        lines.push(format!("undone, in this order: {}", saga.undo_order.join(", ")));
    } else if open.is_empty() && underway.is_empty() {
        lines.push("nothing is there to be undone".to_owned());
    }
    let stays = with_undo(StepUndo::Stays);
    if !stays.is_empty() {
        lines.push(format!("stays, because nothing undoes it: {}", stays.join(", ")));
    }
    if let Some(name) = pivots(saga).filter(|_| !turns_back) {
        lines.push(match saga.cancel_effect() {
            CancelEffect::Undecided => format!(
                "nobody knows yet whether its pivot {name} was applied; if so, the saga goes on to \
                 its end instead"
            ),
            _ => format!("if {name}, its pivot, is applied before, it goes on to its end instead"),
        });
    }
    lines.join("\n  ")
}

/// What a try means for this saga.
pub(crate) fn retry(saga: &Saga) -> String {
    let mut text = format!("{} will make its next call or inquiry now.", intro(saga));
    let waiting = |state| {
        matches!(
            state,
            StepState::Retrying | StepState::Unknown | StepState::Compensating | StepState::Faulted
        )
    };
    for step in saga.steps.iter().filter(|it| waiting(it.state())) {
        let (_, state) = step_state(step.state());
        text.push_str(&format!("\n  {}: {state}", step.name));
        if 0 < step.attempt {
            let tries = if step.attempt == 1 { "try" } else { "tries" };
            text.push_str(&format!(" after {} {tries}", step.attempt));
        }
        if !step.last_result.is_empty() {
            text.push_str(&format!(", last {}", step.last_result));
        }
    }
    text
}

/// What a signal means for this saga.
pub(crate) fn signal(saga: &Saga, request: &SignalSagaRequest) -> String {
    let says = match &request.payload {
        Some(Payload::Json(json)) => plain(json),
        _ => "nothing".to_owned(),
    };
    let awaited = match saga.waiting_on.as_str() {
        "" => "no signal; it is kept for the step that will",
        awaited => awaited,
    };
    format!(
        "{} will get the signal {}.\n  \
         it says: {says}\n  \
         the saga waits for: {awaited}\n  \
         The first signal counts. There is no way back.",
        intro(saga),
        plain(&request.signal)
    )
}

/// What the engine will take for true.
pub(crate) fn settle(saga: &Saga, request: &ForceOutcomeRequest) -> String {
    let fact = match request.outcome() {
        SettledOutcome::Applied => "WAS APPLIED",
        SettledOutcome::NotApplied => "WAS NOT APPLIED and never will be",
        SettledOutcome::Unspecified => "",
    };
    let step = saga.steps.iter().find(|it| it.name == request.step);
    let known = step.map_or("not known", |it| step_state(it.state()).1);
    format!(
        "{}: the engine will take it for true that {} {fact}.\n  \
         what the engine knows of it: {known}\n  \
         recorded: {} says \"{}\"\n  \
         There is no way back.",
        intro(saga),
        request.step,
        request.actor,
        request.reason
    )
}

/// What a call under another id means.
pub(crate) fn renew(saga: &Saga, step: &str) -> String {
    let known = saga.steps.iter().find(|it| it.name == step);
    let known = known.map_or("not known", |it| step_state(it.state()).1);
    format!(
        "{}: the refused call of {step} is made again as another operation, under an id of its own.\n  \
         what the engine knows of it: {known}\n  \
         There is no way back.",
        intro(saga)
    )
}

/// What is left behind.
pub(crate) fn close(saga: &Saga) -> String {
    let stands = |it: &&saga_proto::saga::v1::SagaStep| {
        !matches!(it.undo(), StepUndo::Unspecified | StepUndo::Nothing | StepUndo::Done)
    };
    let left: Vec<&str> = saga.steps.iter().filter(stands).map(|it| it.name.as_str()).collect();
    let left = if left.is_empty() { "nothing".to_owned() } else { left.join(", ") };
    format!(
        "{} is ended as it is; no call is made any more.\n  \
         left behind, as far as it stands: {left}\n  \
         There is no way back.",
        intro(saga)
    )
}

fn intro(saga: &Saga) -> String {
    let (_, state) = saga_state(saga.state());
    let name = shown_key(&saga.namespace, &saga.business_key);
    format!("{name} ({}@{}, {state})", saga.definition, saga.definition_version)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::report::example::{completed_saga, stuck_saga, undecided_saga, waiting_saga};

    #[test]
    fn a_cancel_names_what_is_undone() {
        assert_snapshot!(cancel(&stuck_saga()), @"
        order/10042 (place-order@3, STUCK) is turning back already.
          settled first, and undone if it was applied: verify_payment
          undone, in this order: reserve_stock
        ");
    }

    #[test]
    fn a_cancel_says_what_is_not_known_and_what_is_over() {
        assert_snapshot!(cancel(&undecided_saga()), @"
        order/10047 (place-order@3, running) will be asked to turn back.
          undone, in this order: reserve_stock
          nobody knows yet whether its pivot insert_order was applied; if so, the saga goes on to its end instead
        ");
        assert_snapshot!(cancel(&waiting_saga()), @"
        order/10046 (refund@3, running) will be asked to turn back.
          undone, in this order: request_refund
        ");
        assert_snapshot!(cancel(&completed_saga()), @"order/10044 (place-order@3, completed) has ended; nothing is changed.");
        let late = Saga { cancel_effect: CancelEffect::TooLate.into(), ..undecided_saga() };
        assert_snapshot!(cancel(&late), @"order/10047 (place-order@3, running) has passed its pivot and goes on to its end; a cancel comes too late.");
    }

    #[test]
    fn a_retry_names_what_is_tried() {
        assert_snapshot!(retry(&stuck_saga()), @"
        order/10042 (place-order@3, STUCK) will make its next call or inquiry now.
          verify_payment: UNKNOWN after 7 tries, last TIMED_OUT
        ");
    }

    #[test]
    fn a_signal_is_repeated_with_what_it_says() {
        let request = SignalSagaRequest {
            signal: "approval".to_owned(),
            payload: Some(Payload::Json("{\"approved\": true}".to_owned())),
            ..SignalSagaRequest::default()
        };
        assert_snapshot!(signal(&waiting_saga(), &request), @r#"
        order/10046 (refund@3, running) will get the signal approval.
          it says: {"approved": true}
          the saga waits for: signal approval
          The first signal counts. There is no way back.
        "#);
        assert_snapshot!(signal(&stuck_saga(), &SignalSagaRequest::default()), @"
        order/10042 (place-order@3, STUCK) will get the signal .
          it says: nothing
          the saga waits for: no signal; it is kept for the step that will
          The first signal counts. There is no way back.
        ");
    }

    #[test]
    fn a_settlement_repeats_what_will_be_true() {
        let request = ForceOutcomeRequest {
            step: "verify_payment".to_owned(),
            outcome: SettledOutcome::NotApplied.into(),
            actor: "ada".to_owned(),
            reason: "the provider's console has no such payment".to_owned(),
            ..ForceOutcomeRequest::default()
        };
        assert_snapshot!(settle(&stuck_saga(), &request), @r#"
        order/10042 (place-order@3, STUCK): the engine will take it for true that verify_payment WAS NOT APPLIED and never will be.
          what the engine knows of it: UNKNOWN
          recorded: ada says "the provider's console has no such payment"
          There is no way back.
        "#);
    }
}
