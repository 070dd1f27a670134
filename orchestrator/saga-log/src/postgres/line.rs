//! The line in front of the connections that read.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time;

/// As many places as connections. Who stands in line waits for as long as it moves: a crowd
/// is served late, and a database that is away is noticed as soon as without one.
#[derive(Debug)]
pub(super) struct Line {
    places: Semaphore,
    /// How many were served.
    served: AtomicU64,
    /// How long nobody is served before the line stands still.
    patience: Duration,
}

/// The line stands still.
#[derive(Debug, thiserror::Error)]
#[error("no read has ended for {patience:?}")]
pub(super) struct StandsStill {
    patience: Duration,
}

impl Line {
    pub(super) fn new(places: u32, patience: Duration) -> Self {
        let places = Semaphore::new(places.max(1) as usize);
        Self { places, served: AtomicU64::new(0), patience }
    }

    /// Waits for a place.
    pub(super) async fn stand(&self) -> Result<SemaphorePermit<'_>, StandsStill> {
        let mut turn = pin!(self.places.acquire());
        let mut served = self.served.load(Ordering::Relaxed);
        loop {
            match time::timeout(self.patience, &mut turn).await {
                Ok(place) => return Ok(place.expect("nobody closes the line")),
                Err(_late) => {
                    let before = served;
                    served = self.served.load(Ordering::Relaxed);
                    if served == before {
                        return Err(StandsStill { patience: self.patience });
                    }
                }
            }
        }
    }

    /// The one who has a place was served.
    pub(super) fn move_up(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    #[tokio::test(start_paused = true)]
    async fn a_line_that_stands_still_is_left() {
        let line = Line::new(1, PATIENCE);
        let _busy = line.stand().await.unwrap();
        let error = line.stand().await.unwrap_err();
        assert_eq!(error.to_string(), "no read has ended for 50ms");
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_moves_is_waited_in() {
        let line = Line::new(1, PATIENCE);
        let busy = line.stand().await.unwrap();
        let began = time::Instant::now();
        let serve = async {
            // Others before this one, for three times as long as it would wait for nothing.
            while began.elapsed() < PATIENCE * 3 {
                line.move_up();
                time::sleep(PATIENCE / 10).await;
            }
            drop(busy);
        };
        let (place, ()) = tokio::join!(line.stand(), serve);
        assert!(place.is_ok());
    }
}
