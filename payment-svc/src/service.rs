//! The gRPC service, and what its binary is made of.

use std::sync::Arc;

use saga_participant::{
    Database, Migration, Participant, ParticipantApi, Resumer, Schema, Settled, Setup, Sql,
    schema::{self, SchemaError},
    serve::{App, MESSAGE_BYTES_MAX, Service},
};
use saga_proto::shop::payment::v1::{
    AuditRequest, AuditResponse, CancelRequest, CancelResponse, ConfirmRequest, ConfirmResponse,
    GetPaymentRequest, GetPaymentResponse, PrepareRequest, PrepareResponse,
    payment_service_server::{self, PaymentServiceServer},
};
use serde::Deserialize;
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    clock::Clock,
    provider::{
        Asked, Provider,
        toss::{Toss, TossConfig},
    },
};

/// The domain of this service's error reasons.
const DOMAIN: &str = "payment.shop";

/// The tables.
pub const SCHEMA: Schema = Schema {
    component: "payment",
    migrations: &[Migration {
        name: "0001_payments",
        script: Sql {
            postgres: include_str!("../migrations/postgres/0001_payments.sql"),
            sqlite: include_str!("../migrations/sqlite/0001_payments.sql"),
        },
    }],
};

/// What the operations need beside the database.
#[derive(Clone, Debug)]
pub struct Payments {
    /// Who is asked for the money.
    pub provider: Arc<dyn Provider>,
    /// Tells how old an unsettled operation is.
    pub clock: Arc<Clock>,
}

/// What is configured under `[service]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentConfig {
    /// The provider.
    pub toss: TossConfig,
}

/// The service as its binary sees it.
#[derive(Debug)]
pub struct PaymentService;

impl Service for PaymentService {
    const NAME: &'static str = "payment-svc";
    const ABOUT: &'static str = "Takes and gives back the money of the shop's orders. \
        `payment-svc simulator --help` tells about a payment provider to test against.";
    const ENV_PREFIX: &'static str = "AMENDS_PAYMENT_";
    const LISTEN_DEFAULT: &'static str = "127.0.0.1:7412";
    const SCHEMA: Schema = SCHEMA;
    type Config = PaymentConfig;

    async fn app(database: Database, config: PaymentConfig) -> anyhow::Result<App> {
        let provider = Arc::new(Toss::new(&config.toss)?);
        Ok(app(database, Payments { provider, clock: Arc::default() }))
    }
}

/// Brings the tables up to date, and returns how many migrations that took.
///
/// # Errors
///
/// As of [`saga_participant::schema::migrate`].
pub async fn migrate(database: &Database) -> Result<usize, SchemaError> {
    schema::migrate(database, &SCHEMA).await
}

/// The service in a program that holds several. The schema must be up to date.
pub fn app(database: Database, payments: Payments) -> App {
    let participant = participant(database.clone(), payments);
    let payment_server = PaymentServiceServer::new(PaymentApi { participant: participant.clone() })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    App {
        routes: Routes::new(payment_server).add_service(ParticipantApi::server(participant)),
        service_names: &[
            "shop.payment.v1.PaymentService",
            "saga.participant.v1.ParticipantService",
        ],
        database,
    }
}

/// The operations behind their barrier, without a server.
pub fn participant(database: Database, payments: Payments) -> Participant<Payments> {
    let resumers = vec![Resumer::of::<ConfirmRequest>(), Resumer::of::<CancelRequest>()];
    Participant::new(Setup { database, domain: DOMAIN, service: payments, resumers })
}

impl<A> From<Asked<A>> for Settled<A> {
    fn from(asked: Asked<A>) -> Self {
        match asked {
            Asked::Answered(answer) => Self::Definite(answer),
            // An earlier try of the same operation may have been sent.
            Asked::NotSent { message } | Asked::Unknown { message } => Self::Unknown { message },
            Asked::Wait { message } => Self::Wait { message },
            Asked::Configuration { message } => Self::Configuration { message },
        }
    }
}

/// The handlers.
#[derive(Clone, Debug)]
pub struct PaymentApi {
    /// The operations behind their barrier.
    pub participant: Participant<Payments>,
}

#[tonic::async_trait]
impl payment_service_server::PaymentService for PaymentApi {
    async fn prepare(
        &self,
        request: Request<PrepareRequest>,
    ) -> Result<Response<PrepareResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn confirm(
        &self,
        request: Request<ConfirmRequest>,
    ) -> Result<Response<ConfirmResponse>, Status> {
        self.participant.perform(request).await
    }

    async fn cancel(
        &self,
        request: Request<CancelRequest>,
    ) -> Result<Response<CancelResponse>, Status> {
        self.participant.perform(request).await
    }

    async fn get_payment(
        &self,
        request: Request<GetPaymentRequest>,
    ) -> Result<Response<GetPaymentResponse>, Status> {
        self.participant.answer(request).await
    }

    async fn audit(
        &self,
        request: Request<AuditRequest>,
    ) -> Result<Response<AuditResponse>, Status> {
        self.participant.answer(request).await
    }
}
