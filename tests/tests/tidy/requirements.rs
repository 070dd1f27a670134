//! The table of requirements and the tests that hold them.

use std::{collections::BTreeMap, fs};

use super::{hold, workspace::root};

/// Every number of the shop's requirements, and of the defects that must not come back.
const NUMBERS: [&str; 86] = [
    "S0-1", "S0-4", "S0-10", "S0-11", "S0-12", "S0-13", "S0-14", "S0-15", "S0-17", "S0-18",
    "S0-19", "S0-20", "S0-22", "S0-25", "S1-1", "S1-2", "S1-3", "S1-4", "S1-5", "S1-6", "S1-7",
    "S1-8", "S1-9", "S1-10", "S1-11", "S1-12", "S1-13", "S1-14", "S1-15", "S1-16", "S1-17", "S2-1",
    "S2-2", "S2-3", "S2-4", "S2-5", "S2-6", "S2-7", "S2-8", "S3-1", "S3-2", "S3-3", "S3-4", "S3-5",
    "S3-6", "S3-7", "S3-8", "S3-9", "S3-10", "S3-11", "S3-12", "S3-13", "S3-14", "S3-15", "S3-16",
    "S3-17", "S3-18", "S3-19", "S3-20", "S4-1", "S4-2", "S4-3", "S4-4", "S4-6", "S4-7", "S4-8",
    "S4-9", "D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9", "D10", "D11", "D12", "D13",
    "D14", "D15", "D16", "D17", "D18", "D19",
];

/// Number and tests of each row of the table.
fn rows() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(root().join("tests/REQUIREMENTS.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let tests = cells.last().unwrap().split("<br>").filter(|it| !it.is_empty());
        (cells[0].to_owned(), tests.map(|it| it.trim_matches('`').to_owned()).collect())
    });
    rows.filter(|(number, _)| number != "number").collect()
}

#[test]
fn every_requirement_has_a_test() {
    let rows = rows();
    let untested = |number: &&&str| rows.get(**number).is_none_or(Vec::is_empty);
    let violations: Vec<String> =
        NUMBERS.iter().filter(untested).map(|it| (*it).to_owned()).collect();
    hold("write a test and name it in tests/REQUIREMENTS.md:", &violations);
}

#[test]
fn every_test_of_the_table_exists() {
    let mut violations = Vec::new();
    for (number, tests) in rows() {
        for test in tests {
            let exists = test.split_once("::").is_some_and(|(file, function)| {
                let text = fs::read_to_string(root().join(file)).unwrap_or_default();
                text.contains(&format!("fn {function}("))
                    || text.contains(&format!("fn {function}<"))
            });
            if !exists {
                violations.push(format!("{number}: {test}"));
            }
        }
    }
    hold("correct the path in tests/REQUIREMENTS.md, or write the test again:", &violations);
}
