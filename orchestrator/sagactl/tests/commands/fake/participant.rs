//! The participants of the fake.

use saga_proto::saga::v1::*;
use tonic::{Code, Status};

use super::refusal;

const NAMES: [&str; 3] = ["inventory", "order", "payment"];

pub(super) fn found(name: &str) -> Result<Participant, Status> {
    if !NAMES.contains(&name) {
        let message = "not in the configuration of this node";
        return Err(refusal(Code::NotFound, "PARTICIPANT_NOT_CONFIGURED", message));
    }
    if name == "order" {
        return Err(refusal(Code::Unavailable, "LOG_UNAVAILABLE", "it may have been recorded"));
    }
    Ok(Participant {
        name: name.to_owned(),
        addresses: vec!["127.0.0.1:1".to_owned()],
        paused: name == "payment",
        in_flight_max: 64,
        in_flight_max_configured: 64,
        in_flight_max_here: 64,
        version: 3,
        ..Participant::default()
    })
}

/// Pages of one.
pub(super) fn page(request: &ListParticipantsRequest) -> ListParticipantsResponse {
    let names = ["inventory", "payment"];
    let at: usize = request.page_token.parse().unwrap_or(0);
    let next = at + 1;
    ListParticipantsResponse {
        participants: names.get(at).and_then(|name| found(name).ok()).into_iter().collect(),
        next_page_token: if next < names.len() { next.to_string() } else { String::new() },
        node_id: "node-1".to_owned(),
    }
}
