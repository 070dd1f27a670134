//! The file of an SQLite log: whose it is, and whether it is still the one that was opened.
//!
//! A file that is deleted or replaced under a process (a restore by `mv`) stays open, and takes
//! commits that nobody will ever find. So after each commit, and before it is answered, the
//! names in the folder are compared with what is open.

use std::fs::{self, File, Metadata, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::open::{OpenError, unreachable};

/// The file behind a name: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Inode(u64, u64);

impl From<Metadata> for Inode {
    fn from(found: Metadata) -> Self {
        Self(found.dev(), found.ino())
    }
}

/// A file or its write-ahead log that is not the one that was opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} was deleted or replaced while it was open; what is written now is lost: stop this \
     process, put the right file there, and start it again",
    .0.display()
)]
pub(super) struct Replaced(PathBuf);

/// The database file, locked against other processes.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    inode: Inode,
    /// Opened before SQLite opens the file, and never closed: closing any descriptor of a file
    /// takes all POSIX locks of the process on it away, those of SQLite among them.
    lock: Option<File>,
    /// Beside the file, for programs of before, which lock nothing else.
    _beside: File,
    /// Once that is so, it stays so: connections that are open know two files as one.
    replaced: OnceLock<PathBuf>,
}

impl LogFile {
    /// Locks the file at `path`, and makes an empty one where there is none and `create` says
    /// so.
    ///
    /// # Errors
    ///
    /// [`OpenError::InUse`]: another process has it, whatever it calls it.
    pub(super) fn lock(path: &Path, create: bool) -> Result<Self, OpenError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let beside = PathBuf::from(name);
        let beside_file =
            File::options().create(true).append(true).open(&beside).map_err(unreachable)?;
        try_lock(&beside_file, &beside)?;
        let file = File::options()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .open(path)
            .map_err(unreachable)?;
        // The one name that it has, however it was called: links lead there.
        let path = path.canonicalize().map_err(unreachable)?;
        if let Err(in_use) = try_lock(&file, &path) {
            // Whoever has it may be this very process.
            std::mem::forget(file);
            return Err(in_use);
        }
        let inode = file.metadata().map_err(unreachable)?.into();
        Ok(Self { path, inode, lock: Some(file), _beside: beside_file, replaced: OnceLock::new() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The write-ahead log of a connection that was made just now.
    ///
    /// # Errors
    ///
    /// [`Replaced`]: it is gone, or the file itself is another one.
    pub(super) fn write_ahead(&self) -> Result<WriteAhead, Replaced> {
        let mut name = self.path.as_os_str().to_owned();
        name.push("-wal");
        let path = PathBuf::from(name);
        let Some(inode) = inode(&path) else {
            return Err(self.is_replaced(&path));
        };
        let write_ahead = WriteAhead { path, inode };
        self.check(&write_ahead)?;
        Ok(write_ahead)
    }

    /// Whether both names still lead to what is open.
    ///
    /// # Errors
    ///
    /// [`Replaced`]: what was committed just now may be lost.
    pub(super) fn check(&self, write_ahead: &WriteAhead) -> Result<(), Replaced> {
        if let Some(path) = self.replaced.get() {
            return Err(Replaced(path.clone()));
        }
        let open = [(&self.path, self.inode), (&write_ahead.path, write_ahead.inode)];
        match open.into_iter().find(|(path, open)| inode(path) != Some(*open)) {
            Some((path, _)) => Err(self.is_replaced(path)),
            None => Ok(()),
        }
    }

    fn is_replaced(&self, path: &Path) -> Replaced {
        Replaced(self.replaced.get_or_init(|| path.to_owned()).clone())
    }
}

fn inode(path: &Path) -> Option<Inode> {
    fs::metadata(path).ok().map(Inode::from)
}

/// A write-ahead log as it was when its connection was made.
#[derive(Clone, Debug)]
pub(super) struct WriteAhead {
    path: PathBuf,
    inode: Inode,
}

impl Drop for LogFile {
    /// Unlocked and not closed: connections of SQLite may still be on their way out.
    fn drop(&mut self) {
        if let Some(file) = self.lock.take() {
            let _ = file.unlock();
            std::mem::forget(file);
        }
    }
}

fn try_lock(file: &File, path: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { lock: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(unreachable(error)),
    }
}
