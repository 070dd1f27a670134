//! What each status code says: alone, with a reason, declared a refusal, and marked.

use std::{collections::HashMap, fmt::Write as _, time::Duration};

use orchestrator::{
    definition::RefusalCodes,
    participants::outcome::{RETRY_AFTER_MS_MAX, of_status},
};
use saga_core::Outcome;
use tonic::{Code, Status, transport::Server};
use tonic_types::{ErrorDetails, StatusExt};

use super::server::{Participant, RESERVE, call, participants, serve, shown, spec};

/// Answers the code that the order number names, as in `9 reason`.
fn participant() -> Participant {
    Participant::new(|order_no| {
        let (code, how) = order_no.split_once(' ').unwrap();
        let code = Code::from(code.parse::<i32>().unwrap());
        let status = match how {
            "reason" => {
                let details = ErrorDetails::with_error_info("OUT_OF_STOCK", "shop", HashMap::new());
                Status::with_error_details(code, "no", details)
            }
            "retry" => {
                let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(1_500)));
                Status::with_error_details(code, "later", details)
            }
            "marked" => {
                let mut status = Status::new(code, "no");
                let value = tonic::metadata::MetadataValue::from_static("refused");
                status.metadata_mut().insert("saga-outcome", value);
                status
            }
            _ => Status::new(code, "no"),
        };
        Err(status)
    })
}

/// Something happened under this id: whatever the code, that is never "nothing was done".
#[test]
fn what_is_on_record_under_our_id_contradicts_whatever_its_code() {
    for reason in ["OP_ID_REUSED", "OP_FENCED", "OP_REVERSED", "OP_TOO_OLD"] {
        for code in (1..=16).map(Code::from) {
            let details = ErrorDetails::with_error_info(reason, "shop", HashMap::new());
            let status = Status::with_error_details(code, "no", details);
            let outcome = of_status(&status, RefusalCodes::NONE.with(code));
            assert!(
                matches!(outcome, Outcome::Contradicted { .. }),
                "{code:?} {reason}: {outcome:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_table_of_codes() {
    let client = participants(serve(Server::builder().add_service(participant().service())).await);
    let columns = ["plain", "reason", "retry", "declared", "marked"];
    let mut table = format!("{:<20}", "");
    for column in columns {
        write!(table, " {column:<28}").unwrap();
    }
    table.push('\n');
    for number in 1..=16 {
        let code = Code::from(number);
        write!(table, "{:<20}", format!("{code:?}")).unwrap();
        for column in columns {
            let mut spec = spec(RESERVE);
            if column == "declared" {
                spec.refusals = RefusalCodes::NONE.with(code);
            }
            let outcome = call(&client, &spec, &format!("{number} {column}")).await;
            write!(table, " {:<28}", shown(&outcome)).unwrap();
        }
        table.push('\n');
    }
    let table: String = table.lines().map(|it| it.trim_end().to_owned() + "\n").collect();
    insta::with_settings!({
        snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true
    }, {
        insta::assert_snapshot!("codes", table);
    });
}

#[test]
fn a_pause_is_honoured_up_to_a_bound() {
    let asked = |pause: Duration| {
        let details = ErrorDetails::with_retry_info(Some(pause));
        let status = Status::with_error_details(Code::ResourceExhausted, "later", details);
        match of_status(&status, RefusalCodes::NONE) {
            Outcome::NotDone { retry_after_ms, .. } => retry_after_ms,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(asked(Duration::from_millis(250)), Some(250));
    assert_eq!(asked(Duration::from_secs(86_400)), Some(RETRY_AFTER_MS_MAX));
}

#[test]
fn texts_of_a_participant_are_cut() {
    let status = Status::new(Code::FailedPrecondition, "ü".repeat(10_000));
    let refusals = RefusalCodes::NONE.with(Code::FailedPrecondition);
    match of_status(&status, refusals) {
        Outcome::Rejected { reason, message, .. } => {
            assert_eq!(reason, "FAILED_PRECONDITION");
            assert_eq!(message, "ü".repeat(250));
        }
        other => panic!("{other:?}"),
    }
}
