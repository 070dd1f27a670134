//! The time by which an engine judges: pauses, timers and deadlines are spans, and spans are
//! measured by a clock that nobody sets.
//!
//! It begins where the database's clock stands, or the machine's where the database has none,
//! and never before what the log has marked: the time of a log does not go back. From then on
//! it runs by the process's own monotonic clock, and is brought to the database's slowly, by
//! a tenth of the time that passes. A clock that is set forth or back by hours changes no
//! span by more than that. Days and years are not walked. A clock that is that far *behind* for
//! a minute is believed: then time is set, and the spans that run here are moved along. One
//! that is that far ahead is believed only where another node of the log is there as well, as
//! it would end every wait at once.
//!
//! Nothing but *when* depends on it: versions order the log, and the log decides who owns.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use saga_log::{CLOCKS_APART_MS, StoreError};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{clock::Clock, engine::Shared};

/// Time here runs faster or slower than the clock that it follows by this part at most.
const SLEW: i64 = 10;

/// What is further away than this is not walked to.
const FAR_MS: u64 = 24 * 3_600_000;

/// How long a clock must be that far away to be believed.
const BELIEVED_AFTER: Duration = Duration::from_secs(60);

/// A reading of a clock that took longer than this says too little.
const READING_MAX: Duration = Duration::from_secs(1);

/// A time, and by how much time was set on this node up to then. A time that is kept over a wait
/// is worth what it was only together with the latter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Milliseconds since the Unix epoch.
    pub(crate) now_ms: u64,
    /// What is added here from one moment to a later one has to be added to every time that was
    /// kept in between, in milliseconds.
    pub(crate) moved_ms: i64,
}

/// The clock of one engine.
#[derive(Debug)]
pub(crate) struct Time {
    /// The clock of this machine.
    wall: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// When it was `base_ms`.
    base: Instant,
    base_ms: u64,
    /// Since when the clock that is followed is far away.
    far_since: Option<Instant>,
    /// By how much time was set here so far.
    moved_ms: i64,
    /// What was said last: how far whose clock is away.
    said: Option<Whose>,
}

/// Whose clock is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// This machine's, against the database's.
    Ours,
    /// The one that is followed.
    Followed,
}

/// What the clocks outside say at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// The clock that is followed.
    followed_ms: u64,
    /// Up to when the log is marked, which a living node keeps doing.
    mark_ms: u64,
    /// How far this machine's clock is ahead of the database's, where that has one.
    ours_ahead_ms: i64,
}

impl Clock for Time {
    fn now_ms(&self) -> u64 {
        self.lock().now_ms()
    }

    fn new_id(&self) -> Uuid {
        self.wall.new_id()
    }
}

impl Kept {
    fn now_ms(&self) -> u64 {
        self.base_ms.saturating_add(millis(self.base.elapsed()))
    }
}

impl Time {
    /// Begins at `followed_ms`, what the database's clock says, or this machine's; but not
    /// before the log's mark, unless that is far away: then a clock was wrong when it was made.
    pub(crate) fn begin(wall: Arc<dyn Clock>, database_ms: Option<u64>, mark_ms: u64) -> Self {
        let followed_ms = database_ms.unwrap_or_else(|| wall.now_ms());
        let is_behind = followed_ms < mark_ms && mark_ms - followed_ms <= FAR_MS;
        let base_ms = if is_behind { mark_ms } else { followed_ms };
        let kept = Kept { base: Instant::now(), base_ms, far_since: None, moved_ms: 0, said: None };
        Self { wall, kept: Mutex::new(kept) }
    }

    /// This moment.
    pub(crate) fn moment(&self) -> Moment {
        let kept = self.lock();
        Moment { now_ms: kept.now_ms(), moved_ms: kept.moved_ms }
    }

    /// How long it is from now until `at_ms`, which was said at a moment with this `moved_ms`.
    pub(crate) fn span_until(&self, at_ms: u64, moved_ms: i64) -> Duration {
        let moment = self.moment();
        let at_ms = at_ms.saturating_add_signed(moment.moved_ms.saturating_sub(moved_ms));
        Duration::from_millis(at_ms.saturating_sub(moment.now_ms))
    }

    /// Goes after what the clocks outside say now.
    fn follow(&self, reading: Reading) {
        let mut kept = self.lock();
        let (now, now_ms) = (Instant::now(), kept.now_ms());
        let elapsed_ms = signed(millis(now - kept.base));
        let away_ms = difference(reading.followed_ms, now_ms);
        kept.say(reading.ours_ahead_ms, away_ms);

        // Where a living node of the log is, or was a moment ago. A mark that stands still says
        // nothing: it never leads back.
        let others_ms = reading.mark_ms.min(reading.followed_ms);
        let target_ms = if away_ms < 0 { reading.followed_ms } else { others_ms.max(now_ms) };
        let to_target_ms = difference(target_ms, now_ms);
        let is_far = to_target_ms.unsigned_abs() > FAR_MS;
        kept.far_since = is_far.then(|| kept.far_since.unwrap_or(now));
        let is_believed = kept.far_since.is_some_and(|since| now - since >= BELIEVED_AFTER);
        let at_ms = if is_believed {
            tracing::warn!(by_ms = to_target_ms, "the time is set; spans that run here are kept");
            kept.far_since = None;
            kept.moved_ms = kept.moved_ms.saturating_add(to_target_ms);
            target_ms
        } else if is_far || away_ms.unsigned_abs() > FAR_MS {
            now_ms
        } else if now_ms.saturating_add(CLOCKS_APART_MS) < others_ms {
            // The others are there already: this process stood still, and did not notice.
            others_ms
        } else {
            now_ms.saturating_add_signed(away_ms.clamp(-elapsed_ms / SLEW, elapsed_ms / SLEW))
        };
        (kept.base, kept.base_ms) = (now, at_ms);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // It is whole at every moment, whatever panicked.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Says once that a clock is away, and once that it is not any more.
    fn say(&mut self, ours_ahead_ms: i64, away_ms: i64) {
        let is_away = |ms: i64| ms.unsigned_abs() > CLOCKS_APART_MS;
        let whose = match (is_away(ours_ahead_ms), is_away(away_ms)) {
            (true, _) => Some(Whose::Ours),
            (false, true) => Some(Whose::Followed),
            (false, false) => None,
        };
        if self.said == whose {
            return;
        }
        match whose {
            Some(Whose::Ours) => tracing::warn!(
                ahead_ms = ours_ahead_ms,
                "this node's clock is not the database's; deadlines, timers and pauses go by the \
                 database's clock; set this machine's clock"
            ),
            Some(Whose::Followed) => tracing::warn!(
                ahead_ms = away_ms,
                "the clock was set while sagas wait; their deadlines, timers and pauses take as \
                 long as they should"
            ),
            None => tracing::info!("the clocks agree again"),
        }
        self.said = whose;
    }
}

impl Shared {
    /// Looks at the clocks outside, with every beat.
    pub(super) async fn follow_clocks(&self) -> Result<(), StoreError> {
        let asked = Instant::now();
        let database_ms = self.log.store().clock_ms().await?;
        if asked.elapsed() > READING_MAX {
            return Ok(());
        }
        let wall_ms = self.time.wall.now_ms();
        self.time.follow(Reading {
            followed_ms: database_ms.unwrap_or(wall_ms),
            mark_ms: self.continuity.marked_ms(),
            ours_ahead_ms: database_ms.map_or(0, |database_ms| difference(wall_ms, database_ms)),
        });
        Ok(())
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn difference(ms: u64, than_ms: u64) -> i64 {
    signed(ms).saturating_sub(signed(than_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::RuntimeClock;

    const HOUR_MS: u64 = 3_600_000;
    const YEARS_MS: u64 = 10 * 365 * 24 * HOUR_MS;
    const NOW_MS: u64 = 50 * YEARS_MS;

    /// Time by a database whose clock stands `apart_ms` away from the true one.
    struct Watched {
        time: Time,
        began: Instant,
    }

    fn begin() -> Watched {
        let wall = Arc::new(RuntimeClock::starting_at(NOW_MS));
        Watched { time: Time::begin(wall, Some(NOW_MS), 0), began: Instant::now() }
    }

    impl Watched {
        fn true_ms(&self) -> u64 {
            NOW_MS + millis(self.began.elapsed())
        }

        /// Beats for so long, with the database's clock so far away from the true one.
        async fn runs(&self, for_ms: u64, apart_ms: i64) {
            for _ in 0..for_ms / 500 {
                tokio::time::advance(Duration::from_millis(500)).await;
                let followed_ms = self.true_ms().saturating_add_signed(apart_ms);
                self.time.follow(Reading { followed_ms, mark_ms: 0, ours_ahead_ms: 0 });
            }
        }

        fn error_ms(&self) -> u64 {
            self.time.now_ms().abs_diff(self.true_ms())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_years_away_for_seconds_changes_nothing() {
        for apart_ms in [signed(YEARS_MS), -signed(YEARS_MS)] {
            let watched = begin();
            watched.runs(3_000, apart_ms).await;
            assert_eq!(watched.error_ms(), 0);
            watched.runs(600_000, 0).await;
            assert_eq!((watched.error_ms(), watched.time.moment().moved_ms), (0, 0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_hours_away_is_walked_to() {
        for apart_ms in [signed(HOUR_MS), -signed(HOUR_MS)] {
            let watched = begin();
            watched.runs(60_000, apart_ms).await;
            assert_eq!(watched.error_ms(), 6_000, "a minute takes a tenth more or less");
            watched.runs(11 * HOUR_MS, apart_ms).await;
            assert_eq!(watched.error_ms(), HOUR_MS);
            assert_eq!(watched.time.moment().moved_ms, 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_stays_years_away_is_believed_and_spans_are_moved() {
        let watched = begin();
        watched.runs(70_000, -signed(YEARS_MS)).await;
        assert_eq!(watched.error_ms(), YEARS_MS);
        assert_eq!(watched.time.moment().moved_ms, -signed(YEARS_MS));
    }

    /// A row that is written while the time is set, and the pause that begins behind it.
    #[tokio::test(start_paused = true)]
    async fn a_span_is_as_long_as_it_was_when_the_time_was_set_since() {
        let watched = begin();
        let Moment { now_ms, moved_ms } = watched.time.moment();
        watched.runs(70_000, -signed(YEARS_MS)).await;
        assert_ne!(watched.time.moment().moved_ms, moved_ms);
        let left = watched.time.span_until(now_ms + 100_000, moved_ms);
        assert_eq!(left, Duration::from_secs(30));
        assert_eq!(watched.time.span_until(now_ms + 100, moved_ms), Duration::ZERO);
    }

    /// It would end every timer and every deadline at once.
    #[tokio::test(start_paused = true)]
    async fn a_clock_that_stays_years_ahead_is_not_believed_alone() {
        let watched = begin();
        watched.runs(HOUR_MS, signed(YEARS_MS)).await;
        assert_eq!((watched.error_ms(), watched.time.moment().moved_ms), (0, 0));
    }

    /// A machine that was suspended: the monotonic clock stood still.
    #[tokio::test(start_paused = true)]
    async fn a_node_that_stood_still_is_where_the_others_are_at_once() {
        let time = begin().time;
        let (followed_ms, mark_ms) = (NOW_MS + HOUR_MS, NOW_MS + HOUR_MS - 100);
        time.follow(Reading { followed_ms, mark_ms, ours_ahead_ms: 0 });
        assert_eq!(time.now_ms(), mark_ms);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_log_goes_on_where_it_was_marked() {
        let begun = |wall_ms, mark_ms| {
            let wall = Arc::new(RuntimeClock::starting_at(wall_ms));
            Time::begin(wall, None, mark_ms).now_ms()
        };
        assert_eq!(begun(NOW_MS, NOW_MS - HOUR_MS), NOW_MS);
        assert_eq!(begun(NOW_MS - HOUR_MS, NOW_MS), NOW_MS, "the clock was set back");
        assert_eq!(begun(NOW_MS, NOW_MS + YEARS_MS), NOW_MS, "the mark was made by a wrong clock");
    }
}
