//! What to start of each definition, and how to make it turn back: one line for each of
//! `deploy/definitions`. A definition without one fails the tests that ask for it.

use shop_proto::order::v1::OrderLine;

use super::{
    deployed::Deployed,
    orders::{COUPON_MINOR, coupon_of},
    shop::{Bought, OWNER, Shop},
};

/// A saga to start.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name of the definition.
    pub definition: &'static str,
    /// The business key.
    pub key: String,
    /// The input, in proto-JSON.
    pub input: String,
    /// Signals that somebody gives in the end: name and payload.
    pub signals: Vec<(&'static str, String)>,
}

/// What makes a saga turn back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil<'m> {
    /// Nothing does.
    Nothing,
    /// The first step that calls this method is refused.
    Method(&'m str),
    /// The signal says no.
    Signal,
}

/// What is sold in all simulations: item, price and units.
pub const ITEMS: [(&str, i64, i64); 4] =
    [("mug", 500, 40), ("lamp", 2_000, 30), ("tray", 300, 30), ("credit-10", 1_000, 50)];

/// How to run the sagas of one definition.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Name of the definition.
    pub definition: &'static str,
    /// Whether it is about an order that was placed before.
    pub of_placed_order: bool,
    prepare: fn(&mut Shop, &Bought, Spoil<'_>) -> bool,
    input: fn(&Bought) -> String,
    signals: fn(Spoil<'_>) -> Vec<(&'static str, String)>,
}

/// One line for each definition.
const SCENARIOS: [Scenario; 10] = [
    Scenario {
        definition: "place-order",
        of_placed_order: false,
        prepare: before_place_order,
        input: place_order,
        signals: no_signals,
    },
    Scenario {
        definition: "place-pending-order",
        of_placed_order: false,
        prepare: |shop, bought, spoil| {
            match spoil {
                Spoil::Nothing => {}
                Spoil::Method("AcceptOrder") => shop.create_pending(bought),
                Spoil::Method("Quote") => shop.take_off_sale(bought),
                Spoil::Method("UseCoupons") => shop.use_coupon(bought),
                Spoil::Method("CreatePending") => {
                    shop.orders.books.overtaken.insert(bought.order_no.clone());
                }
                _ => return false,
            }
            true
        },
        input: |it| {
            let Bought { order_no, customer_id, .. } = it;
            let (lines, total_minor) = (lines(it), it.total_minor() - COUPON_MINOR);
            let coupon_id = coupon_of(order_no);
            format!(
                r#"{{"order_no":"{order_no}","customer_id":"{customer_id}","lines":[{lines}],
                    "coupon_ids":["{coupon_id}"],"expected_minor":{total_minor}}}"#
            )
        },
        signals: no_signals,
    },
    Scenario {
        definition: "settle-paid-order",
        of_placed_order: false,
        prepare: before_settle,
        input: |it| {
            let (order_no, key, customer_id) = (&it.order_no, it.key(), &it.customer_id);
            format!(
                r#"{{"order_no":"{order_no}","provider":"portone","provider_key":"{key}",
                    "customer_id":"{customer_id}"}}"#
            )
        },
        signals: no_signals,
    },
    Scenario {
        definition: "cancel-pending-order",
        of_placed_order: false,
        prepare: |shop, bought, spoil| {
            match spoil {
                Spoil::Nothing => shop.create_pending(bought),
                // There is no such order.
                Spoil::Method("Transition") => {}
                _ => return false,
            }
            true
        },
        input: |it| {
            let Bought { order_no, customer_id, .. } = it;
            format!(r#"{{"order_no":"{order_no}","customer_id":"{customer_id}"}}"#)
        },
        signals: no_signals,
    },
    Scenario {
        definition: "cancel-order",
        of_placed_order: true,
        prepare: before_cancel,
        input: |it| {
            let Bought { order_no, customer_id, .. } = it;
            format!(
                r#"{{"order_no":"{order_no}","customer_id":"{customer_id}","reason":"too late"}}"#
            )
        },
        signals: no_signals,
    },
    Scenario {
        definition: "cancel-order-item",
        of_placed_order: true,
        prepare: before_cancel,
        input: |it| {
            let Bought { order_no, customer_id, .. } = it;
            format!(
                r#"{{"order_no":"{order_no}","customer_id":"{customer_id}","line_no":1,"reason":"one too many"}}"#
            )
        },
        signals: no_signals,
    },
    Scenario {
        definition: "refund",
        of_placed_order: true,
        prepare: before_refund,
        input: |it| {
            let Bought { order_no, customer_id, .. } = it;
            format!(
                r#"{{"order_no":"{order_no}","customer_id":"{customer_id}","reason":"broken"}}"#
            )
        },
        signals: |spoil| {
            let approved = spoil != Spoil::Signal;
            let says = format!(r#"{{"approved":{approved},"goods_returned":true,"by":"ann"}}"#);
            vec![("approval", says)]
        },
    },
    Scenario {
        definition: "prepare-delivery",
        of_placed_order: true,
        prepare: before_cancel,
        input: |it| format!(r#"{{"order_no":"{}"}}"#, it.order_no),
        signals: no_signals,
    },
    Scenario {
        definition: "set-stock",
        of_placed_order: false,
        prepare: |shop, bought, spoil| {
            let owner = shop.inventory.books.items.get_mut(&bought.lines[0].item_id);
            match (spoil, owner) {
                (Spoil::Nothing, _) => true,
                (Spoil::Method("SetStock"), Some(item)) => {
                    "owner-2".clone_into(&mut item.owner_id);
                    true
                }
                _ => false,
            }
        },
        input: |it| {
            let item_id = &it.lines[0].item_id;
            format!(r#"{{"item_id":"{item_id}","on_hand":60,"owner_id":"{OWNER}"}}"#)
        },
        signals: no_signals,
    },
    Scenario {
        definition: "restock",
        of_placed_order: true,
        prepare: |shop, bought, spoil| {
            shop.returned.insert(bought.order_no.clone());
            match spoil {
                Spoil::Nothing => shop.place(bought),
                // Nothing was ever sold.
                Spoil::Method("Restock") => {}
                _ => return false,
            }
            true
        },
        input: |it| {
            let (order_no, line) = (&it.order_no, &it.lines[0]);
            let (item_id, qty) = (&line.item_id, line.qty);
            format!(
                r#"{{"order_no":"{order_no}","lines":[{{"item_id":"{item_id}","qty":{qty}}}]}}"#
            )
        },
        signals: no_signals,
    },
];

/// The scenario of a definition.
///
/// # Panics
///
/// Where there is none: whoever deploys a definition says here how it is run.
#[must_use]
pub fn of(deployed: &Deployed) -> &'static Scenario {
    let known = scenarios().iter().find(|it| it.definition == deployed.name);
    known.unwrap_or_else(|| {
        panic!("definition {} has no scenario in tests/src/sim/scenario.rs", deployed.name)
    })
}

/// All scenarios.
#[must_use]
pub fn scenarios() -> &'static [Scenario] {
    &SCENARIOS
}

impl Scenario {
    /// Makes the shop ready for a saga about `bought`. `None`: the saga has no such step, or
    /// it cannot be refused.
    #[must_use]
    pub fn prepare(&self, shop: &mut Shop, bought: &Bought, spoil: Spoil<'_>) -> Option<Case> {
        (self.prepare)(shop, bought, spoil).then(|| self.case(bought, spoil))
    }

    /// A saga about what is there already.
    #[must_use]
    pub fn case(&self, bought: &Bought, spoil: Spoil<'_>) -> Case {
        Case {
            definition: self.definition,
            key: format!("{}-{}", self.definition, bought.order_no),
            input: (self.input)(bought),
            signals: (self.signals)(spoil),
        }
    }
}

/// What a buyer buys: `units` of some items, and perhaps credit.
#[must_use]
pub fn bought(order_no: &str, items: &[usize], units: i64) -> Bought {
    let line = |index: &usize| {
        let (item_id, price_minor, _) = ITEMS[*index];
        let is_credit = item_id.starts_with("credit");
        OrderLine {
            item_id: item_id.to_owned(),
            qty: units,
            price_minor,
            discount_minor: 0,
            credits: if is_credit { 10 * units } else { 0 },
        }
    };
    Bought {
        order_no: order_no.to_owned(),
        customer_id: format!("customer-{order_no}"),
        lines: items.iter().map(line).collect(),
    }
}

fn no_signals(_: Spoil<'_>) -> Vec<(&'static str, String)> {
    Vec::new()
}

fn before_place_order(shop: &mut Shop, bought: &Bought, spoil: Spoil<'_>) -> bool {
    let total_minor = bought.total_minor() - COUPON_MINOR;
    match spoil {
        Spoil::Nothing => shop.buyer_agrees(bought, total_minor),
        Spoil::Method("UseCoupons") => {
            shop.buyer_agrees(bought, total_minor);
            shop.use_coupon(bought);
        }
        Spoil::Method("Reserve") => {
            shop.buyer_agrees(bought, total_minor);
            shop.sell_out(bought);
        }
        Spoil::Method("Confirm" | "Verify") => shop.buyer_agrees(bought, total_minor + 1),
        Spoil::Method("InsertOrder") => {
            shop.buyer_agrees(bought, total_minor);
            shop.orders.books.overtaken.insert(bought.order_no.clone());
        }
        Spoil::Method("AcceptOrder") => {
            shop.buyer_agrees(bought, total_minor);
            shop.create_pending(&Bought { customer_id: "somebody".to_owned(), ..bought.clone() });
        }
        _ => return false,
    }
    true
}

/// Lines as a customer says them.
fn lines(it: &Bought) -> String {
    let line = |line: &OrderLine| {
        let OrderLine { item_id, qty, price_minor, credits, .. } = line;
        format!(
            r#"{{"item_id":"{item_id}","qty":{qty},"price_minor":{price_minor},"credits":{credits}}}"#
        )
    };
    let lines: Vec<String> = it.lines.iter().map(line).collect();
    lines.join(",")
}

fn place_order(it: &Bought) -> String {
    let (order_no, customer_id, lines) = (&it.order_no, &it.customer_id, lines(it));
    let (key, total_minor) = (it.key(), it.total_minor() - COUPON_MINOR);
    let coupon_id = coupon_of(order_no);
    format!(
        r#"{{"order_no":"{order_no}","customer_id":"{customer_id}","lines":[{lines}],
            "coupon_ids":["{coupon_id}"],
            "payment":{{"provider":"portone","provider_key":"{key}","amount_minor":{total_minor}}},
            "currency":"GBP","credit_account":"{customer_id}"}}"#
    )
}

fn before_settle(shop: &mut Shop, bought: &Bought, spoil: Spoil<'_>) -> bool {
    let total_minor = bought.total_minor();
    match spoil {
        Spoil::Nothing => {
            shop.create_pending(bought);
            shop.buyer_pays(bought, total_minor);
        }
        // The buyer has paid for an order that is not there (S0-11).
        Spoil::Method("Transition") => shop.buyer_pays(bought, total_minor),
        // Another amount was paid (S0-14).
        Spoil::Method("Verify") => {
            shop.create_pending(bought);
            shop.buyer_pays(bought, total_minor + 1);
        }
        Spoil::Method("Decrease") => {
            shop.create_pending(bought);
            shop.buyer_pays(bought, total_minor);
            shop.sell_out(bought);
        }
        _ => return false,
    }
    true
}

/// For all that is done to a placed order: it is there, or the first step finds none.
fn before_cancel(shop: &mut Shop, bought: &Bought, spoil: Spoil<'_>) -> bool {
    match spoil {
        Spoil::Nothing => shop.place(bought),
        Spoil::Method("Transition" | "CancelLine") => {}
        Spoil::Method("Cancel") => {
            shop.place(bought);
            shop.make_uncancelable(bought);
        }
        _ => return false,
    }
    true
}

fn before_refund(shop: &mut Shop, bought: &Bought, spoil: Spoil<'_>) -> bool {
    let is_ready = match spoil {
        Spoil::Signal => before_cancel(shop, bought, Spoil::Nothing),
        _ => before_cancel(shop, bought, spoil),
    };
    if is_ready && shop.orders.books.orders.contains_key(&bought.order_no) {
        shop.deliver(bought);
    }
    is_ready
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scenario").field("definition", &self.definition).finish_non_exhaustive()
    }
}
