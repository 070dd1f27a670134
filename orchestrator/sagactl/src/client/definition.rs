//! What is asked of `DefinitionService`.

use saga_proto::saga::v1::{
    CheckDefinitionRequest, CheckDefinitionResponse, GetDefinitionRequest, GetDefinitionResponse,
    ListDefinitionsRequest, ListDefinitionsResponse, RegisterDefinitionRequest,
    RegisterDefinitionResponse,
};

use super::{Client, PAGE_SIZE};
use crate::failure::Failure;

impl Client {
    /// Checks and stores a definition. Safe to repeat.
    pub(crate) async fn register(
        &self,
        doing: &str,
        request: RegisterDefinitionRequest,
    ) -> Result<RegisterDefinitionResponse, Failure> {
        self.change(doing, self.definitions().register_definition(request)).await
    }

    /// Checks a definition.
    pub(crate) async fn check(
        &self,
        request: CheckDefinitionRequest,
    ) -> Result<CheckDefinitionResponse, Failure> {
        let doing = format!("check {}", request.file_name);
        self.read(&doing, self.definitions().check_definition(request)).await
    }

    /// Shows a stored definition.
    pub(crate) async fn definition(
        &self,
        doing: &str,
        request: GetDefinitionRequest,
    ) -> Result<GetDefinitionResponse, Failure> {
        self.read(doing, self.definitions().get_definition(request)).await
    }

    /// Lists the definitions over all pages.
    pub(crate) async fn definition_list(&self) -> Result<ListDefinitionsResponse, Failure> {
        let mut all = ListDefinitionsResponse::default();
        let mut page_token = String::new();
        loop {
            let request = ListDefinitionsRequest { page_size: PAGE_SIZE, page_token };
            let doing = "list definitions";
            let page = self.read(doing, self.definitions().list_definitions(request)).await?;
            let empty = page.definitions.is_empty();
            all.definitions.extend(page.definitions);
            page_token = page.next_page_token;
            if page_token.is_empty() || empty {
                return Ok(all);
            }
        }
    }
}
