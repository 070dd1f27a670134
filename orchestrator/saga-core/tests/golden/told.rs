//! What people are told of a saga after each event of its log.

use std::fmt::Write;

use saga_core::{
    Definition, Event, SagaId, State, cancel_effect,
    explain::{because, step_view, undo_order, undo_view},
    offers,
};
use uuid::Uuid;

use crate::logs::{Log, logs};

/// A time at which no deadline of these logs is over.
const NOW_MS: u64 = 2_000;

#[test]
fn people_are_told_the_same_of_the_same_log() {
    let mut report = String::new();
    for Log { name, definition, events } in logs() {
        let Some((Event::Started(started), rest)) = events.split_first() else {
            panic!("{name} has no start");
        };
        let mut state = State::start(SagaId(Uuid::from_u128(1)), &definition, started);
        writeln!(report, "{name}").unwrap();
        for event in rest {
            state.apply(event).unwrap();
            writeln!(report, "  {}", event.kind()).unwrap();
            for line in told(&definition, &state) {
                writeln!(report, "      {line}").unwrap();
            }
        }
    }
    insta::assert_snapshot!("told", report);
}

/// Every fact that sentences are made of.
pub(crate) fn told(definition: &Definition, state: &State) -> Vec<String> {
    let step = |index| {
        let (view, undo) = (step_view(state, index), undo_view(definition, state, index));
        format!("{} {view:?}, {undo:?}", definition.step(index).name)
    };
    let steps: Vec<String> = definition.indices().map(step).collect();
    let name = |index| definition.step(index).name.clone();
    let order: Vec<String> = undo_order(definition, state).into_iter().map(name).collect();
    let mut lines = vec![
        steps.join("; "),
        format!(
            "cancel {:?}; undo {order:?}; can {:?}",
            cancel_effect(definition, state),
            offers(definition, state, NOW_MS)
        ),
    ];
    lines.extend(because(state).map(|because| format!("because {because:?}")));
    lines
}
