//! Items: `PutItem`, `GetStock`, and loading many at once.

use std::collections::HashMap;

use saga_participant::{
    Arg, Database, Operation, OperationError, OperationMeta, Query, Refusal, RefusalCode, Row, Sql,
    Tx, fields,
};
use shop_proto::inventory::v1::{
    GetStockRequest, GetStockResponse, ItemStatus, PutItemRequest, PutItemResponse, Stock,
};
use uuid::Uuid;

use crate::{
    Inventory,
    reserve::ITEM_ID_CHARS_MAX,
    stock::{Guard, hold, refusal},
};

const ITEMS_ASKED_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 500;
pub(crate) const OWNER_CHARS_MAX: usize = 64;

/// Credits of one unit, and of all units of an order.
pub(crate) const CREDITS_MAX: i64 = 1_000_000;

/// An item as it is registered, with its first stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedItem {
    /// Its id, 1 to 64 characters.
    pub item_id: String,
    /// Who owns it.
    pub owner_id: String,
    /// Its name.
    pub name: String,
    /// Its price in minor units, at least 1.
    pub price_minor: i64,
    /// Currency of the price, ISO 4217.
    pub currency: String,
    /// How many are in the house, at least 1.
    pub initial_stock: i64,
}

/// Registers many items in one transaction; those that exist already stay as they are.
/// Returns how many are new.
///
/// # Errors
///
/// [`OperationError::Invalid`] names the first item that breaks a rule; nothing was done.
/// [`OperationError::Unknown`]: a lost commit; call again.
pub async fn seed(database: &Database, items: Vec<SeedItem>) -> Result<u64, OperationError> {
    for item in &items {
        check_item(item)?;
        at_least_1("initial_stock", item.initial_stock, "STOCK_INVALID")?;
    }
    let load = move |mut tx: Tx| async move {
        let (by, at_ms) = (Uuid::now_v7(), 0);
        let mut new = 0;
        for chunk in items.chunks(1_000) {
            new += insert_items(&mut tx, by, at_ms, ItemStatus::OnSale, chunk).await?;
        }
        tx.commit().await?;
        Ok(new)
    };
    database.write(load).await
}

impl Operation<Inventory> for PutItemRequest {
    const KIND: &'static str = "PutItem";
    type Reply = PutItemResponse;

    async fn apply(
        self,
        tx: &mut Tx,
        op: &OperationMeta,
    ) -> Result<PutItemResponse, OperationError> {
        let status = match ItemStatus::try_from(self.status) {
            Ok(ItemStatus::Unspecified) => None,
            Ok(status) => Some(status),
            Err(_) => {
                let remedy = "ON_SALE, SUSPENDED or DISCONTINUED";
                return Err(OperationError::invalid("status", self.status, remedy));
            }
        };
        let item = SeedItem {
            item_id: self.item_id,
            owner_id: self.owner_id,
            name: self.name,
            price_minor: self.price_minor,
            currency: self.currency,
            initial_stock: self.initial_stock,
        };
        check_item(&item)?;
        if let Some(credits) = self.credits {
            fields::within("credits", credits, 0..=CREDITS_MAX)?;
        }
        hold(tx, Guard::Locks, &[&item.item_id]).await?;
        if read_stock(tx, &[&item.item_id]).await?.is_empty() {
            at_least_1("initial_stock", item.initial_stock, "STOCK_INVALID")?;
            let new = std::slice::from_ref(&item);
            let first = status.unwrap_or(ItemStatus::OnSale);
            if insert_items(tx, op.op_id, op.at_ms, first, new).await? == 0 {
                return Err(registered_at_once(&item.item_id));
            }
            if let Some(credits) = self.credits {
                change_credits(tx, &item.item_id, credits).await?;
            }
        } else {
            change_item(tx, &item, status).await?;
            if let Some(credits) = self.credits {
                change_credits(tx, &item.item_id, credits).await?;
            }
        }
        let stock = read_stock(tx, &[&item.item_id]).await?.remove(&item.item_id);
        Ok(PutItemResponse { stock })
    }
}

impl Query<Inventory> for GetStockRequest {
    type Reply = GetStockResponse;

    async fn answer(self, tx: &mut Tx) -> Result<GetStockResponse, OperationError> {
        fields::within("item_ids", self.item_ids.len(), 1..=ITEMS_ASKED_MAX)?;
        for (index, item_id) in self.item_ids.iter().enumerate() {
            fields::text(&format!("item_ids[{index}]"), item_id, 1..=ITEM_ID_CHARS_MAX)?;
        }
        let item_ids: Vec<&str> = self.item_ids.iter().map(String::as_str).collect();
        let found = read_stock(tx, &item_ids).await?;
        let missing: Vec<&str> =
            item_ids.iter().copied().filter(|it| !found.contains_key(*it)).collect();
        if !missing.is_empty() {
            let (code, what) = (RefusalCode::NotFound, "items that do not exist");
            return Err(refusal(code, "ITEM_NOT_FOUND", what, &missing));
        }
        Ok(GetStockResponse {
            stock: item_ids.iter().filter_map(|it| found.get(*it).cloned()).collect(),
        })
    }
}

fn check_item(item: &SeedItem) -> Result<(), OperationError> {
    fields::text("item_id", &item.item_id, 1..=ITEM_ID_CHARS_MAX)?;
    fields::text("owner_id", &item.owner_id, 1..=OWNER_CHARS_MAX)?;
    fields::text("name", &item.name, 1..=NAME_CHARS_MAX)?;
    fields::currency("currency", &item.currency)?;
    at_least_1("price_minor", item.price_minor, "PRICE_INVALID")
}

fn at_least_1(field: &str, value: i64, reason: &'static str) -> Result<(), OperationError> {
    if value >= 1 {
        return Ok(());
    }
    let (field, value) = (field.to_owned(), value.to_string());
    Err(OperationError::Invalid { reason, field, value, remedy: "at least 1".to_owned() })
}

/// The items' columns travel as arrays, so that a thousand items are three statements.
async fn insert_items(
    tx: &mut Tx,
    by: Uuid,
    at_ms: i64,
    status: ItemStatus,
    items: &[SeedItem],
) -> Result<u64, OperationError> {
    const INSERT: Sql = Sql {
        postgres: "/* insert_items */
            insert into items (item_id, owner_id, name, price_minor, currency, status)
            select item_id, owner_id, name, price_minor, currency, $6
            from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[])
                as item (item_id, owner_id, name, price_minor, currency)
            on conflict do nothing
            returning item_id",
        sqlite: "/* insert_items */
            with id as materialized (select key, value from json_each($1)),
                owner as materialized (select key, value from json_each($2)),
                name as materialized (select key, value from json_each($3)),
                price as materialized (select key, value from json_each($4)),
                currency as materialized (select key, value from json_each($5))
            insert into items (item_id, owner_id, name, price_minor, currency, status)
            select id.value, owner.value, name.value, price.value, currency.value, $6
            from id join owner using (key) join name using (key) join price using (key)
                join currency using (key)
            where true
            on conflict do nothing
            returning item_id",
    };
    let column = |of: fn(&SeedItem) -> &str| items.iter().map(of).collect::<Vec<&str>>();
    let prices: Vec<i64> = items.iter().map(|it| it.price_minor).collect();
    let args = [
        Arg::Texts(&column(|it| &it.item_id)),
        Arg::Texts(&column(|it| &it.owner_id)),
        Arg::Texts(&column(|it| &it.name)),
        Arg::Ints(&prices),
        Arg::Texts(&column(|it| &it.currency)),
        Arg::Text(status_text(status)),
    ];
    let rows = tx.rows(INSERT, &args).await?;
    let new: Vec<String> = rows.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;

    let mut first_stock: HashMap<&str, i64> =
        items.iter().map(|it| (it.item_id.as_str(), it.initial_stock)).collect();
    let (item_ids, amounts): (Vec<&str>, Vec<i64>) =
        new.iter().filter_map(|it| first_stock.remove_entry(it.as_str())).unzip();
    insert_stock(tx, by, at_ms, &item_ids, &amounts).await?;
    Ok(item_ids.len() as u64)
}

async fn insert_stock(
    tx: &mut Tx,
    by: Uuid,
    at_ms: i64,
    item_ids: &[&str],
    amounts: &[i64],
) -> Result<(), OperationError> {
    const INSERT: Sql = Sql {
        postgres: "/* insert_stock */
            insert into stock (item_id, on_hand)
            select item_id, amount
            from unnest($1::text[], $2::bigint[]) as line (item_id, amount)",
        sqlite: "/* insert_stock */
            with item as materialized (select key, value from json_each($1)),
                amount as materialized (select key, value from json_each($2))
            insert into stock (item_id, on_hand)
            select item.value, amount.value
            from item join amount using (key)",
    };
    const RECORD: Sql = Sql {
        postgres: "/* record_initial_stock */
            insert into movements
                (op_id, item_id, kind, on_hand_delta, reserved_delta, sold_delta, moved_at_ms)
            select $3, item_id, 'INITIAL', amount, 0, 0, $4
            from unnest($1::text[], $2::bigint[]) as line (item_id, amount)",
        sqlite: "/* record_initial_stock */
            with item as materialized (select key, value from json_each($1)),
                amount as materialized (select key, value from json_each($2))
            insert into movements
                (op_id, item_id, kind, on_hand_delta, reserved_delta, sold_delta, moved_at_ms)
            select $3, item.value, 'INITIAL', amount.value, 0, 0, $4
            from item join amount using (key)",
    };
    let (items, amounts) = (Arg::Texts(item_ids), Arg::Ints(amounts));
    tx.execute(INSERT, &[items, amounts]).await?;
    tx.execute(RECORD, &[items, amounts, Arg::Uuid(by), Arg::Int(at_ms)]).await?;
    Ok(())
}

async fn change_credits(tx: &mut Tx, item_id: &str, credits: i64) -> Result<(), OperationError> {
    tx.execute(
        "/* change_credits */ update items set credits = $2 where item_id = $1",
        &[Arg::Text(item_id), Arg::Int(credits)],
    )
    .await?;
    Ok(())
}

/// Changes name and price, and the status where one is named. The item's row in `stock` is locked, so no order reads
/// a status that is about to change (S1-1).
async fn change_item(
    tx: &mut Tx,
    item: &SeedItem,
    status: Option<ItemStatus>,
) -> Result<(), OperationError> {
    let sql = "/* read_terms */ select owner_id, currency from items where item_id = $1";
    let row = tx.row(sql, &[Arg::Text(&item.item_id)]).await?;
    let Some(row) = row else { return Err(registered_at_once(&item.item_id)) };
    if row.text(0)? != item.owner_id {
        return Err(fixed("NOT_OWNER", &item.item_id, "has another owner"));
    }
    if row.text(1)? != item.currency {
        return Err(fixed("CURRENCY_FIXED", &item.item_id, "is sold in another currency"));
    }
    tx.execute(
        "/* change_item */
        update items set name = $2, price_minor = $3, status = coalesce($4, status)
        where item_id = $1",
        &[
            Arg::Text(&item.item_id),
            Arg::Text(&item.name),
            Arg::Int(item.price_minor),
            status.map(status_text).into(),
        ],
    )
    .await?;
    tx.execute(
        "/* change_item: version */ update stock set version = version + 1 where item_id = $1",
        &[Arg::Text(&item.item_id)],
    )
    .await?;
    Ok(())
}

pub(crate) fn fixed(reason: &'static str, item_id: &str, what: &str) -> OperationError {
    OperationError::Rejected(Refusal {
        code: RefusalCode::FailedPrecondition,
        reason,
        message: format!("item {item_id} {what}"),
        metadata: vec![("item_id", item_id.to_owned())],
    })
}

fn registered_at_once(item_id: &str) -> OperationError {
    OperationError::Conflict {
        reason: "STOCK_CONFLICT",
        message: format!("item {item_id} is being registered by another call; try again"),
        retry_after_ms: 100,
    }
}

/// Who owns an item, which never changes.
pub(crate) async fn owner(tx: &mut Tx, item_id: &str) -> Result<Option<String>, OperationError> {
    let sql = "/* read_owner */ select owner_id from items where item_id = $1";
    let row = tx.row(sql, &[Arg::Text(item_id)]).await?;
    Ok(row.map(|row| row.text(0)).transpose()?)
}

pub(crate) async fn read_stock(
    tx: &mut Tx,
    item_ids: &[&str],
) -> Result<HashMap<String, Stock>, OperationError> {
    const READ: Sql = Sql {
        postgres: "/* read_stock */
            select item_id, on_hand, reserved, sold, price_minor, currency, status, version,
                credits
            from items join stock using (item_id) where item_id = any($1)",
        sqlite: "/* read_stock */
            select item_id, on_hand, reserved, sold, price_minor, currency, status, version,
                credits
            from items join stock using (item_id)
            where item_id in (select value from json_each($1))",
    };
    let rows = tx.rows(READ, &[Arg::Texts(item_ids)]).await?;
    let stock = rows.iter().map(|row| stock_of(row).map(|it| (it.item_id.clone(), it)));
    Ok(stock.collect::<Result<_, _>>()?)
}

fn stock_of(row: &Row) -> Result<Stock, sqlx::Error> {
    Ok(Stock {
        item_id: row.text(0)?,
        on_hand: row.int(1)?,
        reserved: row.int(2)?,
        sold: row.int(3)?,
        price_minor: row.int(4)?,
        currency: row.text(5)?,
        status: status_of(&row.text(6)?).into(),
        version: row.int(7)?,
        credits: row.int(8)?,
    })
}

fn status_text(status: ItemStatus) -> &'static str {
    match status {
        ItemStatus::OnSale | ItemStatus::Unspecified => "ON_SALE",
        ItemStatus::Suspended => "SUSPENDED",
        ItemStatus::Discontinued => "DISCONTINUED",
    }
}

fn status_of(text: &str) -> ItemStatus {
    match text {
        "ON_SALE" => ItemStatus::OnSale,
        "SUSPENDED" => ItemStatus::Suspended,
        "DISCONTINUED" => ItemStatus::Discontinued,
        _ => ItemStatus::Unspecified,
    }
}
