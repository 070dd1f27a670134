//! Types and data for tests.

use bytes::Bytes;
use orchestrator::definition::{
    Compiled, CompiledDefinition, Failure, Report, RunData, ServedTypes,
};
use prost::Message;
use prost_reflect::DescriptorPool;
use saga_core::{Direction, OperationId, OperationName, OperationRoot, SagaId, StepIndex};
use uuid::Uuid;

/// All contracts, those of the shop and those that no participant may be called by.
pub(crate) fn pool() -> DescriptorPool {
    let mut pool = DescriptorPool::decode(saga_proto::FILE_DESCRIPTOR_SET).unwrap();
    pool.decode_file_descriptor_set(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
    pool
}

/// Types with every kind of field.
pub(crate) fn kinds() -> DescriptorPool {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("kinds.proto"), KINDS).unwrap();
    std::fs::write(dir.path().join("inquiry.proto"), INQUIRY).unwrap();
    let files = protox::compile(["kinds.proto", "inquiry.proto"], [dir.path()]).unwrap();
    DescriptorPool::decode(files.encode_to_vec().as_slice()).unwrap()
}

/// Types that refer to one that nobody declares.
pub(crate) fn broken() -> ServedTypes {
    let dir = tempfile::tempdir().unwrap();
    let file = "syntax = 'proto3'; package lost; import 'sub.proto'; service Echo { rpc Do(In) \
                returns (In); } message In { string id = 1; Sub sub = 2; }";
    std::fs::write(dir.path().join("lost.proto"), file).unwrap();
    let sub = "syntax = 'proto3'; package lost; message Sub {}";
    std::fs::write(dir.path().join("sub.proto"), sub).unwrap();
    let mut files = protox::compile(["lost.proto"], [dir.path()]).unwrap();
    files.file.retain(|it| it.name() == "lost.proto");
    ServedTypes::read_set(&files.encode_to_vec()).unwrap()
}

/// Types of proto2, with a field that is required.
pub(crate) fn required() -> DescriptorPool {
    let dir = tempfile::tempdir().unwrap();
    let file = "syntax = 'proto2'; package old; service Echo { rpc Do(In) returns (In); } \
                message In { required string id = 1; optional int64 n = 2; }";
    std::fs::write(dir.path().join("old.proto"), file).unwrap();
    let files = protox::compile(["old.proto"], [dir.path()]).unwrap();
    DescriptorPool::decode(files.encode_to_vec().as_slice()).unwrap()
}

/// Types with all that JSON has a form of its own for.
pub(crate) fn known() -> DescriptorPool {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("known.proto"), KNOWN).unwrap();
    std::fs::write(dir.path().join("inquiry.proto"), INQUIRY).unwrap();
    let files = protox::compile(["known.proto", "inquiry.proto"], [dir.path()]).unwrap();
    DescriptorPool::decode(files.encode_to_vec().as_slice()).unwrap()
}

const KNOWN: &str = r#"
syntax = "proto3";
package known;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
message All {
  int32 i32 = 1;
  int64 i64 = 2;
  uint64 u64 = 3;
  double f64 = 4;
  float f32 = 5;
  string text = 6;
  Color color = 7;
  All child = 8;
  repeated All children = 9;
  repeated int64 numbers = 10;
  map<string, int64> counts = 11;
  map<int32, string> keyed = 12;
  map<string, string> labels = 13;
  int64 number_of = 14;
  oneof choice {
    string left = 15;
    string right = 16;
  }
  google.protobuf.Int64Value wrapped = 17;
  google.protobuf.Struct free = 18;
  map<string, google.protobuf.Any> anys = 19;
  google.protobuf.Any any = 20;
  google.protobuf.Timestamp at = 21;
  google.protobuf.Duration span = 22;
}
enum Color {
  NONE = 0;
  RED = 1;
}
service Echo {
  rpc Echo(All) returns (All);
}
"#;

/// Says that whoever serves these types answers inquiries.
const INQUIRY: &str = r#"
syntax = "proto3";
package saga.participant.v1;
message ResolveRequest {}
message ResolveResponse {}
service ParticipantService {
  rpc Resolve(ResolveRequest) returns (ResolveResponse);
}
"#;

const KINDS: &str = r#"
syntax = "proto3";
package kinds;
message All {
  int32 i32 = 1;
  int64 i64 = 2;
  uint32 u32 = 3;
  uint64 u64 = 4;
  double f64 = 5;
  bool flag = 6;
  string text = 7;
  bytes raw = 8;
  Color color = 9;
  All child = 10;
  repeated int64 numbers = 11;
  repeated All children = 12;
  map<string, int64> counts = 13;
  optional int64 maybe = 14;
  repeated string texts = 15;
  oneof choice {
    string left = 16;
    string right = 17;
  }
}
enum Color {
  COLOR_UNSPECIFIED = 0;
  COLOR_RED = 1;
}
service Echo {
  rpc Echo(All) returns (All);
  rpc Watch(All) returns (stream All);
}
"#;

/// A definition of one pivot that sends `request` to `Echo`.
pub(crate) fn echo(request: &str) -> String {
    echo_of("kinds", request)
}

/// As [`echo`], with the types of this package.
pub(crate) fn echo_of(package: &str, request: &str) -> String {
    format!(
        "kind: Saga\nname: echo\nversion: 1\ninput: {package}.All\nsteps:\n  - name: first\n    pivot: \
         true\n    action:\n      call: echo/{package}.Echo/Echo\n      request:\n        {request}\n"
    )
}

pub(crate) fn compile(yaml: &str, pool: &DescriptorPool) -> Result<Compiled, Report> {
    CompiledDefinition::check(yaml, "test.yaml", &pool.clone().into())
}

/// A saga that is always the same one.
#[derive(Debug, Default)]
pub(crate) struct Data {
    pub(crate) input: Bytes,
    pub(crate) replies: Vec<Option<Bytes>>,
    /// The signal of every step that waits for one.
    pub(crate) signal: Option<Bytes>,
    /// Step and reason of what turned it back.
    pub(crate) failure: Option<(&'static str, &'static str)>,
}

impl RunData for Data {
    fn saga_id(&self) -> SagaId {
        SagaId(Uuid::from_u128(0xa5))
    }

    fn operation(&self, _: StepIndex, step: &str) -> OperationId {
        let name = OperationName { step, direction: Direction::Forward, generation: 0 };
        OperationId::derive(self.saga_id(), OperationRoot::Saga, name)
    }

    fn business_key(&self) -> &str {
        "order-000001"
    }

    fn namespace(&self) -> &str {
        "eu"
    }

    fn started_at_ms(&self) -> u64 {
        1_767_225_600_123
    }

    fn input(&self) -> &Bytes {
        &self.input
    }

    fn reply(&self, step: StepIndex) -> Option<&Bytes> {
        self.replies.get(step.at())?.as_ref()
    }

    fn is_unread(&self, _: StepIndex) -> bool {
        false
    }

    fn signal(&self, _: StepIndex) -> Option<&Bytes> {
        self.signal.as_ref()
    }

    fn failure(&self) -> Option<Failure<'_>> {
        self.failure.map(|(step, reason)| Failure { step, reason })
    }
}
