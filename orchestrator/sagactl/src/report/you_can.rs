//! What a person can do about a saga: commands to be pasted. The server says what it would
//! take; nothing else is offered.

use saga_proto::saga::v1::{CancelEffect, Saga, SagaOffer, SagaVerb};

use unicode_width::UnicodeWidthStr;

use crate::{
    look::Look,
    name::typed,
    report::{
        table::wrapped,
        words::{count, pivots},
    },
};

/// Where a command begins.
const INDENT: usize = 4;

/// The commands, with what each does: beside them where there is room for all, else below. A
/// command is never broken, so that it can be pasted.
pub(crate) fn section(saga: &Saga, look: &Look) -> String {
    let commands = commands(saga);
    let width = 3 + commands.iter().map(|it| it.line.width()).max().unwrap_or(0);
    let effect = commands.iter().map(|it| it.effect.width()).max().unwrap_or(0);
    let is_beside = width + effect <= look.room(INDENT);
    let mut text = format!("{}\n", look.heading("YOU CAN"));
    let indent = " ".repeat(INDENT);
    for Command { line, effect } in &commands {
        if is_beside {
            let padding = " ".repeat(width - line.width());
            text.push_str(format!("{indent}{line}{padding}{effect}").trim_end());
        } else {
            let told = wrapped(effect, look.room(INDENT + 2), INDENT + 2);
            text.push_str(&format!("{indent}{line}\n{indent}  {told}"));
        }
        text.push('\n');
    }
    text
}

struct Command {
    line: String,
    effect: String,
}

fn commands(saga: &Saga) -> Vec<Command> {
    let name = typed(saga);
    let command = |line: String, effect: &str| Command { line, effect: effect.to_owned() };
    let mut commands = Vec::new();
    for offer in offers(saga, SagaVerb::Signal) {
        let line = format!("sagactl saga signal {name} {} --input '{{..}}'", offer.signal);
        commands.push(command(line, "what it waits for"));
    }
    if offers(saga, SagaVerb::Retry).next().is_some() {
        commands.push(command(format!("sagactl saga retry {name}"), "ask or call again now"));
    }
    // While the engine finds out by itself, nobody has to say what is true.
    if saga.stuck.is_some() {
        for (step, outcome, effect) in settlements(saga) {
            let line = format!(
                "sagactl saga settle {name} --step {step} --outcome {outcome} --reason \"..\""
            );
            commands.push(command(line, effect));
        }
    }
    for offer in offers(saga, SagaVerb::Renew) {
        let line = format!("sagactl saga renew {name} --step {} --reason \"..\"", offer.step);
        commands.push(command(line, "asks again, under another id"));
    }
    if offers(saga, SagaVerb::Cancel).next().is_some() {
        commands.push(command(format!("sagactl saga cancel {name}"), &turning_back(saga)));
    }
    if offers(saga, SagaVerb::Close).next().is_some() {
        let line = format!("sagactl saga close {name} --reason \"..\"");
        commands.push(command(line, "ends it as it is; what stands is left behind"));
    }
    if saga.ended_at.is_some() {
        commands.push(command(format!("sagactl saga log {name}"), "its whole history"));
    } else if saga.stuck.is_none() {
        commands.push(command(format!("sagactl saga wait {name}"), "until it has ended"));
    }
    commands
}

/// The commands that may bring the saga on: what it would take of trying again, settling, and
/// another id.
pub(crate) fn remedies(saga: &Saga) -> Vec<String> {
    let is_one = |it: &Command| {
        ["retry", "settle", "renew"].iter().any(|verb| {
            it.line.strip_prefix("sagactl saga ").is_some_and(|rest| rest.starts_with(verb))
        })
    };
    commands(saga).into_iter().filter(is_one).map(|it| it.line).collect()
}

fn offers(saga: &Saga, verb: SagaVerb) -> impl Iterator<Item = &SagaOffer> {
    saga.offers.iter().filter(move |it| it.verb() == verb)
}

/// The steps that may be settled, each outcome that would be taken with what it means.
fn settlements(saga: &Saga) -> Vec<(&str, &'static str, &'static str)> {
    let words = [
        (SagaVerb::SettleApplied, "applied", "after you looked: it was done"),
        (SagaVerb::SettleNotApplied, "not-applied", "after you looked: it was not done"),
    ];
    let of_step = |step: &str| {
        let may =
            words.into_iter().filter(|(verb, ..)| offers(saga, *verb).any(|it| it.step == step));
        may.map(|(_, outcome, effect)| (outcome, effect)).collect::<Vec<_>>()
    };
    let steps = saga.steps.iter().map(|it| it.name.as_str());
    let all = steps.flat_map(|step| of_step(step).into_iter().map(move |(o, e)| (step, o, e)));
    all.collect()
}

/// What a cancel would do now.
fn turning_back(saga: &Saga) -> String {
    let undone = u64::try_from(saga.undo_order.len()).unwrap_or(u64::MAX);
    let steps = match undone {
        0 => "turns back".to_owned(),
        undone => format!("turns back and undoes {}", count(undone, "step")),
    };
    match (saga.cancel_effect(), pivots(saga)) {
        (CancelEffect::Undecided, Some(pivot)) => {
            format!("{steps}, unless {pivot} turns out to be applied")
        }
        _ => steps,
    }
}
