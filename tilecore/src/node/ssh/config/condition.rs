//! The conditions of a `Match` line.

use super::{Place, Reader};
use crate::error::{Error, Result};
use crate::node::ssh::criterion;
use crate::node::ssh::network;
use crate::node::ssh::pattern::{Case, matches_list};
use crate::node::ssh::tokens::Tokens;

impl Reader<'_> {
    /// Whether all criteria of a `Match` line hold.
    ///
    /// # Errors
    /// When that depends on one that is not known here: whether its settings count must not be guessed.
    pub(super) fn matches(&mut self, words: &[String], place: &Place<'_>) -> Result<bool> {
        let mut words = words.iter();
        let mut all = true;
        while let Some(word) = words.next() {
            let (negated, criterion) = match word.strip_prefix('!') {
                Some(criterion) => (true, criterion),
                None => (false, word.as_str()),
            };
            let (criterion, inline) = match criterion.split_once('=') {
                Some((criterion, value)) => (criterion.to_ascii_lowercase(), Some(value.to_owned())),
                None => (criterion.to_ascii_lowercase(), None),
            };
            let holds = match criterion.as_str() {
                "all" => true,
                "final" => {
                    self.wants_final = true;
                    self.last
                }
                "canonical" => self.last,
                _ => {
                    let value = inline.or_else(|| words.next().cloned()).ok_or_else(|| {
                        place.wrong(&format!("the condition {criterion} of Match has no value"))
                    })?;
                    let is = |text: &str, case| matches_list(value.split(','), text, case);
                    match criterion.as_str() {
                        "host" => is(&self.host_name(), Case::Ignored),
                        "originalhost" => is(self.alias, Case::Ignored),
                        "user" => is(self.user(), Case::Counts),
                        "localuser" => is(&self.options.user, Case::Counts),
                        "tagged" => is(self.settings.tag.as_deref().unwrap_or_default(), Case::Counts),
                        // What is run there, and how.
                        "command" => is("/bin/sh", Case::Counts),
                        "sessiontype" => is("exec", Case::Counts),
                        // As in OpenSSH, no command is run for what the others have decided already.
                        _ if !all => false,
                        "exec" => self.runs(&value, place)?,
                        "localnetwork" => network::holds(&value).map_err(|why| place.wrong(&why))?,
                        _ => {
                            let what = format!("the condition {criterion} of Match is not supported");
                            return Err(Error::input(format!("{place}: {what}")).remedy(format!(
                                "Write `!originalhost {}` before the condition if the line is not meant for it, or \
                                 say it with `exec` and a command.",
                                self.alias
                            )));
                        }
                    }
                }
            };
            all = all && holds != negated;
        }
        Ok(all)
    }

    /// Whether the command of a `Match exec` ends with 0.
    fn runs(&self, command: &str, place: &Place<'_>) -> Result<bool> {
        let tokens = Tokens {
            alias: self.alias,
            host: &self.host_name(),
            port: self.settings.port.unwrap_or(22),
            user: self.user(),
            key_alias: self.settings.host_key_alias.as_deref(),
            jump: self.settings.jump(),
            options: self.options,
        };
        criterion::holds(&tokens.expand(command)?)
            .map_err(|why| place.wrong(&format!("the command of Match exec {why}")))
    }
}
