//! Amounts leave in units of their currency and are kept in minor units, never added up over
//! currencies, and only what the shop has a contract for is taken.

use std::sync::Arc;

use payment_svc::{
    SCHEMA, migrate,
    provider::{
        ProviderConfigError,
        portone::{PortOne, PortOneConfig},
        toss::{Toss, TossConfig},
    },
    simulator::SimulatorConfig,
};
use saga_participant::{
    Arg, Schema, on_both_databases,
    testkit::{Scratch, new_op_id, with_op_id},
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use serde_json::json;
use shop_proto::payment::v1::{ConfirmRequest, CurrencyBalance, VerifyRequest};
use tonic::Code;

use crate::{
    bank::{Bank, charge},
    shop::{Shop, TWICE, is, paid, refusal, request, service},
};

on_both_databases!(
    an_amount_goes_to_the_provider_in_units_of_its_currency,
    what_the_provider_is_not_configured_for_is_refused_and_it_is_not_asked,
    balances_of_several_currencies_are_not_added_up,
    what_was_captured_before_amounts_had_decimals_goes_back_as_it_came,
    a_plan_of_before_amounts_had_decimals_asks_for_what_it_meant,
    what_an_order_is_charged_twice_with_is_not_added_up_over_currencies,
);

async fn bank_of(currency: &str) -> Bank {
    let config = SimulatorConfig { currency: currency.to_owned(), ..SimulatorConfig::default() };
    Bank::open_with(config).await
}

fn confirm(currency: &str, key: &str, order_no: &str, amount_minor: i64) -> ConfirmRequest {
    ConfirmRequest { currency: currency.to_owned(), ..request(key, order_no, amount_minor) }
}

async fn an_amount_goes_to_the_provider_in_units_of_its_currency(scratch: Scratch) {
    let shop = Shop::open_at(scratch, bank_of("GBP").await).await;
    shop.bank.buyer("pay-1", "order-1", 1_099).await;
    let pounds = confirm("GBP", "pay-1", "order-1", 1_099);
    assert_eq!(shop.confirm(new_op_id(), &pounds).await.unwrap().amount_minor, 1_099);
    let (_, wire) = shop.bank.show("pay-1").await;
    assert_eq!(wire["totalAmount"].to_string(), "10.99");
    let part = shop.cancel(new_op_id(), "pay-1", 5).await.unwrap();
    assert_eq!((part.cancelled_minor, part.balance_minor), (5, 1_094));
    let (_, wire) = shop.bank.show("pay-1").await;
    assert_eq!(wire["cancels"][0]["cancelAmount"].to_string(), "0.05");
    assert_eq!(wire["balanceAmount"].to_string(), "10.94");
    assert_eq!(shop.bank.money("order-1").await, (1_099, 5, 1));

    // The other provider's checksum is an amount too.
    shop.bank.payer("imp-2", "order-2", 2_050).await;
    let pounds = VerifyRequest { currency: "GBP".to_owned(), ..paid("imp-2", "order-2", 2_050) };
    let payment_id = shop.verify(new_op_id(), &pounds).await.unwrap().payment_id;
    let part = shop.cancel_part(new_op_id(), &payment_id, 1_001).await.unwrap();
    assert_eq!((part.cancelled_minor, part.balance_minor), (1_001, 1_049));
    assert_eq!(shop.bank.money("order-2").await, (2_050, 1_001, 1));
    assert_eq!(shop.balance("GBP").await, 1_094 + 1_049);

    // What came in vain goes back as a whole, in its own currency.
    shop.bank.payer("imp-3", "order-3", 333).await;
    let back = shop.cancel_paid(new_op_id(), "imp-3", "order-3").await.unwrap();
    assert_eq!((back.cancelled_minor, back.balance_minor), (333, 0));
    assert_eq!(shop.bank.money("order-3").await, (333, 333, 1));
}

async fn what_the_provider_is_not_configured_for_is_refused_and_it_is_not_asked(scratch: Scratch) {
    let shop = Shop::open_at(scratch, bank_of("KRW").await).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    for (currency, reason) in [
        ("GBP", "CURRENCY_NOT_TAKEN"),
        ("USD", "CURRENCY_NOT_TAKEN"),
        ("ZZZ", "INPUT_INVALID"),
        ("XXX", "INPUT_INVALID"),
        ("krw", "INPUT_INVALID"),
    ] {
        let other = confirm(currency, "pay-1", "order-1", 700);
        let refused = refusal(shop.confirm(new_op_id(), &other).await);
        assert_eq!(refused, is(Code::FailedPrecondition, reason), "{currency}");
    }
    assert_eq!(shop.bank.money("order-1").await, (0, 0, 0));
    shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await.unwrap();
}

async fn balances_of_several_currencies_are_not_added_up(scratch: Scratch) {
    let shop = Shop::open_at(scratch, bank_of("KRW").await).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await.unwrap();
    let elsewhere = bank_of("GBP").await;
    elsewhere.buyer("pay-2", "order-2", 40).await;
    let there = service(&shop.database, Arc::new(elsewhere.toss()));
    let pounds = with_op_id(new_op_id(), confirm("GBP", "pay-2", "order-2", 40));
    there.perform(pounds).await.unwrap();
    let of = |currency: &str, balance_minor| CurrencyBalance {
        currency: currency.to_owned(),
        balance_minor,
    };
    let audit = shop.audit().await;
    assert_eq!((audit.payments, audit.balances), (2, vec![of("GBP", 40), of("KRW", 700)]));
}

/// Pounds that went out as they are in our tables: 600 minor units were captured as 600 pounds.
async fn what_was_captured_before_amounts_had_decimals_goes_back_as_it_came(scratch: Scratch) {
    const BEFORE: Schema = Schema { migrations: SCHEMA.migrations.split_at(3).0, ..SCHEMA };
    let before = scratch.open(&BEFORE).await;
    let written = before.write(|mut tx| async move {
        for (provider, provider_key, order_no) in
            [("toss", "pay-1", "order-1"), ("portone", "imp-2", "order-2")]
        {
            tx.execute(
                "insert into payments
                    (payment_id, order_no, provider, provider_key, amount_minor, currency, status,
                     approved_at_ms, created_at_ms)
                values ($1, $2, $3, $4, 600, 'GBP', 'COMPLETED', 1, 1)",
                &[
                    Arg::Uuid(new_op_id()),
                    Arg::Text(order_no),
                    Arg::Text(provider),
                    Arg::Text(provider_key),
                ],
            )
            .await?;
        }
        tx.commit().await
    });
    written.await.unwrap();
    migrate(&before).await.unwrap();

    let shop = Shop::open_at(scratch, bank_of("GBP").await).await;
    shop.bank.buyer("pay-1", "order-1", 60_000).await;
    shop.bank.confirm("a program of before", &charge("pay-1", "order-1", 600)).await;
    shop.bank.payer("imp-2", "order-2", 60_000).await;
    // Somebody gives a part back at the provider.
    let body = json!({ "cancelReason": "a present", "cancelAmount": 50 });
    shop.bank.cancel("somebody", "pay-1", body).await;
    crate::ledger::read(&shop).await;
    for (order_no, held_minor, all) in [("order-1", 550, 60_000), ("order-2", 600, 60_000)] {
        let payment = shop.payment(order_no).await.unwrap();
        assert_eq!(payment.balance_minor, held_minor, "{order_no}");
        let part = shop.cancel_part(new_op_id(), &payment.payment_id, 100).await.unwrap();
        assert_eq!((part.cancelled_minor, part.balance_minor), (100, held_minor - 100));
        let given_back = (600 - held_minor + 100) * 100;
        assert_eq!(shop.bank.money(order_no).await, (all, given_back, 1));
        let rest = shop.cancel_part(new_op_id(), &payment.payment_id, 0).await.unwrap();
        assert_eq!((rest.cancelled_minor, rest.balance_minor), (held_minor - 100, 0));
        assert_eq!(shop.bank.money(order_no).await, (all, all, 1));
    }
}

async fn a_plan_of_before_amounts_had_decimals_asks_for_what_it_meant(scratch: Scratch) {
    let mut shop = Shop::open_at(scratch, bank_of("GBP").await).await;
    shop.bank.buyer("pay-1", "order-1", 60_000).await;
    let stopped = shop.bank.stop().await;
    let op_id = new_op_id();
    let asked =
        shop.participant.perform(with_op_id(op_id, confirm("GBP", "pay-1", "order-1", 600))).await;
    assert_eq!(asked.unwrap_err().code(), Code::Unavailable);
    let written = shop.database.write(|mut tx| async move {
        // The field and its value are the last two bytes.
        let cut = "update op_log set plan = substr(plan, 1, length(plan) - 2)
            where state = 'INTENDED'";
        assert_eq!(tx.execute(cut, &[]).await?, 1);
        assert_eq!(tx.execute("update payments set decimals = 0", &[]).await?, 1);
        tx.commit().await
    });
    written.await.unwrap();
    shop.bank = stopped.start().await;
    let settled = shop.resolve(op_id, ResolveMode::Fence).await.unwrap();
    assert!(matches!(settled, Resolution::Applied(_)), "{settled:?}");
    assert_eq!(shop.bank.money("order-1").await, (60_000, 0, 1));
    assert_eq!(shop.undo(new_op_id(), op_id).await.unwrap().cancelled_minor, 600);
    assert_eq!(shop.bank.money("order-1").await, (60_000, 60_000, 1));
}

async fn what_an_order_is_charged_twice_with_is_not_added_up_over_currencies(scratch: Scratch) {
    let shop = Shop::open_at(scratch, bank_of("KRW").await).await;
    shop.bank.buyer("pay-1", "order-1", 700).await;
    shop.confirm(new_op_id(), &request("pay-1", "order-1", 700)).await.unwrap();
    let written = shop.database.write(|mut tx| async move {
        tx.execute(
            "insert into sightings (provider, provider_key, order_no, amount_minor, balance_minor,
                seen_at_ms, currency)
            values ('toss', 'pay-2', 'order-1', 700, 700, 1, 'KRW'),
                ('toss', 'pay-3', 'order-1', 40, 40, 1, 'GBP')",
            &[],
        )
        .await?;
        tx.commit().await
    });
    written.await.unwrap();
    let mut violations = shop.audit().await.violations;
    violations.sort_unstable();
    let pounds = TWICE.replace("KRW", "GBP").replace("700", "40");
    assert_eq!(violations, [pounds.as_str(), TWICE]);
}

#[test]
fn a_configuration_without_currencies_is_refused_by_name() {
    let toss =
        TossConfig { currencies: Vec::new(), ..TossConfig::new("http://127.0.0.1:1", "test_sk_x") };
    let portone = PortOneConfig {
        currencies: Vec::new(),
        ..PortOneConfig::new("http://127.0.0.1:1", "key", "secret")
    };
    for (refused, name) in [
        (Toss::new(&toss).unwrap_err(), "`toss.currencies`"),
        (PortOne::new(&portone).unwrap_err(), "`portone.currencies`"),
    ] {
        assert!(refused.to_string().starts_with(name), "{refused}");
    }
}

#[test]
fn a_configuration_that_names_no_currency_is_refused() {
    for currency in ["won", "ZZZ", "XXX", ""] {
        let config = TossConfig {
            currencies: vec!["KRW".to_owned(), currency.to_owned()],
            ..TossConfig::new("http://127.0.0.1:1", "test_sk_x")
        };
        let refused = Toss::new(&config).unwrap_err();
        assert!(matches!(refused, ProviderConfigError::Currency { .. }), "{refused}");
    }
}
