//! Sagas, a line each.

use saga_proto::saga::v1::{CountSagasResponse, ListSagasResponse, Saga};

use crate::{
    look::Look,
    name::shown_key,
    report::{
        table::{Row, table},
        words::saga_state,
    },
};

/// A page of sagas.
pub(crate) fn report(reply: &ListSagasResponse, look: &Look) -> String {
    if reply.sagas.is_empty() {
        return "no sagas\n".to_owned();
    }
    rows(reply.sagas.iter(), look)
}

/// How many sagas there are.
pub(crate) fn count(reply: &CountSagasResponse, _look: &Look) -> String {
    format!("{}\n", sagas(reply.sagas))
}

/// How far a count has come.
pub(crate) fn counting(so_far: &CountSagasResponse) -> String {
    format!("{} since {}, and counting", sagas(so_far.sagas), time(so_far.looked_until))
}

/// How far it was looked for sagas that no index leads to.
pub(crate) fn looking(so_far: &ListSagasResponse) -> String {
    let found = i64::try_from(so_far.sagas.len()).unwrap_or(i64::MAX);
    format!("{} since {}, and looking further", sagas(found), time(so_far.looked_until))
}

fn sagas(count: i64) -> String {
    if count == 1 { "1 saga".to_owned() } else { format!("{count} sagas") }
}

/// In UTC, to the second: it says how far, not when.
fn time(at: Option<prost_types::Timestamp>) -> String {
    let seconds = at.map_or(0, |at| at.seconds);
    prost_types::Timestamp { seconds, nanos: 0 }.to_string()
}

/// One saga, or nothing where the server sent none.
pub(crate) fn one(saga: Option<&Saga>, look: &Look) -> String {
    saga.map(|it| rows([it].into_iter(), look)).unwrap_or_default()
}

fn rows<'a>(sagas: impl Iterator<Item = &'a Saga>, look: &Look) -> String {
    let rows: Vec<Row> = sagas.map(|it| row(it, look)).collect();
    let header = ["SAGA", "STATE", "DEFINITION", "STARTED", "TOOK", "WHY"];
    if look.wide {
        return table(&[&["ID"], &header[..]].concat(), &rows, look);
    }
    table(&header, &rows, look)
}

fn row(saga: &Saga, look: &Look) -> Row {
    let (mark, state) = saga_state(saga.state());
    let mut cells = vec![
        shown_key(&saga.namespace, &saga.business_key),
        state.to_owned(),
        format!("{}@{}", saga.definition, saga.definition_version),
        look.at(saga.started_at),
        look.took(saga.started_at, saga.ended_at),
        why(saga),
    ];
    if look.wide {
        cells.insert(0, saga.saga_id.clone());
    }
    (mark, cells)
}

fn why(saga: &Saga) -> String {
    match &saga.stuck {
        Some(stuck) if saga.why.is_empty() => stuck.message.clone(),
        // A list knows of a saga that turned back only why.
        _ if saga.why.is_empty() && !saga.turned_back.is_empty() => {
            format!("turned back: {}", saga.turned_back)
        }
        _ => saga.why.clone(),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::report::example::{
        compensated_saga, completed_saga, look, running_saga, stuck_saga,
    };

    #[test]
    fn a_list_shows_key_state_age_and_why() {
        let sagas = vec![stuck_saga(), running_saga(), completed_saga()];
        let reply = ListSagasResponse { sagas, ..Default::default() };
        assert_snapshot!(report(&reply, &look()), @"
          SAGA         STATE      DEFINITION     STARTED  TOOK   WHY
        ! order/10042  STUCK      place-order@3  41m ago  41m    The outcome of verify_payment is unknown. 7 calls to PaymentService/Confirm ended without a definite answer; Resolve was not answered 6 times. Nothing will be undone until this is settled.
        ▸ order/10043  running    place-order@3  41m ago  41m    inventory was not reached; the next try is in 3 s.
        ✔ order/10044  completed  place-order@3  41m ago  2.41s
        ");
    }

    #[test]
    fn a_list_says_why_a_saga_turned_back() {
        let saga = Saga {
            why: String::new(),
            turned_back: "ATTEMPTS_EXHAUSTED".to_owned(),
            ..compensated_saga()
        };
        assert!(one(Some(&saga), &look()).contains("turned back: ATTEMPTS_EXHAUSTED"));
    }

    #[test]
    fn a_wide_list_has_ids() {
        let look = Look { wide: true, ..look() };
        assert_snapshot!(one(Some(&completed_saga()), &look), @"
          ID                                    SAGA         STATE      DEFINITION     STARTED  TOOK   WHY
        ✔ 01a1ff65-949e-76ea-a3c9-4d8f0c70cde9  order/10044  completed  place-order@3  41m ago  2.41s
        ");
    }

    #[test]
    fn marks_can_be_ascii_and_times_absolute() {
        let look = Look { ascii: true, utc: true, ..look() };
        assert_snapshot!(one(Some(&completed_saga()), &look), @"
          SAGA         STATE      DEFINITION     STARTED                   TOOK   WHY
        + order/10044  completed  place-order@3  2026-01-02T18:19:00.000Z  2.41s
        ");
    }

    #[test]
    fn a_count_says_how_far_it_has_come() {
        let looked_until = Some(prost_types::Timestamp { seconds: 1_767_366_000, nanos: 7 });
        let part = CountSagasResponse { sagas: 1, looked_until, ..Default::default() };
        assert_eq!(count(&part, &look()), "1 saga\n");
        assert_eq!(counting(&part), "1 saga since 2026-01-02T15:00:00Z, and counting");
        let page = ListSagasResponse { looked_until, ..Default::default() };
        assert_eq!(looking(&page), "0 sagas since 2026-01-02T15:00:00Z, and looking further");
    }

    #[test]
    fn no_sagas_are_told_in_words() {
        assert_eq!(report(&ListSagasResponse::default(), &look()), "no sagas\n");
    }
}
