//! The conformance check of the fake: `payment` keeps the contract, `inventory` does not.

use saga_proto::saga::v1::{
    CheckParticipantRequest, CheckParticipantResponse, CheckedStep, RuleFinding, RuleVerdict,
};
use tonic::{Code, Status};

use super::{Fake, refusal};

pub(super) fn check(
    fake: &Fake,
    request: CheckParticipantRequest,
) -> Result<CheckParticipantResponse, Status> {
    let verdict = match request.participant.as_str() {
        "payment" => RuleVerdict::Pass,
        "inventory" => RuleVerdict::Fail,
        _ => return Err(refusal(Code::NotFound, "PARTICIPANT_NOT_CONFIGURED", "no such one")),
    };
    let steps = vec![CheckedStep {
        step: "step_of_it".to_owned(),
        action: "payment/shop.payment.v1.PaymentService/Confirm".to_owned(),
        ..CheckedStep::default()
    }];
    if request.validate_only {
        return Ok(CheckParticipantResponse { steps, ..CheckParticipantResponse::default() });
    }
    fake.note(format!(
        "check {} {}@{} from {} yaml {:?}, {}, {}",
        request.participant,
        request.definition,
        request.definition_version,
        request.first_number,
        request.yaml,
        request.input_json,
        request.refused_input_json
    ));
    let finding = RuleFinding {
        step: "step_of_it".to_owned(),
        rule: "late-original".to_owned(),
        verdict: verdict.into(),
        seen: "what \x1b[2J was seen".to_owned(),
        ..RuleFinding::default()
    };
    Ok(CheckParticipantResponse { steps, rules: vec![finding], left_behind: Vec::new() })
}
