//! Credit notes: to which order each of them belongs, and the sagas that carry it out.
//!
//! A credit note names a customer and lines, and no order. It is taken for the newest
//! earlier order of that customer that has most of its lines: the same item, quantity and
//! price, and not given back by another credit note. Where some lines are on no such order
//! the others are given back; a part of a line's quantity is nowhere a line.

use std::collections::HashMap;

use futures::{StreamExt as _, stream};
use saga_proto::saga::v1::saga_service_client::SagaServiceClient;
use shop_proto::order::v1::{CancelOrderInput, CancelOrderItemInput};
use tonic::transport::Channel;

use crate::{
    buyer::{self, Fate, Wish},
    orders::{CreditNote, GUEST, Order, OrderLine},
    place::Basket,
};

/// Lines of one credit note that are cancelled at the same time.
const LINES_AT_A_TIME: usize = 4;

/// A credit note's number is part of a saga's key.
const NOTE_NO_CHARS: std::ops::RangeInclusive<usize> = 1..=64;

/// A credit note that is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cancel {
    pub(crate) note_no: String,
    /// The basket of its order.
    pub(crate) basket: usize,
    pub(crate) scope: Scope,
    /// The cancel that comes before it at the same order.
    pub(crate) behind: Option<usize>,
}

/// How much of an order a credit note gives back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All that is left.
    Order,
    /// These lines, from 1.
    Lines(Vec<i64>),
}

/// How many credit notes belong to an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NoteCounts {
    /// With all their lines.
    pub(crate) matched: u64,
    /// With some of their lines.
    pub(crate) partly: u64,
    /// With none.
    pub(crate) unmatched: u64,
}

/// Finds the orders of credit notes. It is told of orders and credit notes as they come.
#[derive(Debug, Default)]
pub(crate) struct Matching {
    pub(crate) cancels: Vec<Cancel>,
    pub(crate) counts: NoteCounts,
    /// The orders of each customer, oldest first.
    orders: HashMap<String, Vec<Open>>,
}

/// An order, and what of it is not given back.
#[derive(Debug)]
struct Open {
    basket: usize,
    lines: Vec<(i64, OrderLine)>,
    last_cancel: Option<usize>,
}

impl Matching {
    /// An order that will be placed.
    pub(crate) fn add_order(&mut self, basket: usize, order: &Order) {
        let lines = (1..).zip(order.lines.iter().cloned()).collect();
        let open = Open { basket, lines, last_cancel: None };
        self.orders.entry(order.customer_id.clone()).or_default().push(open);
    }

    /// A credit note. Returns the index of its cancel; None: it belongs to no order.
    pub(crate) fn add_note(&mut self, note: &CreditNote) -> Option<usize> {
        let Some((order, line_nos)) = find(&mut self.orders, note) else {
            self.counts.unmatched += 1;
            return None;
        };
        if line_nos.len() == note.lines.len() {
            self.counts.matched += 1;
        } else {
            self.counts.partly += 1;
        }
        order.lines.retain(|(line_no, _)| !line_nos.contains(line_no));
        let scope = if order.lines.is_empty() { Scope::Order } else { Scope::Lines(line_nos) };
        let (note_no, basket) = (note.note_no.clone(), order.basket);
        let behind = order.last_cancel.replace(self.cancels.len());
        self.cancels.push(Cancel { note_no, basket, scope, behind });
        Some(self.cancels.len() - 1)
    }
}

/// The order of a credit note, and its lines there.
fn find<'a>(
    orders: &'a mut HashMap<String, Vec<Open>>,
    note: &CreditNote,
) -> Option<(&'a mut Open, Vec<i64>)> {
    // Guests are not one customer.
    if note.customer_id == GUEST || !NOTE_NO_CHARS.contains(&note.note_no.chars().count()) {
        return None;
    }
    let mut best: Option<(&mut Open, Vec<i64>)> = None;
    for order in orders.get_mut(&note.customer_id)?.iter_mut().rev() {
        let found = order.lines_of(note);
        if best.as_ref().map_or(0, |(_, line_nos)| line_nos.len()) < found.len() {
            best = Some((order, found));
        }
    }
    best
}

impl Open {
    /// The lines of the credit note that this order has, each once.
    fn lines_of(&self, note: &CreditNote) -> Vec<i64> {
        let mut found = Vec::new();
        for wanted in &note.lines {
            let is_it =
                |(line_no, line): &&(i64, OrderLine)| line == wanted && !found.contains(line_no);
            if let Some((line_no, _)) = self.lines.iter().find(is_it) {
                found.push(*line_no);
            }
        }
        found
    }
}

/// A cancel that was asked for: a saga.
#[derive(Clone, Debug)]
pub(crate) struct Cancelled {
    pub(crate) business_key: String,
    pub(crate) order_no: String,
    /// The lines that it cancels, from 1.
    pub(crate) line_nos: Vec<i64>,
    pub(crate) fate: Fate,
}

/// Carries out a credit note and waits until its sagas have ended.
pub(crate) async fn cancel(
    client: &SagaServiceClient<Channel>,
    cancel: &Cancel,
    basket: &Basket,
) -> Vec<Cancelled> {
    let line_nos = match &cancel.scope {
        Scope::Order => return vec![cancel_order(client, &cancel.note_no, basket).await],
        Scope::Lines(line_nos) => line_nos,
    };
    stream::iter(line_nos.iter().copied())
        .map(|line_no| cancel_line(client, &cancel.note_no, basket, line_no))
        .buffer_unordered(LINES_AT_A_TIME)
        .collect()
        .await
}

async fn cancel_order(
    client: &SagaServiceClient<Channel>,
    note_no: &str,
    basket: &Basket,
) -> Cancelled {
    let Order { order_no, customer_id, lines } = &basket.order;
    let input = CancelOrderInput {
        order_no: order_no.clone(),
        customer_id: customer_id.clone(),
        reason: format!("credit note {note_no}"),
        expected_head: 0,
    };
    let wish = Wish {
        definition: "cancel-order",
        business_key: format!("cancel-{note_no}"),
        input: buyer::input("CancelOrderInput", &input),
    };
    let line_nos = (1..).zip(lines).map(|(line_no, _)| line_no).collect();
    fulfil(client, wish, order_no, line_nos).await
}

async fn cancel_line(
    client: &SagaServiceClient<Channel>,
    note_no: &str,
    basket: &Basket,
    line_no: i64,
) -> Cancelled {
    let Order { order_no, customer_id, .. } = &basket.order;
    let input = CancelOrderItemInput {
        order_no: order_no.clone(),
        customer_id: customer_id.clone(),
        line_no,
        reason: format!("credit note {note_no}"),
    };
    let wish = Wish {
        definition: "cancel-order-item",
        business_key: format!("cancel-{note_no}-{line_no}"),
        input: buyer::input("CancelOrderItemInput", &input),
    };
    fulfil(client, wish, order_no, vec![line_no]).await
}

async fn fulfil(
    client: &SagaServiceClient<Channel>,
    wish: Wish,
    order_no: &str,
    line_nos: Vec<i64>,
) -> Cancelled {
    let (business_key, order_no) = (wish.business_key.clone(), order_no.to_owned());
    let (fate, _) = buyer::fulfil(client.clone(), wish).await;
    Cancelled { business_key, order_no, line_nos, fate }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[(&str, i64)]) -> Vec<OrderLine> {
        let line = |(item_id, qty): &(&str, i64)| OrderLine {
            item_id: (*item_id).to_owned(),
            qty: *qty,
            file_price_minor: 5,
        };
        lines.iter().map(line).collect()
    }

    /// Two orders of one customer, both with two cups.
    fn two_orders() -> Matching {
        let mut matching = Matching::default();
        for (basket, of) in
            [&[("cup", 2), ("pan", 1)][..], &[("cup", 2), ("cup", 2)]].into_iter().enumerate()
        {
            let order_no = format!("order-{basket}");
            let order = Order { order_no, customer_id: "ann".to_owned(), lines: lines(of) };
            matching.add_order(basket, &order);
        }
        matching
    }

    fn note(customer_id: &str, of: &[(&str, i64)]) -> CreditNote {
        CreditNote {
            note_no: "C1".to_owned(),
            customer_id: customer_id.to_owned(),
            lines: lines(of),
            orders_before: 2,
        }
    }

    /// The basket and the scope of a credit note of the first customer, given back last.
    fn last(matching: &mut Matching, of: &[(&str, i64)]) -> Option<(usize, Scope)> {
        let index = matching.add_note(&note("ann", of))?;
        let Cancel { basket, scope, .. } = matching.cancels[index].clone();
        Some((basket, scope))
    }

    #[test]
    fn a_credit_note_belongs_to_the_newest_order_with_all_of_its_lines() {
        let mut matching = two_orders();
        let one = last(&mut matching, &[("cup", 2)]);
        assert_eq!(one, Some((1, Scope::Lines(vec![1]))));
        let both = last(&mut matching, &[("pan", 1), ("cup", 2)]);
        assert_eq!(both, Some((0, Scope::Order)));
        assert_eq!(matching.counts, NoteCounts { matched: 2, ..NoteCounts::default() });
    }

    #[test]
    fn a_line_is_given_back_once_and_the_last_one_is_the_whole_order() {
        let mut matching = two_orders();
        let cup = [("cup", 2)];
        assert_eq!(last(&mut matching, &cup), Some((1, Scope::Lines(vec![1]))));
        assert_eq!(last(&mut matching, &cup), Some((1, Scope::Order)));
        assert_eq!(matching.cancels[1].behind, Some(0));
        assert_eq!(last(&mut matching, &cup), Some((0, Scope::Lines(vec![1]))));
        assert_eq!(matching.cancels[2].behind, None);
        assert_eq!(last(&mut matching, &cup), None);
    }

    #[test]
    fn what_is_on_no_order_is_passed_over() {
        let mut matching = two_orders();
        let partly = last(&mut matching, &[("cup", 2), ("cup", 2), ("cup", 2)]);
        assert_eq!(partly, Some((1, Scope::Order)));
        for (customer, of) in [
            ("ann", [("cup", 1)]),
            ("ann", [("fan", 1)]),
            ("bob", [("pan", 1)]),
            (GUEST, [("pan", 1)]),
        ] {
            assert_eq!(matching.add_note(&note(customer, &of)), None);
        }
        assert_eq!(matching.counts, NoteCounts { matched: 0, partly: 1, unmatched: 4 });
    }
}
