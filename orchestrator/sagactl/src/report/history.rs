//! The whole history of a saga, an event on each line.

use saga_proto::saga::v1::{ListEventsResponse, SagaEvent};

use crate::{
    look::{Look, Mark, ms_between, timestamp},
    report::table::{Row, table},
};

/// The events, with times since `begin`, when the first one was.
pub(crate) fn report(
    reply: &ListEventsResponse,
    begin: Option<prost_types::Timestamp>,
    look: &Look,
) -> String {
    let rows: Vec<Row> = reply.events.iter().map(|it| row(it, begin, look)).collect();
    table(&["ROW", "AT", "EVENT", "STEP", "CALL", "TRY", "OUTCOME", "MESSAGE"], &rows, look)
}

/// What has come behind them, a line each.
pub(crate) fn more(
    reply: &ListEventsResponse,
    begin: Option<prost_types::Timestamp>,
    look: &Look,
) -> String {
    let line = |event: &SagaEvent| {
        let (mark, cells) = row(event, begin, look);
        let words: Vec<String> = cells.into_iter().filter(|it| !it.is_empty()).collect();
        format!("{} {}\n", look.paint(mark, look.sign(mark)), words.join("  "))
    };
    reply.events.iter().map(line).collect()
}

fn row(event: &SagaEvent, begin: Option<prost_types::Timestamp>, look: &Look) -> Row {
    let attempt = if event.attempt == 0 { String::new() } else { event.attempt.to_string() };
    let cells = vec![
        event.version.to_string(),
        at(event, begin, look),
        event.kind.clone(),
        event.step.clone(),
        event.direction.clone(),
        attempt,
        join(&event.outcome, &event.reason),
        said(event),
    ];
    (mark(event), cells)
}

/// Who acted, and what was said: `ada: looked`.
fn said(event: &SagaEvent) -> String {
    let parts = [&event.actor, &event.message].map(String::as_str);
    parts.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(": ")
}

fn at(event: &SagaEvent, begin: Option<prost_types::Timestamp>, look: &Look) -> String {
    if look.utc {
        return look.at(event.appended_at);
    }
    let (Some(begin), Some(at)) =
        (begin.and_then(timestamp), event.appended_at.and_then(timestamp))
    else {
        return "-".to_owned();
    };
    // Another node's clock may be behind the first one's; the order is that of the rows.
    let ms = ms_between(begin, at);
    let sign = if ms < 0 { '-' } else { '+' };
    let ms = ms.unsigned_abs();
    format!("{sign}{}.{:03}s", ms / 1_000, ms % 1_000)
}

fn mark(event: &SagaEvent) -> Mark {
    match event.outcome.as_str() {
        "applied" => Mark::Good,
        "rejected" => Mark::Refused,
        "unknown" => Mark::Unknown,
        "fault" => Mark::Trouble,
        "" if event.kind == "Intended" => Mark::Moving,
        _ => Mark::Waiting,
    }
}

/// Two words with a blank between, where there are two.
fn join(first: &str, second: &str) -> String {
    [first, second].into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::report::example::{look, stuck_events};

    #[test]
    fn a_log_shows_every_event_with_its_time_since_the_first() {
        let reply = ListEventsResponse { events: stuck_events(), ..ListEventsResponse::default() };
        assert_snapshot!(report(&reply, reply.events[0].appended_at, &look()), @"
          ROW  AT          EVENT     STEP            CALL     TRY  OUTCOME            MESSAGE
        · 1    +0.000s     Started
        ▸ 1    +0.000s     Intended  reserve_stock   forward  1
        ✔ 2    +0.000s     Answered  reserve_stock   forward  1    applied
        ▸ 8    +180.000s   Intended  verify_payment  forward  4
        ? 9    +182.000s   Answered  verify_payment  forward  4    unknown TIMED_OUT
        · 9    +185.000s   Resolved  verify_payment  forward  4    unanswered         UNAVAILABLE
        ▸ 10   +220.000s   Intended  verify_payment  forward  5
        ? 11   +222.000s   Answered  verify_payment  forward  5    unknown TIMED_OUT
        · 11   +225.000s   Resolved  verify_payment  forward  5    unanswered         UNAVAILABLE
        ▸ 12   +722.000s   Intended  verify_payment  forward  6
        ? 13   +724.000s   Answered  verify_payment  forward  6    unknown TIMED_OUT
        · 13   +727.000s   Resolved  verify_payment  forward  6    unanswered         UNAVAILABLE
        ▸ 14   +1735.000s  Intended  verify_payment  forward  7
        ? 15   +1737.000s  Answered  verify_payment  forward  7    unknown TIMED_OUT
        · 15   +1740.000s  Resolved  verify_payment  forward  7    unanswered         UNAVAILABLE
        ");
    }
}
