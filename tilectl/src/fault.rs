//! Errors as people and scripts see them: two sentences on standard error and an exit code.

use std::process::ExitCode;

use tilecore::Error;
use tilecore::error::Kind;

use crate::say;

/// The exit code for a kind of error.
pub(crate) fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Input => 2,
        Kind::Interrupted => 3,
        _ => 1,
    }
}

/// Says what is wrong and what to do.
pub(crate) fn report(error: &Error) -> ExitCode {
    eprintln!("tilectl: {}", say::shown(&sentence(&error.to_string())));
    if let Some(hint) = error.hint() {
        eprintln!("  {}", say::shown(&sentence(hint)));
    }
    if let Some(log) = error.process_log() {
        eprintln!("  The end of the log:");
        let lines: Vec<&str> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(20)..] {
            eprintln!("  | {}", say::shown(line));
        }
    }
    ExitCode::from(code(error.kind()))
}

/// With a full stop, unless it ends with one of its own.
pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '?', '!']) { text.to_owned() } else { format!("{text}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        assert_eq!(code(Kind::Input), 2);
        assert_eq!(code(Kind::Render), 1);
        assert_eq!(code(Kind::Node), 1);
        assert_eq!(code(Kind::Interrupted), 3);
    }

    #[test]
    fn sentences_end_once() {
        assert_eq!(sentence("a"), "a.");
        assert_eq!(sentence("a."), "a.");
        assert_eq!(sentence("a?"), "a?");
    }
}
