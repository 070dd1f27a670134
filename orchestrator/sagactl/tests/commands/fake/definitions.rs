//! The definitions of the fake: one is stored, and text that says "broken" has an error.

use saga_proto::saga::v1::{definition_service_server::DefinitionService, *};
use tonic::{Code, Request, Response, Status};

use super::{Fake, refusal};

fn definition(yaml: &str) -> Definition {
    Definition {
        name: "place-order".to_owned(),
        version: 3,
        yaml: yaml.to_owned(),
        ..Definition::default()
    }
}

fn findings(yaml: &str) -> Vec<Finding> {
    let finding = Finding {
        rule: "compensation-missing".to_owned(),
        severity: Severity::Error.into(),
        line: 2,
        ..Finding::default()
    };
    if yaml.contains("broken") { vec![finding] } else { Vec::new() }
}

#[tonic::async_trait]
impl DefinitionService for Fake {
    async fn register_definition(
        &self,
        request: Request<RegisterDefinitionRequest>,
    ) -> Result<Response<RegisterDefinitionResponse>, Status> {
        let request = request.into_inner();
        if !findings(&request.yaml).is_empty() {
            let message = "1 error";
            return Err(refusal(Code::InvalidArgument, "DEFINITION_INVALID", message));
        }
        self.note(format!("register {}", request.file_name));
        let definition = Some(definition(&request.yaml));
        Ok(Response::new(RegisterDefinitionResponse { definition, findings: Vec::new() }))
    }

    async fn get_definition(
        &self,
        request: Request<GetDefinitionRequest>,
    ) -> Result<Response<GetDefinitionResponse>, Status> {
        let request = request.into_inner();
        if request.name != "place-order" || request.version > 3 {
            let message = "no such definition";
            return Err(refusal(Code::NotFound, "DEFINITION_NOT_FOUND", message));
        }
        let definition = Some(definition("kind: Saga\nname: place-order\n"));
        Ok(Response::new(GetDefinitionResponse { definition }))
    }

    async fn list_definitions(
        &self,
        _: Request<ListDefinitionsRequest>,
    ) -> Result<Response<ListDefinitionsResponse>, Status> {
        let definitions = vec![definition("")];
        Ok(Response::new(ListDefinitionsResponse { definitions, next_page_token: String::new() }))
    }

    async fn check_definition(
        &self,
        request: Request<CheckDefinitionRequest>,
    ) -> Result<Response<CheckDefinitionResponse>, Status> {
        let findings = findings(&request.get_ref().yaml);
        let report = findings.iter().map(|it| format!("line {}: {}\n", it.line, it.rule));
        let report = report.collect();
        Ok(Response::new(CheckDefinitionResponse { findings, report }))
    }
}
