//! All participants, and what the shop looks like before a saga begins.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use shop_proto::{inventory::v1 as inventory, order::v1 as order, payment::v1 as payment};
use uuid::Uuid;

use super::{
    answer::{Answer, Deny},
    barrier::{Call, Desk, Recorded},
    fault::Defect,
    inventory::{Inventory, Item},
    orders::{Orders, cost_minor, coupon_of},
    payments::{Payments, payment_id},
    provider::Payment,
};

/// Who takes part in the sagas of the shop.
pub const PARTICIPANTS: [&str; 3] = ["inventory", "order", "payment"];

/// Whose all items are.
pub const OWNER: &str = "owner-1";

/// The shop: three participants and a provider.
#[derive(Debug, Default)]
pub struct Shop {
    /// The participant `inventory`.
    pub inventory: Desk<Inventory>,
    /// The participant `order`.
    pub orders: Desk<Orders>,
    /// The participant `payment`.
    pub payments: Desk<Payments>,
    /// Orders whose goods may come back without their money: returns that nobody refunds.
    pub returned: BTreeSet<String>,
    set_up: u128,
}

/// An order of a set-up.
#[derive(Clone, Debug)]
pub struct Bought {
    /// Its number.
    pub order_no: String,
    /// Whose it is.
    pub customer_id: String,
    /// What is bought.
    pub lines: Vec<order::OrderLine>,
}

impl Bought {
    /// The provider's key of its payment.
    #[must_use]
    pub fn key(&self) -> String {
        format!("key-{}", self.order_no)
    }

    /// What it costs.
    #[must_use]
    pub fn total_minor(&self) -> i64 {
        self.lines.iter().map(cost_minor).sum()
    }

    /// Credit that it grants.
    #[must_use]
    pub fn credits(&self) -> i64 {
        self.lines.iter().map(|it| it.credits).sum()
    }

    fn stock_lines(&self) -> Vec<inventory::Line> {
        let line = |it: &order::OrderLine| inventory::Line {
            item_id: it.item_id.clone(),
            qty: it.qty,
            ..inventory::Line::default()
        };
        self.lines.iter().map(line).collect()
    }
}

impl Shop {
    /// A shop that sells these: item, price and units in the house. One of `credit-10`
    /// grants ten credits.
    #[must_use]
    pub fn selling(items: &[(&str, i64, i64)]) -> Self {
        let mut shop = Self::default();
        for (item_id, price_minor, units) in items {
            let credits = item_id.strip_prefix("credit-").and_then(|it| it.parse().ok());
            let item = Item {
                owner_id: OWNER.to_owned(),
                price_minor: *price_minor,
                credits: credits.unwrap_or(0),
                initial: *units,
                on_hand: *units,
                reserved: 0,
                sold: 0,
                version: 1,
            };
            shop.inventory.books.items.insert((*item_id).to_owned(), item);
        }
        shop
    }

    /// Answers a call to `participant`.
    ///
    /// # Errors
    ///
    /// [`Deny`] says what the caller can do.
    pub fn serve(&mut self, participant: &str, call: &Call, defect: Option<Defect>) -> Answer {
        match participant {
            "inventory" => self.inventory.serve(call, defect),
            "order" => self.orders.serve(call, defect),
            "payment" => self.payments.serve(call, defect),
            other => Err(Deny::NoSuchMethod { path: other.to_owned() }),
        }
    }

    /// Answers a fencing inquiry.
    pub fn resolve(&mut self, participant: &str, op: Uuid, defect: Option<Defect>) -> Recorded {
        match participant {
            "inventory" => self.inventory.resolve(op, defect),
            "order" => self.orders.resolve(op, defect),
            _ => self.payments.resolve(op, defect),
        }
    }

    /// What `participant` has recorded of an operation.
    #[must_use]
    pub fn recorded(&self, participant: &str, op: Uuid) -> Option<&Recorded> {
        let rows = match participant {
            "inventory" => &self.inventory.rows,
            "order" => &self.orders.rows,
            _ => &self.payments.rows,
        };
        rows.get(&op).map(|row| &row.recorded)
    }

    /// Whether `participant` has undone an operation.
    #[must_use]
    pub fn is_reversed(&self, participant: &str, op: Uuid) -> bool {
        let reversed = match participant {
            "inventory" => &self.inventory.reversed,
            "order" => &self.orders.reversed,
            _ => &self.payments.reversed,
        };
        reversed.contains_key(&op)
    }

    /// How often an operation took effect, wherever it did.
    #[must_use]
    pub fn effect_count(&self, op: Uuid) -> u32 {
        self.effects().filter_map(|effects| effects.get(&op)).sum()
    }

    /// The effects of each participant.
    pub fn effects(&self) -> impl Iterator<Item = &BTreeMap<Uuid, u32>> {
        [&self.inventory.effects, &self.orders.effects, &self.payments.effects].into_iter()
    }

    /// The buyer agrees to pay `amount_minor` for the order; nothing is taken yet.
    pub fn buyer_agrees(&mut self, bought: &Bought, amount_minor: i64) {
        let payment = Payment {
            order_no: bought.order_no.clone(),
            amount_minor,
            captured_minor: 0,
            cancelled_minor: 0,
            paid_by_buyer: false,
            cancelable: true,
        };
        self.payments.books.provider.payments.insert(bought.key(), payment);
    }

    /// The buyer pays at the provider before anybody asks.
    pub fn buyer_pays(&mut self, bought: &Bought, amount_minor: i64) {
        self.buyer_agrees(bought, amount_minor);
        if let Some(payment) = self.payments.books.provider.payments.get_mut(&bought.key()) {
            (payment.captured_minor, payment.paid_by_buyer) = (amount_minor, true);
        }
    }

    /// The provider does not give the money of this order back.
    pub fn make_uncancelable(&mut self, bought: &Bought) {
        if let Some(payment) = self.payments.books.provider.payments.get_mut(&bought.key()) {
            payment.cancelable = false;
        }
    }

    /// The order is there and waits for its payment.
    pub fn create_pending(&mut self, bought: &Bought) {
        let request = order::CreatePendingRequest {
            order_no: bought.order_no.clone(),
            customer_id: bought.customer_id.clone(),
            currency: "GBP".to_owned(),
            lines: bought.lines.clone(),
            credit_account: bought.customer_id.clone(),
            accept_op_id: String::new(),
        };
        self.now("order", "CreatePending", &request);
    }

    /// The order is there, paid, and its goods are sold, as place-order leaves it.
    pub fn place(&mut self, bought: &Bought) {
        let (order_no, total_minor) = (bought.order_no.clone(), bought.total_minor());
        self.buyer_agrees(bought, total_minor);
        let lines = bought.stock_lines();
        let reserve =
            inventory::ReserveRequest { order_no: order_no.clone(), lines, ..Default::default() };
        let reserve_op_id = self.now("inventory", "Reserve", &reserve).to_string();
        let confirm = payment::ConfirmRequest {
            order_no: order_no.clone(),
            provider: "toss".to_owned(),
            provider_key: bought.key(),
            amount_minor: total_minor,
            currency: "GBP".to_owned(),
        };
        self.now("payment", "Confirm", &confirm);
        let insert = order::InsertOrderRequest {
            order_no,
            customer_id: bought.customer_id.clone(),
            currency: "GBP".to_owned(),
            lines: bought.lines.clone(),
            payment_id: payment_id(&bought.key()),
            paid_minor: total_minor,
            credit_account: bought.customer_id.clone(),
            accept_op_id: String::new(),
        };
        self.now("order", "InsertOrder", &insert);
        self.now("inventory", "Commit", &inventory::CommitRequest { reserve_op_id });
        if bought.credits() > 0 {
            let grant = payment::GrantCreditRequest {
                payment_id: payment_id(&bought.key()),
                account: bought.customer_id.clone(),
                credits: bought.credits(),
            };
            self.now("payment", "GrantCredit", &grant);
        }
    }

    /// The goods of the order are on their way.
    pub fn deliver(&mut self, bought: &Bought) {
        for to in [order::OrderStatus::DeliveryPreparation, order::OrderStatus::Delivered] {
            let transition = order::TransitionRequest {
                order_no: bought.order_no.clone(),
                to: to.into(),
                ..order::TransitionRequest::default()
            };
            self.now("order", "Transition", &transition);
        }
    }

    /// Its coupon was used for another order.
    pub fn use_coupon(&mut self, bought: &Bought) {
        let other = Bought { order_no: format!("{}-before", bought.order_no), ..bought.clone() };
        self.create_pending(&other);
        let request = order::UseCouponsRequest {
            order_no: other.order_no,
            lines: bought.lines.clone(),
            coupon_ids: vec![coupon_of(&bought.order_no)],
            ..order::UseCouponsRequest::default()
        };
        self.now("order", "UseCoupons", &request);
    }

    /// The shop does not know these items any more.
    pub fn take_off_sale(&mut self, bought: &Bought) {
        for line in &bought.lines {
            self.inventory.books.items.remove(&line.item_id);
        }
    }

    /// Nothing of these items is left to be had.
    pub fn sell_out(&mut self, bought: &Bought) {
        for line in &bought.lines {
            let reserved = self.inventory.books.items[&line.item_id].reserved;
            let set = inventory::SetStockRequest {
                item_id: line.item_id.clone(),
                on_hand: reserved,
                owner_id: OWNER.to_owned(),
                expected_version: None,
            };
            self.now("inventory", "SetStock", &set);
        }
    }

    /// Does something for which there is no saga. Answers the operation's id.
    ///
    /// # Panics
    ///
    /// Where the participant does not do it: the set-up is wrong.
    pub fn now(&mut self, participant: &str, method: &str, request: &impl Message) -> Uuid {
        self.set_up += 1;
        let op = Uuid::from_u128(self.set_up);
        let body = request.encode_to_vec().into();
        let call = Call { op, method: method.to_owned(), body };
        let answer = self.serve(participant, &call, None);
        assert!(answer.is_ok(), "{participant}/{method}: {answer:?}");
        op
    }
}
