//! Which sagas a command is about.

use std::time::Duration;

use clap::{Args, ValueEnum};
use saga_proto::saga::v1::SagaState;

use super::duration;

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) which: Which,
    /// How many at most; 0 is all.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    /// Only say how many there are.
    #[arg(long, conflicts_with = "limit")]
    pub(crate) count: bool,
}

/// Which causes, and what of them.
#[derive(Debug, Args)]
pub(crate) struct Causes {
    /// Sagas to name in each group; `saga list --service NAME --code CODE` has all of them.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) examples: u32,
    #[command(flatten)]
    pub(crate) which: Which,
}

/// What is said about the sagas that are meant: all of it has to hold.
#[derive(Debug, Default, Args)]
pub(crate) struct Which {
    /// Only sagas in this state.
    #[arg(long, value_enum)]
    pub(crate) state: Option<State>,
    /// Only sagas of this namespace; "" is the default one.
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
    /// Only sagas of this definition.
    #[arg(long)]
    pub(crate) definition: Option<String>,
    /// Only sagas that are stuck; for this reason, where one is given.
    #[arg(long, value_name = "REASON", num_args = 0..=1, default_missing_value = "")]
    pub(crate) stuck: Option<String>,
    /// Only sagas that are stuck at this step.
    #[arg(long)]
    pub(crate) step: Option<String>,
    /// Only sagas that this participant holds up.
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Only sagas that this code holds up.
    #[arg(long)]
    pub(crate) code: Option<String>,
    /// Only sagas that were started with this label; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    pub(crate) label: Vec<(String, String)>,
    /// Only sagas that were started so long ago, as in 1h or 30d.
    #[arg(long, value_name = "AGE", value_parser = duration)]
    pub(crate) older_than: Option<Duration>,
    /// Only sagas for which this holds: see `sagactl help filters`.
    #[arg(long, value_name = "CEL")]
    pub(crate) filter: Option<String>,
}

impl Which {
    /// All of it as one condition, where a list has no fields of its own for state and definition.
    pub(crate) fn whole_condition(&self) -> String {
        let mut all = Vec::new();
        all.extend(self.state.map(|it| format!("state == {}", quoted(state_name(it)))));
        all.extend(self.definition.as_ref().map(|it| format!("definition == {}", quoted(it))));
        all.extend(Some(self.condition()).filter(|it| !it.is_empty()).map(|it| format!("({it})")));
        all.join(" && ")
    }

    /// All of it but state and definition as one condition.
    pub(crate) fn condition(&self) -> String {
        let mut all = Vec::new();
        let mut is = |field: &str, text: &Option<String>| {
            all.extend(text.as_ref().map(|text| format!("{field} == {}", quoted(text))));
        };
        is("saga.namespace", &self.namespace);
        is("stuck.step", &self.step);
        is("cause.participant", &self.service);
        is("cause.code", &self.code);
        is("stuck.reason", &self.stuck.clone().filter(|reason| !reason.is_empty()));
        if self.stuck.as_ref().is_some_and(String::is_empty) {
            all.push("state == \"STUCK\"".to_owned());
        }
        let labels = self.label.iter();
        all.extend(labels.map(|(name, it)| format!("labels[{}] == {}", quoted(name), quoted(it))));
        let age = self.older_than.as_ref().map(Duration::as_millis);
        all.extend(age.map(|age| format!("age > duration(\"{age}ms\")")));
        // By itself what was typed needs no brackets, and errors show it as it was typed.
        match &self.filter {
            Some(filter) if all.is_empty() => filter.clone(),
            Some(filter) => format!("{} && ({filter})", all.join(" && ")),
            None => all.join(" && "),
        }
    }
}

/// As filters write it.
fn state_name(state: State) -> &'static str {
    SagaState::from(state).as_str_name().trim_start_matches("SAGA_STATE_")
}

/// A text of the syntax, which has the escapes of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text} names no value, as in customer=c-7")),
    }
}

/// A state to filter by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    Running,
    Compensating,
    Stuck,
    Completed,
    Compensated,
    Closed,
}

impl From<State> for SagaState {
    fn from(state: State) -> Self {
        match state {
            State::Running => Self::Running,
            State::Compensating => Self::Compensating,
            State::Stuck => Self::Stuck,
            State::Completed => Self::Completed,
            State::Compensated => Self::Compensated,
            State::Closed => Self::Closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_one_condition_in_which_nothing_can_hide() {
        let label = |text: &str| label(text).unwrap();
        let which = Which {
            stuck: Some(String::new()),
            namespace: Some(String::new()),
            step: Some("pay".to_owned()),
            service: Some("payment".to_owned()),
            code: Some("UNAVAILABLE".to_owned()),
            label: vec![label("customer=c-7"), label("note=a\" || true || \"=\n")],
            older_than: Some(Duration::from_secs(90)),
            filter: Some("ended || version > 2".to_owned()),
            ..Which::default()
        };
        let all = [
            r#"saga.namespace == """#,
            r#"stuck.step == "pay""#,
            r#"cause.participant == "payment""#,
            r#"cause.code == "UNAVAILABLE""#,
            r#"state == "STUCK""#,
            r#"labels["customer"] == "c-7""#,
            r#"labels["note"] == "a\" || true || \"=\n""#,
            r#"age > duration("90000ms")"#,
            "(ended || version > 2)",
        ];
        assert_eq!(which.condition(), all.join(" && "));
        let reason = Which { stuck: Some("NO_METHOD".to_owned()), ..Which::default() };
        assert_eq!(reason.condition(), r#"stuck.reason == "NO_METHOD""#);
        let alone = Which { filter: Some("ended".to_owned()), ..Which::default() };
        assert_eq!((alone.condition(), Which::default().condition()), ("ended".into(), "".into()));
        let whole =
            Which { state: Some(State::Stuck), definition: Some("refund".to_owned()), ..alone };
        let told = r#"state == "STUCK" && definition == "refund" && (ended)"#;
        assert_eq!(
            (whole.whole_condition(), Which::default().whole_condition()),
            (told.into(), "".into())
        );
        assert!(super::label("customer").unwrap_err().contains("customer=c-7"));
    }
}
