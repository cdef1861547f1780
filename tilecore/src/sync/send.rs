//! Sending what a node does not have: pieces of large files and handfuls of small ones, many under way at once.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::hashes::Stamp;
use super::{InputPath, names};
use crate::blender::Worker;
use crate::error::{Error, IoContext, Result};

/// Bytes of one request.
const PIECE: usize = 1 << 20;
/// Files up to this size travel several in one request.
const SMALL: u64 = 256 << 10;
/// Bytes and requests under way before an answer is waited for: keeps a long, fat pipe full and the memory small.
const WINDOW: usize = 16 << 20;
const REQUESTS: usize = 64;
/// How long one answer may take: the node writes to its disk before it answers.
const ANSWER: Duration = Duration::from_secs(120);
/// Space that must stay free on a node beside what is sent, bytes.
const SPARE: u64 = 64 << 20;

/// What the worker answers to `have`.
#[derive(serde::Deserialize)]
struct Have {
    /// For each file -1, or how many of its bytes are there.
    have: Vec<i64>,
    /// Free space, bytes.
    free: u64,
}

/// Sends those of `files` that the node lacks. `progress` is told bytes sent and bytes to send, `None` until that is
/// known, and says whether to go on. Returns the bytes sent.
pub(super) fn send(files: &[InputPath], worker: &mut Worker, progress: &mut Progress<'_>) -> Result<u64> {
    let mut wanted: Vec<&InputPath> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for file in files {
        if seen.insert(&file.sha256) {
            wanted.push(file);
        }
    }
    let asked: Vec<Value> = wanted.iter().map(|f| json!([f.sha256, f.size])).collect();
    // The node may have to read what it has: a gigabyte takes seconds.
    let patience = Duration::from_secs(120 + files.iter().map(|f| f.size >> 26).sum::<u64>());
    let have: Have = worker.call("have", json!({"files": asked}), Some(patience), &mut || progress(None))?;
    let lacking: Vec<(&InputPath, u64)> = wanted
        .iter()
        .zip(&have.have)
        .filter_map(|(f, h)| u64::try_from(*h).ok().map(|h| (*f, h.min(f.size))))
        .collect();
    let total: u64 = lacking.iter().map(|(f, h)| f.size - h).sum();
    room(worker.node(), have.free, total)?;
    if !progress(Some((0, total))) {
        return Err(Error::interrupted("stopped"));
    }
    let mut sending = Sending { worker, progress, sent: 0, total, waiting: VecDeque::new(), under_way: 0 };
    let outcome = sending.all(&lacking);
    let sent = sending.sent;
    if outcome.is_err()
        && let Some(changed) = lacking.iter().find(|(f, _)| Stamp::of(&f.path).ok() != Some(f.stamp))
    {
        return Err(Error::input(format!(
            "{} changed while it was being sent",
            names::shown(&changed.0.path)
        ))
        .remedy("Run the same command again once nothing writes to it."));
    }
    outcome.map(|()| sent)
}

/// Whether a node with `free` bytes can take `total` more. One that lacks nothing needs no room for files.
fn room(node: &str, free: u64, total: u64) -> Result<()> {
    if total == 0 || free >= total.saturating_add(SPARE) {
        return Ok(());
    }
    Err(Error::node(format!(
        "node {node} has {} MB free; the scene's files need {} MB, and {} MB must stay free beside them",
        free >> 20,
        total.div_ceil(1 << 20),
        SPARE >> 20
    ))
    .remedy("Free some space there (`tilectl clean` drops its cache), or give it another cache directory with cache=DIR."))
}

/// Told bytes sent and bytes to send, `None` until that is known; says whether to go on.
pub type Progress<'a> = dyn FnMut(Option<(u64, u64)>) -> bool + 'a;

struct Sending<'a, 'b> {
    worker: &'b mut Worker,
    progress: &'b mut Progress<'a>,
    sent: u64,
    total: u64,
    /// Requests without an answer yet, and their bytes.
    waiting: VecDeque<(u64, usize)>,
    under_way: usize,
}

impl Sending<'_, '_> {
    fn all(&mut self, lacking: &[(&InputPath, u64)]) -> Result<()> {
        let mut batch: Vec<&InputPath> = Vec::new();
        let mut bytes = 0;
        for (file, offset) in lacking {
            if *offset == 0 && file.size <= SMALL {
                if bytes + file.size as usize > PIECE {
                    self.handful(&std::mem::take(&mut batch), bytes)?;
                    bytes = 0;
                }
                batch.push(file);
                bytes += file.size as usize;
            } else {
                self.large(file, *offset)?;
            }
        }
        if !batch.is_empty() {
            self.handful(&batch, bytes)?;
        }
        while !self.waiting.is_empty() {
            self.hear()?;
        }
        Ok(())
    }

    fn large(&mut self, file: &InputPath, offset: u64) -> Result<()> {
        let mut source = File::open(&file.path).at("read", &file.path)?;
        source.seek(SeekFrom::Start(offset)).at("read", &file.path)?;
        let mut piece = vec![0; PIECE];
        let mut at = offset;
        loop {
            let want = (file.size - at).min(PIECE as u64) as usize;
            source.read_exact(&mut piece[..want]).at("read", &file.path)?;
            self.request(json!({"sha256": file.sha256, "size": file.size, "offset": at}), &piece[..want])?;
            at += want as u64;
            if at >= file.size {
                return Ok(());
            }
        }
    }

    fn handful(&mut self, files: &[&InputPath], bytes: usize) -> Result<()> {
        let mut payload = Vec::with_capacity(bytes);
        for file in files {
            let before = payload.len();
            let source = File::open(&file.path).at("read", &file.path)?;
            source.take(SMALL).read_to_end(&mut payload).at("read", &file.path)?;
            if (payload.len() - before) as u64 != file.size {
                return Err(Error::node("a file has changed"));
            }
        }
        let batch: Vec<Value> = files.iter().map(|f| json!([f.sha256, f.size])).collect();
        self.request(json!({"batch": batch}), &payload)
    }

    fn request(&mut self, head: Value, payload: &[u8]) -> Result<()> {
        while !self.waiting.is_empty()
            && (self.under_way + payload.len() > WINDOW || self.waiting.len() >= REQUESTS)
        {
            self.hear()?;
        }
        let id = self.worker.send("put", head, payload)?;
        self.waiting.push_back((id, payload.len()));
        self.under_way += payload.len();
        Ok(())
    }

    /// Takes the oldest answer that is due.
    fn hear(&mut self) -> Result<()> {
        let Some((id, bytes)) = self.waiting.pop_front() else { return Ok(()) };
        let until = Instant::now() + ANSWER;
        loop {
            if let Some(message) = self.worker.poll(Duration::from_millis(200))?
                && let Some(answer) = self.worker.answer::<Value>(id, &message)
            {
                answer?;
                self.under_way -= bytes;
                self.sent += bytes as u64;
                return if (self.progress)(Some((self.sent, self.total))) {
                    Ok(())
                } else {
                    Err(Error::interrupted("stopped"))
                };
            }
            if !(self.progress)(Some((self.sent, self.total))) {
                return Err(Error::interrupted("stopped"));
            }
            if Instant::now() > until {
                return Err(Error::node(format!(
                    "node {} takes no more of the scene's files",
                    self.worker.node()
                ))
                .remedy("Check its disk; it is tried again."));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_asked_for_what_is_sent_and_for_a_reserve() {
        let error = room("n", 10 << 20, 5 << 20).unwrap_err().to_string();
        assert!(
            error.contains("has 10 MB free; the scene's files need 5 MB, and 64 MB must stay"),
            "{error}"
        );
        assert!(room("n", 10 << 20, 0).is_ok(), "nothing is sent");
        assert!(room("n", 69 << 20, 5 << 20).is_ok());
        assert!(room("n", u64::MAX - 1, u64::MAX).is_err());
    }
}
