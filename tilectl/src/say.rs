//! Text on its way to a terminal or a pipe. Names in a .blend and words of a node can hold anything: what would steer a
//! terminal or turn the order of letters around does not get there.

use serde::Serialize;
use tilecore::text::is_steering;

/// Lines for people.
pub(crate) fn shown(text: &str) -> String {
    text.chars().map(|c| if is_steering(c) { '\u{fffd}' } else { c }).collect()
}

/// A name within a line.
pub(crate) fn name(text: &str) -> String {
    shown(text).replace(['\n', '\t'], " ")
}

/// A part of the frame: `89x216 at 10, 0`, from the top left.
pub(crate) fn region(rect: tilecore::geometry::Rect) -> String {
    format!("{}x{} at {}, {}", rect.width(), rect.height(), rect.x(), rect.y())
}

/// One line of JSON, in which such characters are escaped: the text stays what it is.
pub(crate) fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_steering(c) {
            // All of them are one UTF-16 unit, and stand within a string.
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\u{2066}\u{7f}b";

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(shown(HOSTILE), "a\u{fffd}]0;x\u{fffd}\u{fffd}31m\u{fffd}\u{fffd}\u{fffd}b");
        assert_eq!(shown("two\nlines"), "two\nlines");
        assert_eq!(name("two\nlines"), "two lines");
    }

    #[test]
    fn json_keeps_the_text_and_shows_none_of_it_raw() {
        let line = json(&HOSTILE);
        assert!(line.is_ascii() && !line.contains(|c: char| c.is_control()), "{line}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), HOSTILE);
    }
}
