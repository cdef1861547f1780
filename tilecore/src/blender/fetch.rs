//! A file of a node's spool on its way here, verified as it comes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::message::Spooled;
use super::wire::Message;
use super::worker::Worker;
use crate::error::{Error, IoContext, Result};
use crate::hash::hex;

/// Largest tile or finished file that is fetched, bytes.
const FILE: u64 = 64 << 30;
/// How long it may stand still on its way, whatever else the worker says meanwhile.
const STILL: Duration = Duration::from_secs(120);

/// A file on its way from a node's spool, while other messages go by.
pub struct Fetch {
    id: u64,
    path: PathBuf,
    file: std::fs::File,
    hash: Sha256,
    at: u64,
    size: u64,
    sha256: String,
    /// When its last bytes came.
    moved: Instant,
}

impl Fetch {
    /// Asks for the file.
    pub fn begin(worker: &mut Worker, job: &str, file: &Spooled, into: &Path) -> Result<Self> {
        if file.bytes > FILE {
            return Err(worker.nonsense());
        }
        let out = std::fs::File::create(into).at("write", into)?;
        let id = worker.send("get", json!({"job": job, "name": file.name, "offset": 0}), &[])?;
        Ok(Self {
            id,
            path: into.to_owned(),
            file: out,
            hash: Sha256::new(),
            at: 0,
            size: file.bytes,
            sha256: file.sha256.clone(),
            moved: Instant::now(),
        })
    }

    /// An error if nothing of it has come for long.
    pub fn must_move(&self, worker: &Worker) -> Result<()> {
        if self.moved.elapsed() < STILL {
            return Ok(());
        }
        Err(Error::node(format!("node {} stopped sending", worker.node()))
            .remedy("It is tried again; `tilectl nodes check` shows whether the node is well."))
    }

    /// Takes a message if it belongs to this file; true when the file is complete, verified and on disk.
    pub fn take(&mut self, worker: &Worker, message: &Message) -> Result<bool> {
        if message.head["event"] == "data" && message.head["of"] == json!(self.id) {
            let end = self.at + message.payload.len() as u64;
            let nothing = message.payload.is_empty() && self.at < self.size;
            if message.head["offset"] != json!(self.at) || end > self.size || nothing {
                return Err(worker.nonsense());
            }
            self.file.write_all(&message.payload).at("write", &self.path)?;
            self.hash.update(&message.payload);
            self.at = end;
            self.moved = Instant::now();
            return Ok(false);
        }
        match worker.answer::<Value>(self.id, message) {
            None => Ok(false),
            Some(Err(e)) => Err(e),
            Some(Ok(_)) => {
                let found = hex(&self.hash.finalize_reset());
                if self.at != self.size || found != self.sha256 {
                    // The link is well, the file is not.
                    return Err(Error::render(format!("a file from node {} arrived damaged", worker.node()))
                        .remedy(
                            "It is made again by itself; if this repeats, check that node's disk and memory.",
                        )
                        .retryable());
                }
                self.file.sync_all().at("write", &self.path)?;
                Ok(true)
            }
        }
    }
}
