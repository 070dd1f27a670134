//! What happened in a rehearsal, a line each.

use saga_core::{Definition, Direction, Event, Resolution, StepIndex};

/// The line of an event. `None`: it says nothing of the saga's course.
pub(super) fn line(core: &Definition, event: &Event, begin_ms: u64) -> Option<String> {
    let name = |step: &StepIndex| core.step(*step).name.as_str();
    let call = |step: &StepIndex, direction: &Direction| match direction {
        Direction::Forward => name(step).to_owned(),
        Direction::Backward => format!("undo {}", name(step)),
    };
    let (at_ms, what) = match event {
        Event::Skipped { step, at_ms } => (at_ms, format!("{}: skipped", name(step))),
        Event::Intended { step, direction, attempt, at_ms, .. } => {
            (at_ms, format!("{}: call {attempt}", call(step, direction)))
        }
        Event::Answered { step, direction, outcome, at_ms, .. } => {
            let said = outcome.reason();
            let said = if said.is_empty() { "done" } else { said };
            (at_ms, format!("{}: {said}", call(step, direction)))
        }
        Event::Inquired { step, at_ms, .. } => (at_ms, format!("{}: asked", name(step))),
        Event::Resolved { step, resolution, at_ms, .. } => {
            let found = match resolution {
                Resolution::Applied { .. } | Resolution::AppliedUnread { .. } => "was done",
                Resolution::Rejected { .. } => "was refused",
                Resolution::Fenced => "was not done, and never will be",
                _ => "nobody says what became of it",
            };
            (at_ms, format!("{}: {found}", name(step)))
        }
        Event::Unrenderable { step, direction, message, at_ms } => {
            (at_ms, format!("{}: cannot be made: {message}", call(step, direction)))
        }
        Event::WaitBegan { step, at_ms } => (at_ms, format!("{}: waits", name(step))),
        Event::Signalled { step, at_ms, .. } => (at_ms, format!("{}: signal came", name(step))),
        Event::WaitEnded { step, verdict, at_ms } => {
            let said = verdict.reason();
            let said = if said.is_empty() { "goes on" } else { said };
            (at_ms, format!("{}: {said}", name(step)))
        }
        Event::Kept { step, at_ms } => (at_ms, format!("{}: stays", name(step))),
        Event::CancelRequested { at_ms, .. } => (at_ms, "cancel is asked for".to_owned()),
        Event::TurnedBack { reason, at_ms } => (at_ms, format!("turns back: {}", reason.code())),
        Event::Ended { ending, at_ms } => (at_ms, format!("ends: {ending:?}").to_lowercase()),
        _ => return None,
    };
    Some(format!("{:>9} ms  {what}", at_ms.saturating_sub(begin_ms)))
}
