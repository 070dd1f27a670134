//! Sagas of every kind, and what they came to.

use saga_proto::saga::v1::{
    Saga, SagaState, SignalSagaRequest, SignalSagaResponse, StartSagaRequest, StartSagaResponse,
    StepState, signal_saga_request::Payload, start_saga_request::Input,
};
use serde_json::Value;
use shop_proto::order::v1::{CreatePendingRequest, order_service_client::OrderServiceClient};
use tonic::Status;

use crate::{
    buyer::named,
    order::{CURRENCY, CUSTOMER, Order},
    shop::{Shop, with_op_id},
};

impl Shop {
    /// Asks the orchestrator for a saga, once. The input is proto-JSON.
    ///
    /// # Errors
    ///
    /// What the orchestrator says.
    pub async fn start_saga(
        &self,
        definition: &str,
        business_key: &str,
        input: &Value,
    ) -> Result<StartSagaResponse, Status> {
        let request = StartSagaRequest {
            definition: definition.to_owned(),
            business_key: business_key.to_owned(),
            input: Some(Input::Json(input.to_string())),
            ..StartSagaRequest::default()
        };
        Ok(self.sagas().start_saga(request).await?.into_inner())
    }

    /// Starts a saga and waits until it has ended.
    pub async fn run_saga(&self, definition: &str, business_key: &str, input: &Value) -> Saga {
        self.start_saga(definition, business_key, input).await.unwrap();
        self.ended(business_key).await
    }

    /// Gives a saga a signal, in proto-JSON.
    ///
    /// # Errors
    ///
    /// What the orchestrator says.
    pub async fn signal(
        &self,
        business_key: &str,
        signal: &str,
        says: &Value,
        request_id: &str,
    ) -> Result<SignalSagaResponse, Status> {
        let request = SignalSagaRequest {
            name: Some(named(business_key)),
            signal: signal.to_owned(),
            payload: Some(Payload::Json(says.to_string())),
            request_id: request_id.to_owned(),
            actor: "tests".to_owned(),
            reason: String::new(),
            ..SignalSagaRequest::default()
        };
        Ok(self.sagas().signal_saga(request).await?.into_inner())
    }

    /// Somebody orders, and pays later.
    pub async fn create_pending(&self, order: &Order) {
        let request = with_op_id(CreatePendingRequest {
            order_no: order.order_no.clone(),
            customer_id: CUSTOMER.to_owned(),
            currency: CURRENCY.to_owned(),
            lines: order.lines(),
            credit_account: order.credit_account(),
            accept_op_id: String::new(),
        });
        OrderServiceClient::new(self.order.channel()).create_pending(request).await.unwrap();
    }
}

/// The saga did what it was for.
pub fn assert_completed(saga: &Saga) {
    let Saga { business_key, why, rejected_reason, .. } = saga;
    assert_eq!(saga.state(), SagaState::Completed, "{business_key}: {why} {rejected_reason}");
}

/// The saga was refused for this reason, and everything is undone.
pub fn assert_compensated(saga: &Saga, reason: &str) {
    assert_eq!(saga.state(), SagaState::Compensated, "{}: {}", saga.business_key, saga.why);
    assert_eq!(saga.rejected_reason, reason, "{}", saga.business_key);
}

/// The state of a step.
#[must_use]
pub fn step(saga: &Saga, name: &str) -> StepState {
    saga.steps.iter().find(|it| it.name == name).unwrap().state()
}
