//! `DefinitionService`: checks and stores definitions.

use saga_log::{Asked, DefinitionRow};
use saga_proto::saga::v1::{self as pb, definition_service_server::DefinitionService};
use tonic::{Code, Request, Response, Status};

use crate::{
    api::{
        admit, detached,
        error::{invalid, status},
        field, in_turn, page, view,
    },
    definition::{Finding, Report, Severity},
    definitions::{RegisterError, Registrar},
    engine::{Engine, ReachError},
};

/// Bytes of a definition at most (X09).
const YAML_BYTES_MAX: usize = 256 * 1024;

/// Serves `DefinitionService`.
#[derive(Clone, Debug)]
pub(crate) struct DefinitionApi {
    pub(crate) engine: Engine,
}

#[tonic::async_trait]
impl DefinitionService for DefinitionApi {
    async fn register_definition(
        &self,
        request: Request<pb::RegisterDefinitionRequest>,
    ) -> Result<Response<pb::RegisterDefinitionResponse>, Status> {
        let engine = self.engine.clone();
        let request = admit::act(request)?;
        detached(async move {
            let (yaml, file_name, by) = registrar(request)?;
            let registered = engine.register_for(&yaml, file_or_default(&file_name), by).await?;
            Ok(Response::new(pb::RegisterDefinitionResponse {
                definition: Some(definition(&registered.row)),
                findings: registered.warnings.iter().map(finding).collect(),
            }))
        })
        .await
    }

    async fn get_definition(
        &self,
        request: Request<pb::GetDefinitionRequest>,
    ) -> Result<Response<pb::GetDefinitionResponse>, Status> {
        let engine = self.engine.clone();
        in_turn(&self.engine, async move {
            let pb::GetDefinitionRequest { name, version } = request.into_inner();
            field::name("name", &name)?;
            let store = engine.shared.log.store();
            let row = store.definition(&name, version).await.map_err(ReachError::from)?;
            let not_found = || {
                let message = format!("definition {name} is not registered");
                status(Code::NotFound, "DEFINITION_NOT_FOUND", message)
            };
            let row = row.ok_or_else(not_found)?;
            Ok(Response::new(pb::GetDefinitionResponse { definition: Some(definition(&row)) }))
        })
        .await
    }

    async fn list_definitions(
        &self,
        request: Request<pb::ListDefinitionsRequest>,
    ) -> Result<Response<pb::ListDefinitionsResponse>, Status> {
        let engine = self.engine.clone();
        in_turn(&self.engine, async move {
            let pb::ListDefinitionsRequest { page_size, page_token } = request.into_inner();
            let list = page::of("definitions", &[]);
            let after: Option<String> = page::position(&list, &page_token)?;
            let rows_max = page::size(page_size)? as usize;
            let rows = engine.shared.log.store().definitions().await.map_err(ReachError::from)?;
            let from = rows.partition_point(|row| Some(&row.name) <= after.as_ref());
            let (page, rest) = rows[from..].split_at(rows_max.min(rows.len() - from));
            let next_page_token = match page.last() {
                Some(last) if !rest.is_empty() => page::token(&list, &last.name),
                _ => String::new(),
            };
            let without_text = |row| pb::Definition { yaml: String::new(), ..definition(row) };
            let definitions = page.iter().map(without_text).collect();
            Ok(Response::new(pb::ListDefinitionsResponse { definitions, next_page_token }))
        })
        .await
    }

    async fn check_definition(
        &self,
        request: Request<pb::CheckDefinitionRequest>,
    ) -> Result<Response<pb::CheckDefinitionResponse>, Status> {
        let engine = self.engine.clone();
        detached(async move {
            let pb::CheckDefinitionRequest { yaml, file_name } = request.into_inner();
            check_size(&yaml)?;
            field::name("file_name", &file_name)?;
            let (findings, report) = match engine.check(&yaml, file_or_default(&file_name)).await {
                Ok(compiled) => (compiled.warnings, compiled.rendered),
                Err(RegisterError::Invalid(report)) => {
                    let Report { findings, rendered, .. } = *report;
                    (findings, rendered)
                }
                Err(error) => return Err(error.into()),
            };
            let findings = findings.iter().map(finding).collect();
            Ok(Response::new(pb::CheckDefinitionResponse { findings, report }))
        })
        .await
    }
}

/// What is to be registered, and for whom.
fn registrar(
    request: pb::RegisterDefinitionRequest,
) -> Result<(String, String, Registrar), Status> {
    let pb::RegisterDefinitionRequest {
        yaml,
        file_name,
        request_id,
        actor,
        reason,
        expected_version,
    } = request;
    check_size(&yaml)?;
    field::name("file_name", &file_name)?;
    field::words(&actor, &reason)?;
    if !request_id.is_empty() {
        field::request_id(&request_id)?;
    }
    // A version that no definition can have is none that was looked at.
    let expected_version = u32::try_from(expected_version).unwrap_or(u32::MAX);
    let asked = Asked { request_id, actor, reason };
    Ok((yaml, file_name, Registrar { asked, expected_version }))
}

pub(super) fn check_size(yaml: &str) -> Result<(), Status> {
    if yaml.len() > YAML_BYTES_MAX {
        let message = format!("{} bytes, at most {YAML_BYTES_MAX}; split the saga", yaml.len());
        return Err(invalid("DEFINITION_TOO_LARGE", "yaml", message));
    }
    Ok(())
}

fn file_or_default(file_name: &str) -> &str {
    if file_name.is_empty() { "definition.yaml" } else { file_name }
}

fn definition(row: &DefinitionRow) -> pb::Definition {
    pb::Definition {
        name: row.name.clone(),
        version: row.version,
        content_hash: row.hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        yaml: row.yaml.clone(),
        registered_at: Some(view::timestamp(row.registered_at_ms)),
        actor: row.asked.actor.clone(),
        reason: row.asked.reason.clone(),
        request_id: row.asked.request_id.clone(),
    }
}

fn finding(finding: &Finding) -> pb::Finding {
    let severity = match finding.severity {
        Severity::Error => pb::Severity::Error,
        Severity::Warning => pb::Severity::Warning,
    };
    pb::Finding {
        rule: finding.rule.to_string(),
        severity: severity.into(),
        line: finding.line,
        column: finding.column,
        message: finding.message.clone(),
        remedy: finding.remedy.clone(),
    }
}
