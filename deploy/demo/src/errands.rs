//! Does what is planned: orders and credit notes in the order of the file, many at a time.
//! A cancel waits for the end of its order's saga, and for the cancel before it.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use payment_svc::simulator::Simulator;
use saga_proto::saga::v1::saga_service_client::SagaServiceClient;
use tokio::sync::{SetOnce, watch};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::{
    Progress,
    buyer::Fate,
    cancel::{self, Cancelled},
    place::{self, Placed},
    shopping::{Errand, Shopping},
};

/// Errands whose buyers authenticate their payments at a time.
const BUYERS_AT_A_TIME: usize = 100;

/// What became of an errand.
#[derive(Debug)]
pub(crate) enum Done {
    Placed(Placed),
    Cancelled(Vec<Cancelled>),
    /// Its order was not placed: there is nothing to give back.
    NotDue,
}

/// Everybody who does errands.
#[derive(Debug)]
pub(crate) struct Errands<'a> {
    pub(crate) shopping: &'a Shopping,
    pub(crate) simulator: &'a Simulator,
    pub(crate) client: &'a SagaServiceClient<Channel>,
    pub(crate) concurrency: usize,
    /// Whether the order of each basket was placed, once its saga has ended.
    placed: Vec<SetOnce<bool>>,
    /// Set once the sagas of each cancel have ended.
    cancelled: Vec<SetOnce<()>>,
}

impl<'a> Errands<'a> {
    pub(crate) fn of(
        shopping: &'a Shopping,
        simulator: &'a Simulator,
        client: &'a SagaServiceClient<Channel>,
        concurrency: usize,
    ) -> Self {
        let placed = shopping.baskets.iter().map(|_| SetOnce::new()).collect();
        let cancelled = shopping.cancels.iter().map(|_| SetOnce::new()).collect();
        Self { shopping, simulator, client, concurrency, placed, cancelled }
    }

    /// Does the errands. Once `stop` is cancelled no further one is begun.
    ///
    /// # Errors
    ///
    /// The simulator cannot write its file.
    pub(crate) async fn run(
        &self,
        progress: &watch::Sender<Progress>,
        stop: &CancellationToken,
    ) -> anyhow::Result<Vec<Done>> {
        let errands = stream::iter(self.shopping.errands.chunks(BUYERS_AT_A_TIME))
            .then(|errands| self.authenticate(errands))
            .map_ok(|errands| stream::iter(errands.iter().copied()).map(Ok))
            .try_flatten()
            .take_until(stop.cancelled());
        // Those that are begun are in the order of the file: what one of them waits for is
        // under way or done.
        let mut doing = errands
            .map(|errand: anyhow::Result<Errand>| async move {
                progress.send_modify(|it| it.begun += 1);
                anyhow::Ok(self.run_one(errand?).await)
            })
            .buffer_unordered(self.concurrency.max(1))
            .boxed();
        let mut all = Vec::new();
        while let Some(done) = doing.next().await {
            let done = done?;
            progress.send_modify(|it| it.count(&done));
            all.push(done);
        }
        Ok(all)
    }

    async fn authenticate<'b>(&self, errands: &'b [Errand]) -> anyhow::Result<&'b [Errand]> {
        let orders = errands.iter().filter(|it| matches!(it, Errand::Place(_)));
        let baskets = orders.map(|it| self.shopping.basket(*it));
        place::authenticate(self.simulator, baskets).await.map(|()| errands)
    }

    async fn run_one(&self, errand: Errand) -> Done {
        let basket = self.shopping.basket(errand);
        match errand {
            Errand::Place(index) => {
                let catalogue = &self.shopping.catalogue;
                let placed = place::place(self.client.clone(), basket, catalogue).await;
                set(&self.placed[index], placed.fate == Fate::Completed);
                Done::Placed(placed)
            }
            Errand::Cancel(index) => {
                let cancel = &self.shopping.cancels[index];
                if let Some(before) = cancel.behind {
                    self.cancelled[before].wait().await;
                }
                let done = if *self.placed[cancel.basket].wait().await {
                    Done::Cancelled(cancel::cancel(self.client, cancel, basket).await)
                } else {
                    Done::NotDue
                };
                set(&self.cancelled[index], ());
                done
            }
        }
    }
}

fn set<T: std::fmt::Debug>(gate: &SetOnce<T>, value: T) {
    gate.set(value).expect("an errand is run once");
}
