//! `Quote`: what lines cost now. Holds nothing.

use saga_participant::{OperationError, Query, Tx};
use saga_proto::shop::inventory::v1::{QuoteRequest, QuoteResponse};

use crate::{
    Inventory,
    reserve::{
        offer,
        terms::{Prices, Said, Terms},
    },
};

impl Query<Inventory> for QuoteRequest {
    type Reply = QuoteResponse;

    async fn answer(self, tx: &mut Tx) -> Result<QuoteResponse, OperationError> {
        let Self { lines, expected_total_minor, currency } = &self;
        let total_minor = *expected_total_minor;
        let said = Said { lines, total_minor, currency, prices: Prices::Some };
        let wanted = said.quantities()?;
        let offers = offer::read(tx, &wanted.item_ids()).await?;
        offer::judge_sale(&wanted, &offers)?;
        let Terms { lines, total_minor, currency, credits } = said.terms(&offers)?;
        Ok(QuoteResponse { lines, total_minor, currency, credits })
    }
}
