//! Who is connected, what each holds, and who has to go.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::task::AtomicWaker;
use saga_tls::{Identity, Told};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{Limits, process::descriptors};

/// How often it is looked who has to go.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long a connection without calls may take to leave, once the server is stopping.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Bytes of the first words of HTTP/2: the preface and the frame of settings, without any.
const HANDSHAKE_BYTES: u64 = 24 + 9;

/// Streams that stay open for as long as their client likes, per connection: reflection and
/// watches of health.
const LASTING_MAX: usize = 16;

/// At most one line of the log in this time about connections that were turned away.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// The connections of one listener. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connections {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    /// As configured, or as many as there are descriptors for.
    pub(crate) connections_max: usize,
    open: Mutex<Open>,
    /// Handshakes of TLS that came to nothing.
    handshakes: Arc<Mutex<Seldom>>,
    /// Calls that all have open.
    pub(crate) calls: AtomicUsize,
    /// Bytes of requests that are counted.
    pub(crate) bytes: AtomicUsize,
    pub(crate) stopping: CancellationToken,
    began: Instant,
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<u64, Arc<Connection>>,
    next: u64,
    turned_away: Seldom,
}

/// What is said once in a while, with how often it was so since.
#[derive(Debug, Default)]
struct Seldom {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// How often it was so, where it is time to say it.
    fn again(&mut self) -> Option<u64> {
        self.unsaid += 1;
        if self.said.is_some_and(|at| at.elapsed() < TOLD_EVERY) {
            return None;
        }
        self.said = Some(Instant::now());
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    /// Where it comes from.
    pub(crate) address: IpAddr,
    opened_ms: u64,
    /// Whom its certificate names, once the handshake of TLS is made.
    pub(crate) identity: OnceLock<Identity>,
    handshakes: Arc<Mutex<Seldom>>,
    /// Bytes that it has sent, without those of TLS.
    received: AtomicU64,
    /// Calls that it has open.
    pub(crate) calls: AtomicUsize,
    /// Those of them whose request is on its way.
    pub(crate) waiting: AtomicUsize,
    /// Requests that were refused because too many were on their way.
    pub(crate) refused: AtomicUsize,
    /// When its last call began or ended; 0 where there was none.
    moved_ms: AtomicU64,
    /// It has to go.
    closed: AtomicBool,
    pub(crate) waker: AtomicWaker,
    /// Turns for reads.
    pub(crate) reads: Arc<Semaphore>,
    /// Places for streams that last.
    pub(crate) lasting: Arc<Semaphore>,
}

impl Connections {
    /// Nobody is connected. Must be called inside a runtime; what it looks after ends with it.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let shared = Arc::new(Shared {
            limits,
            connections_max: limits.connections_max.min(descriptors()),
            open: Mutex::default(),
            handshakes: Arc::default(),
            calls: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            stopping: CancellationToken::new(),
            began: Instant::now(),
        });
        tokio::spawn(look_after(Arc::downgrade(&shared)));
        Self { shared }
    }

    /// The server stops: requests that are on their way are refused, and connections without
    /// a call are closed a second later, whoever holds them.
    pub fn stop(&self) {
        self.shared.stopping.cancel();
    }

    /// How many are connected.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.lock().connections.len()
    }

    /// Takes a new connection in. `None`: every other one has a call open, and there is no
    /// room.
    pub(crate) fn admit(&self, address: IpAddr) -> Option<Arc<Connection>> {
        let shared = &self.shared;
        let mut open = shared.lock();
        let is_full = shared.connections_max <= open.connections.len();
        if is_full {
            open.tell(shared.connections_max);
            let idle = open.connections.values().filter(|it| it.is_idle());
            // Who never made a call goes first, then who was idle for longest.
            let longest = idle.min_by_key(|it| (it.moved_ms.load(Relaxed), it.opened_ms));
            let longest = longest.map(|it| it.id)?;
            if let Some(gone) = open.connections.remove(&longest) {
                gone.close();
            }
        }
        let id = open.next;
        open.next += 1;
        let connection = Arc::new(Connection {
            id,
            address,
            opened_ms: shared.now_ms(),
            identity: OnceLock::new(),
            handshakes: Arc::clone(&shared.handshakes),
            received: AtomicU64::new(0),
            calls: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            moved_ms: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            reads: Arc::new(Semaphore::new(shared.limits.reads_per_connection_max)),
            lasting: Arc::new(Semaphore::new(LASTING_MAX)),
        });
        open.connections.insert(id, Arc::clone(&connection));
        Some(connection)
    }

    pub(crate) fn leave(&self, connection: &Connection) {
        self.shared.lock().connections.remove(&connection.id);
    }
}

impl Open {
    /// Says once in a while that there are too many.
    fn tell(&mut self, connections_max: usize) {
        let Some(turned_away) = self.turned_away.again() else { return };
        tracing::warn!(
            connections_max,
            turned_away,
            "there are as many connections as there may be; for each new one, the one that was \
             idle for longest is closed"
        );
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Open> {
        lock(&self.open)
    }

    /// Since the beginning, from 1.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Closes who has not begun to speak in time, and, once the server stops, who has no call.
    fn look(&self) {
        let now_ms = self.now_ms();
        let late = |it: &Connection| {
            it.received.load(Relaxed) < HANDSHAKE_BYTES
                && it.opened_ms + self.limits.handshake_timeout_ms < now_ms
        };
        let leave_ms = u64::try_from(LEAVE_WITHIN.as_millis()).unwrap_or(u64::MAX);
        let is_over = |it: &Connection| {
            self.stopping.is_cancelled()
                && it.is_idle()
                && it.moved_ms.load(Relaxed) + leave_ms < now_ms
        };
        for connection in self.lock().connections.values() {
            if late(connection) || is_over(connection) {
                connection.close();
            }
        }
    }
}

/// Nothing panics while one of these locks is held, and what is in it is whole at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    fn is_idle(&self) -> bool {
        self.calls.load(Relaxed) == 0
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Relaxed);
        self.waker.wake();
    }

    /// Hears how its handshake of TLS went.
    pub(crate) fn told(self: &Arc<Self>) -> Told {
        let connection = Arc::clone(self);
        Box::new(move |made| match made {
            Ok(Some(identity)) => {
                // Told once.
                let _ = connection.identity.set(identity);
            }
            Ok(None) => {}
            Err(error) => {
                let mut handshakes = lock(&connection.handshakes);
                if let Some(refused) = handshakes.again() {
                    tracing::warn!(
                        %error,
                        refused,
                        "a connection was not made: there is no TLS with its client, or its \
                         certificate is none of those that are taken"
                    );
                }
            }
        })
    }

    pub(crate) fn receive(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn moved(&self, now_ms: u64) {
        self.moved_ms.store(now_ms, Relaxed);
    }
}

async fn look_after(shared: std::sync::Weak<Shared>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        shared.look();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn two() -> Connections {
        Connections::new(Limits { connections_max: 2, ..Limits::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn for_one_too_many_the_one_that_never_called_has_to_go() {
        let all = two();
        let quiet = all.admit(HERE).unwrap();
        let busy = all.admit(HERE).unwrap();
        busy.calls.store(1, Relaxed);
        busy.moved(all.shared.now_ms());
        let third = all.admit(HERE).unwrap();
        assert!(quiet.is_closed() && !busy.is_closed() && !third.is_closed());
        third.calls.store(1, Relaxed);
        assert!(all.admit(HERE).is_none(), "nobody is idle");
        assert_eq!(all.count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_begin_to_speak_is_closed() {
        let all = two();
        let (silent, speaking) = (all.admit(HERE).unwrap(), all.admit(HERE).unwrap());
        silent.receive(32);
        speaking.receive(33);
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(!silent.is_closed());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(silent.is_closed() && !speaking.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stops_waits_for_calls_alone() {
        let all = two();
        let (idle, calling) = (all.admit(HERE).unwrap(), all.admit(HERE).unwrap());
        calling.calls.store(1, Relaxed);
        all.stop();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(idle.is_closed() && !calling.is_closed());
        calling.calls.store(0, Relaxed);
        calling.moved(all.shared.now_ms());
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert!(!calling.is_closed(), "its answer may be on its way");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(calling.is_closed());
    }
}
