//! Who shows a token is who it says, and no forged one is taken (X04, X28).

use std::{net::Ipv4Addr, path::Path, time::Duration};

use futures::{StreamExt as _, stream};
use orchestrator::access::{AuthConfig, Grant, Role, Rule, TokensConfig};
use ring::hmac;
use saga_proto::saga::v1::{self as pb, operator_service_client::OperatorServiceClient};
use saga_tls::testkit::{Authority, Valid};
use serde_json::{Value, json};
use tokio::time::Instant;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use super::{
    guarded::{Guarded, ORDERS, Told, called, judged, may, paths},
    issuer::{AUDIENCE, ISSUER, Issuer, claimed, from_now, signed},
    ops::get,
};

const ADMIN: &str = "spiffe://shop/admin";
const LOOK: &str = "/saga.v1.SagaService/ListSagas";

/// A claim of a token grants every role in all namespaces, and a subject in one.
fn grants() -> Vec<Grant> {
    let text = |it: &str| Some(it.to_owned());
    let of_role = |role: Role| {
        let (claim, value) = (text("shop.roles"), text(role.word()));
        let everywhere = Grant { claim, value, role: Some(role), ..Grant::default() };
        let subject = Some(format!("orders-{}", role.word()));
        let one = Grant { subject, role: Some(role), namespace: text(ORDERS), ..Grant::default() };
        [everywhere, one]
    };
    let by_name = Grant { identity: text(ADMIN), role: Some(Role::Admin), ..Grant::default() };
    Role::ALL.into_iter().flat_map(of_role).chain([by_name]).collect()
}

fn auth(issuer: &Issuer, folder: &Path, failures_per_minute_max: u32) -> AuthConfig {
    let keys = folder.join("keys.json");
    issuer.publish(&keys);
    let (issuer, audience) = (ISSUER.to_owned(), AUDIENCE.to_owned());
    let tokens = Some(TokensConfig { issuer, audience, keys, ..TokensConfig::default() });
    AuthConfig { grants: grants(), tokens, failures_per_minute_max }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn admins(issuer: &Issuer) -> String {
    bearer(&issuer.token(&json!({ "shop": { "roles": ["admin"] } })))
}

#[tokio::test]
async fn every_method_lets_in_whom_a_token_names_and_its_contract_says() {
    let issuer = Issuer::new();
    let server = Guarded::start(|folder| auth(&issuer, folder, 1_000_000)).await;
    let mine = &server.authority;
    let plain = server.shown(None);
    let foreign = server.shown(Some(&Authority::new("shop").issue(&[ADMIN])));
    let expired = server.shown(Some(&mine.issue_valid(&[ADMIN], Valid::Before)));
    let by_name = server.known(ADMIN);
    let header = json!({ "alg": "EdDSA", "kid": "ed" });
    let ed25519 = claimed(&json!({ "shop": { "roles": "admin" } }));
    let ed25519 = bearer(&signed(&header, &ed25519, |text| issuer.ed25519(text)));
    let nobody = bearer(&issuer.token(&json!({})));
    // The name of a certificate in a token is another name.
    let namesake = bearer(&issuer.token(&json!({ "sub": ADMIN })));
    let mut tried = 0;
    for (path, rule) in paths() {
        let is_open = rule == Rule::Open;
        let mut told = async |who: &str,
                              channel: &tonic::transport::Channel,
                              login: &[&str],
                              expected: Told| {
            let told = called(channel.clone(), &path, login).await;
            assert_eq!(told, expected, "{path}, which needs {rule:?}, and {who}");
            tried += 1;
        };
        let missing = if is_open { Told::LetIn } else { Told::refused("CREDENTIALS_MISSING") };
        told("nothing", &plain, &[], missing).await;
        told("another authority", &foreign, &[&admins(&issuer)], Told::NotConnected).await;
        told("an expired certificate", &expired, &[&admins(&issuer)], Told::NotConnected).await;
        told("a certificate", &by_name, &[], judged(true)).await;
        told("Ed25519", &plain, &[&ed25519], judged(true)).await;
        told("a token without a grant", &plain, &[&nobody], judged(is_open)).await;
        told("a namesake", &plain, &[&namesake], judged(is_open)).await;
        // Whoever bears a token is whom it names, and no more.
        told("an admin who bears it", &by_name, &[&nobody], judged(is_open)).await;
        for role in Role::ALL {
            let (all, one) = may(rule, role);
            let token = issuer.token(&json!({ "shop": { "roles": ["x", role.word()] } }));
            told("a claim", &plain, &[&bearer(&token)], judged(all)).await;
            let token = issuer.token(&json!({ "sub": format!("orders-{}", role.word()) }));
            told("a subject", &plain, &[&bearer(&token)], judged(one)).await;
        }
    }
    assert!(400 < tried, "{tried} calls were tried");
}

type Forged = Vec<(&'static str, String)>;

/// What an admin's token says.
fn admin() -> Value {
    json!({ "shop": { "roles": ["admin"] } })
}

/// Tokens with a header or a signature that proves nothing.
fn unsigned(issuer: &Issuer) -> Forged {
    let (good, other) = (claimed(&admin()), Issuer::new());
    let header = json!({ "alg": "ES256", "kid": "ec" });
    let own = json!({ "alg": "ES256", "kid": "ec", "jwk": other.key("ec") });
    let of = |header: Value| signed(&header, &good, |text| issuer.es256(text));
    let by_hmac = |key: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let header = json!({ "alg": "HS256", "kid": "ec" });
        signed(&header, &good, |text| hmac::sign(&key, text).as_ref().to_vec())
    };
    vec![
        ("no algorithm", of(json!({ "alg": "none", "kid": "ec" }))),
        (
            "no algorithm and no signature",
            signed(&json!({ "alg": "none", "kid": "ec" }), &good, |_| Vec::new()),
        ),
        (
            "no algorithm, in capitals",
            signed(&json!({ "alg": "NoNe", "kid": "ec" }), &good, |_| Vec::new()),
        ),
        ("no signature", signed(&header, &good, |_| Vec::new())),
        ("another key of the same id", signed(&header, &good, |text| other.es256(text))),
        ("a key of its own", signed(&own, &good, |text| other.es256(text))),
        ("HMAC with the public key", by_hmac(issuer.point())),
        (
            "HMAC with the public key as it is published",
            by_hmac(issuer.key("ec").to_string().as_bytes()),
        ),
        ("the algorithm of another key", of(json!({ "alg": "EdDSA", "kid": "ec" }))),
        ("the key of another algorithm", of(json!({ "alg": "ES256", "kid": "ed" }))),
        ("an algorithm that nobody uses", of(json!({ "alg": "RS256", "kid": "ec" }))),
        ("no key id", of(json!({ "alg": "ES256" }))),
        ("an unknown key id", of(json!({ "alg": "ES256", "kid": "x" }))),
        ("a path as key id", of(json!({ "alg": "ES256", "kid": "../../keys.json" }))),
        (
            "a key elsewhere",
            of(json!({ "alg": "ES256", "kid": "x", "jku": "http://127.0.0.1:1/" })),
        ),
        (
            "what must be understood",
            of(json!({ "alg": "ES256", "kid": "ec", "crit": ["x"], "x": 1 })),
        ),
    ]
}

/// Tokens of the issuer that say what may not be taken.
fn untrue(issuer: &Issuer) -> Forged {
    let with = |claims: Value| {
        let mut all = admin();
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        issuer.token(&all)
    };
    vec![
        ("expired", with(json!({ "exp": from_now(-120) }))),
        ("without an end", with(json!({ "exp": null }))),
        ("an end that is no number", with(json!({ "exp": "tomorrow" }))),
        ("not yet", with(json!({ "nbf": from_now(3_600) }))),
        ("another issuer", with(json!({ "iss": "https://login.evil.example" }))),
        ("no issuer", with(json!({ "iss": null }))),
        ("another audience", with(json!({ "aud": ["mail", "wiki"] }))),
        ("no audience", with(json!({ "aud": null }))),
        ("nobody", with(json!({ "sub": null }))),
        ("nobody by name", with(json!({ "sub": " " }))),
        ("a line in a name", with(json!({ "sub": "kim\nERROR all is lost" }))),
        ("a name without an end", with(json!({ "sub": "k".repeat(300) }))),
        ("more than there may be", with(json!({ "more": "x".repeat(9_000) }))),
    ]
}

/// What is no token.
fn malformed(issuer: &Issuer) -> Forged {
    let (token, nobodys) = (issuer.token(&admin()), issuer.token(&json!({})));
    let parts: Vec<&str> = token.split('.').collect();
    let (_, signature) = nobodys.rsplit_once('.').unwrap();
    vec![
        ("other claims under a signature", format!("{}.{}.{signature}", parts[0], parts[1])),
        ("half of it", format!("{}.{}", parts[0], parts[1])),
        ("a part too many", format!("{token}.{}", parts[2])),
        ("nothing", String::new()),
        ("no token", "a.b.c".to_owned()),
    ]
}

/// What somebody sends who would be an admin, each with what is wrong with it.
fn forged(issuer: &Issuer) -> Vec<(&'static str, Vec<String>)> {
    let token = issuer.token(&admin());
    let all = unsigned(issuer).into_iter().chain(untrue(issuer)).chain(malformed(issuer));
    let more = [
        ("another scheme", vec![format!("Basic {token}")]),
        ("no scheme", vec![token.clone()]),
        ("two of them", vec![bearer(&token), bearer(&token)]),
    ];
    all.map(|(what, token)| (what, vec![bearer(&token)])).chain(more).collect()
}

#[tokio::test]
async fn no_forged_token_is_taken_by_any_method_whoever_bears_it() {
    let issuer = Issuer::new();
    let server = Guarded::start(|folder| auth(&issuer, folder, 1_000_000)).await;
    let (plain, by_name) = (server.shown(None), server.known(ADMIN));
    let forged = forged(&issuer);
    assert_eq!(called(plain.clone(), LOOK, &[&admins(&issuer)]).await, Told::LetIn);
    let mut tried = 0;
    for (path, rule) in paths() {
        let expected = match rule {
            Rule::Open => Told::LetIn,
            _ => Told::refused("TOKEN_REFUSED"),
        };
        for (what, login) in &forged {
            let login: Vec<&str> = login.iter().map(String::as_str).collect();
            for channel in [&plain, &by_name] {
                let told = called(channel.clone(), &path, &login).await;
                assert_eq!(told, expected, "{path}: {what}");
                tried += 1;
            }
        }
    }
    assert!(1_500 < tried, "{tried} calls were tried");
    // One of a megabyte does not even come to be looked at.
    let large = bearer(&"x".repeat(1 << 20));
    assert_ne!(called(plain.clone(), LOOK, &[&large]).await, Told::LetIn);
    let (_, metrics) = get(server.ops, "/metrics").await.unwrap();
    for why in ["malformed", "key", "signature", "expired", "not_yet", "issuer", "audience"] {
        let none = format!("saga_logins_failed_total{{why=\"{why}\"}} 0");
        assert!(!metrics.contains(&none), "{why}: {metrics}");
    }
}

#[tokio::test]
async fn the_log_names_whom_a_token_names_and_who_made_it() {
    let issuer = Issuer::new();
    let server = Guarded::start(|folder| auth(&issuer, folder, 60)).await;
    let mut operator = OperatorServiceClient::new(server.shown(None));
    let with_token = |message: pb::PauseParticipantRequest| {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", admins(&issuer).parse().unwrap());
        request
    };
    let request = with_token(pb::PauseParticipantRequest {
        name: "order".to_owned(),
        request_id: "1".to_owned(),
        actor: "the boss".to_owned(),
        reason: "a test".to_owned(),
        ..Default::default()
    });
    let paused = operator.pause_participant(request).await.unwrap().into_inner();
    assert_eq!(paused.act.unwrap().actor, format!("kim of {ISSUER} (said: the boss)"));
}

#[tokio::test]
async fn keys_are_read_again_when_their_file_changes() {
    let (before, after) = (Issuer::new(), Issuer::new());
    let server = Guarded::start(|folder| auth(&before, folder, 1_000_000)).await;
    let channel = server.shown(None);
    assert_eq!(called(channel.clone(), LOOK, &[&admins(&before)]).await, Told::LetIn);
    after.publish(&server.path("keys.json"));
    let deadline = Instant::now() + Duration::from_secs(30);
    while called(channel.clone(), LOOK, &[&admins(&after)]).await != Told::LetIn {
        assert!(Instant::now() < deadline, "the new keys were not read");
    }
    let told = called(channel, LOOK, &[&admins(&before)]).await;
    assert_eq!(told, Told::refused("TOKEN_REFUSED"));
}

/// X28.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_bad_logins_of_one_peer_cost_nobody_else_anything() {
    const BAD: usize = 10_000;
    let issuer = Issuer::new();
    let server = Guarded::start(|folder| auth(&issuer, folder, 60)).await;
    let bad = server.shown_from(Ipv4Addr::new(127, 0, 0, 2), None);
    let good = server.shown(None);
    let forged = bearer(&Issuer::new().token(&json!({})));
    let flood = async {
        let login = [forged.as_str()];
        let calls = stream::iter(0..BAD).map(|_| called(bad.clone(), LOOK, &login));
        calls.buffer_unordered(32).collect::<Vec<_>>().await
    };
    let others = async {
        for _ in 0..100 {
            assert_eq!(called(good.clone(), LOOK, &[&admins(&issuer)]).await, Told::LetIn);
        }
    };
    let (told, ()) = tokio::join!(flood, others);
    let of = |reason: &str| told.iter().filter(|it| **it == Told::refused(reason)).count();
    let (refused, unseen) = (of("TOKEN_REFUSED"), of("TOO_MANY_LOGINS"));
    assert_eq!(refused + unseen, BAD);
    // As many as are allowed in a minute, those that become free while the flood lasts, and those
    // under way at once.
    assert!((60..1_000).contains(&refused), "{refused} of {BAD} were looked at");

    // From there not even a good one is looked at, and a certificate is. One look becomes free in
    // a second: another bad login takes it.
    let mut operator = OperatorServiceClient::new(bad.clone());
    let (mut more, deadline) = (0, Instant::now() + Duration::from_secs(30));
    let told = loop {
        let is_refused = Told::refused("TOO_MANY_LOGINS");
        while called(bad.clone(), LOOK, &[forged.as_str()]).await != is_refused {}
        more += 1;
        let mut request = Request::new(pb::GetServerInfoRequest {});
        request.metadata_mut().insert("authorization", admins(&issuer).parse().unwrap());
        match operator.get_server_info(request).await {
            Err(told) => break told,
            Ok(_) => assert!(Instant::now() < deadline, "a good login is looked at"),
        }
    };
    assert_eq!(told.code(), Code::ResourceExhausted);
    assert!(told.get_details_retry_info().unwrap().retry_delay.is_some());
    let by_name = server.authority.issue(&[ADMIN]);
    let by_name = server.shown_from(Ipv4Addr::new(127, 0, 0, 2), Some(&by_name));
    assert_eq!(called(by_name, LOOK, &[]).await, Told::LetIn);
    let (_, metrics) = get(server.ops, "/metrics").await.unwrap();
    let counted = format!("saga_logins_failed_total{{why=\"too_many\"}} {}", unseen + more + 1);
    assert!(metrics.contains(&counted), "{counted}: {metrics}");
}
