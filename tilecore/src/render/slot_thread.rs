//! One slot's thread: it owns the link to one Blender, carries out orders in turn, and reports.
//!
//! Everything of a session lives and dies on this thread (libssh2 wants it so). While a tile renders, the finished one
//! before it is fetched over the same link.

use std::time::{Duration, Instant};

use super::messages::{Order, Report};
use super::port::Port;
use super::session::{End, Session};
use crate::blender::{Hello, Worker};
use crate::error::{Error, Kind, Result};
use crate::node::Place;
use crate::sync::Colour;

/// A shell that takes longer than this to start waits in a queue.
const QUEUED: Duration = Duration::from_secs(3);

/// Runs until told to stop or nobody is there to tell.
pub(super) fn run(port: &Port) {
    while let Ok(order) = port.orders.recv() {
        match order {
            Order::Boot(pause) => {
                let mut next = Some(pause);
                while let Some(pause) = next.take() {
                    if !port.pause(pause) {
                        if port.aborted() {
                            return;
                        }
                        // The order that ended the wait comes next.
                        break;
                    }
                    match session(port) {
                        Ok(End::Stopped) => return,
                        Ok(End::Reboot(pause)) => next = Some(pause),
                        // Told to stop while it waited: nobody asks any more.
                        Err(e) if e.kind() == Kind::Interrupted => {}
                        Err(e) => port.report(Report::Lost(e)),
                    }
                }
            }
            Order::Stop => return,
            _ => {} // Meant for a session that is gone.
        }
    }
}

/// The colour configuration of Blender here, where the one on the node uses another and nobody has chosen that.
fn other_colour(port: &Port, hello: &Hello) -> Result<Option<Colour>> {
    let spec = port.node.spec();
    if spec.place == Place::Local || spec.env.contains_key("OCIO") {
        return Ok(None);
    }
    Ok(Colour::here(&hello.version)?.filter(|colour| colour.sha256 != hello.environment.colour))
}

/// One Blender's life.
fn session(port: &Port) -> Result<End> {
    let run = format!("{}-{}", port.run, port.index);
    let mut told = Told { since: Instant::now(), words: None };
    // Any order to a slot that waits means that it need not come any more.
    let mut on_wait = |words: Option<&str>| {
        if let Some(words) = words.and_then(|words| told.worth(words)) {
            port.report(Report::Queued(words));
        }
        !port.aborted() && port.orders.is_empty()
    };
    let booted = Worker::start_in_queue(port.node.as_ref(), &run, None, &mut on_wait)?;
    let mut worker = booted.worker;
    let (mut hello, began) = (booted.hello, Instant::now());
    if let Some(colour) = other_colour(port, &hello)? {
        let mut go_on = || !port.aborted();
        colour.inputs.send(&mut worker, &mut |_| !port.aborted())?;
        let own = std::mem::take(&mut hello.environment.ignored_ocio);
        hello = worker.restart(colour.restart_request(), &hello.blender, &mut go_on)?;
        hello.environment.ignored_ocio = own;
        if hello.environment.colour != colour.sha256 {
            return Err(Error::node(format!(
                "Blender on node {} does not use the colour configuration that was sent to it",
                port.node.name()
            ))
            .remedy("Check that OCIO names a configuration that this Blender can read, or unset it.")
            .fatal());
        }
    }
    port.report(Report::Booted(hello, booted.seconds + began.elapsed().as_secs_f64()));
    Session::new(port, &mut worker).serve()
}

/// What was told about a wait.
struct Told {
    since: Instant,
    words: Option<String>,
}

impl Told {
    /// The last line of what the place says, if the wait is long and this was not told.
    fn worth(&mut self, words: &str) -> Option<String> {
        let line = words.lines().last().unwrap_or_default().trim().to_owned();
        if self.since.elapsed() < QUEUED || self.words.as_ref() == Some(&line) {
            return None;
        }
        self.words = Some(line.clone());
        Some(line)
    }
}
