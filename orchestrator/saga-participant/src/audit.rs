//! Audits: rules over a service's tables, each a statement that finds what breaks it.

use crate::database::{Sql, Tx};

/// A rule, and how what breaks it is found.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The rule, such as `I2: what is on hand is the sum of the movements`.
    pub text: &'static str,
    /// What the rule is about, such as `item`.
    pub noun: &'static str,
    /// Finds at most a hundred that break it: their id as text, the number found and the
    /// number expected.
    pub sql: Sql,
}

impl Rule {
    /// A rule whose statement reads the same in both databases.
    pub const fn new(text: &'static str, noun: &'static str, sql: &'static str) -> Self {
        Self { text, noun, sql: Sql::same(sql) }
    }
}

/// One sentence for each thing that breaks a rule.
///
/// # Errors
///
/// Those of the database.
pub async fn violations(tx: &mut Tx, rules: &[Rule]) -> Result<Vec<String>, sqlx::Error> {
    let mut violations = Vec::new();
    for Rule { text, noun, sql } in rules {
        for row in tx.rows(*sql, &[]).await? {
            let (id, found, expected) = (row.text(0)?, row.int(1)?, row.int(2)?);
            violations.push(format!("{text}: {noun} {id} has {found}, not {expected}"));
        }
    }
    Ok(violations)
}
