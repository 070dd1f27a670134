//! What a text is known to be that matches a pattern.

use regex_syntax::{
    Parser,
    hir::{Hir, HirKind, Look},
};

use super::shape::{Range, TextShape};

/// Digits of a number that surely has 128 bits.
const DIGITS_MAX: usize = 36;

/// What a text is that matches. A pattern that may match in the middle says nothing of the rest.
pub(super) fn of_matching(pattern: &str) -> TextShape {
    let Ok(hir) = Parser::new().parse(pattern) else { return TextShape::ANY };
    let Some(parts) = anchored(&hir) else { return TextShape::ANY };
    let whole = Hir::concat(parts.iter().map(|it| (*it).clone()).collect());
    let properties = whole.properties();
    // Of ASCII, characters are bytes.
    let chars_min = properties.minimum_len().unwrap_or(0) / 4;
    let is_printable = parts.iter().all(|it| is_of(it, &|c| matches!(c, b' '..=b'~')));
    let chars = match (properties.minimum_len(), properties.maximum_len()) {
        (Some(min), Some(max)) if is_printable => Range::of(min as i128, max as i128),
        (_, Some(max)) => Range::of(chars_min as i128, max as i128),
        _ => Range::of(chars_min as i128, Range::SIZE.max),
    };
    TextShape { number: number(&parts), is_printable, chars }
}

/// The parts of a pattern between `^` and `$`.
fn anchored(hir: &Hir) -> Option<Vec<&Hir>> {
    let parts = parts_of(hir);
    let (first, rest) = parts.split_first()?;
    let (last, between) = rest.split_last()?;
    let is = |hir: &Hir, look| matches!(hir.kind(), HirKind::Look(it) if *it == look);
    (is(first, Look::Start) && is(last, Look::End)).then(|| between.to_vec())
}

fn parts_of(hir: &Hir) -> Vec<&Hir> {
    match hir.kind() {
        HirKind::Concat(parts) => parts.iter().flat_map(parts_of).collect(),
        HirKind::Capture(capture) => parts_of(&capture.sub),
        _ => vec![hir],
    }
}

/// The numbers that such a text is read as: digits alone, with a sign before them perhaps.
fn number(parts: &[&Hir]) -> Option<Range> {
    let is_sign = |hir: &Hir| is_of(hir, &|c| matches!(c, b'-' | b'+'));
    let one_at_most = |hir: &Hir| hir.properties().maximum_len() == Some(1);
    let (sign, digits) = match parts.split_first() {
        Some((first, rest)) if is_sign(first) && one_at_most(first) => (true, rest),
        _ => (false, parts),
    };
    if !digits.iter().all(|it| is_of(it, &|c| c.is_ascii_digit())) {
        return None;
    }
    let whole = Hir::concat(digits.iter().map(|it| (*it).clone()).collect());
    let (min, max) = (whole.properties().minimum_len()?, whole.properties().maximum_len());
    if min == 0 {
        return None;
    }
    // Of more digits it is a number all the same, and fits nowhere.
    let digits = u32::try_from(max.unwrap_or(DIGITS_MAX).min(DIGITS_MAX)).ok()?;
    let most = 10_i128.checked_pow(digits)? - 1;
    Some(Range::of(if sign { -most } else { 0 }, most))
}

/// Whether everything that matches is made of such ASCII characters.
fn is_of(hir: &Hir, holds: &dyn Fn(u8) -> bool) -> bool {
    match hir.kind() {
        HirKind::Empty => true,
        HirKind::Literal(literal) => literal.0.iter().all(|it| holds(*it)),
        HirKind::Class(class) => match class {
            regex_syntax::hir::Class::Unicode(class) => class
                .ranges()
                .iter()
                .all(|it| it.end().is_ascii() && (it.start()..=it.end()).all(|c| holds(c as u8))),
            regex_syntax::hir::Class::Bytes(class) => {
                class.ranges().iter().all(|it| (it.start()..=it.end()).all(holds))
            }
        },
        HirKind::Look(_) => false,
        HirKind::Repetition(it) => is_of(&it.sub, holds),
        HirKind::Capture(it) => is_of(&it.sub, holds),
        HirKind::Concat(all) | HirKind::Alternation(all) => all.iter().all(|it| is_of(it, holds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_says_what_a_text_is_only_where_it_holds_all_of_it() {
        let numbers = [
            ("^[0-9]{1,18}$", Some((0, 999_999_999_999_999_999))),
            ("^-?[0-9]{1,2}$", Some((-99, 99))),
            ("^([1-9][0-9]?|0)$", Some((0, 99))),
            ("[0-9]{1,18}", None),
            ("^[0-9]{1,18}", None),
            ("^[0-9]{0,18}$", None),
            ("^[0-9a]{1,18}$", None),
            (r"^\d{1,2}$", None),
            ("^(?m:^[0-9]$)$", None),
        ];
        for (pattern, range) in numbers {
            let range = range.map(|(min, max)| Range::of(min, max));
            assert_eq!(of_matching(pattern).number, range, "{pattern}");
        }
        assert!(of_matching("^[ -~]{0,256}$").is_printable);
        assert!(!of_matching("^[ -~é]{0,256}$").is_printable);
        assert_eq!(of_matching("^[a-z]{2,3}$").chars, Range::of(2, 3));
    }
}
