//! What an inquiry learns.

use orchestrator::participants::{Caller as _, OperationOf, ParticipantConfig};
use saga_core::{OperationId, Resolution, SagaId};
use saga_proto::saga::participant::v1::{
    Absent, AdvanceHorizonRequest, AdvanceHorizonResponse, Applied, Fenced, GetLogMarkRequest,
    GetLogMarkResponse, InProgress, ListEffectsRequest, ListEffectsResponse, Rejected, ResolveMode,
    ResolveRequest, ResolveResponse, Reversed,
    participant_service_server::{ParticipantService, ParticipantServiceServer},
    resolve_response::Resolution as Told,
};
use tonic::{Request, Response, Status, transport::Server};
use uuid::Uuid;

use super::{
    raw::Gateway,
    server::{TIMEOUT, configured, listen, participants, serve},
};

/// Bytes of what is larger than may be kept.
const LARGE: usize = 200_000;

struct Kit;

fn operation(number: u128) -> OperationOf {
    let (saga, id) = (SagaId(Uuid::from_u128(0xa5)), OperationId(Uuid::from_u128(number)));
    OperationOf { saga, started_at_ms: Some(4), id }
}

#[tonic::async_trait]
impl ParticipantService for Kit {
    async fn resolve(
        &self,
        request: Request<ResolveRequest>,
    ) -> Result<Response<ResolveResponse>, Status> {
        let told = |key| request.metadata().get(key).map(|it| it.to_str().unwrap().to_owned());
        assert_eq!(told("saga-id"), Some(Uuid::from_u128(0xa5).to_string()));
        assert_eq!(told("saga-started-at-ms").as_deref(), Some("4"));
        let request = request.into_inner();
        assert_eq!(request.mode(), ResolveMode::Fence);
        let number = Uuid::parse_str(&request.op_id).unwrap().as_u128();
        let resolution = match number {
            1 => Some(Told::Applied(Applied { reply: b"reply".to_vec() })),
            2 => {
                let (reason, message) = ("OUT_OF_STOCK".to_owned(), "no".to_owned());
                Some(Told::Rejected(Rejected { reason, message }))
            }
            3 => Some(Told::Fenced(Fenced {})),
            4 => Some(Told::InProgress(InProgress {})),
            5 => Some(Told::Absent(Absent {})),
            6 => None,
            8 => Some(Told::Applied(Applied { reply: vec![0; LARGE] })),
            9 => Some(Told::Reversed(Reversed { reply: vec![0; LARGE] })),
            10 => {
                let (reason, message) = ("OUT_OF_STOCK".to_owned(), "n".repeat(LARGE));
                Some(Told::Rejected(Rejected { reason, message }))
            }
            _ => return Err(Status::unavailable("no database")),
        };
        Ok(Response::new(ResolveResponse { resolution }))
    }

    async fn list_effects(
        &self,
        _: Request<ListEffectsRequest>,
    ) -> Result<Response<ListEffectsResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn advance_horizon(
        &self,
        _: Request<AdvanceHorizonRequest>,
    ) -> Result<Response<AdvanceHorizonResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_log_mark(
        &self,
        _: Request<GetLogMarkRequest>,
    ) -> Result<Response<GetLogMarkResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

#[tokio::test]
async fn each_answer_is_told_from_the_others() {
    let kit = ParticipantServiceServer::new(Kit);
    let client = participants(serve(Server::builder().add_service(kit)).await);
    let ask = |number| client.resolve("inventory", operation(number), TIMEOUT);
    let unanswered = |message: &str| Resolution::Unanswered { message: message.to_owned() };

    assert_eq!(ask(1).await, Resolution::Applied { reply: "reply".into() });
    let (reason, message) = ("OUT_OF_STOCK".to_owned(), "no".to_owned());
    assert_eq!(ask(2).await, Resolution::Rejected { reason, message });
    assert_eq!(ask(3).await, Resolution::Fenced);
    assert_eq!(ask(4).await, Resolution::InProgress);
    assert_eq!(ask(5).await, unanswered("the participant did not fence"));
    assert_eq!(ask(6).await, unanswered("an empty answer to an inquiry"));
    assert_eq!(ask(7).await, unanswered("UNAVAILABLE: no database"));
}

/// How much an operation replied says nothing about what became of it.
#[tokio::test]
async fn an_answer_that_is_too_large_to_be_kept_is_told_from_the_others() {
    let kit = ParticipantServiceServer::new(Kit);
    let address = serve(Server::builder().add_service(kit)).await;
    let client = configured(ParticipantConfig {
        addresses: vec![format!("http://{address}")],
        reply_bytes_max: 1_000,
        ..ParticipantConfig::default()
    });
    let ask = |number| client.resolve("inventory", operation(number), TIMEOUT);
    assert_eq!(ask(1).await, Resolution::Applied { reply: "reply".into() });
    let message = "the reply is over the limit of 1064 bytes".to_owned();
    assert_eq!(ask(8).await, Resolution::AppliedUnread { message });
    assert_eq!(ask(9).await, Resolution::Reversed);
    let (reason, message) = ("OUT_OF_STOCK".to_owned(), "n".repeat(500));
    assert_eq!(ask(10).await, Resolution::Rejected { reason, message });
}

#[tokio::test]
async fn no_inquiry_is_not_the_same_as_no_answer() {
    let operation = operation(1);
    let without = participants(serve(Server::builder().add_service(Gateway)).await);
    let resolution = without.resolve("inventory", operation, TIMEOUT).await;
    assert!(matches!(resolution, Resolution::Unsupported { .. }), "{resolution:?}");

    let (frozen, address) = listen().await;
    let resolution = participants(address).resolve("inventory", operation, TIMEOUT).await;
    assert!(matches!(resolution, Resolution::Unanswered { .. }), "{resolution:?}");
    drop(frozen);
    let resolution = participants(address).resolve("inventory", operation, TIMEOUT).await;
    assert!(matches!(resolution, Resolution::Unanswered { .. }), "{resolution:?}");
    let resolution = participants(address).resolve("payment", operation, TIMEOUT).await;
    assert!(matches!(resolution, Resolution::Unanswered { .. }), "{resolution:?}");
}
