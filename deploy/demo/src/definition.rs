//! The definition that the demo registers: the shipped one, with shorter times.
//!
//! The shipped times are those of a shop that runs for years: an inquiry that is not
//! answered is repeated after 15 s. A demo that lasts seconds cannot wait for that. Only
//! times and attempts are replaced, line by line; steps, calls and requests are the same.

/// The definition as the project ships it.
const SHIPPED: &str = include_str!("../../definitions/place-order.yaml");

/// How long a step of the demo waits for its reply.
pub const STEP_TIMEOUT_MS: u64 = 2_000;

/// How often what did not happen is tried again.
const RETRY: &str = "retry: { first: 100ms, factor: 2, max: 1s, attempts: 15 }";

/// How often the question what became of a call is asked again.
const RESOLVE: &str = "resolve: { first: 200ms, factor: 2, max: 2s, attempts: 15 }";

/// The shipped definition with the demo's times.
pub fn hurried() -> String {
    let timeout = format!("timeout: {STEP_TIMEOUT_MS}ms");
    let mut lines = vec!["# The shipped place-order.yaml with shorter times.".to_owned()];
    for line in SHIPPED.lines() {
        let text = line.trim_start();
        let indent = &line[..line.len() - text.len()];
        if text.starts_with("timeout:") {
            lines.push(format!("{indent}{timeout}"));
        } else if text == "compensation:" {
            lines.push(line.to_owned());
            lines.push(format!("{indent}  {RETRY}"));
        } else if text.starts_with("- name:") {
            lines.push(line.to_owned());
            lines.push(format!("{indent}  {RETRY}"));
            lines.push(format!("{indent}  {RESOLVE}"));
        } else if !text.starts_with("retry:") && !text.starts_with("resolve:") {
            lines.push(line.to_owned());
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything but times, attempts, comments and blank lines.
    fn substance(text: &str) -> Vec<&str> {
        let is_time = |line: &str| {
            ["timeout:", "retry:", "resolve:", "#"].iter().any(|it| line.starts_with(it))
        };
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_time(line)).collect()
    }

    #[test]
    fn only_times_differ_from_the_shipped_definition() {
        let hurried = hurried();
        assert_eq!(substance(&hurried), substance(SHIPPED));
        assert!(!hurried.contains("15s"), "{hurried}");
        let steps = SHIPPED.matches("- name:").count();
        assert_eq!(hurried.matches(RESOLVE).count(), steps);
    }
}
