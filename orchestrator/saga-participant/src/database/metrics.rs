//! What a database is asked, and what that costs.

use saga_metrics::{Buckets, Counter, Counters, Histogram, Histograms, Metric, Registry};

use super::{Database, Pools};

const TRANSACTIONS: Metric = Metric::counter(
    "participant_transactions_total",
    &["outcome"],
    "Transactions by how they ended; unknown where the commit was not answered",
);
const TRANSACTION: Metric = Metric::histogram(
    "participant_transaction_seconds",
    &[],
    "Time of a transaction from its beginning to its end",
);
const TURN: Metric = Metric::histogram(
    "participant_transaction_wait_seconds",
    &[],
    "Time that transactions waited for their turn",
);
const REFUSED: Metric = Metric::counter(
    "participant_transactions_refused_total",
    &["limit"],
    "Transactions that were refused because too many waited, or for too long",
);
const CONNECTIONS: Metric = Metric::gauge(
    "participant_database_connections",
    &["state"],
    "Connections to the database, by whether they are in use or idle",
);
const CONNECTIONS_MAX: Metric = Metric::gauge(
    "participant_database_connections_max",
    &[],
    "Connections to the database that there may be",
);

/// What is counted of the transactions.
#[derive(Debug)]
pub(super) struct Metrics {
    transactions: Counters<1>,
    pub(super) committed: Counter,
    pub(super) rolled_back: Counter,
    pub(super) unknown: Counter,
    transaction: Histograms<0>,
    pub(super) took: Histogram,
    turn: Histograms<0>,
    pub(super) waited: Histogram,
    refused: Counters<1>,
    pub(super) full: Counter,
    pub(super) late: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let transactions = Counters::new(&TRANSACTIONS);
        let transaction = Histograms::new(&TRANSACTION, Buckets::SHORT);
        let turn = Histograms::new(&TURN, Buckets::SHORT);
        let refused = Counters::new(&REFUSED);
        Self {
            committed: transactions.of(["committed"]),
            rolled_back: transactions.of(["rolled_back"]),
            unknown: transactions.of(["unknown"]),
            took: transaction.of([]),
            waited: turn.of([]),
            full: refused.of(["waiting_max"]),
            late: refused.of(["wait_max_ms"]),
            transactions,
            transaction,
            turn,
            refused,
        }
    }
}

impl Database {
    /// Shows what it is asked, and how its connections are used.
    pub fn show(&self, registry: &mut Registry) {
        let metrics = &self.inner.metrics;
        registry.counters(&metrics.transactions);
        registry.histograms(&metrics.transaction);
        registry.histograms(&metrics.turn);
        registry.counters(&metrics.refused);
        let database = self.clone();
        registry.read(&CONNECTIONS, move || {
            let (open, idle) = database.connections();
            let in_use = open.saturating_sub(idle);
            vec![(["in_use".to_owned()], in_use as f64), (["idle".to_owned()], idle as f64)]
        });
        let most = match &self.inner.pools {
            Pools::Postgres(pool) => pool.options().get_max_connections(),
            Pools::Sqlite { writer, readers } => {
                writer.options().get_max_connections() + readers.options().get_max_connections()
            }
        };
        registry.read(&CONNECTIONS_MAX, move || vec![([], f64::from(most))]);
    }

    /// Those that there are, and those of them that nobody uses.
    fn connections(&self) -> (usize, usize) {
        match &self.inner.pools {
            Pools::Postgres(pool) => (pool.size() as usize, pool.num_idle()),
            Pools::Sqlite { writer, readers } => (
                writer.size() as usize + readers.size() as usize,
                writer.num_idle() + readers.num_idle(),
            ),
        }
    }
}
