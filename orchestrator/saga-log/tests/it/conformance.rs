//! The conformance suite on memory, SQLite and PostgreSQL.

use std::sync::Arc;

use saga_log::{MemoryStore, OpenOptions, Store};

mod memory {
    use super::*;

    struct Fresh {
        first: Arc<dyn Store>,
        second: Arc<dyn Store>,
    }

    impl Fresh {
        async fn discard(self) {}
    }

    async fn fresh() -> Fresh {
        let store = MemoryStore::default();
        Fresh { first: Arc::new(store.clone()), second: Arc::new(store) }
    }

    saga_log::conformance_suite!(fresh);
}

mod sqlite {
    use super::*;

    struct Fresh {
        first: Arc<dyn Store>,
        second: Arc<dyn Store>,
        directory: tempfile::TempDir,
    }

    impl Fresh {
        async fn discard(self) {
            drop((self.first, self.second));
            self.directory.close().expect("the directory is ours");
        }
    }

    /// One process has the file open, so both nodes are one store.
    async fn fresh() -> Fresh {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", directory.path().join("log.db").display());
        let options = OpenOptions { migrate: true, ..OpenOptions::default() };
        let store = saga_log::open(&url, options).await.expect("a new file");
        Fresh { first: store.clone(), second: store, directory }
    }

    saga_log::conformance_suite!(fresh);
}

mod postgres {
    use super::*;
    use crate::database::TestDatabase;

    struct Fresh {
        first: Arc<dyn Store>,
        second: Arc<dyn Store>,
    }

    impl Fresh {
        async fn discard(self) {}
    }

    async fn fresh() -> Fresh {
        let database = TestDatabase::create().await;
        let options = OpenOptions { migrate: true, ..OpenOptions::default() };
        let first = saga_log::open(&database.url, options).await.expect("a new database");
        let second =
            saga_log::open(&database.url, OpenOptions::default()).await.expect("a migrated one");
        Fresh { first, second }
    }

    saga_log::conformance_suite!(fresh);
}
