//! The buyers: each places an order over gRPC and waits until it has ended, whatever
//! becomes of the orchestrator meanwhile.

use std::time::Duration;

use payment_svc::simulator::{Session, Simulator, Stage};
use prost::Message as _;
use prost_types::Any;
use saga_proto::{
    saga::v1::{
        Saga, SagaName, SagaState, StartSagaRequest, WaitSagaRequest, saga_name::Name,
        saga_service_client::SagaServiceClient, start_saga_request::Input,
    },
    shop::order::v1::{OrderLine, PaymentInput, PlaceOrderInput},
};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::{
    catalogue::{CURRENCY, Catalogue, total_minor},
    orders::Order,
};

/// How long one call waits for the end of a saga.
const WAIT: Duration = Duration::from_secs(20);

/// How long a call may take beyond that.
const REPLY_WITHIN: Duration = Duration::from_secs(5);

/// How long an order may take. Then it counts as stuck, whatever the log says.
const ORDER_WITHIN: Duration = Duration::from_secs(180);

/// Pause before a call that did not get through is made again.
const PAUSE: Duration = Duration::from_millis(50);

/// The contract's limits. What breaks them is turned away before anything is asked.
const LINES_MAX: usize = 2_000;
const QTY_MAX: i64 = 1_000_000;
const CUSTOMER_CHARS_MAX: usize = 64;

/// An order with the shop's prices, ready to be placed.
#[derive(Clone, Debug)]
pub(crate) struct Basket {
    pub(crate) order: Order,
    pub(crate) total_minor: i64,
}

impl Basket {
    /// The order at the shop's prices.
    ///
    /// # Errors
    ///
    /// The reason for which no shop takes the order.
    pub(crate) fn fill(order: &Order, catalogue: &Catalogue) -> Result<Self, &'static str> {
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !(6..=64).contains(&order.order_no.len()) || !order.order_no.chars().all(letters) {
            return Err("ORDER_NO_INVALID");
        }
        if !(1..=CUSTOMER_CHARS_MAX).contains(&order.customer_id.chars().count()) {
            return Err("CUSTOMER_INVALID");
        }
        if order.lines.is_empty() || LINES_MAX < order.lines.len() {
            return Err("LINES_INVALID");
        }
        if order.lines.iter().any(|line| !(1..=QTY_MAX).contains(&line.qty)) {
            return Err("QTY_INVALID");
        }
        let total_minor = total_minor(catalogue, order).ok_or("TOTAL_INVALID")?;
        Ok(Self { order: order.clone(), total_minor })
    }

    /// The provider's key of the payment.
    fn payment_key(&self) -> String {
        format!("pay_{}", self.order.order_no)
    }

    fn input(&self, catalogue: &Catalogue) -> PlaceOrderInput {
        let lines = self.order.lines.iter().map(|line| OrderLine {
            item_id: line.item_id.clone(),
            qty: line.qty,
            price_minor: catalogue.get(&line.item_id).map_or(0, |item| item.price_minor),
            discount_minor: 0,
        });
        PlaceOrderInput {
            order_no: self.order.order_no.clone(),
            customer_id: self.order.customer_id.clone(),
            lines: lines.collect(),
            payment: Some(PaymentInput {
                provider: "toss".to_owned(),
                provider_key: self.payment_key(),
                amount_minor: self.total_minor,
            }),
            currency: CURRENCY.to_owned(),
        }
    }
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was placed and paid.
    Completed,
    /// It was refused, and everything is undone.
    Compensated { reason: String },
    /// A person must look, and the log says why.
    Stuck { reason: String, message: String },
    /// It had not ended when the time was over.
    Open { why: String },
    /// It was not accepted.
    Rejected { reason: String },
}

/// An order that was placed.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) order_no: String,
    pub(crate) fate: Fate,
    pub(crate) took: Duration,
}

/// The buyers authenticate their payments at the provider.
///
/// # Errors
///
/// The simulator cannot write its file.
pub(crate) async fn authenticate(simulator: &Simulator, baskets: &[Basket]) -> anyhow::Result<()> {
    let sessions = baskets.iter().map(|basket| Session {
        payment_key: basket.payment_key(),
        order_no: basket.order.order_no.clone(),
        amount_minor: basket.total_minor,
        stage: Stage::Authenticated,
        // What the mix of the run says, by seed and key.
        faults: None,
    });
    simulator.authenticate_many(sessions.collect()).await?;
    Ok(())
}

/// Places an order and waits until it has ended.
pub(crate) async fn place(
    mut client: SagaServiceClient<Channel>,
    basket: &Basket,
    catalogue: &Catalogue,
) -> Placed {
    let began = Instant::now();
    let by = began + ORDER_WITHIN;
    let order_no = basket.order.order_no.clone();
    let fate = match start(&mut client, basket, catalogue, by).await {
        Err(fate) => fate,
        Ok(saga) => wait(&mut client, saga, by).await,
    };
    Placed { order_no, fate, took: began.elapsed() }
}

/// Starts the saga, with the same key again and again until somebody has it.
async fn start(
    client: &mut SagaServiceClient<Channel>,
    basket: &Basket,
    catalogue: &Catalogue,
    by: Instant,
) -> Result<Saga, Fate> {
    let input = Any {
        type_url: "type.googleapis.com/shop.order.v1.PlaceOrderInput".to_owned(),
        value: basket.input(catalogue).encode_to_vec(),
    };
    let request = StartSagaRequest {
        definition: "place-order".to_owned(),
        definition_version: 0,
        business_key: basket.order.order_no.clone(),
        input: Some(Input::Message(input)),
        wait: prost_types::Duration::try_from(WAIT).ok(),
        namespace: String::new(),
    };
    loop {
        let calling = client.start_saga(request.clone());
        let answered = timeout(WAIT + REPLY_WITHIN, calling).await.unwrap_or_else(silent);
        let error = match answered {
            Ok(reply) => {
                let saga = reply.into_inner().saga;
                return saga.ok_or_else(|| Fate::Open { why: "a reply without a saga".to_owned() });
            }
            Err(error) => error,
        };
        if is_refusal(&error) {
            return Err(Fate::Rejected { reason: reason(&error) });
        }
        if by < Instant::now() {
            return Err(Fate::Open { why: error.to_string() });
        }
        tracing::debug!(%error, order.no = basket.order.order_no, "start again");
        sleep(pause_after(&error)).await;
    }
}

/// Waits until the saga has ended or needs a person.
async fn wait(client: &mut SagaServiceClient<Channel>, mut saga: Saga, by: Instant) -> Fate {
    loop {
        if let Some(fate) = fate(&saga) {
            return fate;
        }
        if by < Instant::now() {
            return Fate::Open { why: saga.why };
        }
        let request = WaitSagaRequest {
            name: Some(SagaName {
                name: Some(Name::SagaId(saga.saga_id.clone())),
                namespace: String::new(),
            }),
            timeout: prost_types::Duration::try_from(WAIT).ok(),
        };
        let waiting = client.wait_saga(request);
        match timeout(WAIT + REPLY_WITHIN, waiting).await.unwrap_or_else(silent) {
            Ok(reply) => saga = reply.into_inner().saga.unwrap_or(saga),
            Err(error) => {
                tracing::debug!(%error, saga.id = saga.saga_id, "wait again");
                sleep(pause_after(&error)).await;
            }
        }
    }
}

fn silent<T>(_: tokio::time::error::Elapsed) -> Result<T, Status> {
    Err(Status::deadline_exceeded("no answer"))
}

/// None: the saga goes on.
fn fate(saga: &Saga) -> Option<Fate> {
    match saga.state() {
        SagaState::Completed => Some(Fate::Completed),
        SagaState::Compensated => {
            let reasons = [&saga.rejected_reason, &saga.turned_back];
            let reason = reasons.into_iter().find(|it| !it.is_empty());
            Some(Fate::Compensated { reason: reason.cloned().unwrap_or_default() })
        }
        SagaState::Stuck => {
            let stuck = saga.stuck.clone().unwrap_or_default();
            Some(Fate::Stuck {
                reason: stuck.reason,
                message: format!("{}: {}", stuck.step, stuck.message),
            })
        }
        SagaState::Closed => {
            Some(Fate::Stuck { reason: "CLOSED".to_owned(), message: saga.why.clone() })
        }
        SagaState::Running | SagaState::Compensating | SagaState::Unspecified => None,
    }
}

/// Whether the orchestrator has read the request and will never take it.
fn is_refusal(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::FailedPrecondition
    ) && status.get_details_error_info().is_some()
}

fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.map_or_else(|| format!("{:?}", status.code()), |info| info.reason)
}

fn pause_after(status: &Status) -> Duration {
    let told = status.get_details_retry_info().and_then(|info| info.retry_delay);
    told.unwrap_or(PAUSE)
}
