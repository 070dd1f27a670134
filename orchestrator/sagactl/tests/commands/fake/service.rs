//! The conformance check of the fake: `payment` keeps the contract, `inventory` does not, and
//! of `order` not everything is seen. A check that may restart something asks for it.

use std::pin::Pin;

use saga_proto::saga::v1::{
    CheckParticipantRequest, CheckParticipantResponse, CheckProgress, CheckedStep, RestartWanted,
    RuleFinding, RuleVerdict, RunParticipantCheckRequest, RunParticipantCheckResponse,
    run_participant_check_request::Said as Asked, run_participant_check_response::Said,
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::UnboundedReceiverStream};
use tonic::{Code, Status, Streaming};

use super::{Fake, refusal};

pub(super) type Run =
    Pin<Box<dyn Stream<Item = Result<RunParticipantCheckResponse, Status>> + Send>>;

pub(super) fn check(
    fake: &Fake,
    request: CheckParticipantRequest,
) -> Result<CheckParticipantResponse, Status> {
    let verdict = match request.participant.as_str() {
        "payment" => RuleVerdict::Pass,
        "inventory" => RuleVerdict::Fail,
        "order" => RuleVerdict::NotObserved,
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
    let observe =
        request.observe.map(|it| format!(" {} {} {}", it.method, it.input_json, it.field));
    fake.note(format!(
        "check {} {}@{} from {} yaml {:?}, {}, {}{}",
        request.participant,
        request.definition,
        request.definition_version,
        request.first_number,
        request.yaml,
        request.input_json,
        request.refused_input_json,
        observe.unwrap_or_default()
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

/// As `check`. It waits for a restart where the request allows one, and for its end where
/// it is asked of `yaml` "endless".
pub(super) async fn run(
    fake: &Fake,
    mut said: Streaming<RunParticipantCheckRequest>,
) -> Result<Run, Status> {
    let Some(Asked::Begin(request)) = said.message().await?.and_then(|it| it.said) else {
        return Err(Status::invalid_argument("begin"));
    };
    let waits = request.restart || request.definition == "endless";
    let restart = request.restart;
    let reply = check(fake, request)?;
    let (tell, told) = mpsc::unbounded_channel();
    let say = move |said| {
        let _ = tell.send(Ok(RunParticipantCheckResponse { said: Some(said) }));
    };
    let (step, rule) = ("step_of_it \x1b[2J".to_owned(), "late-original".to_owned());
    say(Said::Progress(CheckProgress { step, rule, tried: 0, total: 1 }));
    if restart {
        say(Said::RestartWanted(RestartWanted { participant: "payment".to_owned() }));
    }
    let fake = fake.clone();
    tokio::spawn(async move {
        if waits {
            let heard = said.message().await;
            fake.note(match heard.map(|it| it.and_then(|it| it.said)) {
                Ok(Some(Asked::Restarted(_))) => "restarted".to_owned(),
                Ok(Some(Asked::Stop(_))) => "stopped".to_owned(),
                other => format!("heard {other:?}"),
            });
        }
        say(Said::Done(reply));
    });
    Ok(Box::pin(UnboundedReceiverStream::new(told)))
}
