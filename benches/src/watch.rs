//! Running another program and looking at what it takes.

use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a program took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// Seconds from start to end.
    pub seconds: f64,
    /// Processor seconds, to the last look.
    pub cpu: f64,
    /// Most memory at a time, bytes.
    pub memory: u64,
}

/// Runs the program to its end and looks at it every few milliseconds. What it says is an error if it fails.
pub fn run(command: &mut Command) -> io::Result<Taken> {
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let folder = format!("/proc/{}", child.id());
    let mut taken = Taken::default();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // The kernel keeps the highest value itself; only what is allocated in the last moment is missed.
        if let Ok(text) = std::fs::read_to_string(format!("{folder}/status")) {
            let kilobytes =
                text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
            taken.memory =
                kilobytes.and_then(|k| k.parse::<u64>().ok()).unwrap_or(0).max(taken.memory / 1024) * 1024;
        }
        if let Ok(text) = std::fs::read_to_string(format!("{folder}/stat")) {
            // Fields 14 and 15, in hundredths of a second; the second field is the name and may hold anything.
            let ticks = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
            taken.cpu =
                ticks.into_iter().flatten().filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / 100.0;
        }
        std::thread::sleep(Duration::from_millis(3));
    };
    taken.seconds = began.elapsed().as_secs_f64();
    if status.success() {
        return Ok(taken);
    }
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        io::Read::read_to_string(&mut stderr, &mut said)?;
    }
    Err(io::Error::other(said.lines().next().unwrap_or("it failed").to_owned()))
}
