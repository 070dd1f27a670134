//! What needs a person, grouped by cause.

use saga_proto::saga::v1::{ListStuckResponse, StuckGroup};

use crate::{
    look::{Look, Mark},
    name::typed,
    report::{
        advice::advice,
        causes::{is_signal, sagas_of, told},
        outage::{Outage, outages},
        table::wrapped,
        words::count,
    },
};

/// The groups that need a person, the largest first, each with what to do; then what waits.
pub(crate) fn report(reply: &ListStuckResponse, look: &Look) -> String {
    let mut text = if reply.groups.is_empty() {
        format!("{} nothing needs you\n", look.paint(Mark::Good, look.sign(Mark::Good)))
    } else {
        let groups = u64::try_from(reply.groups.len()).unwrap_or(u64::MAX);
        let need = if reply.total == 1 { "needs" } else { "need" };
        format!("{} {need} a person, {}\n", count(reply.total, "saga"), count(groups, "cause"))
    };
    for group in &reply.groups {
        text.push('\n');
        text.push_str(&one(group, look));
    }
    text.push_str(&waiting(reply, look));
    text
}

/// What waits while nobody is needed yet, a line or two for each cause. An outage is here
/// before it needs anybody.
fn waiting(reply: &ListStuckResponse, look: &Look) -> String {
    if reply.waiting.is_empty() {
        return String::new();
    }
    let wait = if reply.total_waiting == 1 { "waits" } else { "wait" };
    let sagas = count(reply.total_waiting, "saga");
    let mut text = format!("\n{sagas} {wait}, and nobody is needed yet\n\n");
    let (outages, others) = outages(&reply.waiting);
    let (signals, troubles): (Vec<_>, Vec<_>) = others.into_iter().partition(|it| is_signal(it));
    let of_outage = |it: &Outage<'_>| {
        let (cause, oldest) = (it.cause(look), look.lasting(it.oldest()));
        let probe = match it.next_probe() {
            None => String::new(),
            at => format!("; next probe {}", look.at(at)),
        };
        let wait = if it.sagas() == 1 { "waits" } else { "wait" };
        format!("{cause}; {} {wait}, the oldest {oldest}{probe}", it.whose())
    };
    let of_group = |group: &StuckGroup| {
        let (sagas, oldest) = (sagas_of(group), look.lasting(group.since));
        let line = format!("{}: {sagas}, the oldest {oldest}", told(group));
        match group.wake_at {
            None => line,
            at => format!("{line}; next {}", look.at(at)),
        }
    };
    let lines = outages.iter().map(of_outage);
    for line in lines.chain(troubles.into_iter().chain(signals).map(of_group)) {
        let sign = look.paint(Mark::Moving, look.sign(Mark::Moving));
        text.push_str(&format!("{sign} {}\n", wrapped(&line, look.room(2), 2)));
    }
    text
}

fn one(group: &StuckGroup, look: &Look) -> String {
    let dot = look.dot();
    let title = format!(
        "{}{dot}{}, the oldest {}",
        group.reason,
        sagas_of(group),
        look.lasting(group.since),
    );
    let mark = look.paint(Mark::Trouble, look.sign(Mark::Trouble));
    let mut text = format!("{mark} {}\n", look.heading(&wrapped(&title, look.room(2), 2)));
    let cause = told(group);
    if !cause.is_empty() {
        text.push_str(&format!("  {}\n", wrapped(&cause, look.room(2), 2)));
    }
    let named: Vec<String> = group.examples.iter().map(typed).collect();
    let left_out = group.sagas.saturating_sub(u64::try_from(named.len()).unwrap_or(u64::MAX));
    let mut list = named.join(" ");
    if 0 < left_out {
        list.push_str(&format!(" and {left_out} more"));
    }
    text.push_str(&format!("  {}\n", wrapped(&list, look.room(2), 2)));
    if let Some(first) = named.first() {
        let advice = advice(group, first);
        text.push_str(&format!("  try: {}\n", wrapped(&advice.words, look.room(7), 7)));
        // Commands are never broken: they are there to be pasted.
        for command in advice.commands {
            text.push_str(&format!("       {command}\n"));
        }
        text.push_str(&format!("       sagactl saga describe {first}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::report::example::{look, stuck_groups};

    #[test]
    fn groups_name_cause_count_examples_and_remedy() {
        assert_snapshot!(report(&stuck_groups(), &look()), @r#"
        13 sagas need a person, 2 causes

        ! OUTCOME_UNKNOWN · 12 sagas of place-order and settle, the oldest for 51m
          payment, Confirm: TIMED_OUT: no answer in time
          order/10042 01a1ff65-949e-76ea-a3c9-000000000002 and 10 more
          try: see why payment does not answer in time or look whether it was done, and say so:
               sagactl saga retry order/10042
               sagactl saga settle order/10042 --step verify_payment --outcome applied --reason ".."
               sagactl saga settle order/10042 --step verify_payment --outcome not-applied --reason ".."
               sagactl saga describe order/10042

        ! COMPENSATION_FAILING · 1 saga of place-order, the oldest for 1m
          inventory, Release: INTERNAL: no table item
          order/10050
          try: see why inventory answers INTERNAL, and mend that; then it goes on by itself, or at once:
               sagactl saga retry order/10050
               sagactl saga describe order/10050

        214 sagas wait, and nobody is needed yet

        ▸ payment refused the connection since 18:51; 212 sagas of 3 definitions wait, the oldest for 9m;
          next probe in 4.00s
        ▸ signal approval: 2 sagas of refund, the oldest for 5h; next in 1d
        "#);
    }

    #[test]
    fn nothing_to_do_is_a_state_of_its_own() {
        assert_eq!(report(&ListStuckResponse::default(), &look()), "✔ nothing needs you\n");
    }
}
