//! One saga, explained: why it stands where it stands, its steps, its last calls, and what
//! a person can do.

use saga_proto::saga::v1::{Saga, SagaEvent, SagaStep, StepState, StepUndo, StuckGroup};
use unicode_width::UnicodeWidthStr;

use crate::{
    look::{Look, Mark, ms_between, span},
    name::shown_key,
    report::{
        calls::{Call, action_span, calls},
        table::{Row, table, wrapped},
        words::{count, course, saga_state, step_state},
        you_can,
    },
};

/// Where text begins behind a heading.
const INDENT: usize = 6;
/// Calls that are shown of a step that makes trouble.
const CALLS_SHOWN: usize = 3;

/// The page about one saga. `group` holds the sagas that are stuck for the same cause.
pub(crate) fn report(
    saga: &Saga,
    events: &[SagaEvent],
    group: Option<&StuckGroup>,
    look: &Look,
) -> String {
    let sections = [
        head(saga, look),
        why(saga, look),
        steps(saga, events, look),
        last_calls(saga, events, look),
        same_cause(group, look),
        you_can::section(saga, look),
    ];
    sections.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join("\n")
}

fn head(saga: &Saga, look: &Look) -> String {
    let (mark, state) = saga_state(saga.state());
    let lasting = match &saga.stuck {
        Some(stuck) => look.lasting(stuck.since),
        None => String::new(),
    };
    let state = format!("{state} {lasting}");
    let name = shown_key(&saga.namespace, &saga.business_key);
    let first =
        title(&name, &saga.saga_id, &look.paint(mark, state.trim_end()), state.trim_end(), look);
    let mut facts = vec![
        format!("{}@{}", saga.definition, saga.definition_version),
        format!("started {}", look.at(saga.started_at)),
    ];
    facts.extend(course(saga, look));
    if !saga.owner.is_empty() {
        facts.push(format!("owner {}", saga.owner));
    }
    facts.push(count(saga.version, "log row"));
    let mut labels: Vec<_> = saga.labels.iter().map(|(name, it)| format!("{name}={it}")).collect();
    labels.sort_unstable();
    facts.extend(labels);
    format!("{first}{}\n", wrapped(&facts.join(look.dot()), look.room(0), 0))
}

/// Name, id and state: on one line where there is room, else the id on a line of its own.
fn title(name: &str, id: &str, painted: &str, state: &str, look: &Look) -> String {
    let room = look.room(0);
    let (name_width, id_width, state_width) = (name.width(), id.width(), state.width());
    let heading = look.heading(&wrapped(name, room, 0));
    let all = name_width + 3 + id_width + 3 + state_width;
    if all <= room {
        let gap = " ".repeat(3 + room - all);
        return format!("{heading}   {id}{gap}{painted}\n");
    }
    match room.checked_sub(name_width + 3 + state_width) {
        Some(spare) => format!("{heading}{}{painted}\n{id}\n", " ".repeat(3 + spare)),
        None => format!("{heading}\n{painted}\n{id}\n"),
    }
}

fn why(saga: &Saga, look: &Look) -> String {
    let stuck = saga.stuck.as_ref();
    let message = stuck.map(|it| it.message.as_str()).filter(|_| saga.why.is_empty());
    let sentence = message.unwrap_or(&saga.why);
    let mut text = String::new();
    if !sentence.is_empty() {
        let sentence = wrapped(sentence, look.room(INDENT), INDENT);
        text.push_str(&format!("{}   {sentence}\n", look.heading("WHY")));
    }
    let mut codes = Vec::new();
    if let Some(stuck) = stuck {
        codes.push(format!("stuck: {}", stuck.reason));
    }
    if !saga.turned_back.is_empty() {
        codes.push(format!("turned back: {}", saga.turned_back));
    }
    if !saga.rejected_reason.is_empty() {
        codes.push(format!("refused: {}", saga.rejected_reason));
    }
    if !codes.is_empty() {
        let codes = wrapped(&codes.join(look.dot()), look.room(INDENT), INDENT);
        text.push_str(&format!("{}{codes}\n", " ".repeat(INDENT)));
    }
    text
}

fn steps(saga: &Saga, events: &[SagaEvent], look: &Look) -> String {
    if saga.steps.is_empty() {
        return String::new();
    }
    let rows: Vec<Row> = saga
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| step_row(index + 1, step, saga, events, look))
        .collect();
    table(&["#", "STEP", "STATE", "TRY", "TOOK", "RESULT", "UNDO"], &rows, look)
}

fn step_row(number: usize, step: &SagaStep, saga: &Saga, events: &[SagaEvent], look: &Look) -> Row {
    let (mark, state) = step_state(step.state());
    let calls = calls(events, &step.name);
    let took = action_span(&calls).map(|(begin, end)| {
        let end = if is_open(step.state()) { look.now } else { end.unwrap_or(look.now) };
        span(ms_between(begin, end).max(0).unsigned_abs())
    });
    // A step that is settled has no attempt any more; its calls still have.
    let actions = calls.iter().filter(|it| !it.is_backward());
    let attempt = actions.map(|it| it.intended.attempt).max().unwrap_or(0).max(step.attempt);
    let cells = vec![
        number.to_string(),
        if step.pivot { format!("{} (pivot)", step.name) } else { step.name.clone() },
        state.to_owned(),
        if attempt == 0 { String::new() } else { attempt.to_string() },
        took.unwrap_or_default(),
        step.last_result.clone(),
        undo(step, saga, &calls),
    ];
    (mark, cells)
}

/// Whether the step's action is not settled.
fn is_open(state: StepState) -> bool {
    matches!(state, StepState::InFlight | StepState::Retrying | StepState::Unknown)
}

/// What became, or becomes, of the step's effect.
fn undo(step: &SagaStep, saga: &Saga, calls: &[Call<'_>]) -> String {
    let turned_back = !saga.turned_back.is_empty();
    match step.undo() {
        StepUndo::Done => "undone".to_owned(),
        StepUndo::Underway => {
            format!("try {}", calls.iter().filter(|it| it.is_backward()).count())
        }
        StepUndo::Planned if turned_back => "planned".to_owned(),
        StepUndo::IfApplied if turned_back => "only if applied".to_owned(),
        StepUndo::Stays if turned_back => "stays".to_owned(),
        StepUndo::Nothing if turned_back && step.state() == StepState::NotDone => {
            "nothing to undo".to_owned()
        }
        _ => String::new(),
    }
}

/// The step that is in the way: the one that is stuck, or the first that is not settled.
fn troubled(saga: &Saga) -> Option<&SagaStep> {
    let named = saga.stuck.as_ref().map(|it| it.step.as_str());
    let in_the_way = |it: &&SagaStep| {
        is_open(it.state()) || matches!(it.state(), StepState::Compensating | StepState::Faulted)
    };
    let steps = &saga.steps;
    steps.iter().find(|it| Some(it.name.as_str()) == named).or(steps.iter().find(in_the_way))
}

fn last_calls(saga: &Saga, events: &[SagaEvent], look: &Look) -> String {
    let Some(step) = troubled(saga) else { return String::new() };
    let calls = calls(events, &step.name);
    if calls.is_empty() {
        return String::new();
    }
    let shown = calls.len().min(CALLS_SHOWN);
    let title = format!("LAST {shown} OF {} ", count(calls.len() as u64, "CALL").to_uppercase());
    let operation: String = step.action_op_id.chars().take(8).collect();
    let id = if operation.is_empty() {
        String::new()
    } else {
        format!(", action's operation id {operation}{}", look.more())
    };
    let rows: Vec<Row> =
        calls.iter().skip(calls.len() - shown).map(|it| call_row(it, look)).collect();
    let table = table(&["TRY", "CALL", "AT", "TOOK", "OUTCOME", "ASKED AFTERWARDS"], &rows, look);
    let about = wrapped(&format!("{}{id}", step.name), look.room(title.len() + 1), 2);
    format!("{}  {about}\n{table}", look.heading(title.trim_end()))
}

fn call_row(call: &Call<'_>, look: &Look) -> Row {
    let intended = call.intended;
    let answered_at = call.answered.and_then(|it| it.appended_at);
    let (mark, outcome) = match call.answered {
        None => (Mark::Moving, "no answer is recorded".to_owned()),
        Some(answer) => {
            let mark = match answer.outcome.as_str() {
                "applied" => Mark::Good,
                "rejected" => Mark::Refused,
                "unknown" => Mark::Unknown,
                "fault" => Mark::Trouble,
                _ => Mark::Waiting,
            };
            (mark, told(answer))
        }
    };
    let asked = match call.resolved.as_slice() {
        [] => String::new(),
        [.., last] => format!("{} {}", count(call.resolved.len() as u64, "time"), told(last)),
    };
    let cells = vec![
        format!("#{}", intended.attempt),
        if call.is_backward() { "undo" } else { "do" }.to_owned(),
        look.at(intended.appended_at),
        look.took(intended.appended_at, answered_at),
        outcome,
        asked,
    ];
    (mark, cells)
}

/// `unknown TIMED_OUT: no answer within 2 s`
fn told(event: &SagaEvent) -> String {
    let mut text = event.outcome.clone();
    if !event.reason.is_empty() {
        text.push(' ');
        text.push_str(&event.reason);
    }
    if !event.message.is_empty() {
        text.push_str(": ");
        text.push_str(&event.message);
    }
    text
}

fn same_cause(group: Option<&StuckGroup>, look: &Look) -> String {
    let Some(group) = group.filter(|it| 1 < it.sagas) else { return String::new() };
    let title = look.heading("SAME CAUSE");
    let (sagas, step) = (count(group.sagas, "saga"), &group.step);
    format!("{title}  {sagas} at {step}, the oldest {}: sagactl stuck\n", look.lasting(group.since))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::report::example::{
        compensated_events, compensated_saga, look, running_saga, stuck_events, stuck_groups,
        stuck_saga, undecided_saga, waiting_saga,
    };

    #[test]
    fn a_stuck_saga_is_explained() {
        let groups = stuck_groups().groups;
        let text = report(&stuck_saga(), &stuck_events(), groups.first(), &look());
        assert_snapshot!(text, @r#"
        order/10042   01a1ff65-949e-76ea-a3c9-4d8f0c70cde9                                     STUCK for 38m
        place-order@3 · started 41m ago · owner orchestrator-2 · 17 log rows

        WHY   The outcome of verify_payment is unknown. 7 calls to PaymentService/Confirm ended without a
              definite answer; Resolve was not answered 6 times. Nothing will be undone until this is
              settled.
              stuck: OUTCOME_UNKNOWN · turned back: DEADLINE_PASSED

          #  STEP                  STATE        TRY  TOOK  RESULT     UNDO
        ✔ 1  reserve_stock         applied      1    0ms              planned
        ? 2  verify_payment        UNKNOWN      7    38m   TIMED_OUT  only if applied
        · 3  insert_order (pivot)  not started

        LAST 3 OF 4 CALLS  verify_payment, action's operation id 5d1c2f0e…
          TRY  CALL  AT       TOOK   OUTCOME            ASKED AFTERWARDS
        ? #5   do    37m ago  2.00s  unknown TIMED_OUT  1 time unanswered: UNAVAILABLE
        ? #6   do    28m ago  2.00s  unknown TIMED_OUT  1 time unanswered: UNAVAILABLE
        ? #7   do    12m ago  2.00s  unknown TIMED_OUT  1 time unanswered: UNAVAILABLE

        SAME CAUSE  12 sagas at verify_payment, the oldest for 51m: sagactl stuck

        YOU CAN
            sagactl saga retry order/10042
              ask or call again now
            sagactl saga settle order/10042 --step verify_payment --outcome applied --reason ".."
              after you looked: it was done
            sagactl saga settle order/10042 --step verify_payment --outcome not-applied --reason ".."
              after you looked: it was not done
        "#);
    }

    #[test]
    fn a_stuck_saga_fits_the_narrowest_usual_terminal() {
        let mut saga = stuck_saga();
        saga.steps[1].last_result = format!("INVALID_ARGUMENT: {}", "why ".repeat(20).trim_end());
        let narrow = Look { width: Some(80), ..look() };
        let text = report(&saga, &stuck_events(), None, &narrow);
        let lines = text.lines().filter(|line| !line.contains("sagactl saga "));
        let longest = lines.map(UnicodeWidthStr::width).max();
        assert!(longest <= Some(80), "{longest:?}\n{text}");
        assert_eq!(text.matches("INVALID_ARGUMENT: why why").count(), 1, "once in full:\n{text}");
        assert!(text.contains("INVALID_ARGUMEN…"), "clipped in its cell:\n{text}");
    }

    #[test]
    fn a_saga_whose_pivot_is_out_says_what_a_cancel_depends_on() {
        assert_snapshot!(report(&undecided_saga(), &[], None, &look()), @"
        order/10047   01a1ff65-949e-76ea-a3c9-4d8f0c70cde9                                           running
        place-order@3 · started 41m ago · 17 log rows

        WHY   insert_order is being called.

          #  STEP                  STATE      TRY  TOOK  RESULT  UNDO
        ✔ 1  reserve_stock         applied
        ▸ 2  insert_order (pivot)  in flight  1

        YOU CAN
            sagactl saga cancel order/10047
              turns back and undoes 1 step, unless insert_order turns out to be applied
            sagactl saga wait order/10047
              until it has ended
        ");
    }

    #[test]
    fn a_running_saga_shows_what_wakes_it() {
        assert_snapshot!(report(&running_saga(), &[], None, &look()), @"
        order/10043   01a1ff65-949e-76ea-a3c9-4d8f0c70cde9                                           running
        place-order@3 · started 41m ago · moves by itself in 3.00s · 17 log rows

        WHY   inventory was not reached; the next try is in 3 s.

          #  STEP            STATE        TRY  TOOK  RESULT    UNDO
        ▸ 1  reserve_stock   retrying     2          NOT_SENT
        · 2  verify_payment  not started

        YOU CAN
            sagactl saga retry order/10043    ask or call again now
            sagactl saga cancel order/10043   turns back
            sagactl saga wait order/10043     until it has ended
        ");
    }

    #[test]
    fn a_waiting_saga_names_its_signal() {
        assert_snapshot!(report(&waiting_saga(), &[], None, &look()), @"
        order/10046   01a1ff65-949e-76ea-a3c9-4d8f0c70cde9                                           running
        refund@3 · started 41m ago · moves by itself in 6d · 17 log rows

        WHY   approval waits for the signal approval.

          #  STEP            STATE        TRY  TOOK  RESULT  UNDO
        ✔ 1  request_refund  applied      1
        ▸ 2  approval        waiting
        · 3  give_back       not started

        YOU CAN
            sagactl saga signal order/10046 approval --input '{..}'   what it waits for
            sagactl saga cancel order/10046                           turns back and undoes 1 step
            sagactl saga wait order/10046                             until it has ended
        ");
    }

    #[test]
    fn a_compensated_saga_shows_what_was_undone() {
        assert_snapshot!(report(&compensated_saga(), &compensated_events(), None, &look()), @"
        order/10045   01a1ff65-949e-76ea-a3c9-4d8f0c70cde9                                       compensated
        place-order@3 · started 41m ago · took 1m · 17 log rows

        WHY   verify_payment was refused: DECLINED. Everything that was applied is undone.
              turned back: STEP_REJECTED · refused: DECLINED

          #  STEP            STATE        TRY  TOOK   RESULT    UNDO
        ↩ 1  reserve_stock   compensated  1    1.00s            undone
        ✖ 2  verify_payment  rejected     1    9.00s  DECLINED

        YOU CAN
            sagactl saga log order/10045   its whole history
        ");
    }

    #[test]
    fn colours_do_not_change_the_text() {
        let painted = report(&stuck_saga(), &[], None, &Look { color: true, ..look() });
        let mut text = String::new();
        for (number, part) in painted.split("\x1b[").enumerate() {
            text.push_str(if number == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        assert_eq!(text, report(&stuck_saga(), &[], None, &look()));
    }
}
