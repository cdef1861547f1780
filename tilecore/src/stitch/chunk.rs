//! PNG's chunks: length, type, data, checksum.

use std::io::{self, Read, Write};

/// First eight bytes of every PNG file.
pub(super) const SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];

/// A chunk's four letters.
pub(super) type Name = [u8; 4];

/// Writes one chunk and returns its size in the file. `data` may be at most 2^31 - 1 bytes.
pub(super) fn write(out: &mut dyn Write, name: Name, data: &[u8]) -> io::Result<u64> {
    let length = u32::try_from(data.len())
        .ok()
        .filter(|&n| i32::try_from(n).is_ok())
        .ok_or_else(|| io::Error::other("a chunk would be larger than PNG allows"))?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&name);
    crc.update(data);
    out.write_all(&length.to_be_bytes())?;
    out.write_all(&name)?;
    out.write_all(data)?;
    out.write_all(&crc.finalize().to_be_bytes())?;
    Ok(u64::from(length) + 12)
}

/// Length and name of the next chunk.
pub(super) fn read_head(input: &mut dyn Read) -> io::Result<(u32, Name)> {
    let mut head = [0u8; 8];
    input.read_exact(&mut head)?;
    let [a, b, c, d, name @ ..] = head;
    Ok((u32::from_be_bytes([a, b, c, d]), name))
}

/// The data of a chunk whose head was just read, its checksum verified; `None` if that is wrong.
pub(super) fn read_data(input: &mut dyn Read, length: u32, name: Name) -> io::Result<Option<Vec<u8>>> {
    let mut data = vec![0; length as usize];
    input.read_exact(&mut data)?;
    let mut sum = [0u8; 4];
    input.read_exact(&mut sum)?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&name);
    crc.update(&data);
    Ok((crc.finalize() == u32::from_be_bytes(sum)).then_some(data))
}

/// The name as text, whatever bytes it has.
pub(super) fn shown(name: Name) -> String {
    name.iter().map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '?' }).collect()
}
