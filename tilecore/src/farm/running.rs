//! A render on a thread of its own.

use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use super::{Farm, Image, Job};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::render::Cancel;

/// A render that goes on. Dropping it stops the render at once.
#[derive(Debug)]
pub struct Running {
    events: Receiver<Event>,
    cancel: Cancel,
    thread: Option<JoinHandle<Result<Image>>>,
}

impl Running {
    pub(super) fn start(farm: Farm, job: Job) -> Result<Self> {
        let (sender, events) = channel();
        let cancel = Cancel::new();
        let mine = cancel.clone();
        let thread = std::thread::Builder::new()
            .name("render".to_owned())
            // Nobody has to listen.
            .spawn(move || farm.render(&job, &mine, |event| drop(sender.send(event))))
            .map_err(|e| Error::render(format!("cannot start a thread: {e}")))?;
        Ok(Self { events, cancel, thread: Some(thread) })
    }

    /// The events from here on, as they happen; ends when the render does. They wait in memory until they are taken.
    pub fn events(&mut self) -> impl Iterator<Item = Event> {
        self.events.iter()
    }

    /// The next event if one is there, without waiting.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// A handle that stops it, for another thread or a signal handler.
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// Waits for the picture.
    ///
    /// # Errors
    /// As [`Farm::render`].
    pub fn wait(mut self) -> Result<Image> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Err(Error::render("the render's thread broke down").remedy("Please report this.")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Once drains, twice stops at once. Nothing is left to stop after `wait`.
        self.cancel.stop();
        self.cancel.stop();
    }
}
