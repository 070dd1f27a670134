//! What buyers do: authenticate a payment at the provider, place an order, wait for it.

use std::time::Duration;

use prost::Message as _;
use prost_types::Any;
use saga_proto::saga::v1::{
    ListEventsRequest, Saga, SagaEvent, SagaName, SagaState, StartSagaRequest, StartSagaResponse,
    WaitSagaRequest, saga_name::Name, saga_service_client::SagaServiceClient,
    start_saga_request::Input,
};
use serde_json::{Value, json};
use shop_proto::order::v1::PlaceOrderInput;
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::{condition::eventually, order::Order, shop::Shop};

/// Payments that are opened in one request.
const SESSIONS_MAX: usize = 250;

impl Shop {
    /// A client of the orchestrator.
    #[must_use]
    pub fn sagas(&self) -> SagaServiceClient<Channel> {
        SagaServiceClient::new(self.orchestrator.channel())
    }

    /// The buyer authenticates the payment of an order.
    pub async fn authenticate(&self, order: &Order) {
        self.authenticate_with(order, json!({})).await;
    }

    /// The same; `faults` is the script of what goes wrong at the provider.
    pub async fn authenticate_with(&self, order: &Order, faults: Value) {
        self.open_payment(order, json!({ "faults": faults })).await;
    }

    /// The buyer pays at the provider, before the shop is asked for anything.
    pub async fn pay(&self, order: &Order) {
        self.open_payment(order, json!({ "stage": "paid" })).await;
    }

    /// The buyers authenticate the payments of these orders.
    pub async fn authenticate_all(&self, orders: &[Order]) {
        for some in orders.chunks(SESSIONS_MAX) {
            self.open_payments(some.iter().map(session).collect()).await;
        }
    }

    async fn open_payment(&self, order: &Order, more: Value) {
        let mut session = session(order);
        session.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.open_payments(vec![session]).await;
    }

    async fn open_payments(&self, sessions: Vec<Value>) {
        let url = format!("{}/simulator/v1/payments", self.provider.url());
        let body = json!({ "payments": sessions });
        let reply = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
        assert!(reply.status().is_success(), "{}", reply.text().await.unwrap());
    }

    /// Asks the orchestrator for the saga of an order, once.
    ///
    /// # Errors
    ///
    /// What the orchestrator says.
    pub async fn start(&self, order: &Order) -> Result<StartSagaResponse, Status> {
        Ok(self.sagas().start_saga(order.request()).await?.into_inner())
    }

    /// Places what somebody says, and waits until that has ended.
    pub async fn place_input(&self, business_key: &str, input: &PlaceOrderInput) -> Saga {
        let message = Any {
            type_url: "type.googleapis.com/shop.order.v1.PlaceOrderInput".to_owned(),
            value: input.encode_to_vec(),
        };
        let request = StartSagaRequest {
            definition: "place-order".to_owned(),
            business_key: business_key.to_owned(),
            input: Some(Input::Message(message)),
            ..StartSagaRequest::default()
        };
        self.sagas().start_saga(request).await.unwrap();
        self.ended(business_key).await
    }

    /// Asks for the saga of an order until it is accepted.
    pub async fn insist(&self, order: &Order) -> Saga {
        eventually("the order is accepted", async || match self.start(order).await {
            Ok(reply) => reply.saga,
            Err(status) if is_passing(&status) => None,
            Err(status) => panic!("order {} was refused: {status}", order.order_no),
        })
        .await
    }

    /// Places an order and waits until it has ended, whatever becomes of the orchestrator
    /// meanwhile.
    pub async fn place(&self, order: &Order) -> Saga {
        self.insist(order).await;
        self.ended(&order.business_key).await
    }

    /// Waits until a saga has ended.
    pub async fn ended(&self, business_key: &str) -> Saga {
        let what = format!("saga {business_key} ends");
        eventually(&what, async || self.wait_a_while(business_key).await.filter(has_ended)).await
    }

    /// Waits until a saga is as `is` wants it.
    pub async fn becomes(&self, business_key: &str, is: impl Fn(&Saga) -> bool) -> Saga {
        let what = format!("saga {business_key} gets somewhere");
        eventually(&what, async || self.saga(business_key).await.filter(|saga| is(saga))).await
    }

    /// The saga as it stands; None where the orchestrator does not answer.
    pub async fn saga(&self, business_key: &str) -> Option<Saga> {
        self.wait(business_key, Duration::ZERO).await
    }

    async fn wait_a_while(&self, business_key: &str) -> Option<Saga> {
        self.wait(business_key, Duration::from_secs(5)).await
    }

    async fn wait(&self, business_key: &str, timeout: Duration) -> Option<Saga> {
        let timeout = prost_types::Duration::try_from(timeout).ok();
        let request = WaitSagaRequest { name: Some(named(business_key)), timeout };
        match self.sagas().wait_saga(request).await {
            Ok(reply) => reply.into_inner().saga,
            Err(status) if is_passing(&status) => None,
            Err(status) => panic!("saga {business_key}: {status}"),
        }
    }

    /// The history of a saga.
    pub async fn events(&self, business_key: &str) -> Vec<SagaEvent> {
        let name = Some(named(business_key));
        let request = ListEventsRequest { name, page_size: 1_000, ..ListEventsRequest::default() };
        self.sagas().list_events(request).await.unwrap().into_inner().events
    }
}

/// A payment that its buyer opens at the provider.
fn session(order: &Order) -> Value {
    json!({
        "payment_key": order.payment_key,
        "order_no": order.order_no,
        "amount_minor": order.total_minor(),
    })
}

/// A saga by its business key.
#[must_use]
pub fn named(business_key: &str) -> SagaName {
    let name = Some(Name::BusinessKey(business_key.to_owned()));
    SagaName { name, namespace: String::new() }
}

/// Whether a saga has come to its end.
#[must_use]
pub fn has_ended(saga: &Saga) -> bool {
    let ends = [SagaState::Completed, SagaState::Compensated, SagaState::Closed];
    ends.contains(&saga.state())
}

/// The reason code of a status; empty where it has none.
#[must_use]
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Whether the orchestrator cannot be asked now, or did not do it now.
#[must_use]
pub fn is_passing(status: &Status) -> bool {
    use tonic::Code::{
        Cancelled, DeadlineExceeded, Internal, ResourceExhausted, Unavailable, Unknown,
    };

    match status.code() {
        Unavailable | ResourceExhausted | DeadlineExceeded => true,
        // A connection that broke.
        Cancelled | Internal | Unknown => reason(status).is_empty(),
        _ => false,
    }
}
