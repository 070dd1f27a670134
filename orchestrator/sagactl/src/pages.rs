//! The pages of `sagactl help`: one for each reason code that an operator can meet, and a
//! few on the model. The text is in `pages.md`, a section for each page.

const TEXT: &str = include_str!("pages.md");

/// One page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// What it is about: a reason code, or a word such as `states`.
    pub(crate) topic: &'static str,
    /// The text, without the heading.
    pub(crate) text: &'static str,
}

impl Page {
    /// The first line: one sentence that says what the topic is.
    pub(crate) fn summary(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default()
    }

    /// What to do, from the line that begins with `Try: `.
    pub(crate) fn remedy(&self) -> Option<&'static str> {
        self.text.lines().find_map(|line| line.strip_prefix("Try: "))
    }
}

/// All pages, in the order of the file.
pub(crate) fn all() -> impl Iterator<Item = Page> {
    TEXT.split("\n## ").skip(1).map(|section| {
        let (topic, text) = section.split_once('\n').unwrap_or((section, ""));
        Page { topic: topic.trim(), text: text.trim() }
    })
}

/// The page about `topic`, in whatever case it was typed.
pub(crate) fn page(topic: &str) -> Option<Page> {
    all().find(|page| page.topic.eq_ignore_ascii_case(topic))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_page_begins_with_a_sentence_and_a_code_says_what_to_try() {
        let mut topics = BTreeSet::new();
        for page in all() {
            assert!(topics.insert(page.topic), "{} has two pages", page.topic);
            assert!(page.summary().ends_with('.'), "{}: {:?}", page.topic, page.summary());
            let is_code = page.topic.chars().all(|it| it.is_ascii_uppercase() || it == '_');
            assert_eq!(page.remedy().is_some(), is_code, "{}", page.topic);
        }
        assert!(topics.len() > 40);
    }

    #[test]
    fn a_topic_is_found_in_any_case() {
        assert_eq!(page("saga_not_found"), page("SAGA_NOT_FOUND"));
        assert!(page("exit-codes").is_some());
        assert!(page("no-such-page").is_none());
    }
}
