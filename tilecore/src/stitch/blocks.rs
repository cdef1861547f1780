//! A file read front to back in blocks.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes read at a time.
const BLOCK: usize = 64 << 10;

/// A reader that can do without an open file between blocks, since a row of the picture may cross more tiles than a
/// process may have files open.
pub(super) struct Blocks<'a> {
    path: &'a Path,
    file: Option<File>,
    keep_open: bool,
    offset: u64,
    block: Vec<u8>,
    at: usize,
}

impl<'a> Blocks<'a> {
    pub(super) fn open(path: &'a Path, keep_open: bool) -> io::Result<Self> {
        let file = Some(File::open(path)?);
        Ok(Self { path, file, keep_open, offset: 0, block: Vec::new(), at: 0 })
    }

    /// What was read and not yet consumed; empty only at the end of the file.
    pub(super) fn available(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.block.len() {
            let mut file = if let Some(file) = self.file.take() {
                file
            } else {
                let mut file = File::open(self.path)?;
                file.seek(SeekFrom::Start(self.offset))?;
                file
            };
            self.block.resize(BLOCK, 0);
            let n = loop {
                match file.read(&mut self.block) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    other => break other?,
                }
            };
            self.block.truncate(n);
            self.at = 0;
            self.offset += n as u64;
            self.file = self.keep_open.then_some(file);
        }
        Ok(self.block.get(self.at..).unwrap_or_default())
    }

    /// Takes `n` of the available bytes.
    pub(super) fn consume(&mut self, n: usize) {
        self.at += n;
    }
}

impl Read for Blocks<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.available()?;
        let n = available.len().min(into.len());
        if let (Some(into), Some(available)) = (into.get_mut(..n), available.get(..n)) {
            into.copy_from_slice(available);
        }
        self.consume(n);
        Ok(n)
    }
}
