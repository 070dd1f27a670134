//! Whether the content of the open file is ours: another file that is copied over it (a restore
//! by `cp`) keeps its name and its inode, and commits of then are in neither.
//!
//! Only a checkpoint changes the file; what is committed is in the write-ahead log until then. So
//! the first write behind each checkpoint counts a number up that SQLite keeps in the head of the
//! file for programs (`user_version`), and where the file has changed, the number in it is one of
//! those that were written since it was seen last. A file that was copied before has an earlier
//! one, and another log has one of its own.

use std::fs::{File, Metadata};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where the number is in the file, 4 bytes, high ones first: "Database File Format", 1.3.
const AT: u64 = 60;

/// Room for more checkpoints than there will be.
const FIRST_MAX: u64 = 1 << 30;

/// What is known of the content of a file.
#[derive(Debug)]
pub(super) struct Stamp {
    known: Mutex<Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    /// When the file was changed last, as the system says.
    changed: (i64, i64),
    /// The number that it had then.
    seen: u32,
    /// The first and the last number that was written, or is about to be.
    written: (u32, u32),
    /// Whether it has changed since the last number was written.
    due: bool,
}

impl Stamp {
    /// The stamp of a file as it is now. The number to write next is one that no other file has.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        // By chance, as nobody knows which numbers other files have.
        let first = RandomState::new().hash_one(()) % FIRST_MAX + 1;
        let first = u32::try_from(first).unwrap_or(1);
        let changed = changed(&file.metadata()?);
        let known = Known { changed, seen: read(file)?, written: (first, first - 1), due: true };
        Ok(Self { known: Mutex::new(known) })
    }

    /// The number to write next, if it is time.
    pub(super) fn due(&self) -> Option<u32> {
        let mut known = self.lock();
        known.due.then(|| {
            known.written.1 += 1;
            known.written.1
        })
    }

    /// The number that was due is written.
    pub(super) fn written(&self) {
        self.lock().due = false;
    }

    /// Whether the content is still ours.
    pub(super) fn holds(&self, file: &File, found: &Metadata) -> bool {
        let mut known = self.lock();
        if changed(found) == known.changed {
            return true;
        }
        let Ok(number) = read(file) else { return false };
        let (first, last) = known.written;
        let from = if known.seen < first || last < known.seen { first } else { known.seen };
        let is_ours = number == known.seen || (from..=last).contains(&number);
        if is_ours {
            *known = Known { changed: changed(found), seen: number, due: true, ..*known };
        }
        is_ours
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // It is whole at every moment, whatever panicked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn changed(found: &Metadata) -> (i64, i64) {
    (found.mtime(), found.mtime_nsec())
}

/// 0 where the file is empty so far.
fn read(file: &File) -> io::Result<u32> {
    let mut number = [0; 4];
    match file.read_exact_at(&mut number, AT) {
        Ok(()) => Ok(u32::from_be_bytes(number)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
        Err(error) => Err(error),
    }
}
