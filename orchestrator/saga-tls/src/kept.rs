//! What was made of files, and is made anew when they change.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    time::Duration,
};

use crate::{
    TlsError,
    pem::{File, Text},
};

/// How often files are looked at. Contents are compared: a link may be turned to a file of the
/// same age and size.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a look at the files found.
#[derive(Debug)]
pub enum Looked {
    /// They are as they were at the last look.
    Same,
    /// They have changed, and the next connection is made with what is in them.
    Renewed,
    /// They have changed and cannot be used. What was there before still is.
    Refused(TlsError),
}

type Make<T> = Box<dyn Fn(&[Text<'_>]) -> Result<T, TlsError> + Send + Sync>;

/// Cheap to clone.
pub(crate) struct Kept<T>(Arc<Shared<T>>);

struct Shared<T> {
    files: Vec<File>,
    make: Make<T>,
    made: RwLock<Arc<T>>,
    /// What the files were at the last look.
    seen: Mutex<u64>,
}

impl<T: Send + Sync + 'static> Kept<T> {
    pub(crate) fn open(files: Vec<File>, make: Make<T>) -> Result<Self, TlsError> {
        let (seen, made) = made(&files, &make);
        let made = RwLock::new(Arc::new(made?));
        Ok(Self(Arc::new(Shared { files, make, made, seen: Mutex::new(seen) })))
    }

    pub(crate) fn now(&self) -> Arc<T> {
        Arc::clone(&self.0.made.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn look(&self) -> Looked {
        self.0.look()
    }

    /// Looks at the files from now on, for as long as this is there.
    pub(crate) fn look_after(&self) {
        tokio::spawn(look_after(Arc::downgrade(&self.0)));
    }
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("files", &self.0.files).finish_non_exhaustive()
    }
}

impl<T> Shared<T> {
    fn look(&self) -> Looked {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, made) = made(&self.files, &self.make);
        if *seen == now {
            return Looked::Same;
        }
        *seen = now;
        let files = self.files.iter().map(|it| it.path.display().to_string());
        let files = files.collect::<Vec<_>>().join(", ");
        match made {
            Ok(made) => {
                *self.made.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
                tracing::info!(files, "files of TLS have changed; new connections use them");
                Looked::Renewed
            }
            // Half of a pair may be there before the other half: the next look finds both.
            Err(error) => {
                tracing::warn!(
                    files,
                    error = %error,
                    "files of TLS have changed and cannot be used; those of before are used on"
                );
                Looked::Refused(error)
            }
        }
    }
}

/// What the files are, in one number, and what can be made of them.
fn made<T>(files: &[File], make: &Make<T>) -> (u64, Result<T, TlsError>) {
    let mut hasher = DefaultHasher::new();
    let mut texts = Vec::new();
    let mut missing = None;
    for file in files {
        match file.read() {
            Ok(text) => {
                text.bytes().hash(&mut hasher);
                texts.push(text);
            }
            Err(error) => {
                error.to_string().hash(&mut hasher);
                missing = missing.or(Some(error));
            }
        }
    }
    (hasher.finish(), missing.map_or_else(|| make(&texts), Err))
}

async fn look_after<T: Send + Sync + 'static>(shared: Weak<Shared<T>>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        // Reading a file may take as long as its disk likes.
        if tokio::task::spawn_blocking(move || shared.look()).await.is_err() {
            return;
        }
    }
}
