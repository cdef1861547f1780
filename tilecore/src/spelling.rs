//! What was probably meant by a name that does not exist.

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

#[cfg(test)]
mod tests {
    use super::*;

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
