//! Waiting for what a test expects, without knowing how long it takes.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep, timeout};

/// How long a test waits for anything. Far longer than it takes, so that only what never
/// comes fails a test on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(15);

/// Asks again and again until there is an answer, and returns it.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let by = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < by, "in vain for {PATIENCE:?}: {what}");
        sleep(PAUSE).await;
    }
}

/// What `future` comes to.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {PATIENCE:?}: {what}"),
    }
}
