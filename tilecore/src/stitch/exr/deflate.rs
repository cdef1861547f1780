//! The ZIP packing of OpenEXR: bytes split into halves, differences of neighbours, deflate.
//!
//! The same as the `exr` crate's own, with a deflate that is some times faster at its lowest level; on noise, which
//! renders are full of, higher levels gain next to nothing.

use std::io::Write;

use crate::error::{Error, Result};

/// Packs the lines of a block; returns them as they are where packing does not make them smaller, as OpenEXR wants.
pub(super) fn pack(lines: Vec<u8>) -> Result<Vec<u8>> {
    let mut split: Vec<u8> = Vec::with_capacity(lines.len());
    split.extend(lines.iter().step_by(2));
    split.extend(lines.iter().skip(1).step_by(2));
    let mut before: Option<u8> = None;
    for byte in &mut split {
        let value = *byte;
        if let Some(before) = before {
            // The difference is stored with an offset of half the range.
            *byte = value.wrapping_sub(before).wrapping_add(128);
        }
        before = Some(value);
    }
    let mut encoder =
        flate2::write::ZlibEncoder::new(Vec::with_capacity(lines.len() / 2), flate2::Compression::new(1));
    let packed = encoder.write_all(&split).and_then(|()| encoder.finish());
    let packed = packed.map_err(|e| {
        Error::render(format!("cannot deflate: {e}")).remedy("Report this as a defect of tilectl.")
    })?;
    Ok(if packed.len() < lines.len() { packed } else { lines })
}
