//! What a process has and leaves behind: descriptors, and files that are nobody else's.

use std::sync::OnceLock;

use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};

/// Descriptors that are kept for files, databases and participants.
const KEPT: u64 = 256;

/// Descriptors of a process that was never prepared, as a test is.
static RAISED: OnceLock<u64> = OnceLock::new();

/// First thing in a program that serves: raises the limit of descriptors to what the system
/// lets it have, and makes files that it creates readable for its own user alone.
pub fn prepare_process() {
    umask(Mode::RWXG | Mode::RWXO);
    raise();
}

fn raise() -> u64 {
    *RAISED.get_or_init(|| {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        // No limit is more than can be used.
        let most = maximum.unwrap_or(1 << 20);
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum });
        match raised {
            Ok(()) => most,
            Err(_) => current.unwrap_or(most),
        }
    })
}

/// Descriptors that connections may have.
pub(crate) fn descriptors() -> usize {
    let all = raise();
    // Where there are few, half of them.
    let left = all.saturating_sub(KEPT).max(all / 2);
    usize::try_from(left).unwrap_or(usize::MAX)
}
