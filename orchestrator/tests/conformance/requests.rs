//! What is refused before anything is called, and what a check says it will call.

use saga_proto::saga::v1::{CheckParticipantRequest, Observation};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    participant::Participant,
    server::{Checker, HOLD_AND_SELL, hold, request},
};

/// Makes a request to observe a number wrong.
type Spoils = fn(&mut Observation);

/// Numbers that cannot be observed, and why.
const OBSERVATIONS: [(Spoils, &str); 10] = [
    (|it| it.method = "GetStok".to_owned(), "has no such method; it has Reserve, "),
    (|it| it.method = "shop.Absent/GetStock".to_owned(), "there is no service shop.Absent"),
    (|it| it.method = "a/b/c/d".to_owned(), "write participant/package.Service/Method"),
    (
        |it| it.method = "elsewhere/shop.inventory.v1.InventoryService/GetStock".to_owned(),
        "elsewhere is not in the server's configuration",
    ),
    (|it| it.method = "Release".to_owned(), "is called by the definition"),
    (|it| it.input_json = r#"{"itemIdz": []}"#.to_owned(), "has no such field"),
    (|it| it.field = "stock[0].on_hnd".to_owned(), "has no field on_hnd"),
    (|it| it.field = "stock[0]".to_owned(), "stock[0] is no number, list or map"),
    (|it| it.field = "stock.on_hand".to_owned(), "on_hand is within no message"),
    (|it| it.field.clear(), "has no field"),
];

fn reason(status: &Status) -> (Code, String) {
    (status.code(), status.get_details_error_info().unwrap().reason)
}

#[tokio::test]
async fn every_refusal_has_its_reason() {
    let participant = Participant::new(None);
    let mut checker = Checker::start(&participant).await;
    let whole = request(&hold());
    let asked = |change: fn(&mut CheckParticipantRequest)| {
        let mut request = whole.clone();
        change(&mut request);
        request
    };
    let cases = [
        (
            asked(|it| it.participant = "inventroy".to_owned()),
            Code::NotFound,
            "PARTICIPANT_NOT_CONFIGURED",
        ),
        (
            asked(|it| it.participant = "nobody".to_owned()),
            Code::NotFound,
            "NO_STEP_OF_PARTICIPANT",
        ),
        (asked(|it| it.yaml.clear()), Code::InvalidArgument, "DEFINITION_MISSING"),
        (
            asked(|it| {
                it.yaml.clear();
                it.definition = "absent".to_owned();
            }),
            Code::NotFound,
            "DEFINITION_NOT_FOUND",
        ),
        (
            asked(|it| it.yaml = "kind: Saga".to_owned()),
            Code::InvalidArgument,
            "DEFINITION_INVALID",
        ),
        (
            asked(|it| it.input_json = r#"{"orderNr": "{n}"}"#.to_owned()),
            Code::InvalidArgument,
            "INPUT_INVALID",
        ),
        (
            asked(|it| it.refused_input_json = "{".to_owned()),
            Code::InvalidArgument,
            "INPUT_INVALID",
        ),
        (
            asked(|it| it.input_json = it.refused_input_json.clone()),
            Code::FailedPrecondition,
            "NOTHING_CHECKED",
        ),
    ];
    for (request, code, wanted) in cases {
        let refused = checker.check(request).await.unwrap_err();
        assert_eq!(reason(&refused), (code, wanted.to_owned()), "{}", refused.message());
    }
    for (change, why) in OBSERVATIONS {
        let mut request = whole.clone();
        change(request.observe.as_mut().unwrap());
        let refused = checker.check(request).await.unwrap_err();
        assert_eq!(reason(&refused), (Code::InvalidArgument, "OBSERVE_INVALID".to_owned()));
        assert!(refused.message().contains(why), "{}", refused.message());
    }
    let refused = asked(|it| it.input_json = it.refused_input_json.clone());
    let refused = checker.check(refused).await.unwrap_err();
    assert!(refused.message().contains("FAILED_PRECONDITION/OUT_OF_STOCK"), "{refused:?}");
    assert!(participant.standing.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_step_behind_a_wait_or_a_false_condition_is_not_checked() {
    let wait = "steps:
  - name: approval
    wait: { signal: approval, type: shop.order.v1.RefundApproval, timeout: 1h }
";
    let cases = [
        (hold().replace("steps:\n", wait), "approval comes before it and waits for a signal"),
        (
            hold().replace("    action:", "    when: input.order_no == ''\n    action:"),
            "the `when` of reserve_stock is false",
        ),
    ];
    let participant = Participant::new(None);
    let mut checker = Checker::start(&participant).await;
    for (yaml, why) in cases {
        let refused = checker.check(request(&yaml)).await.unwrap_err();
        assert_eq!(reason(&refused), (Code::FailedPrecondition, "NOTHING_CHECKED".to_owned()));
        assert_eq!(refused.message(), format!("nothing could be checked: {why}"));
    }
}

#[tokio::test]
async fn a_validation_names_the_calls_and_makes_none() {
    let participant = Participant::new(None);
    let whole = request(HOLD_AND_SELL);
    let asked = CheckParticipantRequest { validate_only: true, ..whole };
    let reply = Checker::start(&participant).await.check(asked).await.unwrap();
    assert_eq!((reply.rules.len(), reply.left_behind.len()), (0, 0));
    let [reserve, commit] = reply.steps.as_slice() else { panic!("{:?}", reply.steps) };
    assert_eq!(reserve.compensation, "inventory/shop.inventory.v1.InventoryService/Release");
    assert_eq!(commit.action, "inventory/shop.inventory.v1.InventoryService/Commit");
    assert_eq!(
        (commit.compensation.as_str(), commit.before.as_slice()),
        ("", ["reserve_stock".to_owned()].as_slice())
    );
    assert!(participant.standing.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_numbers_of_a_check_can_be_chosen_and_a_step_takes_at_most_64() {
    let participant = Participant::new(None);
    let asked = CheckParticipantRequest { first_number: 100, ..request(&hold()) };
    Checker::start(&participant).await.check(asked).await.unwrap();
    let seen = participant.seen.lock().unwrap().clone();
    let numbers = seen.iter().map(|it| it.rsplit('-').next().unwrap().parse::<u64>().unwrap());
    let numbers: Vec<u64> = numbers.collect();
    assert_eq!(numbers.iter().min(), Some(&100));
    assert!(numbers.iter().all(|it| *it < 164), "{numbers:?}");
    assert!(36 < numbers.len());
}
