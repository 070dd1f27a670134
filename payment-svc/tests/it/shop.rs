//! The payment service with its database and its bank.

use std::{future::Future, sync::Arc, time::Duration};

use payment_svc::{
    Payments, SCHEMA,
    clock::Clock,
    participant,
    provider::{
        Provider, Providers,
        toss::{Toss, TossConfig},
    },
};
use saga_participant::{
    Database, Participant, ParticipantApi,
    testkit::{Scratch, reason_of, with_op_id},
};
use saga_proto::saga::participant::v1::{
    ResolveMode, ResolveRequest, participant_service_server::ParticipantService,
    resolve_response::Resolution,
};
use shop_proto::payment::v1::{
    AuditRequest, AuditResponse, CancelRequest, CancelResponse, ConfirmRequest, ConfirmResponse,
    GetPaymentRequest, GetPaymentResponse, PaymentStatus, PrepareRequest, VerifyRequest,
    VerifyResponse, cancel_request, get_payment_request,
};
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use crate::bank::{Bank, SECRET_KEY};

/// What the audit finds where order-1 is paid, and 700 more were captured for it.
pub(crate) const TWICE: &str =
    "E4: an order is charged once: order order-1, beside its payment, in KRW has 700, not 0";

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Shop {
    pub(crate) bank: Bank,
    pub(crate) participant: Participant<Payments>,
    pub(crate) database: Database,
    pub(crate) scratch: Scratch,
    /// The service's clock; the bank has one of its own.
    pub(crate) clock: Arc<Clock>,
}

impl Shop {
    pub(crate) async fn open(scratch: Scratch) -> Self {
        Self::open_at(scratch, Bank::open().await).await
    }

    pub(crate) async fn open_at(scratch: Scratch, bank: Bank) -> Self {
        let database = scratch.open(&SCHEMA).await;
        let providers: [Arc<dyn Provider>; 2] = [Arc::new(bank.toss()), Arc::new(bank.portone())];
        let clock = Arc::<Clock>::default();
        let participant = service_with(&database, providers.into(), clock.clone());
        Self { bank, participant, database, scratch, clock }
    }

    pub(crate) async fn confirm(
        &self,
        op_id: Uuid,
        request: &ConfirmRequest,
    ) -> Result<ConfirmResponse, Status> {
        let asked = self.participant.perform(with_op_id(op_id, request.clone())).await;
        asked.map(Response::into_inner)
    }

    /// Confirms, and asks again for as long as another operation is in the way.
    pub(crate) async fn confirm_in_turn(
        &self,
        op_id: Uuid,
        request: &ConfirmRequest,
    ) -> Result<ConfirmResponse, Status> {
        within(async {
            loop {
                match Box::pin(self.confirm(op_id, request)).await {
                    Err(status) if status.code() == Code::Aborted => {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    ended => return ended,
                }
            }
        })
        .await
    }

    /// Undoes a Confirm, as an orchestrator does that does not know the payment's id.
    pub(crate) async fn undo(&self, op_id: Uuid, original: Uuid) -> Result<CancelResponse, Status> {
        let request = CancelRequest {
            payment: None,
            amount_minor: 0,
            reason: "the order did not come about".to_owned(),
            reverses_op_id: original.to_string(),
            ..CancelRequest::default()
        };
        let asked = self.participant.perform(with_op_id(op_id, request)).await;
        asked.map(Response::into_inner)
    }

    pub(crate) async fn cancel(
        &self,
        op_id: Uuid,
        provider_key: &str,
        amount_minor: i64,
    ) -> Result<CancelResponse, Status> {
        let request = CancelRequest {
            payment: Some(cancel_request::Payment::ProviderKey(provider_key.to_owned())),
            amount_minor,
            any_order: true,
            ..CancelRequest::default()
        };
        self.cancel_as(op_id, request).await
    }

    /// Gives a part of a payment of ours back.
    pub(crate) async fn cancel_part(
        &self,
        op_id: Uuid,
        payment_id: &str,
        amount_minor: i64,
    ) -> Result<CancelResponse, Status> {
        let request = CancelRequest {
            payment: Some(cancel_request::Payment::PaymentId(payment_id.to_owned())),
            amount_minor,
            ..CancelRequest::default()
        };
        self.cancel_as(op_id, request).await
    }

    pub(crate) async fn cancel_as(
        &self,
        op_id: Uuid,
        request: CancelRequest,
    ) -> Result<CancelResponse, Status> {
        let asked = self.participant.perform(with_op_id(op_id, request)).await;
        asked.map(Response::into_inner)
    }

    /// Gives back what was paid with PortOne for an order, as a saga does that has only
    /// what the client says.
    pub(crate) async fn cancel_paid(
        &self,
        op_id: Uuid,
        provider_key: &str,
        order_no: &str,
    ) -> Result<CancelResponse, Status> {
        let request = CancelRequest {
            payment: Some(cancel_request::Payment::ProviderKey(provider_key.to_owned())),
            provider: "portone".to_owned(),
            order_no: order_no.to_owned(),
            ..CancelRequest::default()
        };
        self.cancel_as(op_id, request).await
    }

    /// The service as a shop has it that takes payments by one provider.
    pub(crate) fn with_toss_alone(&self) -> Participant<Payments> {
        service_with(&self.database, [Arc::new(self.bank.toss()) as _].into(), self.clock.clone())
    }

    /// The service at this shop's bank, where the bank was replaced.
    pub(crate) fn with_bank(&self) -> Participant<Payments> {
        service(&self.database, Arc::new(self.bank.portone()))
    }

    pub(crate) async fn verify(
        &self,
        op_id: Uuid,
        request: &VerifyRequest,
    ) -> Result<VerifyResponse, Status> {
        let asked = self.participant.perform(with_op_id(op_id, request.clone())).await;
        asked.map(Response::into_inner)
    }

    pub(crate) async fn prepare(
        &self,
        op_id: Uuid,
        order_no: &str,
        amount: i64,
    ) -> Result<String, Status> {
        let request = PrepareRequest {
            order_no: order_no.to_owned(),
            amount_minor: amount,
            currency: "KRW".to_owned(),
            provider: "toss".to_owned(),
        };
        let asked = self.participant.apply(with_op_id(op_id, request)).await;
        asked.map(|it| it.into_inner().payment_id)
    }

    pub(crate) async fn payment(&self, order_no: &str) -> Result<GetPaymentResponse, Status> {
        let payment = get_payment_request::Payment::OrderNo(order_no.to_owned());
        let request = GetPaymentRequest { payment: Some(payment) };
        let asked = self.participant.answer(Request::new(request)).await;
        asked.map(Response::into_inner)
    }

    pub(crate) async fn status(&self, order_no: &str) -> PaymentStatus {
        self.payment(order_no).await.unwrap().status()
    }

    pub(crate) async fn audit(&self) -> AuditResponse {
        self.participant.answer(Request::new(AuditRequest {})).await.unwrap().into_inner()
    }

    /// What the audit finds in a currency.
    pub(crate) async fn balance(&self, currency: &str) -> i64 {
        let balances = self.audit().await.balances;
        let found = balances.iter().find(|it| it.currency == currency);
        found.map_or(0, |it| it.balance_minor)
    }

    /// Our books are in order, and agree with the provider's to the last coin.
    pub(crate) async fn assert_books_agree(&self) {
        let audit = self.audit().await;
        assert_eq!(audit.violations, Vec::<String>::new());
        let ledger = self.bank.simulator.ledger().await.unwrap();
        let held =
            |it: &payment_svc::simulator::OrderLedger| it.captured_minor - it.cancelled_minor;
        let held_minor = ledger.iter().map(held).sum::<i64>();
        assert_eq!(self.balance("KRW").await, held_minor);
    }

    pub(crate) async fn resolve(
        &self,
        op_id: Uuid,
        mode: ResolveMode,
    ) -> Result<Resolution, Status> {
        resolve(&self.participant, op_id, mode).await
    }
}

/// The service with one provider.
pub(crate) fn service(database: &Database, provider: Arc<dyn Provider>) -> Participant<Payments> {
    service_with(database, vec![provider], Arc::default())
}

pub(crate) fn service_with(
    database: &Database,
    configured: Vec<Arc<dyn Provider>>,
    clock: Arc<Clock>,
) -> Participant<Payments> {
    participant(database.clone(), Payments { providers: Providers { configured }, clock })
}

/// The service at an address where a provider may be or not be.
pub(crate) fn service_at(database: &Database, url: &str) -> Participant<Payments> {
    let toss = Toss::new(&TossConfig::new(url, SECRET_KEY)).unwrap();
    service(database, Arc::new(toss))
}

pub(crate) async fn resolve(
    participant: &Participant<Payments>,
    op_id: Uuid,
    mode: ResolveMode,
) -> Result<Resolution, Status> {
    let request = ResolveRequest { op_id: op_id.to_string(), mode: mode.into() };
    let api = ParticipantApi::new(participant.clone());
    let response = api.resolve(Request::new(request)).await?;
    Ok(response.into_inner().resolution.unwrap())
}

pub(crate) fn request(provider_key: &str, order_no: &str, amount_minor: i64) -> ConfirmRequest {
    ConfirmRequest {
        order_no: order_no.to_owned(),
        provider: "toss".to_owned(),
        provider_key: provider_key.to_owned(),
        amount_minor,
        currency: "KRW".to_owned(),
    }
}

/// A buyer says that he paid, with PortOne.
pub(crate) fn paid(provider_key: &str, order_no: &str, expected_minor: i64) -> VerifyRequest {
    VerifyRequest {
        order_no: order_no.to_owned(),
        provider: "portone".to_owned(),
        provider_key: provider_key.to_owned(),
        expected_minor,
        currency: "KRW".to_owned(),
    }
}

/// Code and reason of a call that must not succeed.
pub(crate) fn refusal<T: std::fmt::Debug>(asked: Result<T, Status>) -> (Code, String) {
    let status = asked.unwrap_err();
    (status.code(), reason_of(&status))
}

pub(crate) fn is(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it happens in time")
}
