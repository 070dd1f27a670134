//! Amounts leave in units of their currency and are kept in minor units, never added up over
//! currencies, and only what the shop has a contract for is taken.

use std::sync::Arc;

use payment_svc::{
    provider::{
        ProviderConfigError,
        toss::{Toss, TossConfig},
    },
    simulator::SimulatorConfig,
};
use saga_participant::{
    on_both_databases,
    testkit::{Scratch, new_op_id, with_op_id},
};
use saga_proto::shop::payment::v1::{ConfirmRequest, CurrencyBalance, VerifyRequest};
use tonic::Code;

use crate::{
    bank::Bank,
    shop::{Shop, is, paid, refusal, request, service},
};

on_both_databases!(
    an_amount_goes_to_the_provider_in_units_of_its_currency,
    what_the_provider_is_not_configured_for_is_refused_and_it_is_not_asked,
    balances_of_several_currencies_are_not_added_up,
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
