//! What the engine costs: three no-op gRPC steps through the orchestrator, beside a *relay*
//! that takes the same call and makes the same three with typed clients and no log, and
//! beside the three calls made *bare* by the client. All in one process with their client
//! and their participant. Once more with a fifth of the sagas refused at their third step:
//! two compensations each, which the relay and the bare client make as well.

use super::{
    load::{self, Load, Sample},
    options::{Options, progress},
    report::{Figure, Metric},
    subject::Subjects,
};

/// Sagas in flight at the same time.
const IN_FLIGHT: [usize; 4] = [1, 16, 64, 256];

/// The same where a fifth turns back.
const IN_FLIGHT_TURNING_BACK: [usize; 1] = [64];

const METRICS: [Metric; 4] = Sample::METRICS;

pub(crate) async fn measure(options: &Options) -> Figure {
    let title = "Engine: sagas of three no-op steps, by sagas in flight";
    let mut figure = Figure::new("engine", title, &METRICS, &["relay", "bare"]);
    let subjects = Subjects::start(options).await;
    let (forward, back) = match options.in_flight {
        Some(given) => (vec![given], vec![given]),
        None => (IN_FLIGHT.to_vec(), IN_FLIGHT_TURNING_BACK.to_vec()),
    };
    let loads = forward.into_iter().map(|it| (it, false));
    let loads = loads.chain(back.into_iter().map(|it| (it, true)));
    for (in_flight, turns_back) in loads {
        let load = Load { in_flight, span: options.span(), turns_back };
        let group = format!("{in_flight}{}", if turns_back { ", 20 % back" } else { "" });
        for round in 1..=options.rounds {
            // In turns, so that whatever else the machine does meets all of them.
            for subject in &subjects.all {
                let sample = load::run(subject, load).await;
                let rate = sample.sagas_per_s;
                progress(&format!("{group} in flight, round {round}: {} {rate:.0}", subject.name));
                figure.add(&group, subject.name, &sample.values());
            }
        }
    }
    subjects.stop().await;
    figure
}
