//! The patterns of SSH's files: `*` and `?` in host names, lists with negation.

/// Whether ASCII case makes a difference: in the names that were typed, not in those that a server is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Counts,
    Ignored,
}

/// Whether `text` matches `pattern`, where `*` is any run of characters and `?` any one.
fn matches(pattern: &str, text: &str, case: Case) -> bool {
    let same = |a: &u8, b: &u8| a == b || case == Case::Ignored && a.eq_ignore_ascii_case(b);
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` was, and how far the text was then: the one place worth going back to.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == b'?' || same(c, &text[t]) => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((at, from)) => {
                    *from += 1;
                    (p, t) = (*at + 1, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// Whether `text` matches one of `patterns` and none of those that begin with `!`.
pub(super) fn matches_list<'a>(patterns: impl IntoIterator<Item = &'a str>, text: &str, case: Case) -> bool {
    let mut found = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(negated) if matches(negated, text, case) => return false,
            Some(_) => {}
            None => found = found || matches(pattern, text, case),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::Case::{Counts, Ignored};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "x"),
            ("a*c", "abbc"),
            ("a?c", "abc"),
            ("*.lan", "n1.lan"),
            ("*a*b*", "xxaayyb"),
        ] {
            assert!(matches(pattern, text, Counts), "{pattern} {text}");
        }
        for (pattern, text) in [("", "x"), ("?", ""), ("a*c", "abb"), ("*.lan", "lan"), ("a?c", "ac")] {
            assert!(!matches(pattern, text, Counts), "{pattern} {text}");
        }
        assert!(matches("N1.Lan", "n1.lan", Ignored) && !matches("N1.Lan", "n1.lan", Counts));
    }

    #[test]
    fn a_negated_pattern_excludes() {
        assert!(matches_list(["*.lan", "!n9.lan"], "n1.lan", Counts));
        assert!(!matches_list(["*.lan", "!n9.lan"], "n9.lan", Counts));
        assert!(!matches_list(["!n9.lan"], "n1.lan", Counts));
        assert!(!matches_list([], "n1.lan", Counts));
    }

    proptest! {
        #[test]
        fn any_text_matches_itself_and_the_star(text in "[^*?]{0,40}", tail in "[^*?]{0,10}") {
            prop_assert!(matches(&text, &text, Counts));
            prop_assert!(matches("*", &text, Counts));
            let longer = format!("{text}{tail}");
            let prefix = format!("{text}*");
            prop_assert!(matches(&prefix, &longer, Counts));
        }

        #[test]
        fn never_slow_never_panics(pattern in "[a*?]{0,60}", text in "a{0,200}") {
            matches(&pattern, &text, Ignored);
        }
    }
}
