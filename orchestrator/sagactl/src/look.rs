//! How reports look: marks, colours, times, and text from elsewhere made harmless.

use jiff::{Timestamp, tz::Offset};

/// How a report is written for people. The time is an argument, so that reports are pure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Whether escape sequences for colours are written.
    pub(crate) color: bool,
    /// Whether marks are limited to ASCII.
    pub(crate) ascii: bool,
    /// Whether points in time are written in full, in UTC, instead of relative to `now`.
    pub(crate) utc: bool,
    /// Whether a table has what most people do not look for, such as ids.
    pub(crate) wide: bool,
    /// Columns of the terminal. `None`: nobody said, so nothing is clipped.
    pub(crate) width: Option<usize>,
    /// The present.
    pub(crate) now: Timestamp,
    /// The time of day where the person is.
    pub(crate) offset: Offset,
}

/// Columns of a line of text that is still easy to read.
const READABLE: usize = 100;
/// The narrowest that text is broken into.
const ROOM_MIN: usize = 20;

/// A sign that is understood before the word beside it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// As it should be.
    Good,
    /// Undone, or ended by turning back.
    Undone,
    /// Nobody knows.
    Unknown,
    /// Under way.
    Moving,
    /// Not begun.
    Waiting,
    /// Refused.
    Refused,
    /// A person must look.
    Trouble,
}

impl Mark {
    fn sign(self, ascii: bool) -> &'static str {
        match (self, ascii) {
            (Self::Good, false) => "✔",
            (Self::Good, true) => "+",
            (Self::Undone, false) => "↩",
            (Self::Undone, true) => "<",
            (Self::Unknown, _) => "?",
            (Self::Moving, false) => "▸",
            (Self::Moving, true) => ">",
            (Self::Waiting, false) => "·",
            (Self::Waiting, true) => ".",
            (Self::Refused, false) => "✖",
            (Self::Refused, true) => "x",
            (Self::Trouble, _) => "!",
        }
    }

    fn color(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Undone | Self::Refused => "33",
            Self::Unknown | Self::Trouble => "31;1",
            Self::Moving => "36",
            Self::Waiting => "2",
        }
    }
}

impl Look {
    /// Columns that text has behind an indent.
    pub(crate) fn room(&self, indent: usize) -> usize {
        let width = self.width.unwrap_or(READABLE).min(READABLE);
        width.saturating_sub(indent).max(ROOM_MIN)
    }

    /// The sign of a mark, one column wide, without colour.
    pub(crate) fn sign(&self, mark: Mark) -> &'static str {
        mark.sign(self.ascii)
    }

    /// `text` in the colour of `mark`.
    pub(crate) fn paint(&self, mark: Mark, text: &str) -> String {
        if self.color { format!("\x1b[{}m{text}\x1b[0m", mark.color()) } else { text.to_owned() }
    }

    /// `text` as a heading.
    pub(crate) fn heading(&self, text: &str) -> String {
        if self.color { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// What stands between facts on one line.
    pub(crate) fn dot(&self) -> &'static str {
        if self.ascii { " - " } else { " · " }
    }

    /// What stands for text that was left out.
    pub(crate) fn more(&self) -> &'static str {
        if self.ascii { "..." } else { "…" }
    }

    /// A point in time: "41m ago", "in 3.00s", or in full.
    pub(crate) fn at(&self, time: Option<prost_types::Timestamp>) -> String {
        let Some(at) = time.and_then(timestamp) else { return "-".to_owned() };
        if self.utc {
            return at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
        }
        let past_ms = ms_between(at, self.now);
        if past_ms < 0 {
            format!("in {}", span(past_ms.unsigned_abs()))
        } else {
            format!("{} ago", span(past_ms.unsigned_abs()))
        }
    }

    /// A point in time as a clock shows it: `18:09`, with its day where that is not today.
    pub(crate) fn clock(&self, time: Option<prost_types::Timestamp>) -> String {
        let Some(at) = time.and_then(timestamp) else { return "-".to_owned() };
        if self.utc {
            return self.at(time);
        }
        let (at, now) = (self.offset.to_datetime(at), self.offset.to_datetime(self.now));
        let form = if at.date() == now.date() { "%H:%M" } else { "%-d %b %H:%M" };
        at.strftime(form).to_string()
    }

    /// How long ago: "38m"; in full, the time.
    pub(crate) fn age(&self, since: Option<prost_types::Timestamp>) -> String {
        match since.and_then(timestamp) {
            None => "-".to_owned(),
            Some(_) if self.utc => self.at(since),
            Some(at) => span(ms_between(at, self.now).max(0).unsigned_abs()),
        }
    }

    /// "since 38m ago" shortened to "for 38m"; in full, "since" the time.
    pub(crate) fn lasting(&self, since: Option<prost_types::Timestamp>) -> String {
        match since.and_then(timestamp) {
            None => String::new(),
            Some(_) if self.utc => format!("since {}", self.at(since)),
            Some(at) => format!("for {}", span(ms_between(at, self.now).max(0).unsigned_abs())),
        }
    }

    /// How long it took from `from` to `to`, or to the present where `to` is absent.
    pub(crate) fn took(
        &self,
        from: Option<prost_types::Timestamp>,
        to: Option<prost_types::Timestamp>,
    ) -> String {
        let Some(from) = from.and_then(timestamp) else { return String::new() };
        let to = to.and_then(timestamp).unwrap_or(self.now);
        span(ms_between(from, to).max(0).unsigned_abs())
    }
}

/// The time of a reply, or `None` where it is beyond what a clock can show.
pub(crate) fn timestamp(time: prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(time.seconds, time.nanos).ok()
}

/// Milliseconds from `from` to `to`; negative where `to` is before `from`.
pub(crate) fn ms_between(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millisecond().saturating_sub(from.as_millisecond())
}

/// A span in the one or two units that matter: `412ms`, `2.41s`, `38m`, `3h12m`, `2d4h`.
pub(crate) fn span(ms: u64) -> String {
    let (s, m, h) = (ms / 1_000, ms / 60_000, ms / 3_600_000);
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..10_000 => format!("{s}.{:02}s", ms % 1_000 / 10),
        10_000..60_000 => format!("{s}s"),
        60_000..3_600_000 => format!("{m}m"),
        3_600_000..86_400_000 if m % 60 == 0 => format!("{h}h"),
        3_600_000..86_400_000 => format!("{h}h{}m", m % 60),
        _ if h % 24 == 0 => format!("{}d", h / 24),
        _ => format!("{}d{}h", h / 24, h % 24),
    }
}

/// Text from elsewhere on one line: everything that could move the cursor, ring, or turn
/// the direction of writing is shown as an escape (X25).
pub(crate) fn plain(text: &str) -> String {
    escape(text, |_| false)
}

/// The same for text that has lines of its own.
pub(crate) fn plain_lines(text: &str) -> String {
    escape(text, |it| matches!(it, '\n' | '\t'))
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for it in text.chars() {
        if is_unsafe(it) && !keep(it) {
            escaped.extend(it.escape_default());
        } else {
            escaped.push(it);
        }
    }
    escaped
}

/// Control characters, and the marks that reorder what stands around them.
pub(crate) fn is_unsafe(it: char) -> bool {
    it.is_control()
        || matches!(it, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}')
        || matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_the_units_that_matter() {
        let minute = 60_000;
        for (ms, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (2_410, "2.41s"),
            (59_999, "59s"),
            (38 * minute, "38m"),
            (192 * minute, "3h12m"),
            (180 * minute, "3h"),
            (52 * 60 * minute, "2d4h"),
            (48 * 60 * minute, "2d"),
        ] {
            assert_eq!(span(ms), text);
        }
    }

    #[test]
    fn a_clock_shows_the_day_where_it_is_another_one() {
        let now = Timestamp::from_second(1_767_380_400).unwrap();
        let (color, ascii, utc, wide, width) = (false, false, false, false, None);
        let look = Look { color, ascii, utc, wide, width, now, offset: Offset::UTC };
        let shown = |ago: i64| {
            let seconds = now.as_second() - ago;
            look.clock(Some(prost_types::Timestamp { seconds, nanos: 0 }))
        };
        assert_eq!((shown(9 * 60).as_str(), shown(86_400).as_str()), ("18:51", "1 Jan 19:00"));
        assert_eq!(look.clock(None), "-");
    }

    #[test]
    fn text_that_could_steer_a_terminal_is_escaped() {
        assert_eq!(plain("\x1b[31mred\x07\u{9b}2J"), r"\u{1b}[31mred\u{7}\u{9b}2J");
        assert_eq!(plain("two\nlines\r"), r"two\nlines\r");
        assert_eq!(plain("abc\u{202e}fed"), r"abc\u{202e}fed");
        assert_eq!(plain_lines("two\nlines\x1b"), "two\nlines\\u{1b}");
        assert_eq!(plain("카트 – ½ price"), "카트 – ½ price");
    }
}
