//! The list of movements: `GET /v1/transactions`, a page at a time.

use jiff::{
    Timestamp,
    tz::{TimeZone, offset},
};
use saga_participant::Settled;
use serde::Deserialize;

use super::{
    codes::{Meaning, meaning},
    configuration,
    wire::{ErrorBody, Wire},
};
use crate::provider::{
    LedgerSpan, Movement,
    http::{Lost, Received, escape, quoted},
};

/// The fields that say where to look. Fields that are not here are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransactionBody {
    transaction_key: String,
    payment_key: String,
    transaction_at: String,
}

impl Wire {
    pub(super) async fn movements(&self, span: &LedgerSpan) -> Settled<Option<Vec<Movement>>> {
        // From the second of the mark on: the key tells what was read of it.
        let LedgerSpan { from, until_ms, movements_max } = span;
        let (start, end) = (escape(&seoul(from.at_ms)), escape(&seoul(*until_ms)));
        let mut path =
            format!("/v1/transactions?startDate={start}&endDate={end}&limit={movements_max}");
        if !from.transaction_key.is_empty() {
            path.push_str(&format!("&startingAfter={}", escape(&from.transaction_key)));
        }
        let Received { status, body } = match self.get(&path).await {
            Ok(received) => received,
            Err(Lost { message }) => return Settled::Unknown { message },
        };
        if status != 200 {
            let code = serde_json::from_slice::<ErrorBody>(&body).map(|it| quoted(&it.code));
            let code = code.unwrap_or_default();
            if meaning(status, &code) == Meaning::Configuration {
                return configuration(&code);
            }
            return Settled::Unknown { message: format!("the provider answered {status} {code}") };
        }
        let read = serde_json::from_slice::<Vec<TransactionBody>>(&body).ok();
        match read.and_then(|it| it.into_iter().map(movement).collect::<Option<Vec<_>>>()) {
            Some(movements) => Settled::Definite(Some(movements)),
            None => {
                let message = "the provider answered 200 without a list of transactions";
                Settled::Unknown { message: message.to_owned() }
            }
        }
    }
}

fn movement(body: TransactionBody) -> Option<Movement> {
    let TransactionBody { transaction_key, payment_key, transaction_at } = body;
    let at_ms = transaction_at.parse::<Timestamp>().ok()?.as_millisecond();
    Some(Movement { transaction_key, provider_key: payment_key, at_ms })
}

/// The provider reads its local time, without an offset.
fn seoul(at_ms: i64) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or_default();
    at.to_zoned(TimeZone::fixed(offset(9))).strftime("%Y-%m-%dT%H:%M:%S").to_string()
}
