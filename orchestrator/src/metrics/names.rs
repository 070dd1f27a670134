//! Every metric of the engine. `docs/metrics.md` explains each.

use saga_metrics::Metric;

pub(super) const STARTS: Metric =
    Metric::counter("saga_starts_total", &["definition"], "Sagas that were accepted here");
pub(super) const STARTS_REFUSED: Metric = Metric::counter(
    "saga_starts_refused_total",
    &["why"],
    "Starts that were not accepted here, by why",
);
pub(super) const ENDINGS: Metric = Metric::counter(
    "saga_endings_total",
    &["definition", "ending"],
    "Sagas that ended here: completed, compensated or closed",
);
pub(super) const TURNED_BACK: Metric = Metric::counter(
    "saga_turned_back_total",
    &["definition", "why"],
    "Sagas that turned back here, by why",
);
pub(super) const DURATION: Metric = Metric::histogram(
    "saga_duration_seconds",
    &["definition", "ending"],
    "Time from the start of a saga to its end",
);
pub(super) const CALLS: Metric = Metric::counter(
    "saga_calls_total",
    &["participant", "method", "outcome"],
    "Attempts of calls that came to an outcome",
);
pub(super) const CALL: Metric = Metric::histogram(
    "saga_call_seconds",
    &["participant", "method"],
    "Time of one attempt of a call, without the time in line for a place",
);
pub(super) const RETRIES: Metric = Metric::counter(
    "saga_call_retries_total",
    &["participant", "method"],
    "Attempts of calls that were not the first",
);
pub(super) const INQUIRIES: Metric = Metric::counter(
    "saga_inquiries_total",
    &["participant", "resolution"],
    "Inquiries about calls whose outcome was unknown, by what they learned",
);
pub(super) const SETTLED: Metric = Metric::counter(
    "saga_unknown_settled_total",
    &["participant", "method", "by"],
    "Calls whose outcome was unknown and became known, by what settled it",
);
pub(super) const PARKINGS: Metric = Metric::counter(
    "saga_parkings_total",
    &["waiting_for"],
    "Times that a saga left the memory to wait in the log",
);
pub(super) const TAKEN_OVER: Metric = Metric::counter(
    "saga_taken_over_total",
    &["found"],
    "Sagas that this node took up, by how it found them",
);

pub(super) const READY: Metric =
    Metric::gauge("saga_ready", &[], "Whether sagas can be started here: 1 or 0");
pub(super) const IN_FLIGHT: Metric =
    Metric::gauge("saga_in_flight", &[], "Sagas that this node drives now");
pub(super) const IN_FLIGHT_MAX: Metric =
    Metric::gauge("saga_in_flight_max", &[], "Sagas that this node may drive at the same time");
pub(super) const PAYLOAD_BYTES: Metric = Metric::gauge(
    "saga_payload_bytes",
    &[],
    "Inputs, requests and replies that sagas keep in memory, in bytes",
);
pub(super) const HEARTBEAT_AGE: Metric = Metric::gauge(
    "saga_heartbeat_age_seconds",
    &[],
    "Time since the log took a heartbeat of this node",
);
pub(super) const CLAIM_AGE: Metric = Metric::gauge(
    "saga_claim_age_seconds",
    &[],
    "Time since this node last looked for sagas that nobody drives, with success",
);
pub(super) const PARTICIPANT_CALLS: Metric = Metric::gauge(
    "saga_participant_calls",
    &["participant"],
    "Calls of this node that are out at the participant",
);
pub(super) const PARTICIPANT_CALLS_MAX: Metric = Metric::gauge(
    "saga_participant_calls_max",
    &["participant"],
    "Calls that this node may have out at the participant: its part of the limit",
);
pub(super) const PARTICIPANT_IN_LINE: Metric = Metric::gauge(
    "saga_participant_in_line",
    &["participant"],
    "Sagas in memory that wait for a place at the participant",
);
pub(super) const PARTICIPANT_HELD: Metric = Metric::gauge(
    "saga_participant_held_seconds",
    &["participant"],
    "For how long calls to the participant have been held back; 0: they are not",
);
pub(super) const PARTICIPANT_PAUSED: Metric = Metric::gauge(
    "saga_participant_paused",
    &["participant"],
    "Whether a person lets nobody call the participant: 1 or 0",
);
pub(super) const STUCK: Metric = Metric::gauge(
    "saga_stuck",
    &["reason"],
    "Sagas of the log that need a person, as last read; the same on every node",
);
pub(super) const OLDEST_DUE: Metric = Metric::gauge(
    "saga_oldest_due_seconds",
    &[],
    "For how long the saga has been due that was due first and that nobody drives, as last read",
);
pub(super) const SAMPLE_AGE: Metric = Metric::gauge(
    "saga_sample_age_seconds",
    &[],
    "Time since the log's database was last asked for the two above",
);
