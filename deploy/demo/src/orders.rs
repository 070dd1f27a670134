//! Orders as they stand in a file, one JSON object a line, and how such a file is read.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, de::DeserializeOwned};

/// Lines of a file at most. More than a demo can place in a day.
const FILE_LINES_MAX: usize = 5_000_000;

/// Who orders where the file does not say.
pub const GUEST: &str = "guest";

/// An order as somebody wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its number.
    pub order_no: String,
    /// Who orders.
    pub customer_id: String,
    /// What is ordered. An item may stand on several lines.
    pub lines: Vec<OrderLine>,
}

/// One line of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    /// The item.
    pub item_id: String,
    /// How many.
    pub qty: i64,
    /// What the file says that one costs, in minor units. It only tells the price of an
    /// item that no catalogue names: charged is the shop's price (S4-2).
    pub file_price_minor: i64,
}

/// A credit note: what a customer gave back of an order, without saying of which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditNote {
    /// Its number.
    pub note_no: String,
    /// Who gave back.
    pub customer_id: String,
    /// What was given back, at the price that was paid.
    pub lines: Vec<OrderLine>,
    /// How many orders stand before it: it can only be about one of these.
    pub orders_before: usize,
}

/// The orders of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderFile {
    /// What can be placed, in the order of the file.
    pub orders: Vec<Order>,
    /// What was given back, in the order of the file.
    pub credit_notes: Vec<CreditNote>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Order,
    Cancel,
}

#[derive(Deserialize)]
struct Record {
    kind: Kind,
    #[serde(rename = "ref")]
    number: String,
    customer: String,
    lines: Vec<(String, i64, i64)>,
}

/// Reads at most `limit` orders, and the credit notes between them.
///
/// # Errors
///
/// The file, or a line of it by number, cannot be read.
pub fn read_orders(path: &Path, limit: Option<usize>) -> anyhow::Result<OrderFile> {
    let mut file = OrderFile::default();
    let is_full = |count: usize| limit.is_some_and(|limit| limit <= count);
    for record in records::<Record>(path)? {
        if is_full(file.orders.len()) {
            break;
        }
        let Record { kind, number, customer, lines } = record?;
        let lines = lines.into_iter().map(|(item_id, qty, file_price_minor)| OrderLine {
            item_id,
            qty,
            file_price_minor,
        });
        let lines = lines.collect();
        let customer_id = if customer.is_empty() { GUEST.to_owned() } else { customer };
        match kind {
            Kind::Order => file.orders.push(Order { order_no: number, customer_id, lines }),
            Kind::Cancel => file.credit_notes.push(CreditNote {
                note_no: number,
                customer_id,
                lines,
                orders_before: file.orders.len(),
            }),
        }
    }
    Ok(file)
}

/// The records of a file of JSON lines. A name that ends in `.gz` is unpacked.
///
/// # Errors
///
/// The file cannot be opened. Each record says for itself that its line cannot be read.
pub fn records<T: DeserializeOwned>(
    path: &Path,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<T>>> {
    let shown = path.display().to_string();
    let file = File::open(path).with_context(|| format!("{shown}: cannot be opened"))?;
    let bytes: Box<dyn Read> = if path.extension().is_some_and(|it| it == "gz") {
        Box::new(MultiGzDecoder::new(BufReader::new(file)))
    } else {
        Box::new(file)
    };
    let lines = BufReader::new(bytes).lines().take(FILE_LINES_MAX).enumerate();
    Ok(lines.map(move |(index, line)| {
        let here = || format!("{shown}, line {}", index + 1);
        let line = line.with_context(|| format!("{}: cannot be read", here()))?;
        serde_json::from_str(&line).with_context(|| format!("{}: not a record", here()))
    }))
}
