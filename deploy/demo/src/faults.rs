//! How bad the weather is: faults of the payment provider and of the network, and how
//! many of each kind really happened.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use payment_svc::simulator::FaultMix;

/// How much goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Faults {
    /// Nothing but what the orders themselves bring about.
    None,
    /// Some payments are declined, some replies are lost after the commit, some answers
    /// are 503, some are slow.
    #[default]
    Light,
    /// A bad day: all of that more often, connections that are cut, and requests that
    /// arrive when nobody waits for them any more.
    Heavy,
}

impl Faults {
    /// What goes wrong at the payment provider.
    pub fn provider(self, seed: u64) -> FaultMix {
        match self {
            Self::None => FaultMix::default(),
            Self::Light => FaultMix::light(seed),
            Self::Heavy => FaultMix::heavy(seed),
        }
    }

    /// What goes wrong between the orchestrator and the services, in calls of a thousand.
    pub fn network(self) -> &'static [(NetworkFault, u64)] {
        match self {
            Self::None => &[],
            Self::Light => &[
                (NetworkFault::Unavailable, 10),
                (NetworkFault::ReplyLost, 10),
                (NetworkFault::Slow, 10),
            ],
            Self::Heavy => &[
                (NetworkFault::Unavailable, 40),
                (NetworkFault::ReplyLost, 40),
                (NetworkFault::Slow, 40),
                (NetworkFault::Late, 10),
                (NetworkFault::Cut, 10),
            ],
        }
    }

    /// Every kind that should happen in a run that is long enough.
    pub fn kinds(self) -> Vec<String> {
        let provider = match self {
            Self::None => &[][..],
            Self::Light | Self::Heavy => &[
                "decline",
                "drop_before_commit",
                "drop_after_commit",
                "error_before",
                "error_after",
                "conflict409",
                "delay",
            ],
        };
        let provider = provider.iter().map(|kind| format!("{PROVIDER}{kind}"));
        provider.chain(self.network().iter().map(|(fault, _)| fault.kind().to_owned())).collect()
    }
}

/// What the kinds of the provider's faults begin with.
pub const PROVIDER: &str = "provider_";

/// One thing that goes wrong with one call of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NetworkFault {
    /// A proxy answers 503, and the service never sees the call.
    Unavailable,
    /// The service does its work, and the reply is lost.
    ReplyLost,
    /// The reply takes its time.
    Slow,
    /// The request arrives after the caller has given up.
    Late,
    /// The service does its work, and the connection with all its calls is cut.
    Cut,
}

impl NetworkFault {
    /// The name under which it is counted.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Unavailable => "network_unavailable",
            Self::ReplyLost => "network_reply_lost",
            Self::Slow => "network_slow",
            Self::Late => "network_late",
            Self::Cut => "network_cut",
        }
    }
}

/// How often each network fault happened.
#[derive(Debug, Default)]
pub struct NetworkCounts {
    unavailable: AtomicU64,
    reply_lost: AtomicU64,
    slow: AtomicU64,
    late: AtomicU64,
    cut: AtomicU64,
}

impl NetworkCounts {
    /// It happened once more.
    pub(crate) fn count(&self, fault: NetworkFault) {
        self.of(fault).fetch_add(1, Ordering::Relaxed);
    }

    /// Those that happened at least once, by kind.
    pub(crate) fn fired(&self) -> BTreeMap<String, u64> {
        use NetworkFault::{Cut, Late, ReplyLost, Slow, Unavailable};
        [Unavailable, ReplyLost, Slow, Late, Cut]
            .into_iter()
            .map(|fault| (fault.kind().to_owned(), self.of(fault).load(Ordering::Relaxed)))
            .filter(|(_, count)| 0 < *count)
            .collect()
    }

    fn of(&self, fault: NetworkFault) -> &AtomicU64 {
        match fault {
            NetworkFault::Unavailable => &self.unavailable,
            NetworkFault::ReplyLost => &self.reply_lost,
            NetworkFault::Slow => &self.slow,
            NetworkFault::Late => &self.late,
            NetworkFault::Cut => &self.cut,
        }
    }
}
