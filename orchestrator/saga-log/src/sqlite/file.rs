//! The file of an SQLite log: whose it is, and whether it is still the one that was opened.
//!
//! A file that is deleted or replaced under a process (a restore by `mv`) stays open, and takes
//! commits that nobody will ever find. So after each commit, and before it is answered, the
//! names in the folder are compared with what is open, and what is in the file with what was
//! written (`stamp`).

use std::fs::{self, File, Metadata, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sqlx::{AssertSqlSafe, Executor, SqliteConnection};

use super::stamp::Stamp;
use crate::open::{OpenError, unreachable};

/// The file behind a name: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Inode(u64, u64);

impl From<&Metadata> for Inode {
    fn from(found: &Metadata) -> Self {
        Self(found.dev(), found.ino())
    }
}

/// A file or its write-ahead log that is not the one that was opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} was deleted, replaced or overwritten while it was open; what is written now is lost: stop \
     this process, put the right file there, and start it again",
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
    stamp: Stamp,
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
        let inode = (&file.metadata().map_err(unreachable)?).into();
        let (stamp, replaced) = (Stamp::of(&file).map_err(unreachable)?, OnceLock::new());
        Ok(Self { path, inode, lock: Some(file), _beside: beside_file, replaced, stamp })
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
        if inode(&write_ahead.path) != Some(write_ahead.inode) {
            return Err(self.is_replaced(&write_ahead.path));
        }
        let is_ours = |found: &Metadata| {
            let open = self.lock.as_ref();
            Inode::from(found) == self.inode && open.is_some_and(|it| self.stamp.holds(it, found))
        };
        match fs::metadata(&self.path) {
            Ok(found) if is_ours(&found) => Ok(()),
            _ => Err(self.is_replaced(&self.path)),
        }
    }

    /// Writes the number by which the content of the file is known, if it is time.
    pub(super) async fn stamp(&self, connection: &mut SqliteConnection) -> sqlx::Result<()> {
        if let Some(number) = self.stamp.due() {
            let stamp = format!("/* stamp */ pragma user_version = {number}");
            connection.execute(AssertSqlSafe(stamp)).await?;
            self.stamp.written();
        }
        Ok(())
    }

    fn is_replaced(&self, path: &Path) -> Replaced {
        Replaced(self.replaced.get_or_init(|| path.to_owned()).clone())
    }
}

fn inode(path: &Path) -> Option<Inode> {
    fs::metadata(path).ok().as_ref().map(Inode::from)
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
