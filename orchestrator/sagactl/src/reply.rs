//! Replies as data: canonical proto-JSON, and ids for the next command.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions, Value};
use saga_proto::{
    FILE_DESCRIPTOR_SET,
    saga::v1::{
        AcknowledgeRestoreResponse, CancelSagaResponse, CheckDefinitionResponse,
        CheckParticipantResponse, CloseSagaResponse, CountSagasResponse, ForceOutcomeResponse,
        GetDefinitionResponse, GetParticipantResponse, GetSagaResponse, GetServerInfoResponse,
        LimitParticipantResponse, ListDefinitionsResponse, ListEventsResponse,
        ListParticipantsResponse, ListSagasResponse, ListStuckResponse, PauseParticipantResponse,
        RegisterDefinitionResponse, RenewOperationResponse, ResumeParticipantResponse,
        RetrySagaResponse, RuleVerdict, Saga, SignalSagaResponse, StartSagaResponse,
        VerifySagaLogResponse, WaitSagaResponse,
    },
};
use serde::{Serialize, Serializer};

use crate::look::{is_unsafe, plain, plain_lines};

static CONTRACTS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("build.rs wrote a valid descriptor set")
});

/// Fields whose text has lines of its own.
const MULTILINE: [&str; 2] = ["yaml", "report"];

/// The reply of an RPC.
pub(crate) trait Reply: Message + Default {
    /// Its message type in the package `saga.v1`.
    const TYPE: &'static str;
    /// The repeated field that holds its rows. `None`: the reply is one row.
    const ROWS: Option<&'static str> = None;

    /// The ids of what it shows, for the next command.
    fn ids(&self) -> Vec<String>;
}

/// Proto-JSON with the fields that hold nothing: a list without rows is `[]`, and a number
/// that is 0 is `0`, so that a script need not know which of them are left out.
#[derive(Debug)]
struct Written<'m>(&'m DynamicMessage);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let options = SerializeOptions::new().skip_default_fields(false);
        self.0.serialize_with_options(serializer, &options)
    }
}

/// Pretty proto-JSON of the whole reply.
pub(crate) fn json(reply: &impl Reply) -> String {
    pretty(&Written(&dynamic(reply)))
}

/// Proto-JSON of each row, one line each.
pub(crate) fn json_lines<R: Reply>(reply: &R) -> Vec<String> {
    let message = dynamic(reply);
    let rows = R::ROWS.and_then(|rows| message.get_field_by_name(rows).map(|it| it.into_owned()));
    let Some(Value::List(rows)) = rows else { return vec![line(&Written(&message))] };
    rows.iter().filter_map(Value::as_message).map(|row| line(&Written(row))).collect()
}

/// Proto-JSON of the whole reply, to be put together with others.
pub(crate) fn value(reply: &impl Reply) -> serde_json::Value {
    serde_json::to_value(Written(&dynamic(reply))).expect("a reply of ours has a JSON form")
}

/// JSON on lines of its own, safe for a terminal.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    ascii_controls(&serde_json::to_string_pretty(value).expect("it has a JSON form"))
}

/// JSON on one line, safe for a terminal.
pub(crate) fn line(value: &impl Serialize) -> String {
    ascii_controls(&serde_json::to_string(value).expect("it has a JSON form"))
}

/// The reply with every text in it made safe for a terminal (X25). Reports are made of
/// such replies only.
pub(crate) fn escaped<R: Reply>(reply: &R) -> R {
    let mut message = dynamic(reply);
    escape(&mut message);
    R::decode(message.encode_to_vec().as_slice()).expect("the type did not change")
}

/// JSON escapes only the first 32 characters; this escapes the rest of what could steer a
/// terminal. The value stays the same.
fn ascii_controls(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for it in json.chars() {
        if is_unsafe(it) && it != '\n' {
            escaped.push_str(&format!("\\u{:04x}", u32::from(it)));
        } else {
            escaped.push(it);
        }
    }
    escaped
}

fn descriptor<R: Reply>() -> MessageDescriptor {
    CONTRACTS.get_message_by_name(&format!("saga.v1.{}", R::TYPE)).expect("TYPE is in the contract")
}

fn dynamic<R: Reply>(reply: &R) -> DynamicMessage {
    DynamicMessage::decode(descriptor::<R>(), reply.encode_to_vec().as_slice())
        .expect("the descriptor and the type come from one file")
}

fn escape(message: &mut DynamicMessage) {
    for (field, value) in message.fields_mut() {
        let multiline = MULTILINE.contains(&field.name());
        escape_value(value, multiline);
    }
}

fn escape_value(value: &mut Value, multiline: bool) {
    match value {
        Value::String(text) if multiline => *text = plain_lines(text),
        Value::String(text) => *text = plain(text),
        Value::Message(message) => escape(message),
        Value::List(values) => values.iter_mut().for_each(|it| escape_value(it, multiline)),
        Value::Map(values) => values.values_mut().for_each(|it| escape_value(it, multiline)),
        _ => {}
    }
}

fn saga_id(saga: Option<&Saga>) -> Vec<String> {
    saga.map(|it| it.saga_id.clone()).into_iter().collect()
}

/// Replies that show one saga.
macro_rules! one_saga {
    ($($reply:ident)*) => {$(
        impl Reply for $reply {
            const TYPE: &'static str = stringify!($reply);

            fn ids(&self) -> Vec<String> {
                saga_id(self.saga.as_ref())
            }
        }
    )*};
}

one_saga! {
    CancelSagaResponse CloseSagaResponse RenewOperationResponse ForceOutcomeResponse GetSagaResponse RetrySagaResponse SignalSagaResponse
    StartSagaResponse WaitSagaResponse
}

impl Reply for ListSagasResponse {
    const TYPE: &'static str = "ListSagasResponse";
    const ROWS: Option<&'static str> = Some("sagas");

    fn ids(&self) -> Vec<String> {
        self.sagas.iter().map(|it| it.saga_id.clone()).collect()
    }
}

impl Reply for CountSagasResponse {
    const TYPE: &'static str = "CountSagasResponse";

    /// It counts them, and names none.
    fn ids(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Reply for ListEventsResponse {
    const TYPE: &'static str = "ListEventsResponse";
    const ROWS: Option<&'static str> = Some("events");

    /// The numbers of the rows in the log.
    fn ids(&self) -> Vec<String> {
        self.events.iter().map(|it| it.version.to_string()).collect()
    }
}

impl Reply for ListStuckResponse {
    const TYPE: &'static str = "ListStuckResponse";
    const ROWS: Option<&'static str> = Some("groups");

    fn ids(&self) -> Vec<String> {
        self.groups.iter().flat_map(|it| &it.examples).map(|it| it.saga_id.clone()).collect()
    }
}

impl Reply for RegisterDefinitionResponse {
    const TYPE: &'static str = "RegisterDefinitionResponse";

    fn ids(&self) -> Vec<String> {
        self.definition.iter().map(|it| format!("{}@{}", it.name, it.version)).collect()
    }
}

impl Reply for GetDefinitionResponse {
    const TYPE: &'static str = "GetDefinitionResponse";

    fn ids(&self) -> Vec<String> {
        self.definition.iter().map(|it| format!("{}@{}", it.name, it.version)).collect()
    }
}

impl Reply for ListDefinitionsResponse {
    const TYPE: &'static str = "ListDefinitionsResponse";
    const ROWS: Option<&'static str> = Some("definitions");

    fn ids(&self) -> Vec<String> {
        self.definitions.iter().map(|it| format!("{}@{}", it.name, it.version)).collect()
    }
}

impl Reply for CheckDefinitionResponse {
    const TYPE: &'static str = "CheckDefinitionResponse";
    const ROWS: Option<&'static str> = Some("findings");

    /// The rules that were broken.
    fn ids(&self) -> Vec<String> {
        self.findings.iter().map(|it| it.rule.clone()).collect()
    }
}

impl Reply for CheckParticipantResponse {
    const TYPE: &'static str = "CheckParticipantResponse";
    const ROWS: Option<&'static str> = Some("rules");

    /// The rules that are broken.
    fn ids(&self) -> Vec<String> {
        let broken = self.rules.iter().filter(|it| it.verdict() == RuleVerdict::Fail);
        broken.map(|it| format!("{}/{}", it.step, it.rule)).collect()
    }
}

impl Reply for VerifySagaLogResponse {
    const TYPE: &'static str = "VerifySagaLogResponse";
    const ROWS: Option<&'static str> = Some("breaks");

    /// The rows that are not as they were written.
    fn ids(&self) -> Vec<String> {
        self.breaks.iter().map(|it| it.version.to_string()).collect()
    }
}

impl Reply for AcknowledgeRestoreResponse {
    const TYPE: &'static str = "AcknowledgeRestoreResponse";

    /// The epoch that began.
    fn ids(&self) -> Vec<String> {
        vec![self.epoch.to_string()]
    }
}

impl Reply for ListParticipantsResponse {
    const TYPE: &'static str = "ListParticipantsResponse";
    const ROWS: Option<&'static str> = Some("participants");

    fn ids(&self) -> Vec<String> {
        self.participants.iter().map(|it| it.name.clone()).collect()
    }
}

/// Replies that show one participant.
macro_rules! one_participant {
    ($($reply:ident)*) => {$(
        impl Reply for $reply {
            const TYPE: &'static str = stringify!($reply);

            fn ids(&self) -> Vec<String> {
                self.participant.iter().map(|it| it.name.clone()).collect()
            }
        }
    )*};
}

one_participant! {
    GetParticipantResponse PauseParticipantResponse ResumeParticipantResponse
    LimitParticipantResponse
}

impl Reply for GetServerInfoResponse {
    const TYPE: &'static str = "GetServerInfoResponse";

    fn ids(&self) -> Vec<String> {
        vec![self.node_id.clone()]
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use saga_proto::saga::v1::{SagaState, SagaStep, Stuck};

    use super::*;

    fn reply() -> GetSagaResponse {
        let stuck = Stuck { message: "note: \x1b[2J\u{9b}".to_owned(), ..Stuck::default() };
        let step = SagaStep { name: "pay\nment".to_owned(), ..SagaStep::default() };
        let saga = Saga {
            saga_id: "01a1ff65-949e-76ea-a3c9-4d8f0c70cde9".to_owned(),
            state: SagaState::Stuck.into(),
            version: 7,
            stuck: Some(stuck),
            steps: vec![step],
            ..Saga::default()
        };
        GetSagaResponse { saga: Some(saga) }
    }

    #[test]
    fn json_is_canonical_and_steers_no_terminal() {
        assert_snapshot!(json(&reply()), @r#"
        {
          "saga": {
            "sagaId": "01a1ff65-949e-76ea-a3c9-4d8f0c70cde9",
            "namespace": "",
            "businessKey": "",
            "definition": "",
            "definitionVersion": 0,
            "state": "SAGA_STATE_STUCK",
            "stuck": {
              "reason": "",
              "step": "",
              "message": "note: \u001b[2J\u009b"
            },
            "turnedBack": "",
            "steps": [
              {
                "name": "pay\nment",
                "state": "STEP_STATE_UNSPECIFIED",
                "attempt": 0,
                "actionOpId": "",
                "lastResult": "",
                "undo": "STEP_UNDO_UNSPECIFIED",
                "pivot": false
              }
            ],
            "version": "7",
            "owner": "",
            "why": "",
            "rejectedReason": "",
            "waitingOn": "",
            "offers": [],
            "undoOrder": [],
            "cancelEffect": "CANCEL_EFFECT_UNSPECIFIED",
            "labels": {}
          }
        }
        "#);
    }

    #[test]
    fn every_text_of_a_reply_is_escaped_for_reports() {
        let saga = escaped(&reply()).saga.unwrap();
        assert_eq!(saga.stuck.unwrap().message, r"note: \u{1b}[2J\u{9b}");
        assert_eq!(saga.steps[0].name, r"pay\nment");
        assert_eq!(saga.version, 7);
    }

    #[test]
    fn lines_are_the_rows_of_a_list_and_the_whole_of_anything_else() {
        let sagas = vec![reply().saga.unwrap_or_default(), Saga::default()];
        let list = ListSagasResponse { sagas, ..Default::default() };
        assert_eq!(json_lines(&list).len(), 2);
        assert!(json_lines(&list)[1].contains(r#""steps":[]"#), "{:?}", json_lines(&list)[1]);
        assert_eq!(json_lines(&ListSagasResponse::default()), Vec::<String>::new());
        assert_eq!(json_lines(&reply()).len(), 1);
    }
}
