//! The one error of the library: what is wrong, what to do about it, and whether trying again makes sense.

use std::path::Path;

/// Who can mend it; decides the exit code of `tilectl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// The command line, configuration or an input file is wrong (exit code 2).
    Input,
    /// A node could not be used: connection, login, Blender, disk (exit code 1).
    Node,
    /// The render could not be completed (exit code 1).
    Render,
    /// Stopped on request; what is finished is kept (exit code 3).
    Interrupted,
}

/// What went wrong: one sentence, and one sentence on what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: Kind,
    message: String,
    remedy: Option<String>,
    retry: bool,
    log: Option<String>,
    signal: Option<i32>,
}

/// Result with the library's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), remedy: None, retry: false, log: None, signal: None }
    }

    /// Wrong usage, configuration or input.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }

    /// A node that cannot be used; trying again later makes sense unless [`Error::fatal`] is set.
    pub fn node(message: impl Into<String>) -> Self {
        Self { retry: true, ..Self::new(Kind::Node, message) }
    }

    /// A render that could not be completed.
    pub fn render(message: impl Into<String>) -> Self {
        Self::new(Kind::Render, message)
    }

    /// Stopped on request.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Kind::Interrupted, message)
    }

    /// Says what to do about it, in one sentence.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Trying again cannot help (a wrong key, another Blender version).
    #[must_use]
    pub fn fatal(mut self) -> Self {
        self.retry = false;
        self
    }

    /// Trying again, perhaps elsewhere, can help.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retry = true;
        self
    }

    /// Keeps the log of the process that failed (already cut to a sane length and free of control characters).
    #[must_use]
    pub fn log(mut self, log: impl Into<String>) -> Self {
        let log = log.into();
        self.log = (!log.trim().is_empty()).then_some(log);
        self
    }

    /// The process that failed was ended by this signal.
    #[must_use]
    pub fn by_signal(mut self, signal: i32) -> Self {
        self.signal = Some(signal);
        self
    }

    /// Whether the process that failed ended itself by a fault in it; nobody from outside had it end.
    pub fn is_crash(&self) -> bool {
        /// SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGSEGV on any system; SIGBUS on Linux, SIGBUS elsewhere.
        const FAULTS: [i32; 7] = [4, 5, 6, 8, 11, 7, 10];
        self.signal.is_some_and(|signal| FAULTS.contains(&signal))
    }

    /// Puts `prefix: ` before the message.
    #[must_use]
    pub fn within(mut self, prefix: &str) -> Self {
        self.message = format!("{prefix}: {}", self.message);
        self
    }

    /// Who can mend it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// One sentence on what to do.
    pub fn hint(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// Whether trying again, perhaps on another node, makes sense.
    pub fn is_retryable(&self) -> bool {
        self.retry
    }

    /// The failed process's own last words.
    pub fn process_log(&self) -> Option<&str> {
        self.log.as_deref()
    }
}

/// Adds the path to an I/O error.
pub trait IoContext<T> {
    /// `verb` reads as in "cannot {verb} {path}: {reason}".
    fn at(self, verb: &str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn at(self, verb: &str, path: &Path) -> Result<T> {
        self.map_err(|e| {
            let error = Error::render(format!("cannot {verb} {}: {}", path.display(), reason(&e)));
            match e.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => error
                    .remedy("Free some space there or name another place, then run the same command again."),
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    error.remedy("Choose a place you may write to, or change its permissions.")
                }
                std::io::ErrorKind::NotFound => error.remedy("Check the path."),
                _ => {
                    error.remedy("Check that the disk is there and healthy, then run the same command again.")
                }
            }
        })
    }
}

/// An I/O error's reason without Rust's "(os error 2)".
pub fn reason(e: &std::io::Error) -> String {
    let text = e.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}
