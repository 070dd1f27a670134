//! Replies that were too large to be kept: nothing takes them for empty, or for none.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use prost_reflect::{DynamicMessage, prost::Message as _};
use saga_core::{
    Direction::{self, Backward, Forward},
    Event, NodeId, OperationRoot, OperatorAct, Outcome, Resolution, SagaId, Settled, Started,
    State, StepIndex, StepPhase, StuckReason, UnknownCause, Word, stuck,
};
use saga_definition::{CompiledDefinition, Contracts, ServedTypes};
use saga_draft::{AllLeave, Mode, REQUEST_BYTES_MAX, Subject, advance};
use uuid::Uuid;

const TYPES: &str = "syntax = 'proto3'; package s; service S { rpc Take(In) returns (Rep); rpc Back(In) \
    returns (Rep); rpc Next(In) returns (Rep); rpc Last(In) returns (Rep); } message In { string id = 1; \
    string note = 2; } message Rep { string id = 1; int64 amount = 2; string status = 3; }";

/// A step that replies, one behind it, and a pivot.
const DEFINITION: &str = "kind: Saga
name: order
version: 1
input: s.In
steps:
  - name: take
    action: { call: p/s.S/Take, request: { id: input.id }, timeout: 5s ACTION }
    compensation: { call: p/s.S/Back, request: { id: input.id UNDO_REQUEST } UNDO }
  - name: next
    NEXT
    action: { call: p/s.S/Next, request: { id: input.id NEXT_REQUEST } }
    compensation: { call: p/s.S/Back, request: { id: input.id } }
  - name: last
    pivot: true
    action: { call: p/s.S/Last, request: { id: input.id LAST_REQUEST } }
";

const TAKE: StepIndex = StepIndex(0);

const NEXT: StepIndex = StepIndex(1);

const LAST: StepIndex = StepIndex(2);

/// The definition with these words in these places.
fn definition(words: &[(&str, &str)]) -> CompiledDefinition {
    let mut yaml = DEFINITION.to_owned();
    for place in ["ACTION", "UNDO_REQUEST", "UNDO", "NEXT_REQUEST", "NEXT", "LAST_REQUEST"] {
        let word = words.iter().find(|it| it.0 == place).map_or("", |it| it.1);
        yaml = yaml.replace(place, word);
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.proto"), TYPES).unwrap();
    let set = protox::compile(["s.proto"], [dir.path()]).unwrap();
    let types = ServedTypes::read_set(&set.encode_to_vec()).unwrap();
    let checked = CompiledDefinition::check(&yaml, "order.yaml", &Contracts::from(types));
    checked.unwrap_or_else(|report| panic!("{}", report.rendered)).definition
}

/// A saga that is driven by hand.
struct Saga<'d> {
    definition: &'d CompiledDefinition,
    state: State,
    /// What became of the last facts.
    events: Vec<Event>,
    now_ms: u64,
}

impl<'d> Saga<'d> {
    fn begun(definition: &'d CompiledDefinition) -> Self {
        let started = Started {
            definition: "order".to_owned(),
            definition_version: 1,
            definition_hash: definition.hash,
            input: definition.encode_input_json("{\"id\": \"one\"}").unwrap(),
            operations: OperationRoot::Saga,
            node: NodeId(Uuid::nil()),
            log_epoch: 0,
            after_loss: false,
            at_ms: 1_000,
        };
        let state = State::start(SagaId(Uuid::from_u128(1)), &definition.core, &started);
        let mut saga = Self { definition, state, events: Vec::new(), now_ms: 1_000 };
        saga.learn(&[]);
        saga
    }

    fn learn(&mut self, facts: &[Event]) {
        let subject = Subject {
            namespace: "",
            definition: self.definition,
            business_key: "one",
            request_bytes_max: REQUEST_BYTES_MAX,
        };
        let mode = Mode::Drive;
        let draft = advance(subject, &self.state, facts, mode, self.now_ms, &mut AllLeave).unwrap();
        assert_eq!(draft.too_late, []);
        (self.state, self.events) = (draft.state, draft.events);
    }

    fn answered(&mut self, step: StepIndex, direction: Direction, outcome: Outcome) -> &mut Self {
        let (attempt, at_ms) = (1, self.now_ms);
        self.learn(&[Event::Answered { step, direction, attempt, outcome, at_ms }]);
        self
    }

    /// What is recorded of an inquiry about TAKE whose answer is too large to be kept.
    fn resolved_unread(&mut self) -> Resolution {
        let at_ms = self.now_ms;
        self.state.apply(&Event::Inquired { step: TAKE, inquiry: 1, at_ms }).unwrap();
        let message = "the reply is over the limit of 73 bytes".to_owned();
        let resolution = Resolution::AppliedUnread { message };
        self.learn(&[Event::Resolved { step: TAKE, inquiry: 1, resolution, at_ms }]);
        match self.events.first() {
            Some(Event::Resolved { resolution, .. }) => resolution.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// A person gives what TAKE replied.
    fn told(&mut self) {
        let reply = "{\"id\": \"t-1\", \"amount\": 7}";
        let reply = self.definition.encode_reply_json(TAKE, reply).unwrap();
        let act = OperatorAct::Settle {
            step: TAKE,
            call: None,
            settled: Settled::Applied,
            reply: Some(reply),
        };
        let (actor, reason) = ("ada".to_owned(), "from its books".to_owned());
        let (request_id, at_ms) = (String::new(), self.now_ms);
        self.learn(&[Event::OperatorActed { actor, reason, act, at_ms, request_id }]);
    }

    fn stuck(&self) -> Option<(StuckReason, StepIndex)> {
        stuck(&self.definition.core, &self.state).map(|it| (it.reason, it.step))
    }

    /// The note in the request that the step has out.
    fn sent(&self, step: StepIndex, direction: Direction) -> String {
        let out = self.state.step(step);
        assert!(
            matches!(out.phase, StepPhase::InFlight { direction: it, .. } if it == direction),
            "{:?}",
            out.phase
        );
        let spec = self.definition.call(step, direction).unwrap();
        let request = out.request.clone().unwrap();
        let request = DynamicMessage::decode(spec.request_type.clone(), request).unwrap();
        request.get_field_by_name("note").unwrap().as_str().unwrap().to_owned()
    }

    /// What was recorded first of what was learned last.
    fn recorded(&self) -> Outcome {
        match self.events.first() {
            Some(Event::Answered { outcome, .. }) => outcome.clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn unread() -> Outcome {
    Outcome::AppliedUnread { message: "the reply is over the limit of 9 bytes".to_owned() }
}

fn refused() -> Outcome {
    let (reason, message) = ("NO".to_owned(), String::new());
    Outcome::Rejected { reason, message, word: Word::OnRecord }
}

/// It may say no, or be the reply to something else: nobody has read it. So with what an
/// inquiry brings.
#[test]
fn a_reply_that_has_to_be_judged_is_no_effect_where_it_was_not_kept() {
    for judge in [", refused_when: reply.status == 'NO'", ", expect: { id: input.id }"] {
        let definition = definition(&[("ACTION", judge)]);
        let mut saga = Saga::begun(&definition);
        let recorded = saga.answered(TAKE, Forward, unread()).recorded();
        let Outcome::Unknown { cause: UnknownCause::BadReply, message } = recorded else {
            panic!("{judge}: {recorded:?}");
        };
        assert!(
            message.starts_with("the reply is over the limit of 9 bytes: `expect`"),
            "{message}"
        );
        assert!(!saga.state.step(TAKE).unread);
        let resolved = saga.resolved_unread();
        assert!(matches!(resolved, Resolution::Unanswered { .. }), "{judge}: {resolved:?}");
    }
    let definition = definition(&[]);
    let mut saga = Saga::begun(&definition);
    assert_eq!(saga.answered(TAKE, Forward, unread()).recorded(), unread());
    assert!(saga.state.step(TAKE).unread);
    let mut saga = Saga::begun(&definition);
    let (cause, message) = (UnknownCause::TimedOut, String::new());
    saga.answered(TAKE, Forward, Outcome::Unknown { cause, message });
    let resolved = saga.resolved_unread();
    assert!(matches!(resolved, Resolution::AppliedUnread { .. }), "{resolved:?}");
    assert!(saga.state.step(TAKE).unread);
}

#[test]
fn an_undo_whose_reply_has_to_be_judged_is_not_done_where_it_was_not_kept() {
    for (judge, is_done) in [(", expect: { id: input.id }", false), ("", true)] {
        let definition = definition(&[("UNDO", judge)]);
        let mut saga = Saga::begun(&definition);
        saga.answered(TAKE, Forward, Outcome::Applied { reply: Bytes::new() });
        saga.answered(NEXT, Forward, refused());
        saga.answered(TAKE, Backward, unread());
        assert_eq!(saga.state.step(TAKE).phase == StepPhase::Undone, is_done, "{judge}");
    }
}

/// "Is there a reply" is no question that "it was not kept" answers.
const ASKS: &str = "'has(steps.take.reply) && steps.take.reply.amount > 0'";

const COPIES: &str = ", note: 'has(steps.take.reply) ? steps.take.reply.id : \"none\"'";

#[test]
fn a_step_that_asks_for_a_reply_that_was_not_kept_waits_for_it() {
    let when = format!("when: {ASKS}");
    for (place, word, note) in [("NEXT", when.as_str(), ""), ("NEXT_REQUEST", COPIES, "t-1")] {
        let definition = definition(&[(place, word)]);
        let mut saga = Saga::begun(&definition);
        saga.answered(TAKE, Forward, unread());
        let forward = StepPhase::Unrenderable { direction: Forward };
        assert_eq!(saga.state.step(NEXT).phase, forward, "{word}");
        assert_eq!(saga.stuck(), Some((StuckReason::ReplyUnread, TAKE)), "{word}");
        saga.told();
        assert_eq!(saga.sent(NEXT, Forward), note);
    }
}

#[test]
fn an_undo_that_asks_for_a_reply_that_was_not_kept_waits_for_it() {
    let when = format!(", when: {ASKS}");
    for (place, word, note) in [("UNDO", when.as_str(), ""), ("UNDO_REQUEST", COPIES, "t-1")] {
        let definition = definition(&[(place, word)]);
        let mut saga = Saga::begun(&definition);
        saga.answered(TAKE, Forward, unread());
        saga.answered(NEXT, Forward, refused());
        let backward = StepPhase::Unrenderable { direction: Backward };
        assert_eq!(saga.state.step(TAKE).phase, backward, "{word}");
        assert_eq!(saga.stuck(), Some((StuckReason::ReplyUnread, TAKE)), "{word}");
        saga.told();
        assert_eq!(saga.sent(TAKE, Backward), note);
    }
}

#[test]
fn a_step_that_was_skipped_has_no_reply() {
    let asks = ", note: 'has(steps.next.reply) ? steps.next.reply.id : \"none\"'";
    let definition = definition(&[("NEXT", "when: input.note != ''"), ("LAST_REQUEST", asks)]);
    let mut saga = Saga::begun(&definition);
    saga.answered(TAKE, Forward, unread());
    assert_eq!(saga.state.step(NEXT).phase, StepPhase::Skipped);
    assert_eq!(saga.sent(LAST, Forward), "none");
}
