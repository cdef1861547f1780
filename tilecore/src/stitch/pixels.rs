//! The filtered rows of a tile, as they come out of its file.

use std::path::Path;

use flate2::{Decompress, FlushDecompress, Status};

use super::blocks::Blocks;
use super::chunk;
use super::header::{damaged, read_error};
use crate::error::Result;

/// The pixel data of a PNG file, spread over chunks and compressed.
pub(super) struct Pixels<'a> {
    path: &'a Path,
    blocks: Blocks<'a>,
    /// Bytes left in the current chunk, and their checksum so far.
    left: u32,
    crc: crc32fast::Hasher,
    stream: Decompress,
    ended: bool,
}

impl<'a> Pixels<'a> {
    /// The pixels of a file that was read up to the data of its first pixel chunk, which has `length` bytes.
    pub(super) fn new(path: &'a Path, blocks: Blocks<'a>, length: u32) -> Self {
        Self { path, blocks, left: length, crc: begun(), stream: Decompress::new(true), ended: false }
    }

    /// Fills `out` with the next bytes.
    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < out.len() {
            if self.ended {
                return Err(damaged(self.path, "it has fewer rows than its header says"));
            }
            done += self.step(out.get_mut(done..).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Reads to the end, where there must be no more pixels, and checks what is left to check.
    pub(super) fn finish(&mut self) -> Result<()> {
        while !self.ended {
            if self.step(&mut [0])? > 0 {
                return Err(damaged(self.path, "it has more rows than its header says"));
            }
        }
        while self.left > 0 {
            let available = self.blocks.available().map_err(|e| read_error(self.path, e))?;
            let n = available.len().min(self.left as usize);
            if n == 0 {
                return Err(damaged(self.path, "the file ends too early"));
            }
            self.crc.update(available.get(..n).unwrap_or_default());
            self.blocks.consume(n);
            self.left -= n as u32;
        }
        self.check()
    }

    /// Decompresses what is at hand, and returns how many bytes that makes.
    fn step(&mut self, out: &mut [u8]) -> Result<usize> {
        while self.left == 0 {
            self.next_chunk()?;
        }
        let available = self.blocks.available().map_err(|e| read_error(self.path, e))?;
        let available = available.get(..available.len().min(self.left as usize)).unwrap_or_default();
        if available.is_empty() {
            return Err(damaged(self.path, "the file ends too early"));
        }
        let before = (self.stream.total_in(), self.stream.total_out());
        let status = self
            .stream
            .decompress(available, out, FlushDecompress::None)
            .map_err(|_| damaged(self.path, "its compressed pixels are damaged"))?;
        let used = (self.stream.total_in() - before.0) as usize;
        let made = (self.stream.total_out() - before.1) as usize;
        self.crc.update(available.get(..used).unwrap_or_default());
        self.blocks.consume(used);
        self.left -= used as u32;
        self.ended = status == Status::StreamEnd;
        if used == 0 && made == 0 && !self.ended {
            return Err(damaged(self.path, "its compressed pixels are damaged"));
        }
        Ok(made)
    }

    /// Checks the chunk that was read and goes on to the next, which must be one of pixels.
    fn next_chunk(&mut self) -> Result<()> {
        self.check()?;
        let (length, name) = chunk::read_head(&mut self.blocks).map_err(|e| read_error(self.path, e))?;
        if &name != b"IDAT" {
            return Err(damaged(self.path, "its pixels are cut off"));
        }
        (self.left, self.crc) = (length, begun());
        Ok(())
    }

    fn check(&mut self) -> Result<()> {
        let sum = chunk::read_sum(&mut self.blocks).map_err(|e| read_error(self.path, e))?;
        if std::mem::take(&mut self.crc).finalize() != sum {
            return Err(damaged(self.path, "the checksum of its pixels is wrong"));
        }
        Ok(())
    }
}

/// The checksum of a pixel chunk before its data.
fn begun() -> crc32fast::Hasher {
    let mut crc = crc32fast::Hasher::new();
    crc.update(b"IDAT");
    crc
}
