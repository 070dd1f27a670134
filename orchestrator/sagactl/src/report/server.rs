//! The orchestrator itself.

use saga_proto::saga::v1::GetServerInfoResponse;

use crate::look::{Look, Mark};

/// The server in a few lines, and one for each definition that it refused.
pub(crate) fn report(reply: &GetServerInfoResponse, look: &Look) -> String {
    let behind_ms = reply.log_behind_ms;
    let went_back = format!(
        "WENT BACK IN TIME by {}.{:03} s: nothing is started or taken over before \
         sagactl log acknowledge-restore",
        behind_ms / 1_000,
        behind_ms % 1_000
    );
    let (mark, log) = if behind_ms > 0 {
        (Mark::Trouble, went_back.as_str())
    } else if reply.log_available {
        (Mark::Good, "can be written")
    } else {
        (Mark::Trouble, "CANNOT BE WRITTEN: sagas wait, nothing is lost")
    };
    let mut text = format!(
        "version   {}\nnode      {}\nlog       {} {}, {log}\nsagas     {} of at most {}\n",
        reply.version,
        reply.node_id,
        look.paint(mark, look.sign(mark)),
        reply.log,
        reply.sagas_in_flight,
        reply.sagas_in_flight_max,
    );
    for refused in &reply.definitions_refused {
        let sign = look.paint(Mark::Trouble, look.sign(Mark::Trouble));
        text.push_str(&format!("refused   {sign} {refused}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::report::example::look;

    #[test]
    fn a_log_that_cannot_be_written_stands_out() {
        let reply = GetServerInfoResponse {
            version: "0.1.0".to_owned(),
            node_id: "orchestrator-2".to_owned(),
            log: "postgres".to_owned(),
            sagas_in_flight: 12,
            sagas_in_flight_max: 10_000,
            log_available: false,
            ..GetServerInfoResponse::default()
        };
        assert_snapshot!(report(&reply, &look()), @"
        version   0.1.0
        node      orchestrator-2
        log       ! postgres, CANNOT BE WRITTEN: sagas wait, nothing is lost
        sagas     12 of at most 10000
        ");
        let restored = GetServerInfoResponse { log_behind_ms: 61_500, ..reply };
        assert!(report(&restored, &look()).contains("WENT BACK IN TIME by 61.500 s"));
        let definitions_refused = vec!["b.yaml: stored with other contents".to_owned()];
        let refused = GetServerInfoResponse { definitions_refused, ..restored };
        assert!(report(&refused, &look()).contains("! b.yaml: stored with other contents"));
    }
}
