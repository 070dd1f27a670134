//! The log as a whole, and whether the log of one saga is as it was written.

use saga_proto::saga::v1::{
    AcknowledgeRestoreResponse, GetServerInfoResponse, LogBreakKind, VerifySagaLogResponse,
};

use crate::look::{Look, Mark};

/// What acknowledging a restore would do.
pub(crate) fn preview(info: &GetServerInfoResponse, unnoticed: bool) -> String {
    if unnoticed && info.log_heard_by.is_empty() {
        return format!(
            "No participant remembers more than the log has. Going on with it as one that was \
             restored\nbegins epoch {}: every saga asks again what became of its calls, or waits \
             for a person.",
            info.log_epoch + 1,
        );
    }
    format!(
        "The log is {} behind what {} has heard of it. Going on with it begins epoch {}:\nwhat \
         was accepted in between is lost, and its effects stand at the participants.",
        span(info.log_behind_ms),
        info.log_heard_by,
        info.log_epoch + 1,
    )
}

/// What was done.
pub(crate) fn acknowledged(reply: &AcknowledgeRestoreResponse) -> String {
    if reply.behind_ms == 0 {
        return format!("epoch {} begins\n", reply.epoch);
    }
    let behind = span(reply.behind_ms);
    format!("epoch {} begins; the log went back by {behind}\n", reply.epoch)
}

/// What a check of a saga's log found, a line for each row that is not as it was written.
pub(crate) fn verified(reply: &VerifySagaLogResponse, look: &Look) -> String {
    let mut text = String::new();
    for broken in &reply.breaks {
        let what = match broken.kind() {
            LogBreakKind::Gap => "rows before it are gone",
            LogBreakKind::Changed | LogBreakKind::Unspecified => {
                "it, or the row before it, is not what was written"
            }
        };
        let sign = look.paint(Mark::Trouble, look.sign(Mark::Trouble));
        text.push_str(&format!("{sign} row {}: {what}\n", broken.version));
    }
    let (mark, all) = match reply.breaks.is_empty() {
        true => (Mark::Good, "all as they were written"),
        false => (Mark::Trouble, "not all as they were written"),
    };
    let sign = look.paint(mark, look.sign(mark));
    text.push_str(&format!("{sign} {} rows, {all}", reply.rows));
    if reply.rows_unchained > 0 {
        let rows = reply.rows_unchained;
        text.push_str(&format!("; {rows} of a program of before, of which nothing can be said"));
    }
    text.push('\n');
    text
}

fn span(ms: u64) -> String {
    format!("{}.{:03} s", ms / 1_000, ms % 1_000)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use saga_proto::saga::v1::LogBreak;

    use super::*;
    use crate::report::example::look;

    #[test]
    fn a_row_that_was_changed_stands_out() {
        let broken = |version, kind: LogBreakKind| LogBreak { version, kind: kind.into() };
        let breaks = vec![broken(3, LogBreakKind::Changed), broken(7, LogBreakKind::Gap)];
        let reply = VerifySagaLogResponse { rows: 8, rows_unchained: 2, breaks };
        assert_snapshot!(verified(&reply, &look()), @"
        ! row 3: it, or the row before it, is not what was written
        ! row 7: rows before it are gone
        ! 8 rows, not all as they were written; 2 of a program of before, of which nothing can be said
        ");
        let whole = VerifySagaLogResponse { rows: 8, ..VerifySagaLogResponse::default() };
        assert_snapshot!(verified(&whole, &look()), @"✔ 8 rows, all as they were written");
    }
}
