//! Splitting the lines of an SSH configuration file into words.

/// One line: its keyword in lower case, and what follows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) keyword: String,
    /// Everything after the keyword as it stands, for values that are command lines.
    pub(super) rest: &'a str,
}

impl<'a> Line<'a> {
    /// Reads a line; `None` when it is empty or a comment.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        let end = text.find(|c: char| c.is_whitespace() || c == '=' || c == '"').unwrap_or(text.len());
        let (keyword, rest) = text.split_at(end);
        let rest = rest.trim_start();
        let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
        Some(Self { keyword: keyword.to_ascii_lowercase(), rest })
    }

    /// The words after the keyword, quotes removed, up to a comment; `None` when a quote is not closed.
    pub(super) fn words(&self) -> Option<Vec<String>> {
        let mut words = Vec::new();
        let mut chars = self.rest.chars().peekable();
        loop {
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            match chars.peek() {
                None | Some('#') => return Some(words),
                Some(_) => {}
            }
            let mut word = String::new();
            let mut quote = None;
            while let Some(c) = chars.next() {
                match (c, quote) {
                    ('\\', _) => match chars.next_if(|next| {
                        matches!(next, '"' | '\'' | '\\') || (*next == ' ' && quote.is_none())
                    }) {
                        Some(next) => word.push(next),
                        None => word.push('\\'),
                    },
                    ('"' | '\'', None) => quote = Some(c),
                    (c, Some(open)) if c == open => quote = None,
                    (c, None) if c.is_whitespace() => break,
                    (c, _) => word.push(c),
                }
            }
            if quote.is_some() {
                return None;
            }
            words.push(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Option<Vec<String>> {
        Line::parse(text)?.words()
    }

    #[test]
    fn keywords_and_words() {
        for text in ["Port 22", "  port=22", "PORT = 22", "Port\t22 # the usual", "port \"22\""] {
            let line = Line::parse(text).unwrap();
            assert_eq!(
                (line.keyword.as_str(), line.words().unwrap()),
                ("port", vec!["22".to_owned()]),
                "{text}"
            );
        }
        assert_eq!(
            words("Host a \"b c\" d'e f'g h\\ i"),
            Some(["a", "b c", "de fg", "h i"].map(String::from).into())
        );
        assert_eq!(words("Host \"a"), None);
        assert_eq!(words("Host"), Some(Vec::new()));
        assert_eq!(Line::parse("# Host a"), None);
        assert_eq!(Line::parse("   "), None);
        assert_eq!(Line::parse("ProxyCommand nc \"%h\" %p # x").unwrap().rest, "nc \"%h\" %p # x");
    }

    proptest! {
        #[test]
        fn any_line_can_be_split(text in ".{0,80}") {
            words(&text);
        }
    }
}
