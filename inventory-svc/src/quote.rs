//! `Quote`: what lines cost now. Holds nothing; asked again, it answers the same.

use saga_participant::{Operation, OperationError, OperationMeta, Tx};
use shop_proto::inventory::v1::{QuoteRequest, QuoteResponse};

use crate::{
    Inventory,
    reserve::{
        offer,
        terms::{Prices, Said, Terms},
    },
};

impl Operation<Inventory> for QuoteRequest {
    const KIND: &'static str = "Quote";
    type Reply = QuoteResponse;

    async fn apply(self, tx: &mut Tx, _: &OperationMeta) -> Result<QuoteResponse, OperationError> {
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
