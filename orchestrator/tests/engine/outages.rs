//! Participants that are away, slow or full: their sagas wait for them, and nobody else does.
//! Time is the runtime's, which runs ahead while nothing happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use orchestrator::{
    clock::RuntimeClock,
    definition::ServedTypes,
    descriptors::Descriptors,
    engine::{Engine, EngineParts, Limits},
    participants::{CallRequest, Caller, OperationOf, Ping},
};
use saga_core::{Ending, NotDone, Outcome, Resolution, SagaId, UnknownCause};
use saga_log::{Log, LogLimits, Store};
use tokio::time::Instant;

use super::{
    script::{Fate, Scripted},
    stores::{Fresh, Kind, SAGA, start_of},
};

/// What a call takes.
const CALL: Duration = Duration::from_millis(20);

/// How a participant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Down,
    /// It takes calls and answers none.
    Hangs,
    /// Each request is larger than its server takes.
    Small,
}

/// Participants whose health the test decides.
#[derive(Debug)]
pub(crate) struct Town {
    books: Arc<Scripted>,
    limit: u32,
    ill: Mutex<BTreeMap<&'static str, Health>>,
    /// Of each participant, what is out now and the most there was.
    out: Mutex<BTreeMap<String, (u32, u32)>>,
    calls: Mutex<BTreeMap<String, u32>>,
}

impl Town {
    pub(crate) fn new(
        limit: u32,
        script: &[(&'static str, saga_core::Direction, u32, Fate)],
    ) -> Arc<Self> {
        Arc::new(Self {
            books: Scripted::new(script),
            limit,
            ill: Mutex::default(),
            out: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    fn is(&self, participant: &'static str, health: Option<Health>) {
        let mut ill = self.ill.lock().unwrap();
        match health {
            Some(health) => ill.insert(participant, health),
            None => ill.remove(participant),
        };
    }

    fn health(&self, participant: &str) -> Option<Health> {
        self.ill.lock().unwrap().get(participant).copied()
    }

    pub(crate) fn calls(&self, participant: &str) -> u32 {
        self.calls.lock().unwrap().get(participant).copied().unwrap_or(0)
    }

    pub(crate) fn out_max_of(&self, participant: &str) -> u32 {
        self.out.lock().unwrap().get(participant).map_or(0, |(_, most)| *most)
    }

    pub(crate) fn out_max(&self) -> u32 {
        self.out.lock().unwrap().values().map(|(_, most)| *most).max().unwrap_or(0)
    }

    async fn while_out<T>(&self, participant: &str, call: impl Future<Output = T>) -> T {
        {
            let mut out = self.out.lock().unwrap();
            let (now, most) = out.entry(participant.to_owned()).or_default();
            *now += 1;
            *most = (*most).max(*now);
            *self.calls.lock().unwrap().entry(participant.to_owned()).or_default() += 1;
        }
        let answer = call.await;
        self.out.lock().unwrap().get_mut(participant).unwrap().0 -= 1;
        answer
    }
}

#[async_trait]
impl Caller for Town {
    async fn call(&self, request: CallRequest<'_>) -> Outcome {
        let participant = request.spec.participant.clone();
        let timeout = request.timeout;
        match self.health(&participant) {
            Some(Health::Down) => Outcome::NotDone {
                cause: NotDone::NotSent,
                message: "connection refused".to_owned(),
                retry_after_ms: None,
            },
            Some(Health::Hangs) => {
                self.while_out(&participant, tokio::time::sleep(timeout)).await;
                let message = "no answer in time".to_owned();
                Outcome::Unknown { cause: UnknownCause::TimedOut, message }
            }
            Some(Health::Small) => {
                let message = "RESOURCE_EXHAUSTED: received message larger than max".to_owned();
                Outcome::Unknown { cause: UnknownCause::Status, message }
            }
            None => {
                let call = async {
                    tokio::time::sleep(CALL).await;
                    self.books.call(request).await
                };
                self.while_out(&participant, call).await
            }
        }
    }

    async fn resolve(
        &self,
        participant: &str,
        operation: OperationOf,
        timeout: Duration,
    ) -> Resolution {
        let inquiry = async {
            tokio::time::sleep(CALL).await;
            self.books.resolve(participant, operation, timeout).await
        };
        self.while_out(participant, inquiry).await
    }

    fn in_flight_max(&self, _: &str) -> u32 {
        self.limit
    }

    async fn ping(&self, participant: &str) -> Ping {
        match self.health(participant) {
            Some(Health::Down) => Ping::Silent,
            _ => Ping::Answered,
        }
    }

    fn participants(&self) -> Vec<String> {
        ["inventory", "payment", "order"].map(str::to_owned).into()
    }
}

pub(crate) async fn engine(
    store: &Arc<dyn Store>,
    caller: Arc<dyn Caller>,
    sagas_max: usize,
) -> Engine {
    let types = ServedTypes::read_set(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
    let parts = EngineParts {
        log: Log::start(Arc::clone(store), LogLimits::default()),
        clock: Arc::new(RuntimeClock::starting_at(1_700_000_000_000)),
        caller,
        descriptors: Descriptors::Fixed(Arc::new(types)),
        limits: Limits { sagas_max, ..Limits::default() },
    };
    let is_whole = parts.caller.knows("payment");
    let engine = Engine::start(parts).await.unwrap();
    if !is_whole {
        return engine;
    }
    engine.register(SAGA, "test.yaml").await.unwrap();
    let patient = SAGA.replace("name: test\n", "name: patient\n").replace("1m\n", "1h\n");
    engine.register(&patient, "patient.yaml").await.unwrap();
    let (only, _) = SAGA.split_once("  - name: pay").unwrap();
    let only = only.replace("name: test\n", "name: only-inventory\n");
    engine.register(&only, "only.yaml").await.unwrap();
    engine
}

async fn one(town: &Arc<Town>, sagas_max: usize) -> Engine {
    let fresh = Fresh::open(Kind::Memory).await;
    engine(&fresh.store, Arc::clone(town) as Arc<dyn Caller>, sagas_max).await
}

/// Waits until each saga has ended, and says how.
pub(crate) async fn endings(engine: &Engine, sagas: &[SagaId], patience: Duration) -> Vec<Ending> {
    let deadline = Instant::now() + patience;
    let mut endings = Vec::new();
    for saga in sagas {
        let left = deadline.saturating_duration_since(Instant::now());
        let ended = engine.wait_end(*saga, left).await.unwrap();
        let snapshot = engine.snapshot(*saga).await.unwrap();
        assert!(ended, "{:?} {:#?}", engine.participants(), snapshot.row);
        endings.push(snapshot.state.ended().unwrap().ending);
    }
    endings
}

/// Two thousand orders while payments are away: all wait, and all are done afterwards.
async fn an_outage_of(outage: Duration) {
    const SAGAS: u32 = 2_000;
    let town = Town::new(16, &[]);
    let engine = one(&town, 20_000).await;
    town.is("payment", Some(Health::Down));
    let began = Instant::now();
    let mut sagas = Vec::new();
    for number in 0..SAGAS {
        sagas.push(start_of(&engine, "patient", &format!("key-{number}")).await);
        tokio::time::sleep(outage / SAGAS / 2).await;
    }
    tokio::time::sleep_until(began + outage).await;
    assert!(town.calls("payment") == 0, "nothing reached it");
    let index = engine.snapshot(sagas[0]).await.unwrap().row.standing;
    assert_eq!(index.waiting_on.as_deref(), Some("participant payment"));
    assert_eq!((index.owner, index.stuck), (None, None));
    assert_eq!(engine.sagas_in_flight(), 0, "those who wait are not in memory");
    let held = engine.participants().into_iter().find(|it| it.participant == "payment").unwrap();
    assert!(held.held_for_ms.is_some_and(|it| outage.as_millis() < u128::from(it) + 10_000));

    town.is("payment", None);
    let up = Instant::now();
    let endings = endings(&engine, &sagas, Duration::from_secs(60)).await;
    assert_eq!(endings, vec![Ending::Completed; sagas.len()], "none turned back");
    // A ping is due within five seconds; from then on, less than twice what the calls need.
    let needed = CALL * SAGAS / 14;
    assert!(up.elapsed() < Duration::from_secs(6) + 2 * needed, "{:?}", up.elapsed());
    assert!(town.out_max() <= 16, "{}", town.out_max());
    assert_eq!(town.calls("payment"), SAGAS, "one call each");
    for saga in sagas {
        let rows = engine.rows(saga, 0, 1_000).await.unwrap();
        // Five without the outage.
        assert!(rows.len() <= 9, "{} rows", rows.len());
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_minute_turns_nobody_back() {
    an_outage_of(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_ten_minutes_costs_no_more() {
    an_outage_of(Duration::from_secs(600)).await;
}

#[tokio::test(start_paused = true)]
async fn a_saga_that_waits_for_a_participant_has_its_deadline_and_its_cancel() {
    let town = Town::new(16, &[]);
    let engine = one(&town, 100).await;
    town.is("payment", Some(Health::Down));
    let by_deadline = start_of(&engine, "test", "deadline").await;
    let waits = start_of(&engine, "patient", "waits").await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert!(engine.snapshot(by_deadline).await.unwrap().state.turned_back().is_none());
    let ended = endings(&engine, &[by_deadline], Duration::from_secs(15)).await;
    assert_eq!(ended, [Ending::Compensated]);
    assert!(engine.snapshot(waits).await.unwrap().state.turned_back().is_none());
    let cancel = saga_core::Event::CancelRequested {
        actor: "me".to_owned(),
        reason: String::new(),
        at_ms: 0,
        request_id: String::new(),
    };
    engine.tell(waits, cancel).await.unwrap();
    let ended = endings(&engine, &[waits], Duration::from_secs(5)).await;
    assert_eq!(ended, [Ending::Compensated]);
}

#[tokio::test(start_paused = true)]
async fn a_participant_that_hangs_takes_its_share_of_the_seats_and_no_more() {
    let town = Town::new(64, &[]);
    let engine = one(&town, 20).await;
    town.is("payment", Some(Health::Hangs));
    let mut sagas = Vec::new();
    for number in 0..60 {
        sagas.push(start_of(&engine, "patient", &format!("key-{number}")).await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(engine.sagas_in_flight() < 20, "{}", engine.sagas_in_flight());
    let other = start_of(&engine, "only-inventory", "other").await;
    let ended = endings(&engine, &[other], Duration::from_millis(500)).await;
    assert_eq!(ended, [Ending::Completed]);
    town.is("payment", None);
    endings(&engine, &sagas, Duration::from_secs(600)).await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_one_server_does_not_take_are_no_outage() {
    let town = Town::new(16, &[]);
    let engine = one(&town, 100).await;
    town.is("payment", Some(Health::Small));
    let mut sagas = Vec::new();
    for number in 0..10 {
        sagas.push(start_of(&engine, "test", &format!("key-{number}")).await);
    }
    let ended = endings(&engine, &sagas, Duration::from_secs(5)).await;
    assert_eq!(ended, [Ending::Compensated; 10], "asked about, and called off");
}

/// Four calls hang, and the undo of another saga has a place all the same.
#[tokio::test(start_paused = true)]
async fn undo_and_inquiries_have_a_place_of_their_own() {
    use saga_core::Direction::Forward;
    let town = Town::new(4, &[("reserve", Forward, 0, Fate::Apply)]);
    let engine = one(&town, 1_000).await;
    let waits = start_of(&engine, "patient", "waits").await;
    town.is("order", Some(Health::Down));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let view = engine.participants().into_iter().find(|it| it.participant == "order").unwrap();
    assert!(view.held_for_ms.is_some(), "{view:?}");
    town.is("inventory", Some(Health::Hangs));
    for number in 0..20 {
        start_of(&engine, "patient", &format!("key-{number}")).await;
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(town.out_max(), 3, "one place is kept");
    let cancel = saga_core::Event::CancelRequested {
        actor: String::new(),
        reason: String::new(),
        at_ms: 0,
        request_id: String::new(),
    };
    town.is("inventory", None);
    engine.tell(waits, cancel).await.unwrap();
    let ended = endings(&engine, &[waits], Duration::from_millis(500)).await;
    assert_eq!(ended, [Ending::Compensated]);
}

#[tokio::test(start_paused = true)]
async fn calls_and_inquiries_together_are_never_more_than_the_limit() {
    use saga_core::Direction::Forward;
    let town = Town::new(4, &[("reserve", Forward, 0, Fate::LoseReply)]);
    let engine = one(&town, 1_000).await;
    let mut sagas = Vec::new();
    for number in 0..100 {
        sagas.push(start_of(&engine, "patient", &format!("key-{number}")).await);
    }
    endings(&engine, &sagas, Duration::from_secs(600)).await;
    assert!(town.out_max() <= 4, "{}", town.out_max());
}

#[tokio::test(start_paused = true)]
async fn nodes_share_a_limit_and_who_has_no_share_hands_over() {
    let town = Town::new(1, &[]);
    let fresh = Fresh::open(Kind::Memory).await;
    let caller = || Arc::clone(&town) as Arc<dyn Caller>;
    let first = engine(&fresh.store, caller(), 1_000).await;
    let second = engine(&fresh.store, caller(), 1_000).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut sagas = Vec::new();
    for number in 0..20 {
        let engine = if number % 2 == 0 { &first } else { &second };
        sagas.push(start_of(engine, "patient", &format!("key-{number}")).await);
    }
    let ended = endings(&first, &sagas, Duration::from_secs(120)).await;
    assert_eq!(ended, vec![Ending::Completed; 20]);
    assert_eq!(town.out_max(), 1);
    let limits: BTreeSet<u32> =
        [&first, &second].iter().flat_map(|it| it.participants()).map(|it| it.limit_here).collect();
    assert_eq!(limits, [0, 1].into());
}
