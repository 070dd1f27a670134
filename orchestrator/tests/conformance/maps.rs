//! Requests with maps: known again by their bytes, however often they come.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use orchestrator::{
    conformance::{Bench, Check, Talk, Verdict},
    definition::CompiledDefinition,
    participants::{
        CallRequest, Caller, OperationOf,
        probe::{Answer, Inquiry, Key, Meaning, Refusal, Told},
    },
};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use saga_core::{OperationId, Outcome, Resolution};

const TYPES: &str = r#"
syntax = "proto3";
package maps;
message Input { string order = 1; map<string, int64> units = 2; }
message Reply { string taken = 1; }
message Undo { string op = 1; }
service Maps {
  rpc Take(Input) returns (Reply);
  rpc GiveBack(Undo) returns (Reply);
}
"#;

const YAML: &str = r#"
kind: Saga
name: take-units
version: 1
input: maps.Input
steps:
  - name: take
    action:
      call: store/maps.Maps/Take
      request: { order: input.order, units: input.units }
    compensation:
      call: store/maps.Maps/GiveBack
      request: { op: op("take") }
"#;

/// How a participant knows a request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knows {
    /// By the bytes that came.
    Bytes,
    /// By what they mean.
    Meaning,
    /// By what it makes of them: the entries of a map come in any order.
    ItsOwnBytes,
    /// By its id alone, but where the bytes differ: then it is executed again.
    Nothing,
}

/// A participant that needs no network.
struct Store {
    knows: Knows,
    of: MessageDescriptor,
    log: Mutex<BTreeMap<OperationId, Bytes>>,
}

impl Store {
    fn is_known(&self, first: &Bytes, again: &Bytes) -> bool {
        let read = |bytes: &Bytes| DynamicMessage::decode(self.of.clone(), bytes.clone()).unwrap();
        match self.knows {
            Knows::Bytes | Knows::Nothing => first == again,
            Knows::Meaning => read(first) == read(again),
            Knows::ItsOwnBytes => read(first).encode_to_vec() == read(again).encode_to_vec(),
        }
    }

    fn take(&self, operation: OperationId, body: Bytes) -> Answer {
        let mut log = self.log.lock().unwrap();
        let reply = |body: &Bytes| Answer::Reply(body.clone());
        match log.get(&operation) {
            Some(first) if self.is_known(first, &body) => reply(first),
            Some(_) if self.knows != Knows::Nothing => Answer::Status(Refusal {
                code: "ALREADY_EXISTS",
                reason: "OP_ID_REUSED".to_owned(),
                message: String::new(),
                meaning: Meaning::Refused,
                recorded: false,
            }),
            _ => {
                log.insert(operation, body.clone());
                reply(&body)
            }
        }
    }
}

#[tonic::async_trait]
impl Caller for Store {
    async fn call(&self, _: CallRequest<'_>) -> Outcome {
        Outcome::Applied { reply: Bytes::new() }
    }

    async fn resolve(&self, _: &str, _: OperationOf, _: Duration) -> Resolution {
        Resolution::Fenced
    }

    async fn probe(&self, request: CallRequest<'_>, _: Key) -> Answer {
        self.take(request.operation, request.body)
    }

    async fn inquire(&self, _: &str, _: OperationOf, _: Inquiry, _: Duration) -> Told {
        Told::Absent
    }
}

/// What is found about requests with maps, with this input.
async fn found(knows: Knows, input: &str) -> Verdict {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("maps.proto"), TYPES).unwrap();
    let files = protox::compile(["maps.proto"], [directory.path()]).unwrap();
    let types = DescriptorPool::decode(files.encode_to_vec().as_slice()).unwrap();
    let compiled = CompiledDefinition::check(YAML, "take.yaml", &types.clone().into()).unwrap();
    let check = Check {
        definition: Arc::new(compiled.definition),
        participant: "store".to_owned(),
        input: input.to_owned(),
        refused_input: String::new(),
        observer: None,
        restart: false,
    };
    let of = types.get_message_by_name("maps.Input").unwrap();
    let caller = Arc::new(Store { knows, of, log: Mutex::default() });
    let bench = Bench::new(check, caller, Duration::from_millis(1), 1).unwrap();
    let checked = bench.run(&Talk::default()).await.unwrap();
    let finding = checked.findings.into_iter().find(|it| it.claim.name == "map-same-reply");
    finding.unwrap().verdict
}

const UNITS: &str = r#"{"order": "{n}", "units": {"a": 1, "b": 2, "c": 3, "d": 4}}"#;

/// Another order of the entries is another encoding of the request. Whether it is known
/// again is the participant's choice; that it is not executed again is not.
#[tokio::test]
async fn a_request_with_a_map_is_known_again_by_its_bytes_and_not_by_an_order_of_ones_own() {
    assert_eq!(found(Knows::Bytes, UNITS).await, Verdict::PASS);
    assert_eq!(found(Knows::Meaning, UNITS).await, Verdict::PASS);
    let Verdict::Fail { seen, .. } = found(Knows::ItsOwnBytes, UNITS).await else {
        panic!("not found");
    };
    assert!(seen.starts_with("a repeat of the same bytes was answered"), "{seen}");
    let Verdict::Fail { seen, .. } = found(Knows::Nothing, UNITS).await else {
        panic!("not found");
    };
    assert!(seen.contains("another reply"), "{seen}");
}

#[tokio::test]
async fn a_request_without_two_entries_shows_nothing_about_maps() {
    let Verdict::NotChecked { why } = found(Knows::Bytes, r#"{"order": "{n}"}"#).await else {
        panic!("it was tried");
    };
    assert_eq!(why, "its request has no map of two or more entries with this input");
}
