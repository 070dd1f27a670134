//! Warnings of libraries, so many at a time.
//!
//! A peer that sends nonsense makes HTTP/2 warn at each frame: more than a megabyte of log in a
//! second, and a disk that is full. Each place in a library may say so much in so long; how
//! much it did not say is said with the first line of the next span.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::{Event, Metadata, Subscriber, callsite::Identifier};
use tracing_subscriber::layer::{Context, Filter};

/// Lines of one place in a library at most, in one span.
const LINES_MAX: u64 = 5;
const SPAN: Duration = Duration::from_secs(10);

/// What begins the names of our own crates, whose lines are limited where they are written.
const OURS: [&str; 6] =
    ["saga", "orchestrator", "inventory_svc", "order_svc", "payment_svc", "amends"];

/// A filter for a layer that writes lines.
#[derive(Debug, Default)]
pub struct Quiet {
    places: Mutex<HashMap<Identifier, Said>>,
}

#[derive(Debug)]
struct Said {
    since: Instant,
    lines: u64,
}

impl Quiet {
    /// Whether a place may say one more, and how many it did not say in the span before.
    fn may(&self, place: Identifier, now: Instant) -> (bool, u64) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let said = places.entry(place).or_insert(Said { since: now, lines: 0 });
        let mut unsaid = 0;
        if SPAN <= now.saturating_duration_since(said.since) {
            unsaid = said.lines.saturating_sub(LINES_MAX);
            *said = Said { since: now, lines: 0 };
        }
        said.lines += 1;
        (said.lines <= LINES_MAX, unsaid)
    }
}

impl<S: Subscriber> Filter<S> for Quiet {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if OURS.iter().any(|it| metadata.target().starts_with(it)) {
            return true;
        }
        let (may, unsaid) = self.may(metadata.callsite(), Instant::now());
        // Not from in here, where another line is being judged.
        if 0 < unsaid
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let place = metadata.target();
            runtime.spawn(async move {
                tracing::warn!(place, unsaid, "a library said the same again and again");
            });
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_says_so_much_in_a_span_and_then_how_much_it_did_not_say() {
        let quiet = Quiet::default();
        let place = || Identifier(&CALLSITE);
        let now = Instant::now();
        let may: Vec<bool> = (0..100).map(|_| quiet.may(place(), now).0).collect();
        assert_eq!(may.iter().filter(|it| **it).count(), 5);
        assert_eq!(quiet.may(place(), now + SPAN), (true, 95));
        assert_eq!(quiet.may(place(), now + SPAN), (true, 0));
    }

    static CALLSITE: Here = Here;

    struct Here;

    impl tracing::Callsite for Here {
        fn set_interest(&self, _: tracing::subscriber::Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            unreachable!("nobody asks")
        }
    }
}
