//! Whether the log's database keeps what it was told.

use saga_log::{CLOCKS_APART_MS, OpenOptions, PostgresFacts, SqliteFacts};

use super::Finding;

/// Below this a log that is busy fills its disk within hours: some 11 KB are written per saga.
const FREE_BYTES_MIN: u64 = 1 << 30;

pub(super) fn judge_sqlite(facts: &SqliteFacts) -> Vec<Finding> {
    let path = facts.path.display();
    let mut findings = vec![
        schema(facts.schema, facts.schema_known),
        Finding::safe(
            "durability",
            format!("{path}: a commit is answered when it is on the disk, of this machine alone"),
        ),
        match facts.file_system {
            None => Finding::safe("file system", format!("{path} is on a disk of this machine")),
            Some(kind @ ("tmpfs" | "ramfs")) => Finding::not_safe(
                "file system",
                format!("{path} is on {kind}, which is gone when the machine starts again"),
                "put it on a disk",
            ),
            Some("overlay") => Finding::not_safe(
                "file system",
                format!("{path} is in a container's own layer, which is gone with the container"),
                "mount a volume where it is",
            ),
            Some(kind) => Finding::not_safe(
                "file system",
                format!("{path} is on {kind}, whose locks and shared memory SQLite cannot rely on"),
                "put it on a disk of this machine, or take PostgreSQL",
            ),
        },
    ];
    if let Some(mode) = facts.mode.filter(|mode| mode & 0o077 != 0) {
        findings.push(Finding::not_safe(
            "file mode",
            format!("{path} has the mode {mode:o}: others can read what is in the sagas"),
            format!("chmod 600 {path}"),
        ));
    }
    let free = facts.bytes_free >> 20;
    findings.push(if facts.bytes_free < FREE_BYTES_MIN {
        let what = format!("{free} MiB are free; with none left no saga goes on");
        Finding::not_safe("disk", what, "make room, or put the log on a larger disk")
    } else {
        Finding::safe("disk", format!("{free} MiB are free"))
    });
    findings
}

pub(super) fn judge_postgres(facts: &PostgresFacts) -> Vec<Finding> {
    let mut findings = vec![
        schema(facts.schema, facts.schema_known),
        durability(facts),
        replication(facts),
        transport(facts),
        role(facts),
        connections(facts),
        clock(facts),
    ];
    if facts.is_standby {
        findings.push(Finding::not_safe(
            "standby",
            "this server is a standby, and takes no writes",
            "name the primary; with several hosts, target_session_attrs is not known here",
        ));
    }
    findings.push(match facts.is_pooled {
        false => Finding::safe("pooler", "connections are the log's own"),
        true => Finding::not_safe(
            "pooler",
            "a pooler lends connections per transaction, and the log needs its own",
            "name the database itself in the log's URL, or a pool in session mode",
        ),
    });
    if facts.encoding != "UTF8" {
        findings.push(Finding::not_safe(
            "encoding",
            format!("the database has the encoding {}, which cannot hold any text", facts.encoding),
            "create database NAME encoding 'UTF8' template template0",
        ));
    }
    findings
}

fn schema(found: Option<i64>, known: i64) -> Finding {
    match found {
        Some(found) if found == known => Finding::safe("schema", format!("version {found}")),
        Some(found) if found < known => Finding::not_safe(
            "schema",
            format!("version {found}, and this program needs {known}: it will not start"),
            "orchestrator migrate",
        ),
        Some(found) => Finding::not_safe(
            "schema",
            format!("version {found}, and this program knows {known} at most: it will not start"),
            "run the newer program",
        ),
        None => Finding::not_safe(
            "schema",
            "there is no log in it: the program will not start",
            "check that the URL names the right database; then orchestrator migrate",
        ),
    }
}

fn durability(facts: &PostgresFacts) -> Finding {
    let lost = |what: &str, remedy: &str| Finding::not_safe("durability", what, remedy);
    if !facts.fsync {
        return lost(
            "fsync is off: a power cut damages the database, and every saga with it",
            "fsync = on, in postgresql.conf",
        );
    }
    if !facts.full_page_writes {
        return lost(
            "full_page_writes is off: a power cut can leave half a page",
            "full_page_writes = on, unless the file system writes pages whole",
        );
    }
    if facts.synchronous_commit == "off" {
        return lost(
            "synchronous_commit is off: a crash takes back what was answered, and calls were made \
             by it",
            "alter role .. set synchronous_commit = on",
        );
    }
    let (version, commit) = (&facts.version, &facts.synchronous_commit);
    Finding::safe(
        "durability",
        format!(
            "PostgreSQL {version}: a commit is answered when it is on the disk \
             (synchronous_commit {commit})"
        ),
    )
}

fn replication(facts: &PostgresFacts) -> Finding {
    const SUBJECT: &str = "replication";
    let waits = !facts.synchronous_standby_names.is_empty();
    match (waits, facts.synchronous_commit.as_str(), facts.standbys) {
        (true, "on" | "remote_apply", _) => Finding::safe(
            SUBJECT,
            format!(
                "a commit waits for {}: a failover loses none",
                facts.synchronous_standby_names
            ),
        ),
        (true, "remote_write", _) => Finding::note(
            SUBJECT,
            "a commit waits until a standby has it in memory: a power cut of both loses some",
            "synchronous_commit = on",
        ),
        (true, other, _) => Finding::not_safe(
            SUBJECT,
            format!("standbys are named, and synchronous_commit {other} waits for none of them"),
            "synchronous_commit = on",
        ),
        (false, _, 0) => Finding::note(
            SUBJECT,
            "nobody replicates: the disk of this server has the only copy of every saga",
            "a synchronous standby, or backups; the operations manual says what a restore loses",
        ),
        (false, _, standbys) => Finding::not_safe(
            SUBJECT,
            format!(
                "{standbys} standbys, and no commit waits for one: a failover forgets sagas whose \
                 calls were made"
            ),
            "synchronous_standby_names = 'ANY 1 (..)'",
        ),
    }
}

fn transport(facts: &PostgresFacts) -> Finding {
    if facts.is_local {
        return Finding::safe("transport", "the database is on this machine");
    }
    if facts.is_encrypted {
        return Finding::safe("transport", "the connection to the database is encrypted");
    }
    Finding::not_safe(
        "transport",
        "the database is on another machine, and the connection is in plain text",
        "add ?sslmode=verify-full&sslrootcert=CA.pem to the log's URL",
    )
}

fn role(facts: &PostgresFacts) -> Finding {
    let role = &facts.role;
    if facts.is_superuser {
        return Finding::not_safe(
            "role",
            format!("{role} is a superuser: whoever gets its password has the whole server"),
            "give the log a role of its own; the operations manual has the statements",
        );
    }
    if facts.may_write == Some(false) {
        return Finding::not_safe(
            "role",
            format!("{role} may not read and write all of the log's tables"),
            "grant select, insert, update, delete on all tables in schema .. to it",
        );
    }
    if facts.may_create {
        return Finding::note(
            "role",
            format!("{role} may change the tables themselves, which only `migrate` has to"),
            "migrate as another role that owns them; the operations manual has the statements",
        );
    }
    Finding::safe("role", format!("{role} reads and writes rows, and can do nothing else"))
}

fn connections(facts: &PostgresFacts) -> Finding {
    let each = i64::from(OpenOptions::default().connections_max());
    let there = facts.connections_max - facts.connections_reserved;
    let ours = match facts.role_connections_max {
        limit if limit < 0 => there,
        limit => there.min(limit),
    };
    let nodes = ours / each;
    let what = format!("a node takes {each} of {ours} connections: there is room for {nodes}");
    if nodes == 0 {
        let remedy = format!("max_connections and the role's limit must be {each} or more");
        return Finding::not_safe("connections", what, remedy);
    }
    if nodes == 1 {
        let remedy = "raise max_connections, or the role's limit";
        return Finding::note(
            "connections",
            format!("{what}, and none to take over, or to exchange a version"),
            remedy,
        );
    }
    Finding::safe("connections", what)
}

fn clock(facts: &PostgresFacts) -> Finding {
    // Whenever between the two it was read.
    let ahead = facts.clock_ms - facts.answered_at_ms;
    let behind = facts.asked_at_ms - facts.clock_ms;
    let apart = ahead.max(behind).max(0);
    if i64::try_from(CLOCKS_APART_MS).unwrap_or(i64::MAX) < apart {
        return Finding::not_safe(
            "clock",
            format!("the clocks of this machine and of the database are {apart} ms apart"),
            "set both by NTP: deadlines and timers are those of the log",
        );
    }
    Finding::safe("clock", "the clocks of this machine and of the database agree")
}
