//! Tiles of a picture that compresses as an unfinished render does: smooth shading under noise.

use std::io;
use std::path::Path;

use rayon::prelude::*;
use tilecore::geometry::{Frame, Rect};
use tilecore::stitch::Part;

/// Strength of the noise in eight-bit steps: tiles of 8192x8192 pixels take 117 MB as most programs save them.
const STRENGTH: f32 = 9.8;

/// Well mixed bits from a place (the finalizer of `MurmurHash3`).
fn mixed(mut bits: u64) -> u64 {
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        bits = (bits ^ (bits >> 33)).wrapping_mul(factor);
    }
    bits ^ (bits >> 33)
}

/// Appends pixels `from..to` of row `y` of a square picture of side `side`: 8-bit RGB.
pub fn row(side: u32, y: u32, from: u32, to: u32, into: &mut Vec<u8>) {
    let down = y as f32 / side as f32;
    for x in from..to {
        let across = x as f32 / side as f32;
        let mut colour = [0.35 + 0.4 * down, 0.45 + 0.25 * across, 0.6 - 0.3 * down * across];
        let (u, v) = ((across * 5.0).fract() - 0.5, (down * 4.0).fract() - 0.5);
        let ball = 1.0 - (u * u + v * v) / 0.12;
        if ball > 0.0 {
            let shade = ball.sqrt();
            let hue = f32::from((((across * 5.0) as u8) * 7 + ((down * 4.0) as u8) * 13) % 5) / 5.0;
            colour = [0.15 + 0.7 * shade * hue, 0.1 + 0.6 * shade * (1.0 - hue), 0.2 + 0.5 * shade];
        }
        // Two bytes make a triangular distribution. Part of the noise is common to the channels; bright pixels have
        // more of it.
        let noise = mixed(u64::from(y) << 32 | u64::from(x)).to_le_bytes().map(f32::from);
        let pair = |i: usize, j: usize| (noise[i] + noise[j] - 255.0) / 255.0;
        for (channel, value) in colour.into_iter().enumerate() {
            let amount = pair(0, 1) * 0.5 + pair(2 + channel, 5 + channel);
            into.push((value * 255.0 + amount * STRENGTH * (0.3 + value).sqrt()).clamp(0.0, 255.0) as u8);
        }
    }
}

/// Saves the tiles of a square picture, row by row from the top left, under names in that order.
pub fn save(folder: &Path, side: u32, tile: u32) -> io::Result<Vec<Part>> {
    let count = side / tile;
    (0..count * count)
        .into_par_iter()
        .map(|i| {
            let (x, y) = (i % count * tile, i / count * tile);
            let mut pixels = Vec::with_capacity(tile as usize * tile as usize * 3);
            for line in y..y + tile {
                row(side, line, x, x + tile, &mut pixels);
            }
            let path = folder.join(format!("t_{i:05}.png"));
            let mut encoder = png::Encoder::new(std::fs::File::create(&path)?, tile, tile);
            encoder.set_color(png::ColorType::Rgb);
            encoder.set_compression(png::Compression::Balanced);
            encoder.write_header()?.write_image_data(&pixels)?;
            let region = Rect::new(x, y, tile, tile).map_err(io::Error::other)?;
            Ok(Part::whole(path, region))
        })
        .collect()
}

/// The places of the tiles that [`save`] wrote.
pub fn parts(folder: &Path, side: u32, tile: u32) -> tilecore::Result<(Frame, Vec<Part>)> {
    let count = side / tile;
    let part = |i: u32| {
        let region = Rect::new(i % count * tile, i / count * tile, tile, tile)?;
        Ok(Part::whole(folder.join(format!("t_{i:05}.png")), region))
    };
    Ok((Frame::new(side, side)?, (0..count * count).map(part).collect::<tilecore::Result<_>>()?))
}
