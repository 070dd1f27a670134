//! What people decide about participants holds on every node and over restarts.

use std::{sync::Arc, time::Duration};

use orchestrator::{
    engine::{Change, Engine, ParticipantChange},
    participants::Caller,
};
use saga_core::Ending;

use super::{
    outages::{Town, endings, engine},
    stores::{Fresh, Kind, start_of},
};

fn decided(change: Change, request_id: &str) -> ParticipantChange {
    ParticipantChange {
        participant: "payment".to_owned(),
        change,
        request_id: request_id.to_owned(),
        expected_version: 0,
        actor: "ann".to_owned(),
        reason: "it is moved".to_owned(),
    }
}

/// Whether payment is paused, and its limit, as this node sees it.
fn payment(engine: &Engine) -> (bool, u32) {
    let views = engine.participants();
    let view = views.iter().find(|it| it.participant == "payment").unwrap();
    (view.is_paused, view.limit)
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_on_every_node_and_over_restarts_until_it_is_over() {
    let town = Town::new(16, &[]);
    let fresh = Fresh::open(Kind::Memory).await;
    let caller = || Arc::clone(&town) as Arc<dyn Caller>;
    let first = engine(&fresh.store, caller(), 1_000).await;
    let second = engine(&fresh.store, caller(), 1_000).await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    first.steer(&decided(Change::Pause, "pause")).await.unwrap();
    first.steer(&decided(Change::Limit(Some(2)), "limit")).await.unwrap();
    assert_eq!(payment(&first), (true, 2), "at once, where it was said");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(payment(&second), (true, 2), "and soon on the other node");
    let mut sagas = Vec::new();
    for number in 0..40 {
        let engine = if number % 2 == 0 { &first } else { &second };
        sagas.push(start_of(engine, "patient", &format!("key-{number}")).await);
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(town.calls("payment"), 0, "nobody calls it");
    assert_eq!(town.calls("inventory"), 40, "and the others are called");
    assert_eq!(first.sagas_in_flight() + second.sagas_in_flight(), 0, "nor is in memory");

    first.stop(Duration::from_secs(1)).await;
    let third = engine(&fresh.store, caller(), 1_000).await;
    assert_eq!(payment(&third), (true, 2), "from the first moment of a new node");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(town.calls("payment"), 0);

    second.steer(&decided(Change::Resume, "resume")).await.unwrap();
    let ended = endings(&third, &sagas, Duration::from_secs(60)).await;
    assert_eq!(ended, vec![Ending::Completed; 40]);
    assert!(town.out_max() <= 16, "{}", town.out_max());
    assert_eq!(town.out_max_of("payment"), 2, "the limit holds over the pause");
    third.steer(&decided(Change::Limit(None), "as configured")).await.unwrap();
    assert_eq!(payment(&third), (false, 16));
}
