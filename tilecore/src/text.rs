//! Text for people: what came from elsewhere made safe to show, durations, and what was probably meant by a wrong name.

/// How alike two words must be, of 1, to be taken for a slip.
const ALIKE: f64 = 0.8;

/// The name that is most like `found`, if any is like it at all; the case of letters does not count.
pub fn closest<'a>(found: &str, names: &[&'a str]) -> Option<&'a str> {
    let found = found.to_lowercase();
    let likeness = |name: &str| strsim::jaro_winkler(&name.to_lowercase(), &found);
    let best = names.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) > ALIKE).then_some(best)
}

/// The name that `found` is probably a slip of the finger for: at most one letter in three is wrong.
pub fn slip<'a>(found: &str, names: &[&'a str]) -> Option<&'a str> {
    let found = found.to_lowercase();
    let wrong = |name: &str| strsim::osa_distance(&name.to_lowercase(), &found);
    let best = names.iter().min_by_key(|name| wrong(name))?;
    (wrong(best) * 3 <= found.chars().count()).then_some(best)
}

/// What was probably meant by a name that does not exist, as a question to begin with; empty where nothing is like it.
pub fn did_you_mean(found: &str, names: &[&str]) -> String {
    closest(found, names)
        .map_or_else(String::new, |name| format!("Did you mean `{}`? ", printable(name, 100)))
}

/// Whether a character would steer a terminal or turn the order of letters around rather than show.
pub fn is_steering(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || ('\u{200e}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// Text from a node, made safe to show: no control characters (so no terminal escapes), at most `limit` characters,
/// the last ones.
pub fn printable(text: &str, limit: usize) -> String {
    let clean = |c: char| if is_steering(c) { '\u{fffd}' } else { c };
    let count = text.chars().count();
    text.chars().skip(count.saturating_sub(limit)).map(clean).collect::<String>().trim().to_owned()
}

/// Seconds as people say them: `0.4 s`, `41 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "unknown".into();
    }
    let whole = seconds.round() as u64;
    match seconds {
        s if s < 0.995 => format!("{s:.2} s"),
        s if s < 9.95 => format!("{s:.1} s"),
        _ if whole < 120 => format!("{whole} s"),
        _ if whole < 7200 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_do_not_survive() {
        assert_eq!(printable("\u{1b}[31mred\u{7}\r\n", 80), "\u{fffd}[31mred\u{fffd}\u{fffd}");
        assert_eq!(printable("abcdef", 3), "def");
    }

    #[test]
    fn durations_read_well() {
        let said = [0.0, 0.4, 1.0, 9.96, 41.4, 119.6, 200.0, 7199.7, 7500.0, f64::NAN, -1.0].map(duration);
        let meant = [
            "0.00 s",
            "0.40 s",
            "1.0 s",
            "10 s",
            "41 s",
            "2 min 00 s",
            "3 min 20 s",
            "2 h 00 min",
            "2 h 05 min",
            "unknown",
            "unknown",
        ];
        assert_eq!(said, meant);
    }

    #[test]
    fn what_is_alike_is_found() {
        assert_eq!(closest("thread", &["name", "threads", "slots"]), Some("threads"));
        assert_eq!(closest("camera", &["Sun", "Camera"]), Some("Camera"));
        assert_eq!(closest("qqq", &["name", "threads"]), None);
        assert_eq!(closest("a", &[]), None);
        assert_eq!(closest("device", &["threads", "mixed_versions", "keep"]), None);
        assert_eq!(closest("cach", &["cache_dir", "host"]), Some("cache_dir"));
        assert_eq!(closest("camra", &["Sun", "Camera"]), Some("Camera"));
    }

    #[test]
    fn a_slip_is_a_letter_or_two() {
        let names = ["workstation", "attic", "local"];
        assert_eq!(slip("atic", &names), Some("attic"));
        assert_eq!(slip("locla", &names), Some("local"));
        assert_eq!(slip("Workstaton", &names), Some("workstation"));
        assert_eq!(slip("server", &names), None);
        assert_eq!(slip("tower", &["server"]), None);
    }
}
