//! The database of the log fails over to a standby that was behind, under two living nodes:
//! what was committed in its last moments is gone, and the participants remember it.

use std::{collections::BTreeMap, net::SocketAddr};

use futures::future::join_all;
use saga_proto::saga::v1::SagaState;
use saga_tests::{
    condition::eventually,
    order::{MUG, Order},
    postgres::Cluster,
    relay::Relay,
    shop::{Database, Node, Shop},
};
use sqlx::{Connection as _, PgConnection};

/// More statements than this in a second are not rest.
const AT_REST: i64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failover_loses_is_done_once_when_it_is_asked_for_again() {
    let primary = Cluster::start();
    drop(primary.database("log"));
    let link = Relay::to(primary.address()).await;
    let standby = Cluster::standby_of(link.address());
    let name = Relay::to(primary.address()).await;
    let node = Node::on(&database_at(name.address()));
    let mut shop = Shop::closed(Database::Sqlite).await;
    shop.configure(&node);
    let mut second = shop.second_node(&node);
    shop.open_services().await;
    shop.orchestrator.start().await;
    second.start().await;
    let orders: Vec<Order> = (0..36).map(|it| Order::of(&format!("order-{it}"), 1, MUG)).collect();
    shop.authenticate_all(&orders).await;
    let (done, rest) = orders.split_at(8);
    let (under_way, late) = rest.split_at(14);

    // Some are done, some have got as far as their payment, on both nodes.
    join_all(done.iter().map(|order| shop.place(order))).await;
    shop.provider.kill().await;
    let (here, there) = under_way.split_at(7);
    join_all(here.iter().map(|order| shop.insist(order))).await;
    std::mem::swap(&mut shop.orchestrator, &mut second);
    join_all(there.iter().map(|order| shop.insist(order))).await;
    reached(standby.address(), under_way.len() + done.len()).await;

    // From here on the standby hears nothing. All go on, and more are accepted.
    link.cut();
    shop.provider.start().await;
    join_all(late.iter().map(|order| shop.insist(order))).await;
    join_all(under_way[..4].iter().chain(&late[..4]).map(|it| shop.ended(&it.business_key))).await;
    let before = rows(primary.address()).await;
    primary.kill();
    standby.promote();
    name.lead_to(standby.address());
    let after = rows(standby.address()).await;
    assert_lost(&before, &after, late, under_way);

    // Whoever had a word that is lost asks again, as the README says.
    let sagas = join_all(orders.iter().map(|order| shop.place(order))).await;
    for saga in sagas {
        assert_eq!(saga.state(), SagaState::Completed, "{}: {}", saga.business_key, saga.why);
    }
    for order in &orders {
        assert_eq!(shop.money(&order.order_no).await, (500, 0, 1), "{}", order.order_no);
    }
    shop.assert_integrity(&orders).await;
    comes_to_rest(standby.address()).await;
    for node in [&mut shop.orchestrator, &mut second] {
        node.process().assert_running().await;
    }
}

/// The failure happened: sagas that were accepted are gone, and others have fewer rows.
fn assert_lost(before: &Rows, after: &Rows, late: &[Order], under_way: &[Order]) {
    for order in late {
        assert!(before.contains_key(&order.business_key), "{} was accepted", order.order_no);
        assert!(!after.contains_key(&order.business_key), "{} is lost", order.order_no);
    }
    let shorter = |order: &&Order| after[&order.business_key] < before[&order.business_key];
    assert!(under_way.iter().any(|order| shorter(&order)), "{before:?} {after:?}");
}

/// How many rows each saga has, by business key.
type Rows = BTreeMap<String, i64>;

async fn rows(server: SocketAddr) -> Rows {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "/* rows */ select business_key, max(saga_event.version)::bigint
            from saga join saga_event using (saga_id) group by business_key",
    )
    .fetch_all(&mut connect(server).await)
    .await
    .unwrap();
    rows.into_iter().collect()
}

/// Waits until a standby has this many sagas.
async fn reached(standby: SocketAddr, sagas: usize) {
    eventually("the standby has them", async || (rows(standby).await.len() == sagas).then_some(()))
        .await;
}

/// Waits for a second in which next to nothing is asked of the database. A node that can't
/// write what it wants to must not try without a pause.
async fn comes_to_rest(server: SocketAddr) {
    let mut connection = connect(server).await;
    let statement = "/* rest */ with last as (select pg_stat_clear_snapshot(), pg_sleep(1))
        select xact_commit + xact_rollback from pg_stat_database, last
        where datname = current_database()";
    let mut last = i64::MIN / 2;
    eventually("the nodes come to rest", async || {
        let now: i64 = sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap();
        let asked = now - last;
        last = now;
        (asked < AT_REST).then_some(())
    })
    .await;
}

async fn connect(server: SocketAddr) -> PgConnection {
    PgConnection::connect(&database_at(server)).await.unwrap()
}

fn database_at(server: SocketAddr) -> String {
    format!("postgres://postgres@{server}/log")
}
