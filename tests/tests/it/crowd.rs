//! Everybody orders the same thing at once, through the orchestrator.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use saga_proto::saga::v1::{
    ListEventsRequest, Saga, SagaEvent, SagaState, WaitSagaRequest,
    saga_service_client::SagaServiceClient,
};
use saga_tests::{
    buyer::{has_ended, is_passing, named, reason},
    order::{Order, POSTER},
    sagas::{assert_compensated, assert_completed},
    server::Server,
    shop::{Database, Shop},
};
use tokio::{
    sync::Mutex,
    time::{sleep, timeout},
};
use tonic::transport::Channel;

crate::on_both_databases!(s0_1_s1_17_a_thousand_orders_at_once_of_an_item_of_which_there_are_600,);

const ORDERS: usize = 1_000;

const CONNECTIONS: usize = 40;

/// One crowd is enough for one machine.
static ALONE: Mutex<()> = Mutex::const_new(());

/// For machines that are slow and busy.
const DEADLINE: Duration = Duration::from_secs(240);

/// What a client heard on the way, and how often.
type Heard = BTreeMap<String, u32>;

type Client = SagaServiceClient<Channel>;

#[expect(clippy::print_stdout, reason = "how long it took, for whoever looks")]
async fn s0_1_s1_17_a_thousand_orders_at_once_of_an_item_of_which_there_are_600(
    database: Database,
) {
    let _alone = ALONE.lock().await;
    let mut shop = Shop::closed(database).await;
    be_patient(&shop);
    shop.open_services().await;
    shop.orchestrator.start().await;
    let number = |number: usize| Order::of(&format!("order-{number:04}"), 1, POSTER);
    let orders: Vec<Order> = (0..ORDERS).map(number).collect();
    shop.authenticate_all(&orders).await;

    let begun = Instant::now();
    let (sagas, heard) = everybody(&shop, &orders).await;
    println!("{database:?}: {ORDERS} orders in {:?}; clients heard {heard:?}", begun.elapsed());

    let completed = sagas.iter().filter(|it| it.state() == SagaState::Completed).count();
    assert_eq!((completed, sagas.len()), (600, ORDERS));
    for (saga, order) in sagas.iter().zip(&orders) {
        let money = shop.money(&order.order_no).await;
        let written = shop.order_of(&order.order_no).await;
        if saga.state() == SagaState::Completed {
            assert_completed(saga);
            assert_eq!(money, (POSTER.price_minor, 0, 1), "{}", order.order_no);
            assert!(written.is_ok(), "{written:?}");
        } else {
            assert_compensated(saga, "OUT_OF_STOCK");
            assert_eq!(money, (0, 0, 0), "{}", order.order_no);
            assert_eq!(reason(&written.unwrap_err()), "ORDER_NOT_FOUND");
        }
    }
    assert_eq!(shop.stock(POSTER).await, (0, 0, 600));
    shop.assert_integrity(&orders).await;
    // Nobody was turned away but in words that say when to come again.
    let told = told(&shop, &orders).await;
    println!("{database:?}: the orchestrator heard {told:?}");
    for what in heard.keys().chain(told.keys()) {
        let is_fit = POLITE.iter().any(|it| what == it);
        assert!(is_fit, "{what}: clients heard {heard:?}, the orchestrator {told:?}");
    }
    for server in services(&mut shop) {
        let output = server.process().output();
        let complains = ["pool timed out", "PoolTimedOut", "database is locked", "panicked"];
        let line = output.lines().find(|line| complains.iter().any(|it| line.contains(it)));
        assert_eq!(line, None);
    }
}

/// Refusals of the domain, invitations to come again, and, where the machine is slow, calls
/// that took longer than anybody waits.
const POLITE: [&str; 10] = [
    "OUT_OF_STOCK",
    "PLEASE_RETRY",
    "OVERLOADED",
    "BUSY",
    "NOT_SENT",
    "TIMED_OUT",
    "CANCELLED: Timeout expired",
    "IN_PROGRESS",
    "INQUIRY_UNANSWERED",
    "FENCED",
];

/// Only the stock turns an order away: not the impatience of a machine that does in minutes
/// what others do in seconds.
fn be_patient(shop: &Shop) {
    let path = shop.definitions().join("place-order.yaml");
    let hurried = fs::read_to_string(&path).unwrap();
    let patient = hurried.replace("attempts: 15", "attempts: 1000");
    let patient = patient.replace("timeout: 2000ms", "timeout: 30s");
    assert_ne!(hurried, patient);
    fs::write(path, patient).unwrap();
}

fn services(shop: &mut Shop) -> [&mut Server; 4] {
    [&mut shop.orchestrator, &mut shop.inventory, &mut shop.payment, &mut shop.order]
}

/// All orders at once, each through one of many connections. Answers how the sagas ended, in
/// the order of the orders.
async fn everybody(shop: &Shop, orders: &[Order]) -> (Vec<Saga>, Heard) {
    let clients: Vec<Client> = (0..CONNECTIONS).map(|_| shop.sagas()).collect();
    let buyers = orders.iter().enumerate().map(|(number, order)| {
        tokio::spawn(buy(clients[number % CONNECTIONS].clone(), order.clone()))
    });
    let buyers: Vec<_> = buyers.collect();
    let (mut sagas, mut heard) = (Vec::new(), Heard::new());
    let all = async {
        for buyer in buyers {
            let (saga, mine) = buyer.await.unwrap();
            sagas.push(saga);
            for (what, times) in mine {
                *heard.entry(what).or_default() += times;
            }
        }
    };
    timeout(DEADLINE, all).await.expect("all orders come to an end");
    (sagas, heard)
}

/// Asks until the order is accepted, and waits until it has ended.
async fn buy(mut client: Client, order: Order) -> (Saga, Heard) {
    let mut heard = Heard::new();
    while let Err(status) = client.start_saga(order.request()).await {
        assert!(is_passing(&status), "{}: {status}", order.order_no);
        *heard.entry(reason(&status)).or_default() += 1;
        sleep(Duration::from_millis(100)).await;
    }
    loop {
        let patience = prost_types::Duration::try_from(Duration::from_secs(20)).ok();
        let wait = WaitSagaRequest { name: Some(named(&order.business_key)), timeout: patience };
        match client.wait_saga(wait).await {
            Ok(reply) => {
                if let Some(saga) = reply.into_inner().saga.filter(has_ended) {
                    return (saga, heard);
                }
            }
            Err(status) => {
                assert!(is_passing(&status), "{}: {status}", order.order_no);
                *heard.entry(reason(&status)).or_default() += 1;
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// The reason of an answer; of a status that tells nothing, the participant's own.
fn what(event: &SagaEvent) -> String {
    let SagaEvent { reason, message, .. } = event;
    if reason == "INDEFINITE_STATUS" { message.clone() } else { reason.clone() }
}

/// What the participants told the orchestrator that was not an effect, by reason.
async fn told(shop: &Shop, orders: &[Order]) -> Heard {
    let mut client = shop.sagas();
    let mut told = Heard::new();
    for order in orders {
        let name = Some(named(&order.business_key));
        let request = ListEventsRequest { name, page_size: 1_000, ..ListEventsRequest::default() };
        let events = client.list_events(request).await.unwrap().into_inner().events;
        let answers = |it: &&SagaEvent| ["Answered", "Resolved"].contains(&it.kind.as_str());
        for event in events.iter().filter(answers).filter(|it| !it.reason.is_empty()) {
            *told.entry(what(event)).or_default() += 1;
        }
    }
    told
}
