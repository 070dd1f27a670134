//! The line in a definition that says that it was proved, and what was found.
//!
//! It is a comment, so it changes nothing of the definition; it names the definition by its hash,
//! so it is of no other one, and not of this one once something in it has changed. It says what a
//! proof found and makes nobody believe it: whoever renews it sees what has changed.

use saga_definition::{CompiledDefinition, Identity};

use super::{Fate, Proof, Whole};

/// What every line begins with, up to the version of the prover: one that finds other things
/// makes other lines.
const BEGINS: &str = "# proof 1: ";

/// Why a definition has no certificate that holds for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncertified {
    #[error("it has no line that begins with `{BEGINS}`")]
    Missing,
    #[error("its certificate is of another definition, or of this one before it was changed")]
    OfAnother,
}

/// The certificate of a proof. `None`: not everything was found.
#[must_use]
pub fn certificate(definition: &CompiledDefinition, proof: &Proof) -> Option<String> {
    if !proof.is_complete {
        return None;
    }
    let count = |is: fn(Fate, Whole) -> bool| {
        proof.endings.iter().filter(|it| is(it.fate, it.whole())).count()
    };
    let needs_a_person = |fate: Fate| matches!(fate, Fate::Stuck { .. });
    let (all, nothing) = (count(|_, it| it == Whole::All), count(|_, it| it == Whole::Nothing));
    let stuck = proof.endings.iter().filter(|it| needs_a_person(it.fate)).count();
    let neither = proof.endings.len() - all - nothing - stuck;
    Some(format!(
        "{BEGINS}{} ends all {all}, nothing {nothing}, neither {neither}; needs a person {stuck}; calls \
         <= {}, inquiries <= {}",
        hex(&definition.hash),
        proof.calls_max.calls,
        proof.calls_max.inquiries,
    ))
}

/// Whether a definition carries a certificate of its own.
///
/// # Errors
///
/// [`Uncertified`]: it has none, or another's.
pub fn check_certificate(yaml: &str) -> Result<(), Uncertified> {
    let line = yaml.lines().find(|it| it.starts_with(BEGINS)).ok_or(Uncertified::Missing)?;
    let named = line[BEGINS.len()..].split(' ').next();
    let of = CompiledDefinition::identity(yaml).map(|Identity { hash, .. }| hex(&hash));
    if of.as_deref() == named { Ok(()) } else { Err(Uncertified::OfAnother) }
}

/// The text of a definition with this certificate in place of the one that it has; where it has
/// none, behind the lines that tools read first.
#[must_use]
pub fn with_certificate(yaml: &str, certificate: &str) -> String {
    let is_old = |it: &&str| !it.starts_with("# proof ");
    let lines: Vec<&str> = yaml.lines().filter(is_old).collect();
    let is_for_tools = |it: &&&str| it.starts_with("# yaml-language-server:");
    let at = lines.iter().take_while(is_for_tools).count();
    let mut made = lines[..at].to_vec();
    made.push(certificate);
    made.extend(&lines[at..]);
    made.join("\n") + "\n"
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
