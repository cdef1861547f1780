//! Signals: Ctrl-C and SIGTERM stop a command, SIGHUP has a render read its configuration again.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tilecore::render::Cancel;
use tilecore::{Error, Result};

/// How long a SIGTERM lets running tiles go on: who sends one is about to send a SIGKILL, which keeps nothing.
const GRACE: Duration = Duration::from_secs(45);
/// How long an end at once may take in order. After that the process goes as it is: what is finished is on disk, and
/// every node ends its Blender when nobody is there any more.
const ORDER: Duration = Duration::from_secs(4);
/// The exit code of what was interrupted.
const INTERRUPTED: i32 = 3;

/// From now on Ctrl-C and SIGTERM stop what hangs on `cancel`: once drains, twice stops at once, whatever a node or
/// its Blender does. After one SIGTERM alone there is not for ever either.
pub(crate) fn stop(cancel: &Cancel) -> Result<()> {
    let cancel = cancel.clone();
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|e| refused(&e))?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                let first = !cancel.drains();
                cancel.stop();
                if !first {
                    after(ORDER, leave);
                } else if signal == SIGTERM {
                    let cancel = cancel.clone();
                    after(GRACE, move || {
                        cancel.stop();
                        after(ORDER, leave);
                    });
                }
            }
        })
        .map_err(|e| refused(&e))?;
    Ok(())
}

/// From now on a line on standard input is a Ctrl-C, and its end stops at once: whoever started the command is gone.
pub(crate) fn stop_with_input(cancel: &Cancel) -> Result<()> {
    let cancel = cancel.clone();
    std::thread::Builder::new()
        .name("input".into())
        .spawn(move || {
            std::io::stdin().lines().map_while(std::io::Result::ok).for_each(|_| {
                if cancel.drains() {
                    after(ORDER, leave);
                }
                cancel.stop();
            });
            cancel.stop();
            cancel.stop();
            after(ORDER, leave);
        })
        .map_err(|e| refused(&e))?;
    Ok(())
}

/// Does something later, unless the program has ended by then.
fn after(pause: Duration, what: impl FnOnce() + Send + 'static) {
    let sleeper = std::thread::Builder::new().name("stopping".into());
    // Without a thread nothing but the order remains, which usually comes to an end.
    let _ = sleeper.spawn(move || {
        std::thread::sleep(pause);
        what();
    });
}

/// Ends the program in the midst of everything.
fn leave() {
    eprintln!(
        "tilectl: stopped at once; what is finished is kept.\n  Run the same command again to go on from there."
    );
    std::process::exit(INTERRUPTED);
}

/// A flag that every SIGHUP sets from now on, instead of ending the program: a render outlives its terminal.
pub(crate) fn hangup() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGHUP, Arc::clone(&flag)).map_err(|e| refused(&e))?;
    Ok(flag)
}

fn refused(e: &std::io::Error) -> Error {
    Error::render(format!("cannot watch for signals: {e}")).remedy("Run it again.")
}
