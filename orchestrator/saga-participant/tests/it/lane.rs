//! Operations that share a transaction: the barrier holds for each, a refusal touches only
//! its own member, and too many are refused in words.

use std::{sync::Arc, time::Duration};

use saga_participant::{
    Arg, BatchOperation, Lane, LaneLimits, Member, OperationError, Participant, Refusal,
    RefusalCode, Tx, on_both_databases,
    testkit::{Answer, Body, Scratch, Subject, answer, certify, new_op_id, reason_of, with_op_id},
};
use saga_proto::saga::participant::v1::{ResolveMode, resolve_response::Resolution};
use tokio::task::JoinHandle;
use tonic::{Code, Request, Status, async_trait};
use uuid::Uuid;

use crate::counter::{
    Bump, Counter, CounterSubject, SCHEMA, Standing, hold, participant, resolve, total,
};

on_both_databases!(
    the_suite_holds_in_a_lane,
    what_waits_goes_in_one_transaction,
    a_refusal_in_a_batch_touches_only_its_member,
    s1_17_a_full_lane_refuses_in_words,
    who_left_before_the_batch_is_not_begun,
    a_member_that_the_database_refuses_goes_alone,
);

/// An amount that a check of the table forbids.
const POISON: i64 = 666;

impl BatchOperation<Counter> for Bump {
    async fn apply_all(
        members: &[Member<Self>],
        _: &Counter,
        tx: &mut Tx,
    ) -> Result<Vec<Result<Self::Reply, OperationError>>, OperationError> {
        for Member { request, op } in members.iter().filter(|it| 0 < it.request.amount) {
            let args = [Arg::Uuid(op.op_id), Arg::Int(request.amount)];
            tx.execute("insert into bump (op_id, amount) values ($1, $2)", &args).await?;
        }
        for name in members.iter().map(|it| &it.request.hold).filter(|it| !it.is_empty()) {
            hold(name).entered.notify_one();
            hold(name).release.notified().await;
        }
        let total = total(tx).await?;
        let outcome = |amount: i64| match amount {
            0 => Err(OperationError::invalid("amount", 0, "any number but 0")),
            i64::MIN..0 => Err(OperationError::Rejected(Refusal {
                code: RefusalCode::FailedPrecondition,
                reason: "NEGATIVE",
                message: format!("{amount} is negative"),
                metadata: Vec::new(),
            })),
            _ => Ok(total.clone()),
        };
        Ok(members.iter().map(|it| outcome(it.request.amount)).collect())
    }
}

#[derive(Clone)]
struct Lanes {
    participant: Participant<Counter>,
    lane: Lane<Bump>,
}

type Called = JoinHandle<Result<i64, Status>>;

impl Lanes {
    async fn open(scratch: &Scratch, waiting_max: u32) -> Self {
        let participant = participant(scratch.open(&SCHEMA).await);
        Self { participant, lane: Lane::new(LaneLimits { batch_max: 64, waiting_max }) }
    }

    async fn bump(&self, op_id: Uuid, amount: i64, hold: &str) -> Result<i64, Status> {
        let bump = Bump { amount, hold: hold.to_owned() };
        let reply = self.participant.apply_together(&self.lane, with_op_id(op_id, bump)).await?;
        Ok(reply.into_inner().total)
    }

    /// A batch of one that stays open until its hold is released.
    async fn keep_busy(&self) -> (String, Called) {
        let name = new_op_id().to_string();
        let called = self.start(1, &name);
        hold(&name).entered.notified().await;
        (name, called)
    }

    fn start(&self, amount: i64, hold: &str) -> Called {
        let (lanes, hold) = (self.clone(), hold.to_owned());
        tokio::spawn(async move { lanes.bump(new_op_id(), amount, &hold).await })
    }

    async fn waiting(&self, count: usize) {
        let told = format!("Lane({count} wait)");
        let wait = async {
            while format!("{:?}", self.lane) != told {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
    }

    async fn standing(&self) -> i64 {
        self.participant.answer(Request::new(Standing)).await.unwrap().into_inner()
    }
}

struct LaneSubject {
    lanes: Lanes,
    alone: CounterSubject,
}

#[async_trait]
impl Subject for LaneSubject {
    async fn act(&self, op_id: Uuid, body: Body) -> Result<Answer, Status> {
        let amount = match body {
            Body::Plain => 1,
            Body::Other => 2,
            Body::Refused => -1,
        };
        let request = with_op_id(op_id, Bump { amount, hold: String::new() });
        answer(self.lanes.participant.apply_together(&self.lanes.lane, request).await)
    }

    async fn undo(&self, op_id: Uuid, original: Uuid) -> Result<Answer, Status> {
        self.alone.undo(op_id, original).await
    }

    async fn resolve(&self, op_id: Uuid, mode: ResolveMode) -> Result<Resolution, Status> {
        resolve(&self.lanes.participant, op_id, mode).await
    }

    async fn standing(&self) -> i64 {
        self.lanes.standing().await
    }
}

async fn the_suite_holds_in_a_lane(scratch: Scratch) {
    let lanes = Lanes::open(&scratch, 64).await;
    let alone = CounterSubject(lanes.participant.clone());
    certify(Arc::new(LaneSubject { lanes, alone })).await.assert_all_hold();
}

async fn what_waits_goes_in_one_transaction(scratch: Scratch) {
    let lanes = Lanes::open(&scratch, 64).await;
    let (busy, first) = lanes.keep_busy().await;
    let others: Vec<Called> = (0..10).map(|_| lanes.start(1, "")).collect();
    lanes.waiting(10).await;
    hold(&busy).release.notify_one();
    assert_eq!(first.await.unwrap().unwrap(), 1);
    for other in others {
        // Each saw the effects of all ten.
        assert_eq!(other.await.unwrap().unwrap(), 11);
    }
}

async fn a_refusal_in_a_batch_touches_only_its_member(scratch: Scratch) {
    let lanes = Lanes::open(&scratch, 64).await;
    let (busy, first) = lanes.keep_busy().await;
    let refused = new_op_id();
    let calls = [(refused, -7), (new_op_id(), 0), (new_op_id(), 5)].map(|(op_id, amount)| {
        let lanes = lanes.clone();
        tokio::spawn(async move { lanes.bump(op_id, amount, "").await })
    });
    lanes.waiting(3).await;
    hold(&busy).release.notify_one();
    first.await.unwrap().unwrap();
    let [refusal, invalid, applied] = calls;
    let refusal = refusal.await.unwrap().unwrap_err();
    assert_eq!(
        (refusal.code(), reason_of(&refusal).as_str()),
        (Code::FailedPrecondition, "NEGATIVE")
    );
    assert_eq!(invalid.await.unwrap().unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(applied.await.unwrap().unwrap(), 6);
    // The refusal is recorded, word for word; the invalid call is not.
    let again = lanes.bump(refused, -7, "").await.unwrap_err();
    assert_eq!((again.message(), again.details()), (refusal.message(), refusal.details()));
    assert_eq!(lanes.standing().await, 2);
}

async fn s1_17_a_full_lane_refuses_in_words(scratch: Scratch) {
    let lanes = Lanes::open(&scratch, 3).await;
    let (busy, first) = lanes.keep_busy().await;
    let others: Vec<Called> = (0..3).map(|_| lanes.start(1, "")).collect();
    lanes.waiting(3).await;
    let refused = lanes.bump(new_op_id(), 1, "").await.unwrap_err();
    assert_eq!(
        (refused.code(), reason_of(&refused).as_str()),
        (Code::ResourceExhausted, "OVERLOADED")
    );
    assert_eq!(refused.message(), "overloaded: 3 transactions are waiting already");
    hold(&busy).release.notify_one();
    for call in others.into_iter().chain([first]) {
        call.await.unwrap().unwrap();
    }
}

async fn who_left_before_the_batch_is_not_begun(scratch: Scratch) {
    let lanes = Lanes::open(&scratch, 64).await;
    let (busy, first) = lanes.keep_busy().await;
    let leaving = lanes.start(1, "");
    lanes.waiting(1).await;
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    hold(&busy).release.notify_one();
    first.await.unwrap().unwrap();
    assert_eq!(lanes.bump(new_op_id(), 1, "").await.unwrap(), 2);
    assert_eq!(lanes.standing().await, 2);
}

async fn a_member_that_the_database_refuses_goes_alone(scratch: Scratch) {
    let lanes = Lanes::open(&scratch, 64).await;
    let (busy, first) = lanes.keep_busy().await;
    let others: Vec<Called> = [1, POISON, 1, 1].map(|amount| lanes.start(amount, "")).into();
    lanes.waiting(4).await;
    hold(&busy).release.notify_one();
    first.await.unwrap().unwrap();
    let mut faults = 0;
    for other in others {
        if let Err(status) = other.await.unwrap() {
            assert_eq!(reason_of(&status), "INTERNAL_FAULT");
            faults += 1;
        }
    }
    assert_eq!((faults, lanes.standing().await), (1, 4));
    assert_eq!(lanes.bump(new_op_id(), 1, "").await.unwrap(), 5);
}
