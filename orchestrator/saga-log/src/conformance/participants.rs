//! What people decide about participants.

use std::sync::Arc;

use crate::store::{ParticipantAct, Store, StoreError};

fn act(participant: &str, version: u64, request_id: &str) -> ParticipantAct {
    ParticipantAct {
        participant: participant.to_owned(),
        version,
        request_id: request_id.to_owned(),
        is_paused: false,
        in_flight_max: None,
        actor: "ann".to_owned(),
        reason: "it is moved".to_owned(),
        at_ms: 7,
    }
}

async fn recorded(store: &dyn Store, act: &ParticipantAct) -> bool {
    store.act_on_participant(act).await.expect("act")
}

pub async fn what_was_decided_is_kept_and_the_newest_holds(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    assert_eq!(second.newest_participant_acts().await.expect("newest"), []);
    let paused = ParticipantAct { is_paused: true, ..act("payment", 1, "a") };
    let limited = ParticipantAct {
        is_paused: true,
        in_flight_max: Some(u32::MAX),
        reason: "é 'quoted'\n".to_owned(),
        ..act("payment", 2, "b")
    };
    let other = act("inventory", 1, "a");
    for it in [&paused, &limited, &other] {
        assert!(recorded(&*first, it).await, "{it:?}");
    }
    let newest = second.newest_participant_acts().await.expect("newest");
    assert_eq!(newest, [other, limited.clone()]);
    let all = second.participant_acts("payment", 9).await.expect("acts");
    assert_eq!(all, [limited.clone(), paused]);
    assert_eq!(second.participant_acts("payment", 1).await.expect("acts"), [limited]);
    assert_eq!(second.participant_acts("no\0body", 9).await.expect("acts"), []);
}

pub async fn of_two_acts_on_what_they_both_saw_one_is_recorded(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    assert!(!recorded(&*first, &act("payment", 2, "early")).await, "there is none before it");
    assert!(recorded(&*first, &act("payment", 1, "a")).await);
    let (ours, theirs) = (act("payment", 2, "b"), act("payment", 2, "c"));
    let (we, they) = tokio::join!(recorded(&*first, &ours), recorded(&*second, &theirs));
    assert!(we != they, "{we} {they}");
    let kept = if we { ours } else { theirs };
    assert_eq!(first.participant_acts("payment", 1).await.expect("acts"), [kept]);
    assert!(!recorded(&*second, &act("payment", 4, "gap")).await);
}

pub async fn an_act_that_is_sent_twice_is_recorded_once(
    first: Arc<dyn Store>,
    second: Arc<dyn Store>,
) {
    assert!(recorded(&*first, &act("payment", 1, "a")).await);
    assert!(!recorded(&*second, &act("payment", 1, "a")).await);
    assert!(!recorded(&*second, &act("payment", 2, "a")).await, "the same request, later");
    assert_eq!(first.participant_acts("payment", 9).await.expect("acts").len(), 1);
}

pub async fn what_no_store_can_hold_is_no_act(first: Arc<dyn Store>, _second: Arc<dyn Store>) {
    let nul = "a\0b".to_owned();
    let bad = [
        ParticipantAct { participant: nul.clone(), ..act("payment", 1, "a") },
        ParticipantAct { actor: nul.clone(), ..act("payment", 1, "a") },
        ParticipantAct { reason: nul.clone(), ..act("payment", 1, "a") },
        ParticipantAct { request_id: nul, ..act("payment", 1, "a") },
    ];
    for it in bad {
        let refused = first.act_on_participant(&it).await;
        assert!(matches!(refused, Err(StoreError::Rejected { .. })), "{refused:?}");
    }
    assert_eq!(first.newest_participant_acts().await.expect("newest"), []);
}
