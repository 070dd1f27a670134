//! The life of a step as a table: every legal pair of phase and event, with the phase
//! after it. A new legal move is a line in the snapshot that a reviewer sees, and a move
//! that was lost is a line that is gone.

use std::fmt::Write;

use saga_core::{
    Contradiction,
    Direction::{self, Backward, Forward},
    Settled, StepPhase,
    phase::{Last, Learned, Pause, StepEvent, Tries},
};

#[test]
fn every_legal_pair_is_in_the_table() {
    let (mut table, mut legal, mut illegal) = (String::new(), 0, 0);
    for phase in phases() {
        for event in events() {
            let Some(after) = phase.after(event) else {
                illegal += 1;
                continue;
            };
            legal += 1;
            let after = if after == phase { "the same".to_owned() } else { of_phase(after) };
            let (before, event) = (of_phase(phase), of_event(event));
            writeln!(table, "{before:<45} {event:<32} {after}").expect("a String takes everything");
        }
    }
    insta::assert_snapshot!("phase_table", table);
    assert_eq!((legal, illegal), (212, 3077));
}

/// One of each phase, and of tries and pauses where they decide what is legal.
fn phases() -> Vec<StepPhase> {
    let sure = Tries { attempt: 1, failures: 1, setbacks: 1, ..Tries::default() };
    let doubtful = Tries { in_doubt: true, ..sure };
    let asked = Tries { inquiries: 1, ..doubtful };
    let refused = Tries { attempt: 2, refused: true, ..doubtful };
    let pause = Pause::After { at_ms: 7 };
    let open = |direction, tries, last| StepPhase::Open { direction, tries, last, pause };
    vec![
        StepPhase::Pending,
        StepPhase::Skipped,
        StepPhase::Waiting { since_ms: 5 },
        StepPhase::Unrenderable { direction: Forward },
        StepPhase::Unrenderable { direction: Backward },
        StepPhase::InFlight { direction: Forward, tries: sure },
        StepPhase::InFlight { direction: Forward, tries: doubtful },
        StepPhase::InFlight { direction: Backward, tries: sure },
        StepPhase::Inquiring { tries: asked },
        open(Forward, sure, Last::NotSent),
        open(Forward, doubtful, Last::Unknown),
        open(Forward, asked, Last::Unresolved),
        open(Forward, refused, Last::Refused),
        open(Forward, doubtful, Last::Contradicted),
        open(Forward, doubtful, Last::OwnerLost),
        open(Forward, Tries { attempt: 2, ..doubtful }, Last::OwnerLost),
        open(Backward, sure, Last::Refused),
        open(Backward, doubtful, Last::Refused),
        StepPhase::Applied,
        StepPhase::Rejected,
        StepPhase::Fenced,
        StepPhase::Undone,
        StepPhase::Kept,
    ]
}

fn events() -> Vec<StepEvent> {
    let both = [Forward, Backward];
    let numbers = [1, 2, 3];
    let mut events = vec![StepEvent::Skipped];
    events.extend(both.map(|direction| StepEvent::Unrenderable { direction }));
    for direction in both {
        events.extend(numbers.map(|attempt| StepEvent::Intended { direction, attempt }));
        for attempt in numbers {
            let answered = |learned| StepEvent::Answered { direction, attempt, learned, at_ms: 9 };
            events.extend(learned().map(answered));
        }
    }
    events.extend(numbers.map(|inquiry| StepEvent::Inquired { inquiry }));
    for inquiry in numbers {
        events.extend(learned().map(|learned| StepEvent::Resolved { inquiry, learned, at_ms: 9 }));
    }
    events.extend([StepEvent::WaitBegan { at_ms: 9 }, StepEvent::Signalled, StepEvent::Kept]);
    events.extend(learned().map(|learned| StepEvent::WaitEnded { learned }));
    events.extend([StepEvent::OwnerLost, StepEvent::RetryRequested, StepEvent::Renewed]);
    events.extend([Settled::Applied, Settled::NotApplied].map(StepEvent::Settled));
    events.extend([StepEvent::RowsLost, StepEvent::FoundDone, StepEvent::FoundUndone]);
    events
}

fn learned() -> [Learned; 12] {
    [
        Learned::Applied,
        Learned::Rejected,
        Learned::Refused,
        Learned::Fenced,
        Learned::Contradicted(Contradiction::OtherRequest),
        Learned::Contradicted(Contradiction::Fenced),
        Learned::NotDone { last: Last::NotSent, retry_after_ms: None },
        Learned::NotDone { last: Last::Busy, retry_after_ms: Some(50) },
        Learned::NotDone { last: Last::Fault, retry_after_ms: None },
        Learned::Unknown { last: Last::Unknown },
        Learned::Unknown { last: Last::Unresolved },
        Learned::Unknown { last: Last::NoInquiry },
    ]
}

fn of_phase(phase: StepPhase) -> String {
    match phase {
        StepPhase::Pending => "Pending".to_owned(),
        StepPhase::Skipped => "Skipped".to_owned(),
        StepPhase::Unrenderable { direction } => {
            format!("Unrenderable {}", of_direction(direction))
        }
        StepPhase::InFlight { direction, tries } => {
            format!("InFlight {}{}", of_direction(direction), of_tries(tries))
        }
        StepPhase::Inquiring { tries } => format!("Inquiring{}", of_tries(tries)),
        StepPhase::Open { direction, tries, last, pause } => {
            let (direction, tries) = (of_direction(direction), of_tries(tries));
            format!("Open {direction}{tries} {last:?}{}", of_pause(pause))
        }
        StepPhase::Applied => "Applied".to_owned(),
        StepPhase::Rejected => "Rejected".to_owned(),
        StepPhase::Fenced => "Fenced".to_owned(),
        StepPhase::Undone => "Undone".to_owned(),
        StepPhase::Waiting { since_ms } => format!("Waiting since {since_ms}"),
        StepPhase::Kept => "Kept".to_owned(),
    }
}

fn of_direction(direction: Direction) -> &'static str {
    match direction {
        Forward => "do",
        Backward => "undo",
    }
}

/// `#2 f1 s3 i1 ? !`: the second attempt, one failure, three setbacks, one inquiry, in doubt,
/// refused in doubt.
fn of_tries(tries: Tries) -> String {
    let Tries { attempt, failures, setbacks, inquiries, in_doubt, refused } = tries;
    let inquiries = if inquiries == 0 { String::new() } else { format!(" i{inquiries}") };
    let (doubt, refusal) = (if in_doubt { " ?" } else { "" }, if refused { " !" } else { "" });
    format!("#{attempt} f{failures} s{setbacks}{inquiries}{doubt}{refusal}")
}

fn of_pause(pause: Pause) -> String {
    match pause {
        Pause::After { at_ms } => format!(" after {at_ms}"),
        Pause::NotBefore { at_ms } => format!(" not before {at_ms}"),
        Pause::Over => String::new(),
    }
}

fn of_event(event: StepEvent) -> String {
    match event {
        StepEvent::Skipped => "skipped".to_owned(),
        StepEvent::Unrenderable { direction } => {
            format!("{} unrenderable", of_direction(direction))
        }
        StepEvent::Intended { direction, attempt } => {
            format!("{}#{attempt}", of_direction(direction))
        }
        StepEvent::Answered { direction, attempt, learned, .. } => {
            format!("{}#{attempt} {}", of_direction(direction), of_learned(learned))
        }
        StepEvent::Inquired { inquiry } => format!("inquiry#{inquiry}"),
        StepEvent::Resolved { inquiry, learned, .. } => {
            format!("inquiry#{inquiry} {}", of_learned(learned))
        }
        StepEvent::WaitBegan { .. } => "wait".to_owned(),
        StepEvent::Signalled => "signalled".to_owned(),
        StepEvent::WaitEnded { learned } => format!("wait ended: {}", of_learned(learned)),
        StepEvent::Kept => "kept".to_owned(),
        StepEvent::OwnerLost => "owner lost".to_owned(),
        StepEvent::RetryRequested => "retry requested".to_owned(),
        StepEvent::Settled(Settled::Applied) => "settled: applied".to_owned(),
        StepEvent::Settled(Settled::NotApplied) => "settled: not applied".to_owned(),
        StepEvent::Renewed => "renewed".to_owned(),
        StepEvent::RowsLost => "rows lost".to_owned(),
        StepEvent::FoundDone => "found done".to_owned(),
        StepEvent::FoundUndone => "found undone".to_owned(),
    }
}

fn of_learned(learned: Learned) -> String {
    match learned {
        Learned::Applied => "applied".to_owned(),
        Learned::Rejected => "rejected".to_owned(),
        Learned::Refused => "refused".to_owned(),
        Learned::Fenced => "fenced".to_owned(),
        Learned::Recalled => "recalled".to_owned(),
        Learned::Contradicted(cause) => format!("contradicted: {cause:?}"),
        Learned::NotDone { last, retry_after_ms: None } => format!("not done: {last:?}"),
        Learned::NotDone { last, retry_after_ms: Some(ms) } => {
            format!("not done: {last:?}, {ms} ms")
        }
        Learned::Unknown { last } => format!("unknown: {last:?}"),
    }
}
