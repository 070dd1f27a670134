//! What holds sagas up, a line for each cause: what needs a person first, then what waits for
//! a participant while nobody is needed yet, then what waits for a signal.

use saga_proto::saga::v1::{ListStuckResponse, StuckGroup};

use crate::{
    look::{Look, Mark},
    report::{
        outage::{Outage, outages},
        table::{Row, table},
        words::count,
    },
};

/// What the engine calls a wait for a signal.
const SIGNAL_AWAITED: &str = "SIGNAL_AWAITED";

/// The causes as a table.
pub(crate) fn report(reply: &ListStuckResponse, look: &Look) -> String {
    if reply.groups.is_empty() && reply.waiting.is_empty() {
        return format!(
            "{} nothing holds a saga up\n",
            look.paint(Mark::Good, look.sign(Mark::Good))
        );
    }
    let (outages, others) = outages(&reply.waiting);
    let (signals, troubles): (Vec<_>, Vec<_>) = others.into_iter().partition(|it| is_signal(it));
    let mut rows: Vec<Row> = reply.groups.iter().map(|it| row(it, look)).collect();
    rows.extend(outages.iter().map(|it| of_outage(it, look)));
    rows.extend(troubles.into_iter().chain(signals).map(|it| row(it, look)));
    table(&["SAGAS", "OLDEST", "NEXT", "NEEDS YOU", "CAUSE"], &rows, look)
}

fn of_outage(outage: &Outage<'_>, look: &Look) -> Row {
    let cells = vec![
        outage.sagas().to_string(),
        look.age(outage.oldest()),
        look.at(outage.next_probe()),
        "no".to_owned(),
        outage.cause(look),
    ];
    (Mark::Moving, cells)
}

fn row(group: &StuckGroup, look: &Look) -> Row {
    let mark = if group.reason.is_empty() { Mark::Moving } else { Mark::Trouble };
    let cells = vec![
        group.sagas.to_string(),
        look.age(group.since),
        // What is held back moves when its participant answers again.
        look.at(group.next_probe_at.or(group.wake_at)),
        if group.reason.is_empty() { "no" } else { "yes" }.to_owned(),
        told(group),
    ];
    (mark, cells)
}

/// What was met last, whatever the definition: `payment, Confirm: NOT_SENT: connection refused`.
pub(crate) fn told(group: &StuckGroup) -> String {
    if is_signal(group) {
        return group.method.clone();
    }
    let whom = match (group.participant.as_str(), short_method(&group.method)) {
        ("", "") => String::new(),
        (participant, "") => participant.to_owned(),
        (participant, method) => format!("{participant}, {method}"),
    };
    let code = if group.message.starts_with(&group.code) { "" } else { &group.code };
    let parts = [whom.as_str(), code, group.message.as_str()];
    parts.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(": ")
}

/// Whether nothing is wrong: somebody outside has to say something.
pub(crate) fn is_signal(group: &StuckGroup) -> bool {
    group.code == SIGNAL_AWAITED
}

/// `Confirm` of `shop.payment.v1.PaymentService/Confirm`.
fn short_method(method: &str) -> &str {
    method.rsplit('/').next().unwrap_or(method)
}

/// `12 sagas of place-order`, or `212 sagas of 3 definitions`.
pub(crate) fn sagas_of(group: &StuckGroup) -> String {
    let mut names: Vec<&str> = group.places.iter().map(|it| it.definition.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let of = match names.as_slice() {
        [] => group.definition.clone(),
        [one] => (*one).to_owned(),
        [one, other] => format!("{one} and {other}"),
        more => count(u64::try_from(more.len()).unwrap_or(u64::MAX), "definition"),
    };
    format!("{} of {of}", count(group.sagas, "saga"))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::report::example::{look, stuck_groups};

    #[test]
    fn causes_are_lines_with_their_ages() {
        let look = Look { width: Some(80), ..look() };
        assert_snapshot!(report(&stuck_groups(), &look), @"
          SAGAS  OLDEST  NEXT      NEEDS YOU  CAUSE
        ! 12     51m     -         yes        payment, Confirm: TIMED_OUT: no answer in…
        ! 1      1m      in 4.00s  yes        inventory, Release: INTERNAL: no table it…
        ▸ 212    9m      in 4.00s  no         payment refused the connection since 18:51
        ▸ 2      5h      in 1d     no         signal approval

          CAUSE  payment, Confirm: TIMED_OUT: no answer in time
          CAUSE  inventory, Release: INTERNAL: no table item
        ");
    }

    #[test]
    fn no_cause_is_a_state_of_its_own() {
        let told = report(&ListStuckResponse::default(), &look());
        assert_eq!(told, "✔ nothing holds a saga up\n");
    }
}
