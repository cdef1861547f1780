//! Command lines for people to try: each does what is done here, with the same user, port and configuration.

use std::fmt::Write;

use super::options::SshOptions;
use super::target::Target;

/// `program` (`ssh`, `ssh -v`, `ssh-copy-id`) for this target.
pub(super) fn command(program: &str, target: &Target, options: &SshOptions) -> String {
    let mut command = program.to_owned();
    if let Some(config) = &options.config {
        let _ = write!(command, " -F {}", quoted(&config.display().to_string()));
    }
    if target.port != 22 {
        let _ = write!(command, " -p {}", target.port);
    }
    let _ = write!(command, " {}", quoted(&format!("{}@{}", target.user, target.alias)));
    command
}

/// A word for the user's shell.
pub(super) fn quoted(word: &str) -> String {
    if word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+@:".contains(c)) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::route::Route;
    use super::*;

    #[test]
    fn a_command_has_what_was_typed() {
        let mut options = SshOptions::new("/home/me", "me");
        options.system = "/nowhere".into();
        let of = |place: &str, options: &SshOptions| {
            command("ssh", &Route::resolve(place, options).unwrap().target, options)
        };
        assert_eq!(of("n1", &options), "ssh me@n1");
        assert_eq!(of("you@n1:2222", &options), "ssh -p 2222 you@n1");
        assert_eq!(of("CORP\\you@n1", &options), "ssh 'CORP\\you@n1'");
        let file = tempfile::Builder::new().prefix("a b").tempfile().unwrap();
        options.config = Some(file.path().to_owned());
        assert_eq!(of("n1", &options), format!("ssh -F '{}' me@n1", file.path().display()));
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
