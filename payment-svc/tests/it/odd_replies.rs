//! Replies that no provider should give, and some do: each is unknown, none a refusal.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    http::{HeaderMap, Method, StatusCode},
};
use payment_svc::provider::{
    Asking, ConfirmAnswer, ConfirmRefusal, Provider, ProviderConfigError, Wanted,
    toss::{Toss, TossConfig},
};
use saga_participant::Settled;
use tokio::net::TcpListener;

use crate::bank::{SECRET_KEY, asking, charge, refund};

const NOT_FOUND: (u16, &str) = (404, r#"{"code":"NOT_FOUND_PAYMENT","message":"no"}"#);
const DONE: &str = r#"{"paymentKey":"pay-1","orderId":"order-1","status":"DONE",
    "totalAmount":700,"balanceAmount":700,"currency":"KRW"}"#;

/// An adapter to a provider that answers every POST and every GET the same.
async fn toss(post: (u16, &str), get: (u16, &str)) -> Toss {
    toss_with(post, get, Arc::default()).await
}

/// The same, and `keys` tells under which keys it was asked.
async fn toss_with(
    post: (u16, &str),
    get: (u16, &str),
    keys: Arc<Mutex<BTreeSet<String>>>,
) -> Toss {
    let (post, get) = ((post.0, post.1.to_owned()), (get.0, get.1.to_owned()));
    let routes = Router::new().fallback(move |method: Method, headers: HeaderMap| {
        if let Some(key) = headers.get("idempotency-key") {
            keys.lock().unwrap().insert(key.to_str().unwrap().to_owned());
        }
        let (status, body) = if method == Method::POST { post.clone() } else { get.clone() };
        async move { (StatusCode::from_u16(status).unwrap(), body) }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Toss::new(&TossConfig::new(&url, SECRET_KEY)).unwrap()
}

async fn confirm(post: (u16, &str), get: (u16, &str), asking: &Asking) -> Settled<ConfirmAnswer> {
    toss(post, get).await.confirm(&charge("pay-1", "order-1", 700), asking).await
}

#[tokio::test]
async fn odd_replies_to_a_confirm_are_unknown() {
    let replies = [
        (502, "<html><body>Bad Gateway</body></html>".to_owned()),
        (503, String::new()),
        (500, r#"{"code":"REJECT_CARD_PAYMENT","message":"a 5xx means nothing"}"#.to_owned()),
        (200, String::new()),
        (200, DONE[..DONE.len() / 2].to_owned()),
        (200, "null".to_owned()),
        (200, DONE.replace("order-1", "order-2")),
        (200, DONE.replace("pay-1", "pay-2")),
        (200, DONE.replace("700", "800")),
        (200, DONE.replace("700", "700.5")),
        (200, DONE.replace("KRW", "USD")),
        (200, DONE.replace("DONE", "IN_PROGRESS")),
        (200, DONE.replace("DONE", "SETTLING")),
        (200, DONE.replace("DONE", "CANCELED")),
        (200, DONE.replace(r#""balanceAmount":700"#, r#""balanceAmount":900"#)),
        (201, DONE.to_owned()),
        (302, String::new()),
        (400, r#"{"code":"NEVER_HEARD_OF","message":"?"}"#.to_owned()),
        (400, r#"{"error":"no code"}"#.to_owned()),
        (403, "<html>a proxy</html>".to_owned()),
        (404, "<html>a proxy</html>".to_owned()),
        (401, "not json".to_owned()),
    ];
    for (status, body) in replies {
        let asked = confirm((status, &body), NOT_FOUND, &asking("key")).await;
        assert!(matches!(asked, Settled::Unknown { .. }), "{status} {body}: {asked:?}");
    }
    // The payment's key is the provider's own: what it never heard of is not there.
    let asked = confirm(NOT_FOUND, NOT_FOUND, &asking("key")).await;
    let none = Settled::Definite(ConfirmAnswer::Refused(ConfirmRefusal::NotFound));
    assert_eq!(asked, none);
    // That it is not there now says nothing where a look-up shows it, or cannot tell.
    for get in [(200, &*DONE.replace("DONE", "IN_PROGRESS")), (500, ""), (404, "<html>")] {
        let asked = confirm(NOT_FOUND, get, &asking("key")).await;
        assert!(matches!(asked, Settled::Unknown { .. }), "{get:?}: {asked:?}");
    }
    let huge = format!("{DONE}{}", " ".repeat(300_000));
    let asked = confirm((200, &huge), NOT_FOUND, &asking("key")).await;
    assert!(matches!(asked, Settled::Unknown { .. }), "{asked:?}");
}

/// A repeat gets the first answer again. What a look-up does not show is not believed.
#[tokio::test]
async fn a_success_that_comes_again_and_is_not_seen_is_unknown() {
    let again = Asking { asked_before: true, ..asking("key") };
    let others = [NOT_FOUND, (500, ""), (200, &*DONE.replace("DONE", "IN_PROGRESS"))];
    for get in others {
        let asked = confirm((200, DONE), get, &again).await;
        assert!(matches!(asked, Settled::Unknown { .. }), "{get:?}: {asked:?}");
    }
    let part_done = DONE
        .replace("DONE", "PARTIAL_CANCELED")
        .replace(r#""balanceAmount":700"#, r#""balanceAmount":400"#);
    let it = charge("pay-1", "order-1", 700);
    for get in [NOT_FOUND, (500, ""), (200, DONE)] {
        let toss = toss((200, &part_done), get).await;
        let first = toss.cancel(&refund(&it, 700, 300), &asking("key")).await;
        assert!(matches!(first, Settled::Definite(_)), "{get:?}: {first:?}");
        let asked = toss.cancel(&refund(&it, 700, 300), &again).await;
        assert!(matches!(asked, Settled::Unknown { .. }), "{get:?}: {asked:?}");
    }
}

/// Codes that say nothing of the money: a part is asked for once, whatever the status.
#[tokio::test]
async fn a_part_is_asked_for_under_one_key_whatever_status_comes() {
    let it = charge("pay-1", "order-1", 700);
    for status in [400, 403, 404, 408, 409, 425, 429, 499, 500, 503] {
        for code in ["PROVIDER_ERROR", "A_CODE_OF_TOMORROW", "REJECT_CARD_PAYMENT"] {
            let body = format!(r#"{{"code":"{code}","message":"?"}}"#);
            let keys: Arc<Mutex<BTreeSet<String>>> = Arc::default();
            let toss = toss_with((status, &body), (200, DONE), keys.clone()).await;
            let asked = toss.cancel(&refund(&it, 700, 300), &asking("key")).await;
            let open = matches!(asked, Settled::Unknown { .. } | Settled::Wait { .. });
            assert!(open, "{status} {code}: {asked:?}");
            assert_eq!(*keys.lock().unwrap(), ["key".to_owned()].into(), "{status} {code}");
        }
    }
}

#[tokio::test]
async fn unknown_fields_do_not_matter() {
    let body = DONE.replace('{', r#"{"tomorrow":{"a":[1,null]},"#);
    let asked = confirm((200, &body), NOT_FOUND, &asking("key")).await;
    assert!(matches!(asked, Settled::Definite(ConfirmAnswer::Captured { .. })), "{asked:?}");
}

#[tokio::test]
async fn s0_15_a_payment_that_cannot_be_found_stays_unknown_until_the_windows_pass() {
    let down = (500, "");
    for (age_minutes, settled) in [(0, false), (40, false), (46, true)] {
        let asking = Asking { now_ms: age_minutes * 60_000, ..asking("key") };
        let asked = confirm(down, NOT_FOUND, &asking).await;
        let expired = Settled::Definite(ConfirmAnswer::Refused(ConfirmRefusal::SessionExpired));
        assert_eq!(asked == expired, settled, "{age_minutes} minutes: {asked:?}");
    }
    // A look-up that fails is not "not found", however old the confirm is.
    let old = Asking { now_ms: 60 * 60_000, ..asking("key") };
    for get in [(500, ""), (404, "<html>"), (403, "{}"), (200, "{}")] {
        let asked = confirm(down, get, &old).await;
        assert!(matches!(asked, Settled::Unknown { .. }), "{get:?}: {asked:?}");
    }
    // Nor is what runs, by the provider's own word.
    let runs = (409, r#"{"code":"IDEMPOTENT_REQUEST_PROCESSING","message":"it runs"}"#);
    let asked = confirm(runs, NOT_FOUND, &old).await;
    assert!(matches!(asked, Settled::Wait { .. }), "{asked:?}");
}

#[tokio::test]
async fn a_look_up_that_shows_something_else_settles_nothing() {
    let down = (500, "");
    for body in [
        DONE.replace("pay-1", "pay-2"),
        DONE.replace("700", "800"),
        DONE.replace("DONE", "SETTLING"),
        DONE.replace("DONE", "IN_PROGRESS"),
    ] {
        let asked = confirm(down, (200, &body), &asking("key")).await;
        assert!(matches!(asked, Settled::Unknown { .. }), "{body}: {asked:?}");
    }
    let asked = confirm(down, (200, DONE), &asking("key")).await;
    assert!(matches!(asked, Settled::Definite(ConfirmAnswer::Captured { .. })), "{asked:?}");
}

#[tokio::test]
async fn odd_replies_to_a_cancel_are_unknown() {
    let replies = [
        (502, "<html>".to_owned()),
        (200, "{}".to_owned()),
        (200, DONE.to_owned()),
        (200, DONE.replace("order-1", "order-2")),
        (404, NOT_FOUND.1.to_owned()),
        (400, r#"{"code":"ALREADY_CANCELED_PAYMENT","message":"?"}"#.to_owned()),
    ];
    let it = charge("pay-1", "order-1", 700);
    for (status, body) in replies {
        let toss = toss((status, &body), NOT_FOUND).await;
        let asked = toss.cancel(&refund(&it, 700, 700), &asking("key")).await;
        assert!(matches!(asked, Settled::Unknown { .. }), "{status} {body}: {asked:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_not_accepted_is_for_the_operator_also_in_a_look_up() {
    let refused = (401, r#"{"code":"UNAUTHORIZED_KEY","message":"no"}"#);
    let toss = toss((500, ""), refused).await;
    let asked = toss.confirm(&charge("pay-1", "order-1", 700), &asking("key")).await;
    let Settled::Configuration { message } = asked else { panic!("{asked:?}") };
    assert!(message.contains("secret_key") && !message.contains(SECRET_KEY), "{message}");
    let asked = toss.look_up(Wanted::Key("pay-1")).await;
    assert!(matches!(asked, Settled::Configuration { .. }), "{asked:?}");
}

#[test]
fn the_secret_is_not_shown_and_tls_is_not_promised() {
    let config = TossConfig::new("http://127.0.0.1:1", SECRET_KEY);
    let toss = Toss::new(&config).unwrap();
    assert!(!format!("{config:?} {toss:?}").contains(SECRET_KEY));
    let tls = Toss::new(&TossConfig::new("https://api.tosspayments.com", SECRET_KEY));
    assert!(matches!(tls, Err(ProviderConfigError::BaseUrl { .. })), "{tls:?}");
}
