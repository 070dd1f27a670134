//! The only writer of the simulator's file. It puts everything that waits into one
//! transaction and answers when that is on the disk, so that the number of requests
//! in a second is not bound by the number of flushes.
//!
//! A job that was handed over runs to its end, whatever becomes of the one who asked.

use std::{pin::Pin, sync::Mutex};

use sqlx::{Connection, SqliteConnection};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// Jobs that may wait. Beyond it callers wait for a place.
const QUEUE_MAX: usize = 1024;

/// Jobs in one transaction.
const BATCH_MAX: usize = 128;

pub(super) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Tells the one who asked, after the commit.
type Completion = Box<dyn FnOnce() + Send>;

type Job = Box<
    dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<Completion, sqlx::Error>>
        + Send,
>;

enum Message {
    Run(Job),
    Close,
}

/// The job was not done, or nobody knows whether it was: the lane is closed, or the
/// file could not be written. The lane has logged the reason.
#[derive(Debug, thiserror::Error)]
#[error("the simulator's file cannot be written")]
pub(super) struct LaneError;

#[derive(Debug)]
pub(super) struct Lane {
    queue: mpsc::Sender<Message>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Lane {
    pub(super) fn start(connection: SqliteConnection) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let task = tokio::spawn(write(connection, jobs));
        Self { queue, task: Mutex::new(Some(task)) }
    }

    /// Runs `job` in a transaction, possibly one that it shares with other jobs, and
    /// returns when that is durable.
    pub(super) async fn run<T, F>(&self, job: F) -> Result<T, LaneError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T, sqlx::Error>>
            + Send
            + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            Box::pin(async move {
                let done = job(connection).await?;
                let completion: Completion = Box::new(move || {
                    // The one who asked may have gone; the job is done all the same.
                    let _ = answer.send(done);
                });
                Ok(completion)
            })
        });
        self.queue.send(Message::Run(job)).await.map_err(|_| LaneError)?;
        answered.await.map_err(|_| LaneError)
    }

    /// Writes what waits, closes the file and returns.
    pub(super) async fn close(&self) {
        let _ = self.queue.send(Message::Close).await;
        let task = self.task.lock().map_or(None, |mut it| it.take());
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

async fn write(mut connection: SqliteConnection, mut queue: mpsc::Receiver<Message>) {
    let mut open = true;
    while open {
        let Some(first) = queue.recv().await else { break };
        let mut jobs = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Run(job) => jobs.push(job),
                Message::Close => open = false,
            }
            next = if open && jobs.len() < BATCH_MAX { queue.try_recv().ok() } else { None };
        }
        match run_batch(&mut connection, jobs).await {
            Ok(completions) => completions.into_iter().for_each(|tell| tell()),
            Err(error) => tracing::error!(%error, "the simulator's file cannot be written"),
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the simulator's file was not closed properly");
    }
}

async fn run_batch(
    connection: &mut SqliteConnection,
    jobs: Vec<Job>,
) -> Result<Vec<Completion>, sqlx::Error> {
    let mut tx = connection.begin_with("begin immediate").await?;
    let mut completions = Vec::with_capacity(jobs.len());
    for job in jobs {
        completions.push(job(&mut tx).await?);
    }
    tx.commit().await?;
    Ok(completions)
}
