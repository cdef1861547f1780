//! What is wrong with a configuration file, where, and what was probably meant.

use std::path::Path;

use ron::error::{Error as Ron, SpannedError};

use crate::error::Error;
use crate::text::closest;

/// The error for a file that RON, or a check on the way, refused.
pub(super) fn explain(path: &Path, text: &str, fault: &SpannedError) -> Error {
    // Where the wrong thing begins, except where RON saw only at the end that something was missing.
    let at = match &fault.code {
        Ron::NoSuchStructField { .. } | Ron::NoSuchEnumVariant { .. } | Ron::DuplicateStructField { .. } => {
            word_before(text, fault.span.start)
        }
        _ => (fault.span.start.line, fault.span.start.col),
    };
    let (what, remedy) = match &fault.code {
        // RON reads a whole number where one is wanted, and stumbles over what follows it.
        Ron::ExpectedComma if is_inside_number(text, fault.span.start) => words(&Ron::ExpectedInteger),
        code => words(code),
    };
    Error::input(format!("{}:{}:{}: {what}", path.display(), at.0, at.1)).remedy(remedy)
}

fn words(code: &Ron) -> (String, String) {
    let syntax = "`tilectl init` writes a file with every setting explained.".to_owned();
    match code {
        Ron::NoSuchStructField { expected, found, .. } => {
            let what = format!("there is no setting `{}`", found.escape_debug());
            let Some(near) = closest(found, expected) else {
                return (what, format!("The settings here are {}.", expected.join(", ")));
            };
            (what, format!("Did you mean `{near}`? The settings here are {}.", expected.join(", ")))
        }
        Ron::DuplicateStructField { field, .. } => {
            (format!("`{field}` is set twice"), "Remove one of the two.".to_owned())
        }
        Ron::Eof => ("the file ends too early".to_owned(), format!("Close every bracket; {syntax}")),
        Ron::ExpectedString => ("text stands in quotes here".to_owned(), "Write it as \"text\".".to_owned()),
        Ron::ExpectedArray => {
            ("a list stands in square brackets here".to_owned(), "Write it as [\"a\", \"b\"].".to_owned())
        }
        Ron::ExpectedStructLike
        | Ron::ExpectedNamedStructLike(_)
        | Ron::ExpectedStructName(_)
        | Ron::ExpectedDifferentStructName { .. } => (
            "settings stand in round brackets here".to_owned(),
            format!("Write (name: value, ...); {syntax}"),
        ),
        Ron::ExpectedMapColon => {
            ("a colon is missing here".to_owned(), format!("Write name: value; {syntax}"))
        }
        Ron::ExpectedBoolean => {
            ("this is yes or no".to_owned(), "Write true or false, without quotes.".to_owned())
        }
        Ron::ExpectedInteger | Ron::InvalidIntegerDigit { .. } => {
            ("a whole number stands here".to_owned(), "Write it without quotes, for example 4.".to_owned())
        }
        Ron::IntegerOutOfBounds => {
            ("the number is too large or too small".to_owned(), "Choose another number.".to_owned())
        }
        Ron::ExpectedComma => ("a comma or a closing bracket is missing before this".to_owned(), syntax),
        Ron::Message(message) => match message.split_once(". ") {
            Some((what, remedy)) => (what.to_owned(), remedy.to_owned()),
            None => (message.clone(), syntax),
        },
        other => {
            let text = other.to_string();
            let mut chars = text.chars();
            let first = chars.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
            (format!("{first}{}", chars.as_str()), syntax)
        }
    }
}

/// Whether a number goes on at `at` that would be whole up to there.
fn is_inside_number(text: &str, at: ron::error::Position) -> bool {
    let line: Vec<char> = text.lines().nth(at.line.saturating_sub(1)).unwrap_or_default().chars().collect();
    let before = at.col.checked_sub(2).and_then(|col| line.get(col));
    let here = line.get(at.col.saturating_sub(1));
    before.is_some_and(char::is_ascii_digit) && here.is_some_and(|c| matches!(c, '.' | 'e' | 'E'))
}

/// Line and column, from 1, of the word that ends at or contains `at`.
fn word_before(text: &str, at: ron::error::Position) -> (usize, usize) {
    let line: Vec<char> = text.lines().nth(at.line.saturating_sub(1)).unwrap_or_default().chars().collect();
    let part = |c: &char| c.is_alphanumeric() || *c == '_';
    let mut col = at.col.saturating_sub(1).min(line.len());
    while col > 0 && line.get(col - 1).is_some_and(part) {
        col -= 1;
    }
    (at.line, col + 1)
}
