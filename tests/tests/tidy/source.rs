//! Rust files, taken apart into code, comments and quoted text.

/// A Rust file, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Relative to the root.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The text with comments and quoted text blanked; as many lines.
    code: String,
    /// Quoted text, with the line where it begins.
    pub(crate) literals: Vec<(usize, String)>,
}

impl Source {
    pub(crate) fn scan(path: String, text: String) -> Self {
        let mut code = String::with_capacity(text.len());
        let mut literals = Vec::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (length, quoted) = token(rest);
            let (token, after) = rest.split_at(length);
            if let Some((from, to)) = quoted {
                literals.push((1 + code.matches('\n').count(), token[from..to].to_owned()));
            }
            let is_code = quoted.is_none() && !token.starts_with("//") && !token.starts_with("/*");
            let kept = |it: char| if is_code || it == '\n' { it } else { ' ' };
            code.extend(token.chars().map(kept));
            rest = after;
        }
        Self { path, text, code, literals }
    }

    /// `path:line: text` of each line whose code holds one of `banned`.
    pub(crate) fn lines_with(&self, banned: &[&str]) -> Vec<String> {
        let lines = self.code.lines().zip(self.text.lines()).enumerate();
        let broken = lines.filter(|(_, (code, _))| banned.iter().any(|it| code.contains(it)));
        broken.map(|(at, (_, text))| format!("{}:{}: {}", self.path, at + 1, text.trim())).collect()
    }

    /// The part before its test module; `None` where it is no product code.
    pub(crate) fn product(&self) -> Option<Self> {
        let is_product = self.path.contains("src/") && !self.path.starts_with("tests/");
        let end = self.code.find("#[cfg(test)]").unwrap_or(self.code.len());
        let code = self.code[..end].to_owned();
        let lines = code.lines().count();
        let literals = self.literals.iter().filter(|(line, _)| *line <= lines).cloned().collect();
        is_product.then(|| Self { code, literals, ..self.clone() })
    }

    /// Modules that are compiled for tests only: `#[cfg(test)] mod example;`.
    pub(crate) fn test_modules(&self) -> impl Iterator<Item = String> + '_ {
        let directory = self.path.trim_end_matches(".rs").trim_end_matches("/lib");
        let directory = directory.trim_end_matches("/main").to_owned();
        let after = self.code.split("#[cfg(test)]").skip(1).map(str::trim_start);
        let names = after.filter_map(|it| it.strip_prefix("mod ")?.split_once(';'));
        let names = names.map(|it| it.0).filter(|it| !it.contains('{'));
        names.map(move |it| format!("{directory}/{it}"))
    }
}

/// Length of the comment, the literal or the character that `text` begins with, and where
/// in it the quoted text stands.
fn token(text: &str) -> (usize, Option<(usize, usize)>) {
    let upto = |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |it| from + it);
    if text.starts_with("//") {
        return (upto("\n", 0), None);
    }
    if text.starts_with("/*") {
        let mut depth = 0;
        for (at, _) in text.char_indices() {
            if text[at..].starts_with("/*") {
                depth += 1;
            } else if text[at..].starts_with("*/") {
                depth -= 1;
                if depth == 0 {
                    return (at + 2, None);
                }
            }
        }
        return (text.len(), None);
    }
    if let Some(raw) = text.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let from = 1 + hashes + 1;
            let end = upto(&format!("\"{}", "#".repeat(hashes)), from);
            return ((end + 1 + hashes).min(text.len()), Some((from, end)));
        }
    }
    if text.starts_with('"') {
        let mut escaped = false;
        for (at, it) in text.char_indices().skip(1) {
            if it == '"' && !escaped {
                return (at + 1, Some((1, at)));
            }
            escaped = it == '\\' && !escaped;
        }
    }
    // A quote in quotes is no text; any other character literal does no harm.
    for quote in ["'\"'", "'\\\"'"] {
        if text.starts_with(quote) {
            return (quote.len(), None);
        }
    }
    // An identifier as a whole, so that the r of `for "` opens no raw text.
    let word = text.find(|it: char| !it.is_alphanumeric() && it != '_').unwrap_or(text.len());
    (word.max(text.chars().next().map_or(0, char::len_utf8)), None)
}
