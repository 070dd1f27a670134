//! What a person can do about a saga: commands to be pasted. The server says what it would
//! take; nothing else is offered.

use saga_proto::saga::v1::{CancelEffect, Saga, SagaOffer, SagaVerb};

use crate::{look::Look, name::typed, report::words::count};

/// The commands, with what each does.
pub(crate) fn section(saga: &Saga, look: &Look) -> String {
    let commands = commands(saga);
    let explained = commands.iter().filter(|it| !it.effect.is_empty());
    let width = 3 + explained.map(|it| it.line.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (number, Command { line, effect }) in commands.iter().enumerate() {
        let title = if number == 0 { look.heading("YOU CAN") } else { " ".repeat(7) };
        let line = format!("{title}     {line:width$}{effect}");
        text.push_str(&format!("{}\n", line.trim_end()));
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
        for (step, outcomes) in settlements(saga) {
            let line = format!(
                "sagactl saga settle {name} --step {step} --outcome {outcomes} --reason \"..\""
            );
            commands.push(command(line, ""));
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

fn offers(saga: &Saga, verb: SagaVerb) -> impl Iterator<Item = &SagaOffer> {
    saga.offers.iter().filter(move |it| it.verb() == verb)
}

/// The steps that may be settled, each with the outcomes that would be taken.
fn settlements(saga: &Saga) -> Vec<(&str, &'static str)> {
    let may = |step: &str, verb| offers(saga, verb).any(|it| it.step == step);
    let of_step = |step: &str| match (
        may(step, SagaVerb::SettleApplied),
        may(step, SagaVerb::SettleNotApplied),
    ) {
        (true, true) => Some("applied|not-applied"),
        (true, false) => Some("applied"),
        (false, true) => Some("not-applied"),
        (false, false) => None,
    };
    let steps = saga.steps.iter().map(|it| it.name.as_str());
    steps.filter_map(|step| Some((step, of_step(step)?))).collect()
}

/// What a cancel would do now.
fn turning_back(saga: &Saga) -> String {
    let undone = u64::try_from(saga.undo_order.len()).unwrap_or(u64::MAX);
    let steps = match undone {
        0 => "turns back".to_owned(),
        undone => format!("turns back and undoes {}", count(undone, "step")),
    };
    let pivot = saga.steps.iter().find(|it| it.pivot).map(|it| it.name.as_str());
    match (saga.cancel_effect(), pivot) {
        (CancelEffect::Undecided, Some(pivot)) => {
            format!("{steps}, unless {pivot} turns out to be applied")
        }
        _ => steps,
    }
}
