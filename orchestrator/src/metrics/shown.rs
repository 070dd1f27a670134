//! What is read when somebody looks.

use std::sync::Arc;

use saga_metrics::{Metric, Registry, Sample};

use super::names;
use crate::{
    engine::{Engine, Shared},
    governor::ParticipantView,
};

impl Engine {
    /// Shows everything that this engine and its log count.
    pub fn show(&self, registry: &mut Registry) {
        let shared = &self.shared;
        shared.metrics.show(registry);
        let engine = self.clone();
        registry.read(&names::READY, move || vec![([], yes(engine.is_ready()))]);
        one(shared, registry, &names::IN_FLIGHT, |it| it.live.count() as f64);
        one(shared, registry, &names::IN_FLIGHT_MAX, |it| it.limits.sagas_max as f64);
        one(shared, registry, &names::PAYLOAD_BYTES, |it| it.payloads.bytes() as f64);
        one(shared, registry, &names::HEARTBEAT_AGE, |it| {
            it.metrics.seconds_since(&it.metrics.beaten_at_ms)
        });
        one(shared, registry, &names::CLAIM_AGE, |it| {
            it.metrics.seconds_since(&it.metrics.looked_at_ms)
        });
        each(shared, registry, &names::PARTICIPANT_CALLS, |it| f64::from(it.calls_out));
        each(shared, registry, &names::PARTICIPANT_CALLS_MAX, |it| f64::from(it.limit_here));
        each(shared, registry, &names::PARTICIPANT_IN_LINE, |it| f64::from(it.in_line));
        each(shared, registry, &names::PARTICIPANT_HELD, |it| {
            it.held_for_ms.map_or(0.0, |ms| ms as f64 / 1e3)
        });
        each(shared, registry, &names::PARTICIPANT_PAUSED, |it| yes(it.is_paused));
        sampled(shared, registry);
        shared.log.show(registry);
    }
}

fn yes(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

fn one(
    shared: &Arc<Shared>,
    registry: &mut Registry,
    metric: &'static Metric,
    read: fn(&Shared) -> f64,
) {
    let shared = Arc::clone(shared);
    registry.read(metric, move || vec![([], read(&shared))]);
}

fn each(
    shared: &Arc<Shared>,
    registry: &mut Registry,
    metric: &'static Metric,
    read: fn(&ParticipantView) -> f64,
) {
    let shared = Arc::clone(shared);
    registry.read(metric, move || {
        let views = shared.governor.views();
        views.iter().map(|it| ([it.participant.clone()], read(it))).collect()
    });
}

fn sampled(shared: &Arc<Shared>, registry: &mut Registry) {
    let of = Arc::clone(shared);
    registry.read(&names::STUCK, move || {
        let sampled = of.metrics.last_sample().clone();
        let stuck = sampled.map(|it| it.stuck).unwrap_or_default();
        stuck.into_iter().map(|(reason, sagas)| ([reason], sagas as f64)).collect()
    });
    let of = Arc::clone(shared);
    registry.read(&names::OLDEST_DUE, move || -> Vec<Sample<0>> {
        let sampled = of.metrics.last_sample().clone();
        sampled.map(|it| ([], it.oldest_due_ms as f64 / 1e3)).into_iter().collect()
    });
    let of = Arc::clone(shared);
    registry.read(&names::SAMPLE_AGE, move || -> Vec<Sample<0>> {
        let sampled = of.metrics.last_sample().clone();
        sampled.map(|it| ([], it.at.elapsed().as_secs_f64())).into_iter().collect()
    });
}
