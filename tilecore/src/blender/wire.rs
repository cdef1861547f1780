//! Lines and raw bytes to and from the node, with every size bounded: the other side may answer with anything.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::node::{Link, Received};
use crate::text::printable;

/// Longest line that is accepted, bytes.
const LINE: usize = 4 << 20;
/// Longest payload that is accepted, bytes.
const PAYLOAD: u64 = 8 << 20;
/// How much of a login shell's chatter is skipped before it is called endless, bytes.
pub(super) const CHATTER: usize = 1 << 20;

/// One message of the worker: a line of JSON and the bytes that followed it.
#[derive(Debug)]
pub struct Message {
    /// The line.
    pub head: Value,
    /// The raw bytes after it.
    pub payload: Vec<u8>,
}

/// What the worker announces about a line.
#[derive(Deserialize)]
struct Size {
    #[serde(default)]
    bytes: u64,
}

/// A [`Link`] cut into lines and payloads.
pub(crate) struct Wire {
    link: Box<dyn Link>,
    buffer: Vec<u8>,
    start: usize,
    chunk: Vec<u8>,
    /// Bytes received so far.
    pub received: u64,
    /// Bytes sent so far.
    pub sent: u64,
    closed: bool,
    mark: String,
}

impl Wire {
    /// Takes over the link.
    pub(crate) fn new(link: Box<dyn Link>) -> Self {
        Self {
            link,
            buffer: Vec::new(),
            start: 0,
            chunk: vec![0; 256 * 1024],
            received: 0,
            sent: 0,
            closed: false,
            mark: String::new(),
        }
    }

    /// Sends raw bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.sent += bytes.len() as u64;
        self.link.send(bytes)
    }

    /// Sends one request and its payload.
    pub(crate) fn request(&mut self, head: &Value, payload: &[u8]) -> Result<()> {
        let mut line = head.to_string();
        line.push('\n');
        if payload.len() < 64 * 1024 {
            let mut bytes = line.into_bytes();
            bytes.extend_from_slice(payload);
            return self.send(&bytes);
        }
        self.send(line.as_bytes())?;
        self.send(payload)
    }

    /// From now on, a line that begins with `mark` is the shell's word that Blender ended.
    pub(crate) fn watch_for(&mut self, mark: &str) {
        mark.clone_into(&mut self.mark);
    }

    /// Reads what the shell says after Blender ended: its exit code and the end of its log.
    fn ended(&mut self, wait: Duration) -> Error {
        let until = Instant::now() + wait.max(Duration::from_secs(5));
        let left = || until.saturating_duration_since(Instant::now());
        let code = match self.line(left()) {
            Ok(Some(line)) => {
                let mut words = line.split_ascii_whitespace().skip(2);
                words.next().and_then(|code| code.parse::<i32>().ok())
            }
            _ => None,
        };
        let end = format!("{} end", self.mark);
        let mut log = String::new();
        while let Ok(Some(line)) = self.line(left()) {
            if line == end || log.len() > 64 * 1024 || left().is_zero() {
                break;
            }
            log.push_str(&line);
            log.push('\n');
        }
        let how = match code {
            Some(code @ 129..=192) => format!("was ended by signal {}", code - 128),
            Some(code) => format!("ended with exit code {code}"),
            None => "ended".to_owned(),
        };
        let error = Error::node(format!("Blender {how}"))
            .remedy("Look at the end of its log; `tilectl nodes check` tries Blender on every node.")
            .log(printable(&log, 4000));
        match code {
            Some(code @ 129..=192) => error.by_signal(code - 128),
            _ => error,
        }
    }

    /// How the login worked.
    pub(crate) fn login(&self) -> String {
        self.link.login()
    }

    /// The link's last words.
    pub(crate) fn diagnosis(&mut self) -> String {
        printable(&self.link.diagnosis(), 2000)
    }

    fn fill(&mut self, wait: Duration) -> Result<bool> {
        if self.closed {
            return Err(closed());
        }
        match self.link.recv(&mut self.chunk, wait)? {
            Received::Bytes(n) => {
                if self.start > 0 && self.start >= self.buffer.len() / 2 {
                    self.buffer.drain(..self.start);
                    self.start = 0;
                }
                self.buffer.extend_from_slice(&self.chunk[..n]);
                self.received += n as u64;
                Ok(true)
            }
            Received::Nothing => Ok(false),
            Received::Closed => {
                self.closed = true;
                Err(closed())
            }
        }
    }

    /// Length of the line at the front, without its end, if it is here whole.
    fn line_end(&self, from: usize) -> Option<usize> {
        let waiting = self.buffer.get(self.start + from..)?;
        waiting.iter().position(|b| *b == b'\n').map(|at| from + at)
    }

    /// The next line as text, waiting up to `wait`; `None` when none arrived whole.
    pub(crate) fn line(&mut self, wait: Duration) -> Result<Option<String>> {
        let until = Instant::now() + wait;
        let mut seen = 0;
        loop {
            if let Some(end) = self.line_end(seen) {
                let line = String::from_utf8_lossy(&self.buffer[self.start..self.start + end]).into_owned();
                self.start += end + 1;
                return Ok(Some(line));
            }
            seen = self.buffer.len() - self.start;
            if seen > CHATTER {
                return Err(protocol_error());
            }
            let left = until.saturating_duration_since(Instant::now());
            if !self.fill(left)? && left.is_zero() {
                return Ok(None);
            }
        }
    }

    /// The next message, waiting up to `wait`; `None` when none arrived whole.
    pub(crate) fn message(&mut self, wait: Duration) -> Result<Option<Message>> {
        let until = Instant::now() + wait;
        let mut seen = 0;
        loop {
            if let Some(end) = self.line_end(seen) {
                let line = &self.buffer[self.start..self.start + end];
                if line.is_empty() {
                    self.start += 1;
                    seen = 0;
                    continue;
                }
                if !self.mark.is_empty() && line.starts_with(self.mark.as_bytes()) {
                    return Err(self.ended(wait));
                }
                let head: Value = serde_json::from_slice(line).map_err(|_| protocol_error())?;
                let size = Size::deserialize(&head).map_err(|_| protocol_error())?.bytes;
                if !head.is_object() || size > PAYLOAD {
                    return Err(protocol_error());
                }
                let whole = end + 1 + size as usize;
                if self.buffer.len() - self.start >= whole {
                    let payload = self.buffer[self.start + end + 1..self.start + whole].to_vec();
                    self.start += whole;
                    return Ok(Some(Message { head, payload }));
                }
                seen = end;
            } else {
                seen = self.buffer.len() - self.start;
                if seen > LINE {
                    return Err(protocol_error());
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if !self.fill(left)? && left.is_zero() {
                return Ok(None);
            }
        }
    }
}

fn closed() -> Error {
    Error::node("the connection to the node was closed").remedy("It is tried again by itself.")
}

pub(super) fn protocol_error() -> Error {
    Error::node("the node answered with something that is not tilectl's protocol")
        .remedy("Check what `blender=` points to on that node, and that its login shell starts nothing else.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives out prepared bytes in pieces of a prepared size.
    struct Script(Vec<u8>, usize);

    impl Link for Script {
        fn send(&mut self, _: &[u8]) -> Result<()> {
            Ok(())
        }
        fn recv(&mut self, buffer: &mut [u8], _: Duration) -> Result<Received> {
            let n = self.1.min(self.0.len()).min(buffer.len());
            if n == 0 {
                return Ok(Received::Closed);
            }
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0.drain(..n);
            Ok(Received::Bytes(n))
        }
    }

    fn wire(bytes: &[u8], step: usize) -> Wire {
        Wire::new(Box::new(Script(bytes.to_vec(), step)))
    }

    const WAIT: Duration = Duration::from_secs(1);

    #[test]
    fn payloads_follow_their_lines_at_any_fragmentation() {
        for step in 1..40 {
            let mut w = wire(b"{\"event\":\"a\",\"bytes\":5}\nhe\nlo{\"id\":1,\"ok\":{}}\n", step);
            let first = w.message(WAIT).unwrap().unwrap();
            assert_eq!(first.payload, b"he\nlo");
            assert_eq!(w.message(WAIT).unwrap().unwrap().head["id"], 1);
            assert!(w.message(WAIT).is_err(), "then the stream ends");
        }
    }

    #[test]
    fn absurd_sizes_are_refused_before_anything_is_allocated() {
        assert!(wire(b"{\"bytes\":18446744073709551615}\n", 64).message(WAIT).is_err());
        assert!(wire(b"{\"bytes\":-1}\n", 64).message(WAIT).is_err());
        let deep = format!("{}\n", "[".repeat(100_000));
        assert!(wire(deep.as_bytes(), 4096).message(WAIT).is_err());
        assert!(wire(&vec![b'x'; LINE + 300_000], 1 << 20).message(WAIT).is_err());
    }

    proptest! {
        #[test]
        fn nothing_a_node_sends_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), step in 1usize..50) {
            let mut w = wire(&bytes, step);
            while let Ok(Some(_)) = w.message(WAIT) {}
        }

        /// What a worker says, with bytes changed, doubled and cut: read as every kind of answer.
        #[test]
        fn no_damaged_message_panics(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
            cut in any::<prop::sample::Index>(),
            step in 1usize..50,
        ) {
            let said = concat!(
                r#"{"event":"hello","protocol":1,"version":"4.2.0","hash":"a51f","cores":8,"devices":{"CPU":["x"]}}"#, "\n",
                r#"{"id":3,"ok":{"name":"p0-x0-y0-8x8.tile","bytes":12,"sha256":"00ff","seconds":1.5e0,"sync":0.1,"effective":{"scene":"S","camera":null,"frame":1,"resolution":[8,8],"percentage":100,"samples":16,"seed":0,"engine":"CYCLES","device":"CPU"}}}"#, "\n",
                r#"{"id":7,"ok":{"scene":"S","camera":"C","cameras":["C"],"bound":[[1,"C"]],"engine":"CYCLES","resolution":[8,8],"percentage":100,"frame":1,"frames":[1,9,2],"samples":16,"seed":0,"border":{"crop":true,"min_x":0.1,"max_x":0.9,"min_y":0,"max_y":1},"path":"//","format":"PNG","views":["_L"],"needs":{"tile_format":"exr","reasons":[{"code":"c","text":"t"}],"overlap":8,"pictures":[{"scene":"S"}],"whole":null}}}"#, "\n",
                r#"{"event":"progress","id":3,"done":1,"of":96}"#, "\n",
                r#"{"id":4,"event":"data","of":2,"bytes":5}"#, "\nhello",
                r#"{"id":5,"error":{"code":"no_space","text":"full \u001b[2J"}}"#, "\n",
            );
            let mut bytes = said.as_bytes().to_vec();
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            bytes.truncate(cut.index(2 * bytes.len()).max(1));
            let mut w = wire(&bytes, step);
            while let Ok(Some(message)) = w.message(WAIT) {
                for said in [&message.head, &message.head["ok"]] {
                    let _ = serde_json::from_value::<crate::blender::Hello>(said.clone());
                    let _ = serde_json::from_value::<crate::blender::TileDone>(said.clone());
                    let _ = serde_json::from_value::<crate::blender::Spooled>(said.clone());
                    if let Ok(facts) = serde_json::from_value::<crate::blender::Facts>(said.clone()) {
                        let frame = crate::geometry::Frame::new(8, 8).unwrap();
                        let _ = (facts.border.map(|b| b.rect(frame)), facts.camera_at(3).map(str::len));
                    }
                }
            }
        }
    }
}
