//! `service list`, `service describe`, and what is asked before something is decided.

use saga_proto::saga::v1::{
    GetParticipantResponse, ListParticipantsResponse, Participant, ParticipantAct,
};

use crate::{
    look::{Look, Mark},
    report::{
        table::{Row, table},
        words::count,
    },
};

/// All participants as a table.
pub(crate) fn list(reply: &ListParticipantsResponse, look: &Look) -> String {
    if reply.participants.is_empty() {
        return "no participants: the server's configuration names none\n".to_owned();
    }
    rows(reply.participants.iter(), look)
}

/// One participant as the table's line.
pub(crate) fn one(participant: Option<&Participant>, look: &Look) -> String {
    rows(participant.into_iter(), look)
}

fn rows<'p>(participants: impl Iterator<Item = &'p Participant>, look: &Look) -> String {
    let row = |it: &Participant| -> Row {
        let (mark, state) = state(it, look);
        let calls = format!("{} of {}", it.calls_out, it.in_flight_max_here);
        let limit = it.in_flight_max.to_string();
        let held_up = it.sagas_held_up.to_string();
        (mark, vec![it.name.clone(), calls, limit, held_up, state])
    };
    let rows: Vec<Row> = participants.map(row).collect();
    table(&["SERVICE", "CALLS", "LIMIT", "HELD UP", "STATE"], &rows, look)
}

/// Whether it is called, in words.
fn state(it: &Participant, look: &Look) -> (Mark, String) {
    let probe = match it.next_probe_at {
        Some(_) => format!("; next probe {}", look.at(it.next_probe_at)),
        None => String::new(),
    };
    match (it.paused, it.held_since) {
        (true, _) => (Mark::Waiting, "PAUSED by a person".to_owned()),
        (false, Some(_)) => {
            let since = look.lasting(it.held_since);
            (Mark::Trouble, format!("does not answer, {since}{probe}"))
        }
        (false, None) if it.in_flight_max_here == 0 => {
            (Mark::Waiting, "other nodes call it: this one's part of the limit is 0".to_owned())
        }
        (false, None) => (Mark::Good, "is called".to_owned()),
    }
}

/// One participant, and what people have decided about it.
pub(crate) fn describe(reply: &GetParticipantResponse, look: &Look) -> String {
    let Some(it) = &reply.participant else { return String::new() };
    let (mark, state) = state(it, look);
    let limit = match it.in_flight_max {
        limit if limit == it.in_flight_max_configured => "as configured".to_owned(),
        _ => format!("{} are configured", it.in_flight_max_configured),
    };
    let mut text = format!(
        "{} {}{}{}\n\n  ADDRESS  {}\n  CALLS    {} of {} out at this node, {} in line\n  LIMIT    \
         {} of all nodes together; {limit}\n  HELD UP  {}\n  NODE     {}\n  VERSION  {}\n",
        look.paint(mark, look.sign(mark)),
        look.heading(&it.name),
        look.dot(),
        state,
        if it.addresses.is_empty() { "-".to_owned() } else { it.addresses.join(" ") },
        it.calls_out,
        it.in_flight_max_here,
        count(it.sagas_in_line.into(), "saga"),
        it.in_flight_max,
        count(it.sagas_held_up, "saga"),
        reply.node_id,
        it.version,
    );
    if !reply.acts.is_empty() {
        text.push('\n');
        let rows: Vec<Row> = reply.acts.iter().map(|act| decided(act, look)).collect();
        text.push_str(&table(&["VERSION", "DECIDED", "WHEN", "WHO", "WHY"], &rows, look));
    }
    text
}

fn decided(act: &ParticipantAct, look: &Look) -> Row {
    let limit = match act.in_flight_max {
        0 => "limit as configured".to_owned(),
        limit => format!("limit {limit}"),
    };
    let (mark, state) = if act.paused { (Mark::Waiting, "paused") } else { (Mark::Good, "called") };
    let cells = vec![
        act.version.to_string(),
        format!("{state}, {limit}"),
        look.at(act.acted_at),
        act.actor.clone(),
        act.reason.clone(),
    ];
    (mark, cells)
}

pub(crate) fn pause_preview(it: &Participant) -> String {
    format!(
        "{} is called by nobody until it is resumed: no step, no compensation, no inquiry leaves, \
         on any node.\nSagas that need it wait ({} now); their deadlines and timers go on. {} of \
         this node come to their end.",
        it.name,
        it.sagas_held_up,
        count(it.calls_out.into(), "call"),
    )
}

pub(crate) fn resume_preview(it: &Participant) -> String {
    let now = if it.paused { "" } else { " It is not paused now." };
    format!(
        "{} is called again, on all nodes. What waits for it comes in growing waves: {}.{now}",
        it.name,
        count(it.sagas_held_up, "saga"),
    )
}

/// `calls`: `None` is what is configured.
pub(crate) fn limit_preview(it: &Participant, calls: Option<u32>) -> String {
    let calls = calls.unwrap_or(it.in_flight_max_configured);
    format!(
        "{} gets {} at the same time at most, of all nodes together; now {}.\nCalls that are out \
         stay.",
        it.name,
        count(calls.into(), "call"),
        it.in_flight_max,
    )
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::report::example::{ago, look};

    fn payment() -> Participant {
        Participant {
            name: "payment".to_owned(),
            addresses: vec!["10.0.0.7:7412".to_owned()],
            in_flight_max: 64,
            in_flight_max_configured: 64,
            in_flight_max_here: 32,
            calls_out: 0,
            sagas_in_line: 3,
            sagas_held_up: 212,
            held_since: ago(9 * 60),
            next_probe_at: ago(-4),
            version: 2,
            ..Participant::default()
        }
    }

    fn act(version: u64, paused: bool, in_flight_max: u32, reason: &str) -> ParticipantAct {
        ParticipantAct {
            version,
            paused,
            in_flight_max,
            actor: "ann".to_owned(),
            reason: reason.to_owned(),
            acted_at: ago(3_600 / i64::try_from(version).unwrap()),
            request_id: "r".to_owned(),
        }
    }

    #[test]
    fn participants_are_lines_that_say_whether_they_are_called() {
        let order = Participant {
            name: "order".to_owned(),
            held_since: None,
            next_probe_at: None,
            sagas_held_up: 0,
            calls_out: 5,
            ..payment()
        };
        let stock = Participant { name: "inventory".to_owned(), paused: true, ..payment() };
        let far = Participant {
            name: "far".to_owned(),
            calls_out: 0,
            in_flight_max_here: 0,
            ..order.clone()
        };
        let participants = vec![far, stock, order, payment()];
        let reply = ListParticipantsResponse { participants, ..Default::default() };
        let look = Look { width: Some(80), ..look() };
        assert_snapshot!(list(&reply, &look), @"
          SERVICE    CALLS    LIMIT  HELD UP  STATE
        · far        0 of 0   64     0        other nodes call it: this one's part of t…
        · inventory  0 of 32  64     212      PAUSED by a person
        ✔ order      5 of 32  64     0        is called
        ! payment    0 of 32  64     212      does not answer, for 9m; next probe in 4.…

          STATE  other nodes call it: this one's part of the limit is 0
          STATE  does not answer, for 9m; next probe in 4.00s
        ");
        let empty = list(&ListParticipantsResponse::default(), &look);
        assert_eq!(empty, "no participants: the server's configuration names none\n");
    }

    #[test]
    fn a_participant_is_told_with_what_people_decided() {
        let participant = Some(Participant { paused: true, in_flight_max: 8, ..payment() });
        let acts = vec![act(2, true, 8, "the provider is moved"), act(1, false, 8, "it is slow")];
        let reply = GetParticipantResponse { participant, acts, node_id: "node-1".to_owned() };
        assert_snapshot!(describe(&reply, &look()), @"
        · payment · PAUSED by a person

          ADDRESS  10.0.0.7:7412
          CALLS    0 of 32 out at this node, 3 sagas in line
          LIMIT    8 of all nodes together; 64 are configured
          HELD UP  212 sagas
          NODE     node-1
          VERSION  2

          VERSION  DECIDED          WHEN     WHO  WHY
        · 2        paused, limit 8  30m ago  ann  the provider is moved
        ✔ 1        called, limit 8  1h ago   ann  it is slow
        ");
    }

    #[test]
    fn the_question_says_what_would_be_done() {
        let told = [
            pause_preview(&payment()),
            resume_preview(&payment()),
            limit_preview(&payment(), Some(8)),
            limit_preview(&payment(), None),
        ];
        assert_snapshot!(told.join("\n\n"), @"
        payment is called by nobody until it is resumed: no step, no compensation, no inquiry leaves, on any node.
        Sagas that need it wait (212 now); their deadlines and timers go on. 0 calls of this node come to their end.

        payment is called again, on all nodes. What waits for it comes in growing waves: 212 sagas. It is not paused now.

        payment gets 8 calls at the same time at most, of all nodes together; now 64.
        Calls that are out stay.

        payment gets 64 calls at the same time at most, of all nodes together; now 64.
        Calls that are out stay.
        ");
    }
}
