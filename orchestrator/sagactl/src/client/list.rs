//! Sagas over all pages.

use saga_proto::saga::v1::{
    CountSagasRequest, CountSagasResponse, ListSagasRequest, ListSagasResponse,
};

use super::{Client, PAGE_SIZE};
use crate::failure::Failure;

impl Client {
    /// Lists sagas over all pages, up to `limit`. The next page's token is left in the
    /// reply where there are more. `looking` hears of each page that was not full, because
    /// what is asked for has to be looked for.
    pub(crate) async fn list(
        &self,
        mut request: ListSagasRequest,
        limit: usize,
        looking: impl Fn(&ListSagasResponse),
    ) -> Result<ListSagasResponse, Failure> {
        let mut all = ListSagasResponse::default();
        loop {
            let missing = i32::try_from(limit - all.sagas.len()).unwrap_or(i32::MAX);
            request.page_size = missing.min(PAGE_SIZE);
            let page = self.read("list sagas", self.sagas().list_sagas(request.clone())).await?;
            all.sagas.extend(page.sagas);
            all.sagas.truncate(limit);
            all.next_page_token = page.next_page_token;
            all.looked_until = page.looked_until;
            let same = all.next_page_token == request.page_token;
            if all.next_page_token.is_empty() || same || all.sagas.len() == limit {
                return Ok(all);
            }
            if all.looked_until.is_some() {
                looking(&all);
            }
            request.page_token.clone_from(&all.next_page_token);
        }
    }

    /// Counts sagas. `counting` hears how far it has come, where that takes long.
    pub(crate) async fn count(
        &self,
        mut request: CountSagasRequest,
        counting: impl Fn(&CountSagasResponse),
    ) -> Result<CountSagasResponse, Failure> {
        let mut all = CountSagasResponse::default();
        loop {
            let part = self.read("count sagas", self.sagas().count_sagas(request.clone())).await?;
            all = CountSagasResponse { sagas: all.sagas + part.sagas, ..part };
            if all.next_page_token.is_empty() || all.next_page_token == request.page_token {
                return Ok(all);
            }
            counting(&all);
            request.page_token.clone_from(&all.next_page_token);
        }
    }
}
