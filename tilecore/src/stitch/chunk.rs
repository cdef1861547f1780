//! PNG's chunks: length, type, data, checksum.

use std::io::{self, Read};

/// First eight bytes of every PNG file.
pub(super) const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];

/// A chunk's four letters.
pub(super) type Name = [u8; 4];

/// Starts a chunk in `memory`, whose content is dropped; its data is what is appended next.
pub(super) fn begin(name: Name, mut memory: Vec<u8>) -> Vec<u8> {
    memory.clear();
    memory.extend_from_slice(&[0; 4]);
    memory.extend_from_slice(&name);
    memory
}

/// Completes a chunk of less than 2^31 bytes that [`begin`] started.
pub(super) fn end(mut chunk: Vec<u8>) -> Vec<u8> {
    let length = (chunk.len() as u32).saturating_sub(8);
    let sum = crc32fast::hash(chunk.get(4..).unwrap_or_default());
    if let Some(place) = chunk.first_chunk_mut() {
        *place = length.to_be_bytes();
    }
    chunk.extend_from_slice(&sum.to_be_bytes());
    chunk
}

/// A whole chunk.
pub(super) fn whole(name: Name, data: &[u8]) -> Vec<u8> {
    let mut chunk = begin(name, Vec::with_capacity(data.len() + 12));
    chunk.extend_from_slice(data);
    end(chunk)
}

/// Length and name of the next chunk.
pub(super) fn read_head(input: &mut dyn Read) -> io::Result<(u32, Name)> {
    let mut head = [0u8; 8];
    input.read_exact(&mut head)?;
    let [a, b, c, d, name @ ..] = head;
    Ok((u32::from_be_bytes([a, b, c, d]), name))
}

/// The data of a chunk whose head was just read, its checksum verified; `None` if that is wrong. `length` is bounded by
/// the caller.
pub(super) fn read_data(input: &mut dyn Read, length: u32, name: Name) -> io::Result<Option<Vec<u8>>> {
    let mut data = vec![0; length as usize];
    input.read_exact(&mut data)?;
    let sum = read_sum(input)?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&name);
    crc.update(&data);
    Ok((crc.finalize() == sum).then_some(data))
}

/// The checksum behind a chunk's data.
pub(super) fn read_sum(input: &mut dyn Read) -> io::Result<u32> {
    let mut sum = [0u8; 4];
    input.read_exact(&mut sum)?;
    Ok(u32::from_be_bytes(sum))
}

/// The name as text, whatever bytes it has.
pub(super) fn shown(name: Name) -> String {
    name.iter().map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '?' }).collect()
}
