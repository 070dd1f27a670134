//! Long outages, and compensations that keep failing: whoever looks is told which step is
//! stuck and why, nothing is given up, and after the repair it goes on by itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use orchestrator::engine::Limits;
use saga_core::{Ending, Event, OperatorAct, SagaId, Settled};
use saga_tests::sim::{
    audit,
    cluster::{Cluster, unhurried},
    deployed,
    fault::Fault,
    scenario::{self, ITEMS, Spoil},
    shop::Shop,
    world::{Fate, Message, Part, Plan, World},
};
use tokio::time::{Instant, sleep};

use crate::trial::virtual_time;

/// The longest pause between two tries of what does not change, and what a call may take.
const BACKOFF: Duration = Duration::from_secs(11 * 60);

/// Messages of one kind meet a fault until somebody mends it.
#[derive(Clone)]
struct Broken {
    step: &'static str,
    part: Part,
    fault: Fault,
    broken: Arc<AtomicBool>,
    /// How many meet it at most.
    times: Arc<AtomicU32>,
}

impl Broken {
    fn at(step: &'static str, part: Part, fault: Fault) -> Self {
        let times = Arc::new(AtomicU32::new(u32::MAX));
        Self { step, part, fault, broken: Arc::new(AtomicBool::new(true)), times }
    }

    fn mend(&self) {
        self.broken.store(false, Ordering::SeqCst);
    }
}

impl Plan for Broken {
    fn of_message(&mut self, message: &Message) -> Option<Fate> {
        let strikes = self.broken.load(Ordering::SeqCst)
            && message.step == self.step
            && message.part == self.part
            && self
                .times
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok();
        strikes.then_some(Fate { fault: self.fault, counts: true, death: None })
    }
}

/// A saga of place-order that meets `broken`.
async fn placed(spoil: Spoil<'_>, broken: &Broken) -> (Arc<Cluster>, SagaId) {
    begun("place-order", spoil, broken, unhurried()).await
}

async fn begun(
    definition: &str,
    spoil: Spoil<'_>,
    broken: &Broken,
    limits: Limits,
) -> (Arc<Cluster>, SagaId) {
    let deployed = deployed::find(definition).unwrap();
    let mut shop = Shop::selling(&ITEMS);
    let bought = scenario::bought("order-1", &[3, 0, 1], 2);
    let case = scenario::of(deployed).prepare(&mut shop, &bought, spoil).unwrap();
    let world = World::new(2, shop, Box::new(broken.clone()), None);
    let cluster = Cluster::new(world, limits).await;
    cluster.add_node().await;
    let saga = cluster.start(&case, 0).await;
    (cluster, saga)
}

fn stuck(cluster: &Cluster, saga: SagaId) -> Option<(String, String)> {
    cluster.world.lock().journal.sagas[&saga].stuck.clone()
}

/// Waits until the saga is shown as stuck.
async fn until_stuck(cluster: &Cluster, saga: SagaId) -> (String, String) {
    let deadline = Instant::now() + Duration::from_secs(15 * 60);
    loop {
        if let Some(why) = stuck(cluster, saga) {
            return why;
        }
        assert!(Instant::now() < deadline, "it is not shown as stuck");
        sleep(Duration::from_secs(1)).await;
    }
}

/// The saga ends like this within `patience`, and nothing is wrong then.
async fn ends(cluster: &Cluster, saga: SagaId, ending: Ending, patience: Duration) {
    let ended = cluster.ends_within(saga, patience).await;
    let world = cluster.world.lock();
    assert!(ended, "{}", world.trace.join("\n"));
    assert_eq!(world.journal.sagas[&saga].ended, Some(ending));
    let wrong = audit::at_rest(&world.shop, &world.journal);
    assert!(wrong.is_empty() && world.violations.is_empty(), "{wrong:?} {:?}", world.violations);
}

/// F29: the stock service is away for ten minutes when the order comes. Calls that are held back
/// use no attempt, so the order waits as long as it may.
#[test]
fn an_order_that_finds_the_stock_service_away_waits_until_its_deadline_and_the_next_is_placed() {
    virtual_time().block_on(async {
        let away = Broken::at("reserve_stock", Part::Action, Fault::NotSent);
        let (cluster, saga) = placed(Spoil::Nothing, &away).await;
        ends(&cluster, saga, Ending::Compensated, Duration::from_secs(10 * 60)).await;
        assert_eq!(cluster.world.lock().journal.sagas[&saga].turned_back, Some("DEADLINE_PASSED"));
        sleep(Duration::from_secs(10 * 60)).await;
        away.mend();
        let bought = scenario::bought("order-2", &[0], 1);
        let deployed = deployed::find("place-order").unwrap();
        let case = {
            let shop = &mut cluster.world.lock().shop;
            scenario::of(deployed).prepare(shop, &bought, Spoil::Nothing).unwrap()
        };
        let next = cluster.start(&case, 0).await;
        ends(&cluster, next, Ending::Completed, BACKOFF).await;
    });
}

/// F29, V3: it goes away behind the pivot, where there is no turning back.
#[test]
fn behind_the_pivot_ten_minutes_without_the_stock_service_are_waited_out() {
    virtual_time().block_on(async {
        let away = Broken::at("commit_stock", Part::Action, Fault::NotSent);
        let (cluster, saga) = placed(Spoil::Nothing, &away).await;
        sleep(Duration::from_secs(10 * 60)).await;
        let why = stuck(&cluster, saga);
        assert_eq!(why, Some(("FORWARD_FAILING".to_owned(), "commit_stock".to_owned())));
        away.mend();
        ends(&cluster, saga, Ending::Completed, BACKOFF).await;
    });
}

/// F29, V3: it goes away while the saga turns back.
#[test]
fn turning_back_ten_minutes_without_the_stock_service_are_waited_out() {
    virtual_time().block_on(async {
        let away = Broken::at("reserve_stock", Part::Compensation, Fault::NotSent);
        let (cluster, saga) = placed(Spoil::Method("InsertOrder"), &away).await;
        sleep(Duration::from_secs(10 * 60)).await;
        let why = stuck(&cluster, saga);
        assert_eq!(why, Some(("COMPENSATION_FAILING".to_owned(), "reserve_stock".to_owned())));
        away.mend();
        ends(&cluster, saga, Ending::Compensated, BACKOFF).await;
    });
}

/// F68: a compensation fails once, once less than it may, as often as it may, and more often.
#[test]
fn a_compensation_that_fails_any_number_of_times_is_done_in_the_end() {
    for times in [1, 9, 10, 25] {
        virtual_time().block_on(async {
            let failing = Broken::at("verify_payment", Part::Compensation, Fault::ErrorBefore);
            failing.times.store(times, Ordering::SeqCst);
            let (cluster, saga) = placed(Spoil::Method("InsertOrder"), &failing).await;
            if times >= 10 {
                let (reason, step) = until_stuck(&cluster, saga).await;
                assert_eq!((&*reason, &*step), ("COMPENSATION_FAILING", "verify_payment"));
            }
            ends(&cluster, saga, Ending::Compensated, Duration::from_secs(3 * 3_600)).await;
            let fired = cluster.world.lock().fired.get(&Fault::ErrorBefore).copied();
            assert_eq!(fired, Some(u64::from(times)));
        });
    }
}

/// F68, V3: a person who has mended it does not wait for the next attempt.
#[test]
fn a_stuck_compensation_goes_on_at_once_when_a_person_says_so() {
    virtual_time().block_on(async {
        let failing = Broken::at("verify_payment", Part::Compensation, Fault::ErrorBefore);
        let (cluster, saga) = placed(Spoil::Method("InsertOrder"), &failing).await;
        until_stuck(&cluster, saga).await;
        failing.mend();
        act(&cluster, saga, OperatorAct::Retry).await;
        ends(&cluster, saga, Ending::Compensated, Duration::from_secs(2)).await;
    });
}

/// F26: a participant that does not let us in is a matter for a person, not for compensation.
#[test]
fn missing_rights_park_the_saga_and_it_completes_when_they_are_given() {
    virtual_time().block_on(async {
        let locked = Broken::at("verify_payment", Part::Action, Fault::Forbidden);
        let (cluster, saga) = placed(Spoil::Nothing, &locked).await;
        let (reason, step) = until_stuck(&cluster, saga).await;
        assert_eq!((&*reason, &*step), ("WIRING_FAULT", "verify_payment"));
        locked.mend();
        ends(&cluster, saga, Ending::Completed, BACKOFF).await;
    });
}

/// F70, F78: the participant refuses to undo. Only a person can say what is true.
#[test]
fn a_refused_compensation_is_explained_and_settled_by_a_person() {
    virtual_time().block_on(async {
        let whole = Broken::at("", Part::Action, Fault::NotSent);
        let (cluster, saga) = placed(Spoil::Method("InsertOrder"), &whole).await;
        // The money was taken, and the provider does not give it back.
        let bought = scenario::bought("order-1", &[3, 0, 1], 2);
        cluster.world.lock().shop.make_uncancelable(&bought);
        let (reason, step) = until_stuck(&cluster, saga).await;
        assert_eq!((&*reason, &*step), ("COMPENSATION_REJECTED", "verify_payment"));
        let step = deployed::find("place-order").unwrap().core().index_of("verify_payment");
        let settle = OperatorAct::Settle {
            step: step.unwrap(),
            call: None,
            settled: Settled::Applied,
            reply: None,
        };
        act(&cluster, saga, settle).await;
        assert!(cluster.ends_within(saga, BACKOFF).await);
        let world = cluster.world.lock();
        assert_eq!(world.journal.sagas[&saga].ended, Some(Ending::Compensated));
        // The judge still sees that money is with us, whatever the person said.
        let wrong = audit::at_rest(&world.shop, &world.journal);
        assert!(wrong.iter().any(|it| it.contains("I8")), "{wrong:?}");
    });
}

/// F80, I10: nobody decides about a refund for a week. The saga waits in the log, and its
/// timer wakes it.
#[test]
fn a_refund_that_nobody_decides_about_is_turned_back_after_a_week() {
    virtual_time().block_on(async {
        // Who has a week to wait looks every ten minutes.
        let limits = Limits {
            claim_ms: 600_000,
            heartbeat_ms: 600_000,
            dead_after_ms: 3_600_000,
            ..unhurried()
        };
        let nothing = Broken::at("", Part::Action, Fault::NotSent);
        let (cluster, saga) = begun("refund", Spoil::Nothing, &nothing, limits).await;
        sleep(Duration::from_secs(7 * 86_400 - 3_600)).await;
        assert_eq!(cluster.world.lock().journal.sagas[&saga].turned_back, None);
        ends(&cluster, saga, Ending::Compensated, Duration::from_secs(2 * 3_600)).await;
        assert_eq!(cluster.world.lock().journal.sagas[&saga].turned_back, Some("STEP_REJECTED"));
    });
}

async fn act(cluster: &Cluster, saga: SagaId, act: OperatorAct) {
    let (actor, reason) = ("ann".to_owned(), "looked at it".to_owned());
    let fact = Event::OperatorActed { actor, reason, act, at_ms: 1, request_id: String::new() };
    cluster.living()[0].engine.tell(saga, fact).await.unwrap();
}
