//! What can happen to a step that waits for a signal: who gives it, when, how often, and who
//! is dead by then.

use std::{sync::Arc, time::Duration};

use orchestrator::engine::{Limits, SignalError, Signalled};
use saga_core::{OnTimeout, SagaId, StepIndex, StepKind, Timer};
use saga_tests::sim::{
    cluster::{Cluster, Given, Node, unhurried},
    deployed::Deployed,
    fault::Fault,
    journal::SignalFacts,
    scenario::{self, Case, ITEMS, Spoil},
    shop::Shop,
    world::Death,
};
use tokio::time::sleep;

use crate::trial::{Report, bought};

/// What happens to a wait. In all cases the node may die with the row that tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitFault {
    /// The signal comes once, to a saga that waits in the log.
    Given,
    /// The same request comes again.
    Repeated,
    /// Another request says the opposite.
    Contradicted,
    /// The signal says no.
    Refused,
    /// The signal comes before the step waits for it.
    Early,
    /// It comes early, to a node that does not own the saga, while another one drives it.
    EarlyToStranger,
    /// It comes early, while the node that drives the saga is dead.
    EarlyDriverDead,
    /// It comes to a node that has never driven the saga.
    ToStranger,
    /// It comes when the node is dead that has driven the saga.
    DriverDead,
    /// The saga is taken back while it waits, and then the signal comes (F81).
    Cancelled,
    /// It comes when the timer has ended the wait (F80).
    AfterTimer,
    /// No node lives when the timer's time comes (F80).
    TimerWhileDead,
}

use WaitFault::{
    AfterTimer, Cancelled, Contradicted, DriverDead, Early, EarlyDriverDead, EarlyToStranger,
    Refused, Repeated, TimerWhileDead, ToStranger,
};

/// What happens to the waits of a trial, and how the node dies with the row that tells of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub(crate) fault: WaitFault,
    pub(crate) death: Option<Death>,
}

/// Given once, to a node that lives.
pub(crate) const GIVEN: Wait = Wait { fault: WaitFault::Given, death: None };

/// What a client hears who gives a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Taken,
    TakenBefore,
    RequestIdReused,
    AlreadyGiven,
    TooLate,
    Ended,
}

/// By now it waits in the log.
const PARKED: Duration = Duration::from_secs(10);

/// How far from the timer's time things happen.
const HOUR: Duration = Duration::from_secs(3_600);

/// How long a client waits for an answer before it asks another node: not so long that a
/// dead node is missed meanwhile, nor that a step is done before the one that waits.
const PATIENCE: Duration = Duration::from_millis(6);

impl WaitFault {
    const ALL: [Self; 12] = [
        Self::Given,
        Repeated,
        Contradicted,
        Refused,
        Early,
        EarlyToStranger,
        EarlyDriverDead,
        ToStranger,
        DriverDead,
        Cancelled,
        AfterTimer,
        TimerWhileDead,
    ];

    /// All that can happen to a wait with this timer.
    pub(crate) fn of(timer: Option<Timer>) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |it| timer.is_some() || !it.is_about_time())
    }

    /// Whether the case itself is one in which the signal says no.
    pub(crate) fn is_refusal(self) -> bool {
        self == Refused
    }

    fn is_about_time(self) -> bool {
        matches!(self, AfterTimer | TimerWhileDead)
    }

    fn is_to_stranger(self) -> bool {
        matches!(self, EarlyToStranger | EarlyDriverDead | ToStranger | DriverDead)
    }

    /// Whether the saga turns back because of it.
    pub(crate) fn turns_back(self, timer: Option<Timer>) -> bool {
        let refuses = timer.is_some_and(|it| it.then == OnTimeout::Refuse);
        matches!(self, Refused | Cancelled) || (self.is_about_time() && refuses)
    }

    /// What did not happen that should have, by the log and by what the clients heard.
    pub(crate) fn has_not_happened(self, report: &Report, step: StepIndex) -> Option<String> {
        let facts = &report.steps[step.at()];
        let (signal, waited) = (facts.signal, facts.waited.as_deref());
        let SignalFacts { early, driven, by_owner } = signal.unwrap_or(NO_SIGNAL);
        let killed = report.fired.get(&Fault::Killed).copied();
        let heard = &report.heard[..];
        let taken = matches!(heard.first(), Some(Heard::Taken | Heard::TakenBefore));
        let by_stranger = taken && !by_owner && waited == Some("");
        let too_late = matches!(heard, [Heard::TooLate | Heard::Ended]);
        let happened = match self {
            Self::Given => signal.is_some() && taken && !early && !driven && waited == Some(""),
            Repeated => taken && heard.get(1) == Some(&Heard::TakenBefore),
            Contradicted => {
                taken && matches!(heard.get(1), Some(Heard::AlreadyGiven | Heard::Ended))
            }
            Refused => taken && !early && waited.is_some_and(|it| !it.is_empty()),
            Early => taken && early && waited == Some(""),
            EarlyToStranger => by_stranger && early && driven && killed.is_none(),
            EarlyDriverDead => by_stranger && early && driven && killed == Some(1),
            ToStranger => by_stranger && !early && !driven && killed.is_none(),
            DriverDead => by_stranger && !early && !driven && killed == Some(1),
            // Whether or not the log still took it: nobody acts on it.
            Cancelled => {
                let ended = matches!(heard, [_, Heard::Ended]);
                let cancelled = report.turned_back == Some("CANCELLED");
                ended && cancelled && facts.is_waited_for && waited.is_none()
            }
            AfterTimer => too_late && signal.is_none() && waited == Some("SIGNAL_TIMEOUT"),
            TimerWhileDead => {
                killed == Some(1) && signal.is_none() && waited == Some("SIGNAL_TIMEOUT")
            }
        };
        (!happened).then(|| format!("{heard:?}, {signal:?}, {waited:?}, killed: {killed:?}"))
    }
}

const NO_SIGNAL: SignalFacts = SignalFacts { early: false, driven: false, by_owner: false };

impl Wait {
    /// Limits of the nodes.
    pub(crate) fn limits(self) -> Limits {
        match self.fault {
            // Who has a week to wait looks every ten minutes.
            AfterTimer | TimerWhileDead => {
                let (claim_ms, heartbeat_ms) = (600_000, 600_000);
                Limits { claim_ms, heartbeat_ms, dead_after_ms: 3_600_000, ..unhurried() }
            }
            _ => unhurried(),
        }
    }

    /// Nodes in the beginning.
    pub(crate) fn nodes(self) -> usize {
        if self.fault.is_to_stranger() { 2 } else { 1 }
    }

    /// How long nobody looks, nor starts a node in the place of a dead one.
    pub(crate) fn unattended(self, deployed: &Deployed) -> Duration {
        match self.fault {
            AfterTimer => timer(deployed).saturating_sub(HOUR),
            TimerWhileDead => timer(deployed) + HOUR + PARKED,
            _ => Duration::ZERO,
        }
    }

    /// What happens from outside while the saga runs. Answers what the clients heard.
    pub(crate) async fn happens(
        self,
        cluster: Arc<Cluster>,
        saga: SagaId,
        deployed: &'static Deployed,
        case: Case,
    ) -> Vec<Heard> {
        let mut heard = Vec::new();
        for (name, json) in &case.signals {
            let request_id = format!("{}-{name}", case.key);
            let given = Given { definition: case.definition, name, json, request_id };
            let giver = Giver { wait: self, cluster: &cluster, saga, deployed };
            heard.extend(giver.gives(&given).await);
        }
        heard
    }
}

/// When the timer of a definition's wait fires, from its start.
fn timer(deployed: &Deployed) -> Duration {
    let timers = deployed.core().steps.iter().filter_map(|step| match step.kind {
        StepKind::Wait { timer: Some(timer) } => Some(timer.after_ms),
        _ => None,
    });
    Duration::from_millis(timers.max().expect("this happens only to a wait with a timer"))
}

/// Whoever gives the signals of a trial.
struct Giver<'g> {
    wait: Wait,
    cluster: &'g Cluster,
    saga: SagaId,
    deployed: &'static Deployed,
}

impl Giver<'_> {
    async fn gives(&self, given: &Given<'_>) -> Vec<Heard> {
        match self.wait.fault {
            WaitFault::Given | Refused | ToStranger => {
                sleep(PARKED).await;
                vec![self.insists(given).await]
            }
            Repeated => {
                sleep(PARKED).await;
                vec![self.insists(given).await, self.asks(given).await]
            }
            Contradicted => {
                sleep(PARKED).await;
                let opposite = opposite(self.deployed, given.name);
                let request_id = format!("{}-again", given.request_id);
                let other = Given { json: &opposite, request_id, ..given.clone() };
                vec![self.insists(given).await, self.asks(&other).await]
            }
            Early | EarlyToStranger => vec![self.insists(given).await],
            EarlyDriverDead | DriverDead => {
                if self.wait.fault == DriverDead {
                    sleep(PARKED).await;
                }
                self.cluster.kill(&self.cluster.living()[0]);
                vec![self.insists(given).await]
            }
            Cancelled => {
                sleep(PARKED).await;
                self.arm(&self.node().await);
                self.cluster.cancel(self.saga, 0).await;
                let at_once = self.asks(given).await;
                sleep(PARKED).await;
                let request_id = format!("{}-later", given.request_id);
                vec![at_once, self.asks(&Given { request_id, ..given.clone() }).await]
            }
            AfterTimer => {
                sleep(timer(self.deployed).saturating_sub(HOUR / 2)).await;
                self.arm(&self.node().await);
                sleep(HOUR * 4).await;
                vec![self.asks(given).await]
            }
            TimerWhileDead => {
                sleep(PARKED).await;
                let node = self.node().await;
                self.cluster.kill(&node);
                sleep(timer(self.deployed) + HOUR - PARKED).await;
                self.arm(&self.cluster.add_node().await);
                Vec::new()
            }
        }
    }

    fn arm(&self, node: &Arc<Node>) {
        if let Some(death) = self.wait.death {
            node.control.arm(death, self.saga);
        }
    }

    /// Gives the signal to a node that may die with it, and then to others.
    async fn insists(&self, given: &Given<'_>) -> Heard {
        self.arm(&self.node().await);
        self.asks(given).await
    }

    /// Asks one node after the other until one answers.
    async fn asks(&self, given: &Given<'_>) -> Heard {
        loop {
            let node = self.node().await;
            if let Some(told) = node.signal(self.saga, given, PATIENCE).await {
                return heard(&told);
            }
        }
    }

    /// A node that lives: a stranger to the saga where that is what is tried.
    async fn node(&self) -> Arc<Node> {
        let to_stranger = self.wait.fault.is_to_stranger();
        let mut known = self.cluster.living().into_iter().rev();
        let known = known.find(|it| !to_stranger || it.control.number != 0);
        match known {
            Some(node) => node,
            None => self.cluster.add_node().await,
        }
    }
}

/// What the signal says in a case that it refuses.
fn opposite(deployed: &'static Deployed, name: &str) -> String {
    let mut shop = Shop::selling(&ITEMS);
    let case = scenario::of(deployed).prepare(&mut shop, &bought(), Spoil::Signal);
    let signals = case.expect("a wait can be refused").signals;
    signals.into_iter().find(|it| it.0 == name).expect("it has this signal").1
}

fn heard(told: &Result<Signalled, SignalError>) -> Heard {
    match told {
        Ok(Signalled::Now(_)) => Heard::Taken,
        Ok(Signalled::Before(_)) => Heard::TakenBefore,
        Err(SignalError::RequestIdReused) => Heard::RequestIdReused,
        Err(SignalError::AlreadyGiven) => Heard::AlreadyGiven,
        Err(SignalError::TooLate) => Heard::TooLate,
        Err(SignalError::Ended) => Heard::Ended,
        Err(SignalError::MovedOn(_)) => panic!("whatever version it is in"),
        Err(SignalError::Reach(error)) => panic!("who cannot reach the saga asks again: {error}"),
    }
}
