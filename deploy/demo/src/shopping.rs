//! What is bought and given back in a run: planned before anything is asked, so that a run
//! that is resumed does the same again.

use std::{collections::HashSet, time::Duration};

use shop_proto::order::v1::Coupon;

use crate::{
    Options,
    buyer::Fate,
    cancel::{Cancel, Matching, NoteCounts},
    catalogue::{self, Catalogue},
    coupons, example, generate, orders,
    place::{Basket, Placed},
};

/// Orders that are generated where no file is given.
const ORDERS_GENERATED: usize = 300;

/// What is bought.
#[derive(Debug)]
pub(crate) struct Shopping {
    pub(crate) catalogue: Catalogue,
    pub(crate) baskets: Vec<Basket>,
    /// What the customers were given before they ordered.
    pub(crate) coupons: Vec<Coupon>,
    pub(crate) cancels: Vec<Cancel>,
    /// What is done, in the order of the file.
    pub(crate) errands: Vec<Errand>,
    pub(crate) turned_away: Vec<Placed>,
    pub(crate) notes: NoteCounts,
}

/// One thing to do, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Place the order of this basket.
    Place(usize),
    /// Carry out this credit note.
    Cancel(usize),
}

impl Shopping {
    /// Reads or makes orders and credit notes.
    ///
    /// # Errors
    ///
    /// A file, or a line of it by number, cannot be read.
    pub(crate) fn plan(options: &Options) -> anyhow::Result<Self> {
        let items = options.items.as_deref().map(catalogue::read_items).transpose()?;
        let (mut catalogue, file) = match &options.orders {
            Some(path) => (items.unwrap_or_default(), orders::read_orders(path, options.limit)?),
            None => {
                let count = options.limit.unwrap_or(ORDERS_GENERATED);
                let (catalogue, file) = generate::generate(count, options.seed);
                (items.unwrap_or(catalogue), file)
            }
        };
        catalogue::complete(&mut catalogue, &file.orders);
        example::stock(&mut catalogue);

        let mut plan = Plan::default();
        let mut credit_notes = file.credit_notes.iter().peekable();
        for (before, order) in file.orders.iter().enumerate() {
            while let Some(note) = credit_notes.next_if(|note| note.orders_before <= before) {
                plan.give_back(note);
            }
            plan.buy(order, &catalogue);
        }
        credit_notes.for_each(|note| plan.give_back(note));
        let Plan { mut baskets, matching, errands, turned_away, .. } = plan;
        let coupons = coupons::hand_out(&mut baskets, &catalogue, options.seed);
        let Matching { cancels, counts: notes, .. } = matching;
        Ok(Self { catalogue, baskets, coupons, cancels, errands, turned_away, notes })
    }

    /// The basket that an errand is about.
    pub(crate) fn basket(&self, errand: Errand) -> &Basket {
        match errand {
            Errand::Place(basket) => &self.baskets[basket],
            Errand::Cancel(cancel) => &self.baskets[self.cancels[cancel].basket],
        }
    }
}

/// A plan that is being made.
#[derive(Debug, Default)]
struct Plan<'a> {
    baskets: Vec<Basket>,
    matching: Matching,
    errands: Vec<Errand>,
    turned_away: Vec<Placed>,
    order_nos: HashSet<&'a str>,
}

impl<'a> Plan<'a> {
    fn buy(&mut self, order: &'a orders::Order, catalogue: &Catalogue) {
        let filled = match Basket::fill(order, catalogue) {
            Ok(_) if !self.order_nos.insert(order.order_no.as_str()) => Err("ORDER_NO_TWICE"),
            filled => filled,
        };
        match filled {
            Ok(basket) => {
                self.matching.add_order(self.baskets.len(), order);
                self.errands.push(Errand::Place(self.baskets.len()));
                self.baskets.push(basket);
            }
            Err(reason) => self.turned_away.push(Placed {
                order_no: order.order_no.clone(),
                fate: Fate::Rejected { reason: reason.to_owned() },
                took: Duration::ZERO,
            }),
        }
    }

    fn give_back(&mut self, note: &orders::CreditNote) {
        let cancel = self.matching.add_note(note);
        self.errands.extend(cancel.map(Errand::Cancel));
    }
}
