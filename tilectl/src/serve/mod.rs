//! The live page of a render: served on this machine's own address unless another is asked for, to whoever has its
//! random token, until the render ends.
//!
//! Nothing a client does reaches the render: requests are bounded in size, number and time, and what they are answered
//! is made at most every so often.

mod address;
mod page;
mod reply;
mod request;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tilecore::error::reason;
use tilecore::events::Event;
use tilecore::job::Request;
use tilecore::report::{self, Outcome};
use tilecore::{Error, Result};

pub(crate) use address::Address;
use page::{Content, Course};
use reply::Reply;
use request::{Asked, Gate};

use crate::now;

/// Connections at a time; more are closed at once.
const CONNECTIONS: usize = 16;
/// A request must have come within this time.
const ASK: Duration = Duration::from_secs(5);
/// An answer must have been taken within this time.
const TAKE: Duration = Duration::from_secs(20);
/// How often it is looked whether somebody wants to connect.
const LOOK: Duration = Duration::from_millis(50);
/// A page that asked within this time is open somewhere; it asks every second.
const OPEN: Duration = Duration::from_secs(3);
/// How long the end waits for open pages to hear of it.
const FAREWELL: Duration = Duration::from_millis(1600);
/// Most warnings that are shown.
const WARNINGS: usize = 50;

/// A page that is being served.
pub(crate) struct Server {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    url: String,
}

struct Shared {
    gate: Gate,
    page: Arc<str>,
    policy: Arc<str>,
    /// Held only for moments: the render writes to it.
    course: Mutex<Course>,
    /// Held while the content is made.
    content: Mutex<Content>,
    now: now::Shared,
    connections: AtomicUsize,
    asked: Mutex<Option<Instant>>,
    over: AtomicBool,
}

/// A lock that a panic elsewhere does not close.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// Listens, for the render of `request` in `work_dir`.
    pub(crate) fn start(address: &Address, request: &Request, work_dir: &Path) -> Result<Self> {
        let unable = |e: &std::io::Error| {
            Error::input(format!("cannot serve the page at {address}: {}", reason(e)))
                .remedy("Choose another address or port; --serve alone takes a free port of this machine.")
        };
        let listener =
            address.resolve().and_then(|all| TcpListener::bind(all.as_slice())).map_err(|e| unable(&e))?;
        let bound = listener.local_addr().map_err(|e| unable(&e))?;
        listener.set_nonblocking(true).map_err(|e| unable(&e))?;
        let mut token = [0; 16];
        getrandom::fill(&mut token).map_err(|e| {
            Error::render(format!("there is no randomness for the page's address: {e}"))
                .remedy("Render without --serve.")
        })?;
        let token = format!("{:032x}", u128::from_be_bytes(token));
        let url = format!("{}/{token}/", address.origin(bound));
        let scene = request.blend.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let content = Content::new(scene, request.frames.first().unwrap_or(1), work_dir);
        let page = report::live_page(&content.blank());
        let shared = Arc::new(Shared {
            gate: Gate { token, address: address.clone(), bound },
            page: page.html.into(),
            policy: page.policy.into(),
            course: Mutex::default(),
            content: Mutex::new(content),
            now: now::Shared::new(Mutex::new(now::Now::new())),
            connections: AtomicUsize::new(0),
            asked: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("page".into())
            .spawn(move || accept(&listener, &served))
            .map_err(|e| unable(&e))?;
        Ok(Self { shared, thread: Some(thread), url })
    }

    /// Says where the page is: on standard error, or with `json` as an event on standard output.
    pub(crate) fn announced(self, json: bool) -> Self {
        // Whether anybody reads it or not, the render goes on.
        if json {
            let event = serde_json::json!({ "event": "serving", "url": self.url });
            let _ = writeln!(std::io::stdout(), "{event}");
        } else {
            let _ = writeln!(std::io::stderr(), "Watch it at {}", self.url);
        }
        if !self.shared.gate.bound.ip().is_loopback() {
            let text = "Whoever has this address and reaches this machine can watch; nothing is encrypted.";
            let _ = writeln!(std::io::stderr(), "{text}");
        }
        self
    }

    /// The account of the run, which the page shows.
    pub(crate) fn now(&self) -> &now::Shared {
        &self.shared.now
    }

    /// Something happened. Takes no time, except at the very end.
    pub(crate) fn event(&self, event: &Event) {
        let mut course = lock(&self.shared.course);
        match event {
            Event::Warning { text } => course.warnings.push(text.clone()),
            Event::Lost { node, reason, .. } | Event::Retired { node, reason, .. } => {
                // A node that is off is tried again and again.
                let text = format!("{node}: {reason}");
                if !course.warnings.contains(&text) {
                    course.warnings.push(text);
                }
            }
            Event::Done { output, .. } => {
                // Now, as the work directory may go in a moment.
                course.output = Some(output.clone());
                course.outcome = Some(Outcome::Done);
                let course = course.clone();
                lock(&self.shared.content).renew(&course);
                return;
            }
            _ => {}
        }
        course.warnings.truncate(WARNINGS);
    }

    /// The render has ended, with this error if with one: pages that are open hear of it, then nobody is served any more.
    pub(crate) fn end(mut self, error: Option<&Error>) {
        let course = {
            let mut course = lock(&self.shared.course);
            if let Some(error) = error {
                let asked = error.kind() == tilecore::error::Kind::Interrupted;
                course.outcome =
                    Some(if asked { Outcome::Interrupted } else { Outcome::Failed(error.to_string()) });
            }
            course.outcome.get_or_insert(Outcome::Done);
            course.clone()
        };
        lock(&self.shared.content).renew(&course);
        if lock(&self.shared.asked).is_some_and(|at| at.elapsed() < OPEN) {
            std::thread::sleep(FAREWELL);
        }
        self.stop();
    }

    fn stop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.over.load(Ordering::Relaxed) {
        let Ok((stream, _)) = listener.accept() else {
            // Nobody is there, or there is no descriptor left for them.
            std::thread::sleep(LOOK);
            continue;
        };
        if shared.connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            shared.connections.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let served = Arc::clone(shared);
        let thread = std::thread::Builder::new().name("page client".into()).spawn(move || {
            serve(stream, &served);
            served.connections.fetch_sub(1, Ordering::Relaxed);
        });
        if thread.is_err() {
            shared.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Answers the one request of a connection.
fn serve(mut stream: TcpStream, shared: &Shared) {
    // Some systems hand the listener's setting down.
    if stream.set_nonblocking(false).is_err() {
        return;
    }
    let Some((asked, head)) = request::read(&mut stream, &shared.gate, Instant::now() + ASK) else { return };
    let reply = match asked {
        Ok(Asked::Page) => Reply::page(Arc::clone(&shared.page), Arc::clone(&shared.policy)),
        Ok(Asked::Parts(have)) => {
            *lock(&shared.asked) = Some(Instant::now());
            let mut course = lock(&shared.course).clone();
            course.now = page::current(&now::lock(&shared.now).account());
            let mut content = lock(&shared.content);
            content.renew(&course);
            content.parts(&have).map_or_else(Reply::nothing, Reply::json)
        }
        Err(refused) => Reply::refused(&refused),
    };
    reply.write(&mut stream, head, Instant::now() + TAKE);
}
