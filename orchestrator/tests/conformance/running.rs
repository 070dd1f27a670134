//! A check that is followed: its progress, restarts, and its early end.

use std::sync::atomic::Ordering;

use saga_proto::saga::v1::{
    CheckParticipantRequest, CheckParticipantResponse, Restarted, RuleVerdict, StopCheck,
    run_participant_check_request::Said, run_participant_check_response::Said as Told,
};
use tonic_types::StatusExt;

use super::{
    defect::FORGETFUL,
    participant::Participant,
    server::{Checker, hold, request, rules},
};

fn restartable() -> CheckParticipantRequest {
    CheckParticipantRequest { restart: true, ..request(&hold()) }
}

/// Follows a check, and restarts the participant where that is wanted.
async fn restarted(participant: &Participant) -> CheckParticipantResponse {
    let mut checker = Checker::start(participant).await;
    let mut run = checker.run(restartable()).await.unwrap();
    loop {
        match run.next().await.unwrap() {
            Told::Progress(_) => {}
            Told::RestartWanted(it) => {
                assert_eq!(it.participant, "inventory");
                checker.restart().await;
            }
            Told::Done(reply) => return reply,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_forgets_nothing_of_a_participant_that_keeps_the_contract() {
    let participant = Participant::new(None);
    let reply = restarted(&participant).await;
    assert_eq!(participant.restarts.load(Ordering::Relaxed), 1, "one restart is enough");
    assert_eq!(rules(&reply, RuleVerdict::Pass).len(), reply.rules.len(), "{reply:#?}");
    assert_eq!(reply.left_behind, []);
    assert_eq!(participant.effects.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_at_a_restart_is_found_by_exactly_its_rules() {
    for (defect, found) in FORGETFUL {
        let participant = Participant::new(Some(defect));
        let reply = restarted(&participant).await;
        let expected: Vec<String> = found.iter().map(|it| format!("reserve_stock/{it}")).collect();
        assert_eq!(rules(&reply, RuleVerdict::Fail), expected, "{defect:?}: {reply:#?}");
        assert_eq!(participant.restarts.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_nobody_saw_shows_nothing() {
    let participant = Participant::new(None);
    let mut checker = Checker::start(&participant).await;
    let mut run = checker.run(restartable()).await.unwrap();
    let reply = loop {
        match run.next().await.unwrap() {
            Told::Progress(_) => {}
            Told::RestartWanted(_) => run.say(Said::Restarted(Restarted {})),
            Told::Done(reply) => break reply,
        }
    };
    let unseen = rules(&reply, RuleVerdict::NotObserved);
    assert_eq!(unseen.len(), 6, "{reply:#?}");
    let why = &reply.rules.iter().find(|it| it.rule == "restart-fenced").unwrap().why;
    assert!(why.ends_with("no restart was seen"), "{why}");
    assert_eq!(participant.effects.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_names_each_rule_once() {
    let participant = Participant::new(None);
    // Kept: a server that is dropped stops, and with it the check.
    let mut checker = Checker::start(&participant).await;
    let mut run = checker.run(request(&hold())).await.unwrap();
    let mut seen = Vec::new();
    loop {
        match run.next().await.unwrap() {
            Told::Progress(it) => {
                assert_eq!((it.step.as_str(), it.total), ("reserve_stock", 19));
                assert_eq!(seen.len(), usize::try_from(it.tried).unwrap());
                seen.push(it.rule);
            }
            Told::RestartWanted(_) => panic!("nobody said that it can be restarted"),
            Told::Done(_) => break,
        }
    }
    assert_eq!(seen.len(), 19, "{seen:?}");
    assert!(run.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_is_stopped_undoes_what_it_did_and_tells_what_it_found() {
    let participant = Participant::new(None);
    let mut checker = Checker::start(&participant).await;
    for stop_at in ["at-once-same-reply", "undo-in-flight", "no-op-id", "restart"] {
        let mut run = checker.run(restartable()).await.unwrap();
        let reply = loop {
            match run.next().await.unwrap() {
                Told::Progress(it) if it.rule == stop_at => run.say(Said::Stop(StopCheck {})),
                Told::RestartWanted(_) => run.say(Said::Stop(StopCheck {})),
                Told::Progress(_) => {}
                Told::Done(reply) => break reply,
            }
        };
        assert_eq!(rules(&reply, RuleVerdict::Fail), [""; 0], "{stop_at}: {reply:#?}");
        let last = reply.rules.last().unwrap();
        assert_eq!(last.why, "the check was stopped", "{stop_at}: {reply:#?}");
        assert_eq!(reply.rules[0].verdict(), RuleVerdict::Pass);
        assert_eq!(reply.left_behind, [], "{stop_at}");
        assert_eq!(participant.effects.load(Ordering::Relaxed), 0, "{stop_at}");
        assert!(participant.standing.lock().unwrap().is_empty(), "{stop_at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_whose_client_goes_away_undoes_what_it_did() {
    let participant = Participant::new(None);
    let mut checker = Checker::start(&participant).await;
    let mut run = checker.run(restartable()).await.unwrap();
    while !matches!(run.next().await, Some(Told::RestartWanted(_))) {}
    assert_ne!(participant.effects.load(Ordering::Relaxed), 0, "an effect waits for the restart");
    drop(run);
    let undone = async {
        while participant.effects.load(Ordering::Relaxed) != 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), undone).await.unwrap();
}

#[tokio::test]
async fn a_check_begins_with_what_to_check() {
    let participant = Participant::new(None);
    let mut checker = Checker::start(&participant).await;
    let Err(refused) = checker.say_first(Said::Restarted(Restarted {})).await else {
        panic!("it began");
    };
    assert_eq!(refused.get_details_error_info().unwrap().reason, "BEGIN_MISSING");
    let unknown = CheckParticipantRequest { participant: "absent".to_owned(), ..restartable() };
    let Err(refused) = checker.run(unknown).await else { panic!("it began") };
    assert_eq!(refused.get_details_error_info().unwrap().reason, "PARTICIPANT_NOT_CONFIGURED");
}
