//! One warm Blender on a node: started, spoken to, and gone when it is dropped.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::boot;
use super::fetch::Fetch;
use super::message::{Hello, Spooled};
use super::wire::{CHATTER, Message, Wire, protocol_error};
use crate::error::{Error, Result};
use crate::node::Node;
use crate::text::{did_you_mean, printable};

/// Version of the protocol this side speaks.
const PROTOCOL: u32 = 1;
/// How long a shell that is there may take until it starts Blender: slow disks.
const SHELL: Duration = Duration::from_secs(60);
/// How long Blender may take from its start to its first word.
const START: Duration = Duration::from_secs(180);
/// A control request (not a render) is answered within this time or the node is taken for dead.
const ANSWER: Duration = Duration::from_secs(120);
/// How often whoever waits is asked whether to go on.
const ASK: Duration = Duration::from_millis(200);
/// How often the worker is told that the controller is there; it ends itself when it hears nothing for several of
/// these.
const PING: Duration = Duration::from_secs(5);

/// A worker that has said hello, and what it said.
pub struct Booted {
    /// The worker.
    pub worker: Worker,
    /// Its first words.
    pub hello: Hello,
    /// Seconds from the first byte to the hello.
    pub seconds: f64,
}

/// A warm Blender at the other end of a link. Created, used and dropped on one thread.
pub struct Worker {
    wire: Wire,
    next: u64,
    node: String,
    pinged: Instant,
    overheard: Option<Overheard>,
}

/// Hears the head of every message, whatever it belongs to.
type Overheard = Box<dyn FnMut(&Value)>;

impl Worker {
    /// Connects to the node and starts Blender there. `patience` is how long the place may queue before its shell
    /// starts (a cluster); what the node's description says where it is `None`. `go_on` is asked now and then whether
    /// to go on waiting.
    pub fn start(
        node: &dyn Node,
        run: &str,
        patience: Option<Duration>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Booted> {
        Self::start_in_queue(node, run, patience, &mut |_| go_on())
    }

    /// As [`Worker::start`]; `on_wait` is also told what the place has said so far, while its shell has not started.
    pub fn start_in_queue(
        node: &dyn Node,
        run: &str,
        patience: Option<Duration>,
        on_wait: &mut dyn FnMut(Option<&str>) -> bool,
    ) -> Result<Booted> {
        let began = Instant::now();
        let mark = format!("tilectl-{run}");
        let mut worker = Self {
            wire: Wire::new(node.link()?),
            next: 0,
            node: node.name().to_owned(),
            pinged: began,
            overheard: None,
        };
        // Nobody reads before a queue has let us through, and a pipe holds less than the script.
        worker.wire.send(boot::greeting(&mark).as_bytes())?;
        let patience = patience.or_else(|| node.spec().patience());
        worker.shell_says(&mark, "up", patience, &mut |words| on_wait(Some(words)))?;
        worker.wire.send(boot::script(node.spec(), &mark, run).as_bytes())?;
        let blender = worker.shell_says(&mark, "blender", Some(SHELL), &mut |_| on_wait(None))?;
        worker.wire.watch_for(&mark);
        let hello: Hello = worker.first_words(&blender, &mut || on_wait(None))?;
        if hello.protocol != PROTOCOL {
            return Err(
                Error::node(format!("node {} speaks protocol {}", node.name(), hello.protocol)).fatal()
            );
        }
        Ok(Booted { worker, hello, seconds: began.elapsed().as_secs_f64() })
    }

    /// Has the worker begin anew as `request` says; its new first words are the answer.
    pub(crate) fn restart(
        &mut self,
        request: Value,
        blender: &str,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Hello> {
        self.send("restart", request, &[])?;
        self.first_words(blender, go_on)
    }

    /// Waits for the script's own word `wanted` and gives back what follows it, or why there is none.
    fn shell_says(
        &mut self,
        mark: &str,
        wanted: &str,
        patience: Option<Duration>,
        on_wait: &mut dyn FnMut(&str) -> bool,
    ) -> Result<String> {
        let began = Instant::now();
        // What the place says before its shell is there: a greeting, or why there will be none.
        let mut chatter = Chatter::default();
        let mut asked = began;
        loop {
            match self.wire.line(ASK) {
                Ok(Some(line)) => match line.strip_prefix(mark) {
                    Some(rest) => {
                        let (word, rest) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
                        let rest = printable(rest, 500);
                        match word {
                            "error" => return Err(self.shell_error(&rest)),
                            word if word == wanted => return Ok(rest),
                            _ => {}
                        }
                    }
                    None => chatter.take(&line)?,
                },
                Ok(None) => {}
                Err(e) => {
                    let words = chatter.and(&self.wire.diagnosis());
                    return Err(e
                        .log(words)
                        .within(&format!("the shell on node {} ended", self.node))
                        .remedy(
                            "Log in there by hand and start /bin/sh: it must stay and read what you type.",
                        ));
                }
            }
            if asked.elapsed() < ASK {
                continue;
            }
            asked = Instant::now();
            if !on_wait(&self.wire.diagnosis()) {
                return Err(Error::interrupted("stopped"));
            }
            if patience.is_some_and(|patience| began.elapsed() >= patience) {
                let words = chatter.and(&self.wire.diagnosis());
                return Err(Error::node(format!(
                    "the shell on node {} did not answer for {} s",
                    self.node,
                    began.elapsed().as_secs()
                ))
                .remedy("Check that /bin/sh runs there when you log in by hand, or let it take longer with patience=SECONDS.")
                .log(words));
            }
        }
    }

    fn shell_error(&self, what: &str) -> Error {
        let (code, text) = what.split_once(' ').unwrap_or((what, ""));
        let node = &self.node;
        match code {
            "no_blender" => Error::node(format!("node {node} has no Blender: {text}"))
                .remedy(format!(
                    "Install Blender there, or say where it is: --node {node},blender=/path/to/blender."
                ))
                .fatal(),
            "no_cache" => Error::node(format!("node {node} cannot keep files: {text}")).remedy(format!(
                "See to it that there is room and that this login may write there, or choose another place: --node {node},cache=/path/to/directory."
            )),
            _ => Error::node(format!("node {node}: {what}")),
        }
    }

    fn first_words(&mut self, blender: &str, go_on: &mut dyn FnMut() -> bool) -> Result<Hello> {
        let until = Instant::now() + START;
        let failed = format!("`{blender}` on node {} did not become a worker", self.node);
        let remedy = "Check that it is Blender 3.4 or newer; start it there by hand with `-b --version`.";
        loop {
            match self.wire.message(Duration::from_millis(200)) {
                Ok(Some(message)) if message.head["event"] == "hello" => {
                    let mut hello: Hello =
                        serde_json::from_value(message.head).map_err(|_| self.nonsense())?;
                    blender.clone_into(&mut hello.program);
                    // Both are shown, compared and put on record.
                    for text in [&mut hello.version, &mut hello.hash] {
                        *text = printable(text, 60);
                    }
                    hello.environment = hello.environment.tamed();
                    return Ok(hello);
                }
                Ok(Some(message)) if message.head.get("error").is_some() => {
                    return Err(self.refusal(&message.head["error"]));
                }
                Ok(_) => {}
                Err(e) => return Err(e.within(&failed).remedy(remedy).fatal()),
            }
            if !go_on() {
                return Err(Error::interrupted("stopped"));
            }
            if Instant::now() > until {
                return Err(Error::node(failed).remedy(remedy).fatal());
            }
        }
    }

    pub(super) fn nonsense(&self) -> Error {
        Error::node(format!("node {} answered with something unexpected", self.node))
            .remedy("Check that nothing on that node imitates Blender; run `tilectl nodes check`.")
    }

    /// Sends a request and returns its id; the answer comes as a [`Message`] later.
    pub fn send(&mut self, command: &str, mut request: Value, payload: &[u8]) -> Result<u64> {
        self.next += 1;
        request["id"] = json!(self.next);
        request["cmd"] = json!(command);
        if !payload.is_empty() {
            request["bytes"] = json!(payload.len());
        }
        self.wire.request(&request, payload)?;
        Ok(self.next)
    }

    /// From now on `hear` is shown the head of every message, beside whom it is meant for.
    pub(crate) fn overhear(&mut self, hear: Overheard) {
        self.overheard = Some(hear);
    }

    /// The next message, if one arrives within `wait`. Now and then it also asks the worker for a sign of life.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<Message>> {
        if self.pinged.elapsed() > PING {
            self.pinged = Instant::now();
            self.send("ping", json!({}), &[])?;
        }
        let message = self.wire.message(wait)?;
        if let (Some(message), Some(hear)) = (&message, self.overheard.as_mut()) {
            hear(&message.head);
        }
        Ok(message)
    }

    /// The answer in `message` if it is to request `id`.
    pub fn answer<T: DeserializeOwned>(&self, id: u64, message: &Message) -> Option<Result<T>> {
        (message.head["id"] == json!(id)).then_some(())?;
        if let Some(error) = message.head.get("error") {
            return Some(Err(self.refusal(error)));
        }
        let ok = message.head.get("ok")?;
        Some(T::deserialize(ok).map_err(|e| self.nonsense().log(printable(&e.to_string(), 300))))
    }

    /// A refusal of the worker as an error, with what to do where the code says it.
    fn refusal(&self, error: &Value) -> Error {
        let text = printable(error["text"].as_str().unwrap_or("no reason given"), 1500);
        let node = &self.node;
        match error["code"].as_str().unwrap_or_default() {
            "no_space" => Error::node(format!("node {node} has no room: {text}"))
                .remedy("Free some space there (`tilectl clean` drops its cache), or give it another cache directory with cache=DIR."),
            "no_scene" => {
                Error::input(text).remedy(format!("{}Name one of these with --scene.", meant(error)))
            }
            "no_camera" => Error::input(text).remedy(format!(
                "{}Name a camera of the scene with --camera, or set one in Blender.",
                meant(error)
            )),
            "unreadable" => Error::input(format!("Blender cannot open the scene: {text}"))
                .remedy("Open and save it with the Blender version that the nodes have, or give them a newer Blender."),
            "no_device" => Error::node(format!("node {node}: {text}"))
                .remedy("Choose another device=…; `tilectl nodes check` lists what the node has.")
                .fatal(),
            "cancelled" => Error::interrupted(text),
            "foreign_project" => Error::node(format!("node {node} cannot be used: {text}"))
                .remedy(format!(
                    "Blender would take that project for the scene's: give the node another cache directory, --node {node},cache=DIR."
                ))
                .fatal(),
            "fault" => Error::render(format!("node {node}: {text}"))
                .remedy("Tell the makers of tilectl; the log of the node has the whole message.")
                .retryable(),
            "corrupt" => Error::node(format!("node {node}: {text}")).remedy("It is sent again by itself."),
            _ => Error::render(format!("node {node}: {text}")).retryable(),
        }
    }

    /// Sends a request and waits for its answer; `go_on` is asked at every other message and at least five times a
    /// second whether to go on waiting.
    pub fn call<T: DeserializeOwned>(
        &mut self,
        command: &str,
        request: Value,
        wait: Option<Duration>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<T> {
        let id = self.send(command, request, &[])?;
        self.wait(id, command, wait.unwrap_or(ANSWER), go_on)
    }

    fn wait<T: DeserializeOwned>(
        &mut self,
        id: u64,
        what: &str,
        wait: Duration,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<T> {
        let until = Instant::now() + wait;
        loop {
            if let Some(message) = self.poll(Duration::from_millis(200))?
                && let Some(answer) = self.answer(id, &message)
            {
                return answer;
            }
            if !go_on() {
                return Err(Error::interrupted("stopped"));
            }
            if Instant::now() > until {
                return Err(Error::node(format!("node {} did not answer `{what}` in time", self.node))
                    .remedy("It is tried again; `tilectl nodes check` shows whether the node is well."));
            }
        }
    }

    /// Fetches a spooled file into `into` (which is created), and checks its size and hash.
    pub fn fetch(
        &mut self,
        job: &str,
        file: &Spooled,
        into: &Path,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<()> {
        let mut fetch = Fetch::begin(self, job, file, into)?;
        loop {
            if let Some(message) = self.poll(Duration::from_millis(200))?
                && fetch.take(self, &message)?
            {
                return Ok(());
            }
            if !go_on() {
                return Err(Error::interrupted("stopped"));
            }
            fetch.must_move(self)?;
        }
    }

    /// How the login worked, where there was one.
    pub fn login(&self) -> String {
        printable(&self.wire.login(), 200)
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Bytes received and sent so far.
    pub fn traffic(&self) -> (u64, u64) {
        (self.wire.received, self.wire.sent)
    }
}

/// What a place says before its shell does.
#[derive(Default)]
struct Chatter {
    kept: String,
}

impl Chatter {
    fn take(&mut self, line: &str) -> Result<()> {
        if self.kept.len() + line.len() > CHATTER {
            return Err(protocol_error());
        }
        self.kept.push_str(line);
        self.kept.push('\n');
        Ok(())
    }

    /// The end of it, with what came on the other way.
    fn and(&self, diagnosis: &str) -> String {
        printable(&format!("{}\n{diagnosis}", self.kept), 2000)
    }
}

/// What was probably meant by a name that the file does not have, as a question to begin with.
fn meant(error: &Value) -> String {
    let names = error["names"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    error["wanted"].as_str().map_or_else(String::new, |wanted| did_you_mean(wanted, &names))
}
