//! Who failed to log in too often waits (X28): to check what a stranger shows costs more than
//! to make it up.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// Peers that are remembered. Beyond them those are forgotten that have waited for longest.
const PEERS_MAX: usize = 10_000;

/// Failed logins of each peer.
#[derive(Debug)]
pub(super) struct Failures {
    /// What a failure costs of a minute. A peer may owe a minute.
    cost: Duration,
    /// When a peer that failed owes nothing any more.
    paid_at: Mutex<HashMap<IpAddr, Instant>>,
}

impl Failures {
    /// As many in a minute, from one address.
    pub(super) fn new(per_minute_max: u32) -> Self {
        Self { cost: MINUTE / per_minute_max.max(1), paid_at: Mutex::default() }
    }

    /// Whether what a peer shows is looked at.
    ///
    /// # Errors
    ///
    /// How long it has to wait.
    pub(super) fn check(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let Some(paid_at) = self.lock().get(&network(peer)).copied() else { return Ok(()) };
        let owed = paid_at.saturating_duration_since(now) + self.cost;
        if owed <= MINUTE { Ok(()) } else { Err(owed - MINUTE) }
    }

    /// A peer failed.
    pub(super) fn failed(&self, peer: IpAddr, now: Instant) {
        let mut all = self.lock();
        let peer = network(peer);
        if PEERS_MAX <= all.len() && !all.contains_key(&peer) {
            all.retain(|_, paid_at| now < *paid_at);
            let least = all.iter().min_by_key(|(_, paid_at)| **paid_at).map(|(peer, _)| *peer);
            if let Some(least) = least.filter(|_| PEERS_MAX <= all.len()) {
                all.remove(&least);
            }
        }
        let paid_at = all.entry(peer).or_insert(now);
        *paid_at = now.max(*paid_at) + self.cost;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.paid_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who has one address of IPv6 has its whole network.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(it) => IpAddr::V6(Ipv6Addr::from_bits(it.to_bits() & (u128::MAX << 64))),
        it @ IpAddr::V4(_) => it,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_fails_too_often_waits_and_nobody_else() {
        let (failures, now) = (Failures::new(3), Instant::now());
        let (bad, good) = (peer("10.0.0.1"), peer("10.0.0.2"));
        for _ in 0..3 {
            assert_eq!(failures.check(bad, now), Ok(()));
            failures.failed(bad, now);
        }
        let waits = Duration::from_secs(20);
        assert_eq!(failures.check(bad, now), Err(waits));
        assert_eq!(failures.check(peer("::ffff:10.0.0.1"), now), Err(waits));
        assert_eq!(failures.check(good, now), Ok(()));
        let later = now + waits;
        assert_eq!(failures.check(bad, later), Ok(()));
        failures.failed(bad, later);
        assert!(failures.check(bad, later).is_err(), "one at a time from then on");
        assert_eq!(failures.check(bad, later + MINUTE), Ok(()));
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let (failures, now) = (Failures::new(1), Instant::now());
        failures.failed(peer("2001:db8::1"), now);
        assert!(failures.check(peer("2001:db8::ffff:2"), now).is_err());
        assert_eq!(failures.check(peer("2001:db8:0:1::1"), now), Ok(()));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgets_who_waited_for_longest() {
        let (failures, now) = (Failures::new(1), Instant::now());
        let at = |it: usize| IpAddr::from(u32::try_from(it).unwrap().to_be_bytes());
        let second = |it: usize| now + Duration::from_millis(it as u64);
        for it in 0..PEERS_MAX + 10 {
            failures.failed(at(it), second(it));
        }
        assert_eq!(failures.lock().len(), PEERS_MAX);
        let last = second(PEERS_MAX + 10);
        assert_eq!(failures.check(at(0), last), Ok(()), "forgotten");
        assert!(failures.check(at(PEERS_MAX + 9), last).is_err());
        // All have paid: nobody is remembered but who fails now.
        failures.failed(at(0), last + MINUTE);
        assert_eq!(failures.lock().len(), 1);
    }
}
