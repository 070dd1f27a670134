//! Orders that look like those of a real shop, made from a seed.
//!
//! The shape is that of a year of a gift shop's invoices (UCI Online Retail): how many
//! lines orders have, how often an order names an item twice, how popular items are, how
//! many of each are bought and at what price. Each order names its items in an order of
//! its own, so that neighbours want the same popular rows the other way round.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use crate::{
    catalogue::{Catalogue, Item},
    orders::{CreditNote, Order, OrderFile, OrderLine},
};

/// Items in the catalogue.
const ITEMS: usize = 3_900;

/// Orders with two lines or more that name an item twice: 14 % of all orders, and 9 % of
/// them have one line only.
const REPEATS_SHARE: f64 = 0.155;

/// How fast popularity falls with rank. The real shop's curve lies between.
const POPULARITY_EXPONENT: f64 = 0.75;

/// Items that run out before the last order.
const SCARCE_ITEMS: usize = 3;

/// Credit notes for a thousand orders: 2,282 for 12,383.
const NOTES_PERMILLE: u32 = 184;

/// Of a thousand credit notes, those that give a whole order back.
const WHOLE_PERMILLE: u32 = 100;

/// Of a thousand credit notes, those that give back a part of what a line says, which is
/// not replayed. In the real shop most of them do.
const PART_PERMILLE: u32 = 150;

/// Orders that come between an order and its credit note, at most.
const NOTE_DELAY_MAX: usize = 20;

/// Lines of a credit note.
const NOTE_LINES: Quantiles =
    &[(0.0, 1.0), (0.54, 1.0), (0.75, 2.0), (0.86, 3.0), (0.92, 5.0), (0.98, 10.0), (1.0, 57.0)];

/// Quantiles: share of the orders, and lines of an order at that share.
const LINES: Quantiles = &[
    (0.0, 1.0),
    (0.09, 1.0),
    (0.2, 5.0),
    (0.3, 8.0),
    (0.4, 11.0),
    (0.5, 15.0),
    (0.6, 19.0),
    (0.7, 24.0),
    (0.8, 34.0),
    (0.9, 54.0),
    (0.95, 76.0),
    (0.99, 210.0),
    (0.999, 540.0),
    (1.0, 1_112.0),
];

/// How many of an item.
const UNITS: Quantiles = &[
    (0.0, 1.0),
    (0.3, 1.0),
    (0.5, 3.0),
    (0.6, 6.0),
    (0.7, 8.0),
    (0.8, 12.0),
    (0.9, 24.0),
    (0.95, 30.0),
    (0.99, 100.0),
    (0.999, 480.0),
    (1.0, 4_300.0),
];

/// Prices in pence.
const PRICES: Quantiles = &[
    (0.0, 4.0),
    (0.1, 42.0),
    (0.2, 85.0),
    (0.3, 125.0),
    (0.5, 208.0),
    (0.7, 375.0),
    (0.8, 495.0),
    (0.9, 795.0),
    (0.95, 995.0),
    (0.99, 2_123.0),
    (1.0, 16_500.0),
];

type Quantiles = &'static [(f64, f64)];

/// A shop, what is ordered there and what is given back. The same seed makes the same.
pub fn generate(orders: usize, seed: u64) -> (Catalogue, OrderFile) {
    let mut rng = StdRng::seed_from_u64(seed);
    let ids: Vec<String> = (0..ITEMS).map(|rank| format!("item-{rank:04}")).collect();
    let prices: Vec<i64> = ids.iter().map(|_| draw(PRICES, &mut rng)).collect();
    let popularity = Popularity::new(ITEMS);

    let orders: Vec<Order> = (1..=orders)
        .map(|number| Order {
            order_no: format!("ORD-{number:06}"),
            customer_id: format!("customer-{}", rng.random_range(1..=1 + orders / 4)),
            lines: popularity
                .choose(&mut rng)
                .into_iter()
                .map(|rank| OrderLine {
                    item_id: ids[rank].clone(),
                    qty: draw(UNITS, &mut rng),
                    file_price_minor: prices[rank],
                })
                .collect(),
        })
        .collect();

    let stock = stock_for(&orders);
    let items = ids.into_iter().zip(prices).map(|(item_id, price_minor)| {
        let initial_stock = stock.get(item_id.as_str()).copied().unwrap_or(100);
        let name = format!("Article {}", &item_id["item-".len()..]);
        (item_id, Item { name, price_minor, initial_stock })
    });
    let credit_notes = credit_notes(&orders, seed);
    (items.collect(), OrderFile { orders, credit_notes })
}

/// What is given back of the orders. From a seed of its own, so that the orders are the
/// same with and without.
fn credit_notes(orders: &[Order], seed: u64) -> Vec<CreditNote> {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x00c4_ed17);
    let is_one_of = |permille: u32, rng: &mut StdRng| rng.random_range(0..1_000) < permille;
    let mut notes = Vec::new();
    for (index, order) in orders.iter().enumerate() {
        if !is_one_of(NOTES_PERMILLE, &mut rng) {
            continue;
        }
        let mut lines = order.lines.clone();
        lines.shuffle(&mut rng);
        if !is_one_of(WHOLE_PERMILLE, &mut rng) {
            lines.truncate(usize::try_from(draw(NOTE_LINES, &mut rng)).expect("it is positive"));
        }
        if is_one_of(PART_PERMILLE, &mut rng) {
            lines.iter_mut().for_each(|line| line.qty = (line.qty - 1).max(1));
        }
        let behind = index + 1 + rng.random_range(0..=NOTE_DELAY_MAX);
        notes.push(CreditNote {
            note_no: format!("CRN-{:06}", index + 1),
            customer_id: order.customer_id.clone(),
            lines,
            orders_before: behind.min(orders.len()),
        });
    }
    notes.sort_by_key(|note| note.orders_before);
    notes
}

/// Enough of everything, but for a few items that only some orders name.
fn stock_for(orders: &[Order]) -> BTreeMap<String, i64> {
    let mut wanted: BTreeMap<&str, (i64, BTreeSet<&str>)> = BTreeMap::new();
    for order in orders {
        for line in &order.lines {
            let (units, by) = wanted.entry(&line.item_id).or_default();
            *units += line.qty;
            by.insert(&order.order_no);
        }
    }
    let some = (orders.len() / 60).max(2)..=(orders.len() / 20).max(4);
    let scarce: BTreeSet<&str> = wanted
        .iter()
        .filter(|(_, (_, by))| some.contains(&by.len()))
        .map(|(item_id, _)| *item_id)
        .take(SCARCE_ITEMS)
        .collect();
    let stock = wanted.iter().map(|(item_id, (units, _))| {
        let initial = if scarce.contains(item_id) { units / 2 } else { units + units / 4 + 10 };
        ((*item_id).to_owned(), initial.max(1))
    });
    stock.collect()
}

/// Chooses items so that the popular ones are chosen often (Zipf).
struct Popularity {
    /// For each rank, the weight of it and of all before it.
    up_to: Vec<f64>,
}

impl Popularity {
    fn new(items: usize) -> Self {
        let mut sum = 0.0;
        let mut up_to = Vec::with_capacity(items);
        let mut rank = 1.0_f64;
        for _ in 0..items {
            sum += rank.powf(-POPULARITY_EXPONENT);
            up_to.push(sum);
            rank += 1.0;
        }
        Self { up_to }
    }

    /// Ranks of the items on the lines of one order.
    fn choose(&self, rng: &mut StdRng) -> Vec<usize> {
        let lines = usize::try_from(draw(LINES, rng)).expect("lines are positive");
        let repeats = if lines > 1 && rng.random::<f64>() < REPEATS_SHARE {
            rng.random_range(1..=1 + lines / 20)
        } else {
            0
        };
        let mut chosen = BTreeSet::new();
        while chosen.len() < lines - repeats {
            let mut rank = self.one(rng);
            // The popular items may all be chosen: take the next one that is not.
            while !chosen.insert(rank) {
                rank = (rank + 1) % self.up_to.len();
            }
        }
        let mut ranks: Vec<usize> = chosen.into_iter().collect();
        for _ in 0..repeats {
            let again = ranks[rng.random_range(0..ranks.len())];
            ranks.push(again);
        }
        ranks.shuffle(rng);
        ranks
    }

    fn one(&self, rng: &mut StdRng) -> usize {
        let all = self.up_to.last().copied().unwrap_or(0.0);
        let at = rng.random::<f64>() * all;
        self.up_to.partition_point(|up_to| *up_to <= at).min(self.up_to.len() - 1)
    }
}

/// A number of the distribution. Between two quantiles it grows by a factor, as the tails
/// of all three do.
fn draw(quantiles: Quantiles, rng: &mut StdRng) -> i64 {
    let at = rng.random::<f64>();
    let behind = quantiles.partition_point(|(share, _)| *share <= at).clamp(1, quantiles.len() - 1);
    let (low_share, low) = quantiles[behind - 1];
    let (high_share, high) = quantiles[behind];
    let part = (at - low_share) / (high_share - low_share);
    let number = low * (high / low).powf(part);
    #[expect(clippy::cast_possible_truncation, reason = "the tables end far below")]
    let number = number.round() as i64;
    number.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_orders_have_the_shape_of_the_real_ones() {
        let (catalogue, OrderFile { orders, credit_notes }) = generate(12_000, 1);
        let mut lines: Vec<usize> = orders.iter().map(|it| it.lines.len()).collect();
        lines.sort_unstable();
        let at = |share: usize| lines[lines.len() * share / 1_000];
        assert!((14..=16).contains(&at(500)), "median {}", at(500));
        assert!((50..=58).contains(&at(900)), "p90 {}", at(900));
        let longest = lines[lines.len() - 1];
        assert!((600..=1_112).contains(&longest), "longest {longest}");

        let repeating = orders.iter().filter(|order| {
            let items: BTreeSet<&str> = order.lines.iter().map(|it| it.item_id.as_str()).collect();
            items.len() < order.lines.len()
        });
        let percent = repeating.count() * 100 / orders.len();
        assert!((13..=15).contains(&percent), "{percent} % name an item twice");
        assert_eq!(catalogue.len(), ITEMS);
        let permille = credit_notes.len() * 1_000 / orders.len();
        assert!((174..=194).contains(&permille), "{permille} credit notes for 1,000 orders");
    }

    #[test]
    fn neighbours_name_common_items_in_conflicting_order() {
        let (_, OrderFile { orders, .. }) = generate(300, 1);
        let conflicts = orders.windows(2).filter(|pair| {
            let place = |order: &Order| -> BTreeMap<String, usize> {
                let ids = order.lines.iter().map(|it| it.item_id.clone());
                ids.zip(0..).collect()
            };
            let (left, right) = (place(&pair[0]), place(&pair[1]));
            let mut common: Vec<(usize, usize)> =
                left.iter().filter_map(|(id, at)| Some((*at, *right.get(id)?))).collect();
            common.sort_unstable();
            !common.is_sorted_by_key(|(_, at)| *at)
        });
        let conflicts = conflicts.count();
        assert!(conflicts > 30, "{conflicts} of 299 neighbours conflict");
    }

    #[test]
    fn a_few_items_run_out_and_the_same_seed_makes_the_same_shop() {
        let (catalogue, file) = generate(300, 7);
        let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
        for line in file.orders.iter().flat_map(|it| &it.lines) {
            *wanted.entry(&line.item_id).or_default() += line.qty;
        }
        let scarce = wanted.iter().filter(|(id, units)| catalogue[**id].initial_stock < **units);
        assert_eq!(scarce.count(), SCARCE_ITEMS);
        assert_eq!(generate(300, 7), (catalogue, file));
    }
}
