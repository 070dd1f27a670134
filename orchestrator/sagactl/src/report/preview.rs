//! What a change would do, shown before the question.

use saga_proto::saga::v1::{
    ForceOutcomeRequest, Saga, SettledOutcome, SignalSagaRequest, StepState,
    signal_saga_request::Payload,
};

use crate::{
    look::plain,
    name::shown_key,
    report::words::{saga_state, step_state},
};

/// What turning back means for this saga.
pub(crate) fn cancel(saga: &Saga) -> String {
    let mut text = format!("{} will be asked to turn back.", intro(saga));
    let in_state = |wanted: &[StepState]| -> Vec<&str> {
        let steps = saga.steps.iter().rev();
        steps.filter(|it| wanted.contains(&it.state())).map(|it| it.name.as_str()).collect()
    };
    let applied = in_state(&[StepState::Applied]);
    let open = in_state(&[StepState::InFlight, StepState::Retrying, StepState::Unknown]);
    if !open.is_empty() {
        text.push_str(&format!(
            "\n  settled first, and undone if it was applied: {}",
            open.join(", ")
        ));
    }
    if applied.is_empty() {
        text.push_str("\n  nothing is applied so far");
    } else {
        text.push_str(&format!("\n  undone, in this order: {}", applied.join(", ")));
    }
    text.push_str("\n  if it has passed its pivot, it goes on to its end instead");
    text
}

/// What a try means for this saga.
pub(crate) fn retry(saga: &Saga) -> String {
    let mut text = format!("{} will make its next call or inquiry now.", intro(saga));
    let waiting = |state| {
        !matches!(
            state,
            StepState::Pending
                | StepState::Skipped
                | StepState::Waiting
                | StepState::Kept
                | StepState::Applied
                | StepState::Rejected
                | StepState::Compensated
        )
    };
    for step in saga.steps.iter().filter(|it| waiting(it.state())) {
        let (_, state) = step_state(step.state());
        text.push_str(&format!(
            "\n  {}: {state} after {} tries, last {}",
            step.name, step.attempt, step.last_result
        ));
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

fn intro(saga: &Saga) -> String {
    let (_, state) = saga_state(saga.state());
    let name = shown_key(&saga.namespace, &saga.business_key);
    format!("{name} ({}@{}, {state})", saga.definition, saga.definition_version)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::report::example::{stuck_saga, waiting_saga};

    #[test]
    fn a_cancel_names_what_is_undone() {
        assert_snapshot!(cancel(&stuck_saga()), @"
        order/10042 (place-order@3, STUCK) will be asked to turn back.
          settled first, and undone if it was applied: verify_payment
          undone, in this order: reserve_stock
          if it has passed its pivot, it goes on to its end instead
        ");
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
