//! What tells a program to stop, and what only looks like it.

use std::{future::Future, io};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// Ends at SIGTERM or SIGINT, whichever comes first.
///
/// From here on, a file that grows over a limit (`LimitFSIZE`, `ulimit -f`) fails the write, as a
/// full disk does, and does not end the process.
///
/// # Errors
///
/// The system lets nobody listen for signals.
pub fn asked_to_stop() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Who has listened once is never ended by it again.
    drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
