//! Every reason for which a saga is stuck: reached, shown within 30 s (V3), and left by each of
//! the commands that its page of `sagactl help` names.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use orchestrator::{
    clock::RuntimeClock,
    definition::ServedTypes,
    descriptors::Descriptors,
    engine::{Engine, EngineParts, Limits, Snapshot},
};
use saga_core::{
    Direction::{self, Backward, Forward},
    Ending, Event, OperatorAct, SagaId, Settled, StepIndex, StuckReason,
};
use saga_log::{Log, LogLimits};
use tokio::time::Instant;

use super::{
    script::{Fate, Scripted},
    stores::{Fresh, Kind, SAGA, start},
};

/// Within what time a saga that needs a person is shown.
const SHOWN_WITHIN: Duration = Duration::from_secs(30);

const PAGES: &str = include_str!("../../sagactl/src/pages.md");

/// All of them: a new one does not compile before it has a way out here.
const REASONS: [StuckReason; 10] = {
    use StuckReason as It;
    match It::WiringFault {
        It::WiringFault
        | It::OutcomeUnknown
        | It::InquiryUnsupported
        | It::CompensationFailing
        | It::CompensationRejected
        | It::RejectedAfterPivot
        | It::ForwardFailing
        | It::Unrenderable
        | It::Contradiction
        | It::ReplyUnread => {}
    }
    [
        It::WiringFault,
        It::OutcomeUnknown,
        It::InquiryUnsupported,
        It::CompensationFailing,
        It::CompensationRejected,
        It::RejectedAfterPivot,
        It::ForwardFailing,
        It::Unrenderable,
        It::Contradiction,
        It::ReplyUnread,
    ]
};

/// How a reason is reached.
struct Course {
    script: Vec<(&'static str, Direction, u32, Fate)>,
    yaml: String,
    request_bytes_max: usize,
    takes_inquiries: bool,
}

fn course(reason: StuckReason) -> Course {
    let of = |script: &[_]| Course {
        script: script.to_vec(),
        yaml: SAGA.to_owned(),
        request_bytes_max: Limits::default().request_bytes_max,
        takes_inquiries: true,
    };
    let undoing = |fate| [("pay", Forward, 1, Fate::Refuse), ("reserve", Backward, 0, fate)];
    let with = |of: Course, old: &str, new: &str| {
        assert!(of.yaml.contains(old), "{old}");
        Course { yaml: of.yaml.replacen(old, new, 1), ..of }
    };
    let commit = "name: commit\n";
    match reason {
        StuckReason::WiringFault => of(&[("commit", Forward, 0, Fate::Fault)]),
        StuckReason::OutcomeUnknown => {
            let park = "pivot: true\n    on_unknown: park\n";
            with(of(&[("insert", Forward, 1, Fate::LoseReply)]), "pivot: true\n", park)
        }
        StuckReason::InquiryUnsupported => {
            Course { takes_inquiries: false, ..of(&[("insert", Forward, 0, Fate::LoseReply)]) }
        }
        StuckReason::CompensationFailing => {
            let old = "{ reserve_op_id: op(\"reserve\") }, timeout: 1s }\n    retry";
            let new = "{ reserve_op_id: op(\"reserve\") }, timeout: 1s, retry: { first: 10ms, \
                       factor: 2, max: 20ms, attempts: 3 } }\n    retry";
            with(of(&undoing(Fate::LoseRequest)), old, new)
        }
        StuckReason::CompensationRejected => of(&undoing(Fate::Refuse)),
        StuckReason::RejectedAfterPivot => of(&[("commit", Forward, 0, Fate::Refuse)]),
        StuckReason::ForwardFailing => {
            let retry = "name: commit\n    on_unknown: retry\n";
            with(of(&[("commit", Forward, 0, Fate::LoseRequest)]), commit, retry)
        }
        // An operation id is longer than an order's number.
        StuckReason::Unrenderable => Course { request_bytes_max: 20, ..of(&[]) },
        StuckReason::Contradiction => of(&[("pay", Forward, 0, Fate::Contradict)]),
        StuckReason::ReplyUnread => {
            let old = "Commit, request: { reserve_op_id: op(\"reserve\") }";
            let new = "Commit, request: { reserve_op_id: steps.insert.reply.order_no }";
            with(of(&[("insert", Forward, 0, Fate::ApplyUnread)]), old, new)
        }
    }
}

/// A world in which a saga is stuck for this reason.
struct World {
    engine: Engine,
    participants: Arc<Scripted>,
    saga: SagaId,
    snapshot: Snapshot,
}

async fn stuck_for(reason: StuckReason) -> World {
    let Course { script, yaml, request_bytes_max, takes_inquiries } = course(reason);
    let participants = Scripted::new(&script);
    if !takes_inquiries {
        participants.takes_no_inquiry();
    }
    let types = ServedTypes::read_set(shop_proto::FILE_DESCRIPTOR_SET).unwrap();
    let parts = EngineParts {
        log: Log::start(Fresh::open(Kind::Memory).await.store, LogLimits::default()),
        clock: Arc::new(RuntimeClock::starting_at(1_800_000_000_000)),
        caller: Arc::<Scripted>::clone(&participants),
        descriptors: Descriptors::Fixed(Arc::new(types)),
        limits: Limits { request_bytes_max, ..Limits::default() },
    };
    let engine = Engine::start(parts).await.unwrap();
    engine.register(&yaml, "test.yaml").await.unwrap();
    let saga = start(&engine, "key").await;
    let began = Instant::now();
    loop {
        let snapshot = engine.snapshot(saga).await.unwrap();
        let shown = snapshot.row.standing.stuck.as_ref().map(|it| it.reason.clone());
        if shown.as_deref() == Some(reason.code()) {
            return World { engine, participants, saga, snapshot };
        }
        let (state, code) = (&snapshot.state, reason.code());
        assert!(state.ended().is_none(), "{code}: it ended: {state:?}");
        assert!(began.elapsed() < SHOWN_WITHIN, "{code}: it is shown as {shown:?}: {state:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl World {
    fn step(&self) -> StepIndex {
        let name = &self.snapshot.row.standing.stuck.as_ref().unwrap().step;
        self.snapshot.definition.core.index_of(name).unwrap()
    }

    /// Acts as a person does who has read the page, and answers how the saga ended.
    async fn left_by(self, act: OperatorAct) -> Ending {
        if matches!(act, OperatorAct::Retry | OperatorAct::Renew { .. }) {
            self.participants.mend();
        }
        let (actor, reason) = ("me".to_owned(), "looked".to_owned());
        let acted = Event::OperatorActed {
            actor,
            reason,
            act: act.clone(),
            at_ms: 0,
            request_id: String::new(),
        };
        self.engine.tell(self.saga, acted).await.unwrap();
        let has_ended = self.engine.wait_end(self.saga, SHOWN_WITHIN).await.unwrap();
        let state = self.engine.snapshot(self.saga).await.unwrap().state;
        assert!(has_ended, "{act:?}: {state:?}");
        self.engine.stop(Duration::ZERO).await;
        state.ended().unwrap().ending
    }
}

/// What the page of a reason says to try, apart from what no command does.
fn remedy(code: &str) -> &'static str {
    let heading = format!("## {code}\n");
    let (_, page) = PAGES.split_once(&heading).unwrap_or_else(|| panic!("{code} has no page"));
    let page = page.split("\n## ").next().unwrap();
    page.lines().find_map(|line| line.strip_prefix("Try: ")).unwrap()
}

/// The acts that a remedy names.
fn acts(remedy: &str, step: StepIndex) -> Vec<OperatorAct> {
    let mut acts = Vec::new();
    if remedy.contains("sagactl saga retry") {
        acts.push(OperatorAct::Retry);
    }
    if remedy.contains("sagactl saga renew") {
        acts.push(OperatorAct::Renew { step });
    }
    if remedy.contains("--outcome applied") {
        let reply = remedy.contains("--reply").then(Bytes::new);
        acts.push(OperatorAct::Settle { step, call: None, settled: Settled::Applied, reply });
    }
    if remedy.contains("not-applied") {
        acts.push(OperatorAct::Settle {
            step,
            call: None,
            settled: Settled::NotApplied,
            reply: None,
        });
    }
    acts
}

#[tokio::test(start_paused = true)]
async fn every_stuck_saga_is_left_by_what_its_page_says() {
    for reason in REASONS {
        let remedy = remedy(reason.code());
        let step = stuck_for(reason).await.step();
        let acts = acts(remedy, step);
        assert!(!acts.is_empty(), "{}: no command in {remedy:?}", reason.code());
        for act in acts {
            let ending = stuck_for(reason).await.left_by(act.clone()).await;
            assert_ne!(ending, Ending::Closed, "{}: {act:?}", reason.code());
        }
        let closed = stuck_for(reason).await.left_by(OperatorAct::Close).await;
        assert_eq!(closed, Ending::Closed, "{}", reason.code());
    }
}
