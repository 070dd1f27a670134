//! The gRPC service, and what its binary is made of.

use std::sync::Arc;

use saga_participant::{
    Database, Migration, OperationMeta, Participant, ParticipantApi, Resumer, Schema, Settled,
    Setup, Sql,
    schema::{self, SchemaError},
    serve::{App, MESSAGE_BYTES_MAX, Service},
};
use serde::Deserialize;
use shop_proto::payment::v1::{
    AuditRequest, AuditResponse, CancelRequest, CancelResponse, ConfirmRequest, ConfirmResponse,
    GetCreditRequest, GetCreditResponse, GetPaymentRequest, GetPaymentResponse, GrantCreditRequest,
    GrantCreditResponse, PrepareRequest, PrepareResponse, RevokeCreditRequest,
    RevokeCreditResponse, VerifyRequest, VerifyResponse,
    payment_service_server::{self, PaymentServiceServer},
};
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    clock::Clock,
    ledger::{LedgerConfig, LedgerReader},
    payments,
    provider::{
        Asking, Provider, Providers,
        portone::{PortOne, PortOneConfig},
        toss::{Toss, TossConfig},
    },
    webhooks::{WebhookConfig, Webhooks},
};

/// The domain of this service's error reasons.
const DOMAIN: &str = "payment.shop";

/// The tables.
pub const SCHEMA: Schema = Schema {
    component: "payment",
    migrations: &[
        Migration {
            name: "0001_payments",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0001_payments.sql"),
                sqlite: include_str!("../migrations/sqlite/0001_payments.sql"),
            },
        },
        Migration {
            name: "0002_strays_credits_sightings",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0002_strays_credits_sightings.sql"),
                sqlite: include_str!("../migrations/sqlite/0002_strays_credits_sightings.sql"),
            },
        },
        Migration {
            name: "0003_ledger",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0003_ledger.sql"),
                sqlite: include_str!("../migrations/sqlite/0003_ledger.sql"),
            },
        },
        Migration {
            name: "0004_decimals",
            script: Sql {
                postgres: include_str!("../migrations/postgres/0004_decimals.sql"),
                sqlite: include_str!("../migrations/sqlite/0004_decimals.sql"),
            },
        },
    ],
};

/// What the operations need beside the database.
#[derive(Clone, Debug)]
pub struct Payments {
    /// Who is asked for the money.
    pub providers: Providers,
    /// Tells how old an unsettled operation is.
    pub clock: Arc<Clock>,
}

impl Payments {
    /// The provider of that name. Where it is not configured, the operator has to look.
    pub(crate) fn provider<A>(&self, name: &str) -> Result<&Arc<dyn Provider>, Settled<A>> {
        self.providers.named(name).ok_or_else(|| {
            let message = format!("provider {name} is not configured; add `[service.{name}]`");
            Settled::Configuration { message }
        })
    }

    /// Whether that provider, which is not configured, was surely never asked: neither by an
    /// earlier try of the operation, nor for any payment that the shop took.
    pub(crate) async fn never_asked(&self, provider: &str, op: &OperationMeta) -> bool {
        let Some(database) = self.clock.database() else { return false };
        let provider = provider.to_owned();
        let took = database
            .read(|mut tx| async move { Ok(payments::ever_took(&mut tx, &provider).await?) })
            .await;
        !op.asked_before && matches!(took, Ok(false))
    }

    /// How an operation asks its provider: with its id for a key.
    pub(crate) async fn asking(&self, op: &OperationMeta, intended_at_ms: i64) -> Asking {
        let idempotency_key = op.op_id.to_string();
        // An age that is not known ends nothing.
        let now_ms = self.clock.database_ms().await.unwrap_or(intended_at_ms);
        Asking { idempotency_key, intended_at_ms, now_ms, asked_before: op.asked_before }
    }
}

/// What is configured under `[service]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentConfig {
    /// Toss Payments.
    pub toss: TossConfig,
    /// PortOne V1. None: its payments are not taken.
    #[serde(default)]
    pub portone: Option<PortOneConfig>,
    /// Where the providers' webhooks come in. None: they are not listened to.
    #[serde(default)]
    pub webhooks: Option<WebhookConfig>,
    /// How the providers' ledgers are read.
    #[serde(default)]
    pub ledger: LedgerConfig,
}

impl PaymentConfig {
    /// The providers that are configured.
    fn providers(&self) -> anyhow::Result<Providers> {
        let mut configured: Vec<Arc<dyn Provider>> = vec![Arc::new(Toss::new(&self.toss)?)];
        if let Some(portone) = &self.portone {
            configured.push(Arc::new(PortOne::new(portone)?));
        }
        Ok(Providers { configured })
    }
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
    const DESCRIPTORS: &'static [u8] = shop_proto::FILE_DESCRIPTOR_SET;
    type Config = PaymentConfig;

    async fn app(database: Database, config: PaymentConfig) -> anyhow::Result<App> {
        let payments = Payments { providers: config.providers()?, clock: Arc::default() };
        let participant = participant(database, payments);
        let reader = LedgerReader::new(config.ledger)?;
        tokio::spawn(reader.run(participant.clone()));
        if let Some(webhooks) = config.webhooks {
            let webhooks = Webhooks::bind(webhooks).await?;
            tokio::spawn(webhooks.run(participant.clone()));
        }
        Ok(app_of(participant))
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
    app_of(participant(database, payments))
}

fn app_of(participant: Participant<Payments>) -> App {
    let database = participant.database().clone();
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
    payments.clock.follow(database.clone());
    let resumers = vec![
        Resumer::of::<ConfirmRequest>(),
        Resumer::of::<VerifyRequest>(),
        Resumer::of::<CancelRequest>(),
    ];
    Participant::new(Setup { database, domain: DOMAIN, service: payments, resumers })
        .forgetting(|tx, op_ids| Box::pin(payments::forget(tx, op_ids)))
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

    async fn verify(
        &self,
        request: Request<VerifyRequest>,
    ) -> Result<Response<VerifyResponse>, Status> {
        self.participant.perform(request).await
    }

    async fn cancel(
        &self,
        request: Request<CancelRequest>,
    ) -> Result<Response<CancelResponse>, Status> {
        self.participant.perform(request).await
    }

    async fn grant_credit(
        &self,
        request: Request<GrantCreditRequest>,
    ) -> Result<Response<GrantCreditResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn revoke_credit(
        &self,
        request: Request<RevokeCreditRequest>,
    ) -> Result<Response<RevokeCreditResponse>, Status> {
        self.participant.apply(request).await
    }

    async fn get_credit(
        &self,
        request: Request<GetCreditRequest>,
    ) -> Result<Response<GetCreditResponse>, Status> {
        self.participant.answer(request).await
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
