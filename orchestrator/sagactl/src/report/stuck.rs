//! What needs a person, grouped by cause.

use saga_proto::saga::v1::{ListStuckResponse, StuckGroup};

use crate::{
    failure,
    look::{Look, Mark},
    name::typed,
    pages,
    report::{table::wrapped, words::count},
};

/// The groups, the largest first, each with what to do.
pub(crate) fn report(reply: &ListStuckResponse, look: &Look) -> String {
    if reply.groups.is_empty() {
        return format!("{} nothing needs you\n", look.paint(Mark::Good, look.sign(Mark::Good)));
    }
    let groups = u64::try_from(reply.groups.len()).unwrap_or(u64::MAX);
    let need = if reply.total == 1 { "needs" } else { "need" };
    let mut text =
        format!("{} {need} a person, {}\n", count(reply.total, "saga"), count(groups, "cause"));
    for group in &reply.groups {
        text.push('\n');
        text.push_str(&one(group, look));
    }
    text
}

fn one(group: &StuckGroup, look: &Look) -> String {
    let dot = look.dot();
    let mut text = format!(
        "{} {}{dot}{} {}{dot}{}, the oldest {}\n",
        look.paint(Mark::Trouble, look.sign(Mark::Trouble)),
        look.heading(&group.reason),
        group.definition,
        group.step,
        count(group.sagas, "saga"),
        look.lasting(group.since),
    );
    if !group.message.is_empty() {
        text.push_str(&format!("  {}\n", wrapped(&group.message, look.room(2), 2)));
    }
    let named: Vec<String> = group.examples.iter().map(typed).collect();
    let left_out = group.sagas.saturating_sub(u64::try_from(named.len()).unwrap_or(u64::MAX));
    let mut list = named.join(" ");
    if 0 < left_out {
        list.push_str(&format!(" and {left_out} more"));
    }
    text.push_str(&format!("  {}\n", wrapped(&list, look.room(2), 2)));
    if let Some(remedy) = pages::page(&group.reason).and_then(|it| it.remedy()) {
        let remedy = remedy.replace("STEP", &group.step);
        let remedy = match named.first() {
            Some(first) => failure::named(&remedy, first),
            None => remedy,
        };
        text.push_str(&format!("  try: {remedy}\n"));
    }
    if let Some(first) = named.first() {
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

        ! OUTCOME_UNKNOWN · place-order verify_payment · 12 sagas, the oldest for 51m
          The outcome of verify_payment is unknown.
          order/10042 01a1ff65-949e-76ea-a3c9-000000000002 and 10 more
          try: bring the participant back; or look what it did, then sagactl saga settle order/10042 --step verify_payment --outcome applied|not-applied --reason ".."
               sagactl saga describe order/10042

        ! COMPENSATION_FAILING · place-order reserve_stock · 1 saga, the oldest for 1m
          inventory was not reached 10 times.
          order/10050
          try: bring the participant back, then sagactl saga retry order/10050
               sagactl saga describe order/10050
        "#);
    }

    #[test]
    fn nothing_to_do_is_a_state_of_its_own() {
        assert_eq!(report(&ListStuckResponse::default(), &look()), "✔ nothing needs you\n");
    }
}
