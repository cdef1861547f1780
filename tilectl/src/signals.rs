//! Signals: Ctrl-C and SIGTERM stop a command, SIGHUP has a render read its configuration again.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tilecore::render::Cancel;
use tilecore::{Error, Result};

/// From now on Ctrl-C and SIGTERM stop what hangs on `cancel`: once drains, twice stops at once.
pub(crate) fn stop(cancel: &Cancel) -> Result<()> {
    let cancel = cancel.clone();
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|e| refused(&e))?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || signals.forever().for_each(|_| cancel.stop()))
        .map_err(|e| refused(&e))?;
    Ok(())
}

/// From now on a line on standard input is a Ctrl-C, and its end stops at once: whoever started the command is gone.
pub(crate) fn stop_with_input(cancel: &Cancel) -> Result<()> {
    let cancel = cancel.clone();
    std::thread::Builder::new()
        .name("input".into())
        .spawn(move || {
            std::io::stdin().lines().map_while(std::io::Result::ok).for_each(|_| cancel.stop());
            cancel.stop();
            cancel.stop();
        })
        .map_err(|e| refused(&e))?;
    Ok(())
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
