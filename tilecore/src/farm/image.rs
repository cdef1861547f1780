//! A picture in memory.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::error::{Error, IoContext, Result};
use crate::geometry::Frame;

/// A rendered picture: `height` x `width` x `channels` samples, as Blender would have saved them in a PNG.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Image {
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
    /// Samples per pixel: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
    pub channels: usize,
    /// Bits per sample, 8 or 16: white is 255 or 65,535.
    pub bits: u8,
    /// Row after row from the top left, the channels of a pixel side by side.
    pub samples: Vec<u16>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}, {} channels of {} bits", self.width, self.height, self.channels, self.bits)
    }
}

impl Image {
    /// The samples of the pixel `x` from the left and `y` from the top; `None` outside.
    pub fn pixel(&self, x: u32, y: u32) -> Option<&[u16]> {
        let inside = x < self.width && y < self.height;
        let at = (y as usize * self.width as usize + x as usize) * self.channels;
        self.samples.get(at..at + self.channels).filter(|_| inside)
    }

    /// Reads a PNG. The finish may put several views side by side, but a picture much larger than the frame is none.
    pub(super) fn read(path: &Path, frame: Frame) -> Result<Self> {
        let wrong = || {
            Error::render("the finished picture is not a PNG of the frame's size")
                .remedy("Render to a file to see what the scene's output settings make of it.")
        };
        let file = File::open(path).at("read", path)?;
        let mut decoder = png::Decoder::new(BufReader::new(file));
        decoder.set_transformations(png::Transformations::EXPAND);
        decoder.set_limits(png::Limits { bytes: usize::MAX });
        let mut reader = decoder.read_info().map_err(|_| wrong())?;
        let info = reader.info();
        if u64::from(info.width) * u64::from(info.height) > 4 * frame.rect().area() {
            return Err(wrong());
        }
        let mut bytes = vec![0; reader.output_buffer_size().ok_or_else(wrong)?];
        let info = reader.next_frame(&mut bytes).map_err(|_| wrong())?;
        bytes.truncate(info.buffer_size());
        let (bits, samples) = match info.bit_depth {
            png::BitDepth::Sixteen => {
                (16, bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
            }
            _ => (8, bytes.into_iter().map(u16::from).collect()),
        };
        Ok(Self {
            width: info.width,
            height: info.height,
            channels: info.color_type.samples(),
            bits,
            samples,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(depth: png::BitDepth, data: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut encoder = png::Encoder::new(file.reopen().unwrap(), 2, 1);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(depth);
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        file
    }

    #[test]
    fn both_depths_are_read_as_they_are() {
        let frame = Frame::new(2, 1).unwrap();
        let eight = Image::read(written(png::BitDepth::Eight, &[1, 2, 3, 4, 5, 255]).path(), frame).unwrap();
        assert_eq!((eight.bits, eight.pixel(1, 0)), (8, Some(&[4, 5, 255][..])));
        assert_eq!((eight.pixel(2, 0), eight.pixel(0, 1)), (None, None));
        let data: Vec<u8> = (0..12).collect();
        let sixteen = Image::read(written(png::BitDepth::Sixteen, &data).path(), frame).unwrap();
        assert_eq!((sixteen.bits, sixteen.pixel(0, 0)), (16, Some(&[0x0001, 0x0203, 0x0405][..])));
        assert_eq!(format!("{sixteen:?}"), "2x1, 3 channels of 16 bits");
    }

    #[test]
    fn what_is_no_picture_of_this_frame_is_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"\x89PNG\r\n\x1a\nnot a picture").unwrap();
        assert!(Image::read(file.path(), Frame::new(2, 1).unwrap()).is_err());
        let mut encoder = png::Encoder::new(file.reopen().unwrap(), 60_000, 60_000);
        encoder.set_color(png::ColorType::Rgb);
        std::mem::drop(encoder.write_header());
        let error = Image::read(file.path(), Frame::new(2, 1).unwrap()).unwrap_err();
        assert!(error.hint().is_some());
    }
}
