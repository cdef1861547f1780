//! The command of a `Match exec` line, which decides by how it ends.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// A command that takes longer has not matched: a render does not wait for it as long as a person would.
const LONGEST: Duration = Duration::from_secs(60);

/// Runs `command` as `ssh` does, and says whether it ended with 0. It stands in the user's own configuration, which is
/// as trusted as the user's shell; what it writes goes nowhere.
///
/// # Errors
/// When it cannot be started, or takes too long: in words.
pub(super) fn holds(command: &str) -> Result<bool, String> {
    within(command, LONGEST)
}

fn within(command: &str, limit: Duration) -> Result<bool, String> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A group of its own, to end all of it; Ctrl-C is for tilectl.
        .process_group(0)
        .spawn()
        .map_err(|e| format!("cannot be started: {}", crate::error::reason(&e)))?;
    let until = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if Instant::now() < until => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Ok(None) => {
                if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                let _ = child.wait();
                return Err(format!("did not end within {} s", limit.as_secs_f32()));
            }
            Err(e) => return Err(format!("cannot be waited for: {}", crate::error::reason(&e))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_holds_when_it_ends_with_nothing_wrong() {
        assert_eq!(holds("echo loud; echo louder >&2; test -z \"$(cat)\""), Ok(true));
        assert_eq!(holds("exit 3"), Ok(false));
        assert_eq!(holds("no-such-program-here"), Ok(false));
    }

    #[test]
    fn one_that_does_not_end_is_ended() {
        let began = Instant::now();
        let why = within("sleep 1000 | cat", Duration::from_millis(200)).unwrap_err();
        assert!(why.contains("did not end within 0.2 s"), "{why}");
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}
