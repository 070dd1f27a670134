//! Who gets what done: every method, with every certificate, against what the contracts say
//! (X03, X05, X16).

use std::future::Future;

use orchestrator::access::{AuthConfig, Grant, Role, Rule};
use prost::Message;
use saga_proto::saga::v1::{
    self as pb, definition_service_client::DefinitionServiceClient,
    operator_service_client::OperatorServiceClient, saga_name,
    saga_service_client::SagaServiceClient,
};
use saga_tls::testkit::{Authority, Valid};
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

use super::guarded::{Guarded, ORDERS, OTHER, Told, answered, called, judged, may, paths};

fn everywhere(role: Role) -> String {
    format!("spiffe://shop/{}", role.word())
}

fn within(namespace: &str, role: Role) -> String {
    format!("spiffe://shop/{namespace}/{}", role.word())
}

async fn server() -> Guarded {
    Guarded::start(|_| AuthConfig { grants: grants(), ..AuthConfig::default() }).await
}

fn grants() -> Vec<Grant> {
    let of = |identity: String, role, namespace: Option<&str>| Grant {
        identity: Some(identity),
        role: Some(role),
        namespace: namespace.map(str::to_owned),
        ..Grant::default()
    };
    let of_role = |role| {
        let places = [ORDERS, OTHER].map(|it| of(within(it, role), role, Some(it)));
        [vec![of(everywhere(role), role, None)], places.to_vec()].concat()
    };
    Role::ALL.into_iter().flat_map(of_role).collect()
}

#[tokio::test]
async fn every_method_lets_in_whom_its_contract_says_and_nobody_else() {
    let server = server().await;
    let mine = &server.authority;
    let outside = [
        ("nothing", None),
        ("of another authority", Some(Authority::new("shop").issue(&[&everywhere(Role::Admin)]))),
        ("expired", Some(mine.issue_valid(&[&everywhere(Role::Admin)], Valid::Before))),
        ("of tomorrow", Some(mine.issue_valid(&[&everywhere(Role::Admin)], Valid::Later))),
    ];
    let mut pairs = 0;
    for (path, rule) in paths() {
        let mut told = async |who: &str, channel: Channel, expected: Told| {
            let told = called(channel, &path, &[]).await;
            assert_eq!(told, expected, "{path}, which needs {rule:?}, and {who}");
            pairs += 1;
        };
        for (who, shown) in &outside {
            told(who, server.shown(shown.as_ref()), Told::NotConnected).await;
        }
        let is_open = rule == Rule::Open;
        told("nobody of the grants", server.known("spiffe://shop/x"), judged(is_open)).await;
        // Right name, and no certificate that says so: a name of a host is another name.
        let role = everywhere(Role::Admin);
        let nameless = server.shown(Some(&mine.issue(&["127.0.0.1"])));
        let unknown = match is_open {
            true => Told::LetIn,
            false => Told::refused("CREDENTIALS_MISSING"),
        };
        told("nobody by name", nameless, unknown).await;
        told("a part of a name", server.known(&role[..role.len() - 1]), judged(is_open)).await;
        for role in Role::ALL {
            let (all, one) = may(rule, role);
            told("everywhere", server.known(&everywhere(role)), judged(all)).await;
            told("in a namespace", server.known(&within(ORDERS, role)), judged(one)).await;
        }
    }
    // Whose token it is cannot be told here, so its bearer does not act for them.
    let admin = server.known(&everywhere(Role::Admin));
    let told = called(admin, "/saga.v1.SagaService/ListSagas", &["Bearer somebody"]).await;
    assert_eq!(told, Told::refused("TOKEN_REFUSED"));
    assert!(400 < pairs, "{pairs} pairs were tried");
}

const DEFINITION: &str = "
kind: Saga
name: rest
version: 1
input: shop.order.v1.RefundInput
steps:
  - name: rest
    wait: { signal: go, type: shop.order.v1.RefundApproval, timeout: 7d }
";

fn named(namespace: &str, key: &str) -> Option<pb::SagaName> {
    let name = Some(saga_name::Name::BusinessKey(key.to_owned()));
    Some(pb::SagaName { name, namespace: namespace.to_owned() })
}

fn start(namespace: &str, key: &str) -> pb::StartSagaRequest {
    pb::StartSagaRequest {
        definition: "rest".to_owned(),
        namespace: namespace.to_owned(),
        business_key: key.to_owned(),
        ..Default::default()
    }
}

async fn refused<T: std::fmt::Debug>(
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> (Code, String, String) {
    let status = call.await.unwrap_err();
    let reason = status.get_details_error_info().map(|it| it.reason).unwrap_or_default();
    (status.code(), reason, status.message().to_owned())
}

#[tokio::test]
async fn a_saga_of_another_namespace_is_not_there() {
    let server = server().await;
    let admin = server.known(&everywhere(Role::Admin));
    let yaml = DEFINITION.to_owned();
    let request = pb::RegisterDefinitionRequest {
        yaml,
        file_name: "rest.yaml".to_owned(),
        ..pb::RegisterDefinitionRequest::default()
    };
    DefinitionServiceClient::new(admin.clone()).register_definition(request).await.unwrap();
    let mut sagas = SagaServiceClient::new(admin.clone());
    let started = sagas.start_saga(start(ORDERS, "1")).await.unwrap().into_inner().saga.unwrap();

    no_method_reaches(&server, named(ORDERS, "1")).await;
    let stranger = server.known(&within(OTHER, Role::Admin));
    let mut sagas = SagaServiceClient::new(stranger.clone());
    let mut operator = OperatorServiceClient::new(stranger);
    let by_id = Some(saga_name::Name::SagaId(started.saga_id.clone()));
    let by_id = Some(pb::SagaName { name: by_id, namespace: String::new() });
    for name in [named(ORDERS, "1"), by_id] {
        let get = refused(sagas.get_saga(pb::GetSagaRequest { name: name.clone() })).await;
        let same = |told: (Code, String, String)| assert_eq!(told, get);
        assert_eq!((get.0, get.1.as_str()), (Code::NotFound, "SAGA_NOT_FOUND"), "{get:?}");
        let n = || name.clone();
        let (reason, request_id) = (|| "r".to_owned(), "q".to_owned());
        same(
            refused(sagas.wait_saga(pb::WaitSagaRequest { name: n(), ..Default::default() })).await,
        );
        same(
            refused(sagas.list_events(pb::ListEventsRequest { name: n(), ..Default::default() }))
                .await,
        );
        same(
            refused(sagas.cancel_saga(pb::CancelSagaRequest { name: n(), ..Default::default() }))
                .await,
        );
        let signal = pb::SignalSagaRequest {
            name: n(),
            request_id,
            signal: "s".to_owned(),
            ..Default::default()
        };
        same(refused(sagas.signal_saga(signal)).await);
        let retry = pb::RetrySagaRequest { name: n(), reason: reason(), ..Default::default() };
        same(refused(operator.retry_saga(retry)).await);
        let force = pb::ForceOutcomeRequest { name: n(), reason: reason(), ..Default::default() };
        same(refused(operator.force_outcome(force)).await);
        let renew = pb::RenewOperationRequest { name: n(), reason: reason(), ..Default::default() };
        same(refused(operator.renew_operation(renew)).await);
        let close = pb::CloseSagaRequest { name: n(), reason: reason(), ..Default::default() };
        same(refused(operator.close_saga(close)).await);
        same(refused(operator.verify_saga_log(pb::VerifySagaLogRequest { name: n() })).await);
    }
    // What is not there is told in the same words.
    let absent = refused(sagas.get_saga(pb::GetSagaRequest { name: named(ORDERS, "2") })).await;
    let there = refused(sagas.get_saga(pb::GetSagaRequest { name: named(ORDERS, "1") })).await;
    assert_eq!(absent.2.replace('2', "1"), there.2);
    let list = sagas.list_sagas(pb::ListSagasRequest::default()).await.unwrap().into_inner();
    assert!(list.sagas.is_empty(), "{list:?}");
    assert_eq!(counted(&mut sagas, "true || saga.namespace == 'orders'").await, 0);
    // Neither what holds it up nor that anything does.
    assert_eq!(waiting(&mut operator, "").await, (0, 0));
    assert_eq!(waiting(&mut operator, "true || saga.namespace == 'orders'").await, (0, 0));
    // The same key is another saga there, and nobody starts one where they have no role.
    let own = sagas.start_saga(start(OTHER, "1")).await.unwrap().into_inner();
    assert!(!own.existed && own.saga.unwrap().saga_id != started.saga_id);
    let told = refused(sagas.start_saga(start(ORDERS, "1"))).await;
    assert_eq!((told.0, told.1.as_str()), (Code::PermissionDenied, "ROLE_MISSING"));

    who_may_look_and_not_act_is_told_so(&server, &admin).await;
}

/// And the saga is as it was.
async fn who_may_look_and_not_act_is_told_so(server: &Guarded, admin: &Channel) {
    let mut viewer = SagaServiceClient::new(server.known(&within(ORDERS, Role::Viewer)));
    let saga = viewer.get_saga(pb::GetSagaRequest { name: named(ORDERS, "1") }).await.unwrap();
    assert_eq!(saga.into_inner().saga.unwrap().version, started_version(admin).await);
    let list = viewer.list_sagas(pb::ListSagasRequest::default()).await.unwrap().into_inner();
    assert_eq!(list.sagas.len(), 1);
    assert_eq!(counted(&mut viewer, "").await, 1);
    let mut viewing = OperatorServiceClient::new(server.known(&within(ORDERS, Role::Viewer)));
    assert_eq!(waiting(&mut viewing, "").await, (1, 1));
    assert_eq!(waiting(&mut viewing, "saga.namespace == 'other'").await, (0, 0));
    let told = refused(
        viewer
            .cancel_saga(pb::CancelSagaRequest { name: named(ORDERS, "1"), ..Default::default() }),
    );
    assert_eq!(told.await.1, "ROLE_MISSING");
}

/// Whatever methods there are: nobody reaches a saga where they have no role.
async fn no_method_reaches(server: &Guarded, name: Option<pb::SagaName>) {
    let of_saga = pb::GetSagaRequest { name }.encode_to_vec();
    let mut tried = 0;
    for (path, rule) in paths().into_iter().filter(|(path, _)| path.starts_with("/saga.v1.")) {
        let about_none = ["/StartSaga", "/ListSagas", "/CountSagas", "/ListStuck"];
        if !matches!(rule, Rule::InNamespace(_)) || about_none.iter().any(|it| path.ends_with(it)) {
            continue;
        }
        let stranger = server.known(&within(OTHER, Role::Admin));
        let status = answered(stranger, &path, &[], &of_saga).await.unwrap();
        let reason = status.get_details_error_info().map(|it| it.reason);
        assert_eq!(reason.as_deref(), Some("SAGA_NOT_FOUND"), "{path}: {status:?}");
        tried += 1;
    }
    assert!(8 < tried, "{tried} methods are about one saga");
}

/// Sagas that wait, and those of them that are named.
async fn waiting(operator: &mut OperatorServiceClient<Channel>, filter: &str) -> (u64, usize) {
    let request = pb::ListStuckRequest { filter: filter.to_owned(), ..Default::default() };
    let reply = operator.list_stuck(request).await.unwrap().into_inner();
    (reply.total_waiting, reply.waiting.iter().map(|group| group.examples.len()).sum())
}

async fn counted(sagas: &mut SagaServiceClient<Channel>, filter: &str) -> i64 {
    let request = pb::CountSagasRequest { filter: filter.to_owned(), ..Default::default() };
    sagas.count_sagas(request).await.unwrap().into_inner().sagas
}

async fn started_version(admin: &Channel) -> u64 {
    let mut sagas = SagaServiceClient::new(admin.clone());
    let request = pb::GetSagaRequest { name: named(ORDERS, "1") };
    sagas.get_saga(request).await.unwrap().into_inner().saga.unwrap().version
}

#[tokio::test]
async fn the_log_names_who_has_shown_who_they_are() {
    let server = server().await;
    let mut operator = OperatorServiceClient::new(server.known(&everywhere(Role::Operator)));
    for (said, written) in
        [("", "spiffe://shop/operator"), ("the boss", "spiffe://shop/operator (said: the boss)")]
    {
        let request = pb::PauseParticipantRequest {
            name: "order".to_owned(),
            request_id: format!("request {said}"),
            actor: said.to_owned(),
            reason: "a test".to_owned(),
            ..Default::default()
        };
        operator.pause_participant(request).await.unwrap();
        let request = pb::GetParticipantRequest { name: "order".to_owned() };
        let acts = operator.get_participant(request).await.unwrap().into_inner().acts;
        assert!(acts.iter().any(|it| it.actor == written), "{written}: {acts:?}");
    }
}
