//! Whole stitches, from files to a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::exr::block::reader::ChunksReader as _;
use ::exr::block::writer::ChunksWriter as _;
use ::exr::block::{BlockIndex, UncompressedBlock};
use ::exr::meta::BlockDescription;
use ::exr::meta::attribute::{AttributeValue, ChannelDescription, Compression, LineOrder, SampleType, Text};
use ::exr::meta::header::Header;
use ::exr::prelude::Vec2;
use proptest::prelude::*;

use super::*;
use crate::geometry::{Grid, Overlap, Rect};

/// A picture made for a test: the bytes of every channel, row by row.
#[derive(Clone)]
struct Picture {
    frame: Frame,
    channels: Vec<(&'static str, SampleType)>,
    samples: Vec<Vec<u8>>,
    texts: BTreeMap<&'static str, String>,
}

const CHANNELS: [(&str, SampleType); 6] = [
    ("Größe.Combined.A", SampleType::F32),
    ("Größe.Combined.R", SampleType::F32),
    ("Größe.CryptoObject00.r", SampleType::F32),
    ("Größe.Depth.Z", SampleType::F16),
    ("Größe.Index.X", SampleType::U32),
    ("A view layer with a long name indeed.Combined.left.R", SampleType::F32),
];

impl Picture {
    /// Random bits: NaN, infinities, negative zeros and subnormal numbers are among them.
    fn new(frame: Frame, channels: usize, seed: u32) -> Self {
        let mut channels: Vec<_> = CHANNELS.iter().copied().take(channels).collect();
        channels.sort_by_key(|(name, _)| name.as_bytes());
        let mut state = seed | 1;
        let samples = channels
            .iter()
            .map(|(_, sample)| {
                (0..frame.area() as usize * sample.bytes_per_sample())
                    .map(|_| {
                        state ^= state << 13;
                        state ^= state >> 17;
                        state ^= state << 5;
                        // Long runs as well, which deflate likes.
                        if state & 0x300 == 0 { (state >> 24) as u8 } else { 0x3f }
                    })
                    .collect()
            })
            .collect();
        Self { frame, channels, samples, texts: BTreeMap::new() }
    }

    fn cut(&self, rect: Rect) -> Self {
        let samples = self
            .channels
            .iter()
            .zip(&self.samples)
            .map(|((_, sample), bytes)| {
                let size = sample.bytes_per_sample();
                (rect.y()..rect.bottom())
                    .flat_map(|y| {
                        let start = (y as usize * self.frame.width() as usize + rect.x() as usize) * size;
                        bytes[start..start + rect.width() as usize * size].to_vec()
                    })
                    .collect()
            })
            .collect();
        Self { frame: rect.size(), samples, ..self.clone() }
    }

    fn header(&self, compression: Compression) -> Header {
        let list = self
            .channels
            .iter()
            .map(|(name, sample_type)| ChannelDescription {
                name: Text::from(*name),
                sample_type: *sample_type,
                quantize_linearly: false,
                sampling: Vec2(1, 1),
            })
            .collect();
        let size = Vec2(self.frame.width() as usize, self.frame.height() as usize);
        let mut header = Header::new(Text::from("x"), size, list).with_encoding(
            compression,
            BlockDescription::ScanLines,
            LineOrder::Increasing,
        );
        header.own_attributes.layer_name = None;
        for (name, text) in &self.texts {
            header
                .own_attributes
                .other
                .insert(Text::from(*name), AttributeValue::Text(Text::from(text.as_str())));
        }
        header
    }

    fn save(&self, path: &Path, compression: Compression) {
        let file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
        let (width, height) = (self.frame.width() as usize, self.frame.height() as usize);
        let lines = compression.scan_lines_per_block();
        ::exr::block::write(file, [self.header(compression)].into_iter().collect(), true, |meta, writer| {
            for (number, y) in (0..height).step_by(lines).enumerate() {
                let rows = y..(y + lines).min(height);
                let mut data = Vec::new();
                for row in rows.clone() {
                    for ((_, sample), bytes) in self.channels.iter().zip(&self.samples) {
                        let row_bytes = width * sample.bytes_per_sample();
                        data.extend_from_slice(&bytes[row * row_bytes..][..row_bytes]);
                    }
                }
                let index = BlockIndex {
                    layer: 0,
                    level: Vec2(0, 0),
                    pixel_position: Vec2(0, y),
                    pixel_size: Vec2(width, rows.len()),
                };
                writer.write_chunk(
                    number,
                    UncompressedBlock { index, data }.compress_to_chunk(&meta.headers)?,
                )?;
            }
            Ok(())
        })
        .unwrap();
    }

    /// Reads a file as the `exr` crate does, so that what was written is read by other code than wrote it.
    fn load(path: &Path) -> (Header, Vec<Vec<u8>>) {
        let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
        let mut blocks =
            ::exr::block::read(file, true).unwrap().all_chunks(true).unwrap().sequential_decompressor(true);
        let header = blocks.meta_data().headers[0].clone();
        let width = header.layer_size.width();
        let mut samples = vec![Vec::new(); header.channels.list.len()];
        while let Some(block) = blocks.decompress_next_block() {
            let block = block.unwrap();
            let mut rest = block.data.as_slice();
            for _ in 0..block.index.pixel_size.height() {
                for (channel, into) in header.channels.list.iter().zip(&mut samples) {
                    let (row, left) = rest.split_at(width * channel.sample_type.bytes_per_sample());
                    into.extend_from_slice(row);
                    rest = left;
                }
            }
        }
        (header, samples)
    }
}

/// Saves the parts of a picture as tiles with some overlap.
fn tiles(
    picture: &Picture,
    grid: &[Rect],
    overlap: u32,
    folder: &Path,
    compression: Compression,
) -> Vec<Part> {
    grid.iter()
        .enumerate()
        .map(|(number, &region)| {
            let rendered = region.grown(Overlap(overlap), picture.frame);
            let path = folder.join(format!("tile-{number}.exr"));
            picture.cut(rendered).save(&path, compression);
            Part { path, region, rendered }
        })
        .collect()
}

fn two_tiles(folder: &Path) -> (Picture, Vec<Part>) {
    let picture = Picture::new(Frame::new(20, 40).unwrap(), 3, 7);
    let grid = Grid::new(picture.frame, 1, 2).unwrap().tiles();
    let parts = tiles(&picture, &grid, 3, folder, Compression::ZIP16);
    (picture, parts)
}

fn message(parts: &[Part], frame: Frame, folder: &Path) -> String {
    let out = folder.join("out.exr");
    let e = exr(parts, frame, &out, &ExrOptions::default()).expect_err("this cannot be stitched");
    assert!(!out.exists(), "nothing is written where something is wrong");
    assert_eq!(std::fs::read_dir(folder).unwrap().filter(is_draft).count(), 0, "no draft is left");
    assert!(e.hint().is_some(), "{e} says what to do");
    e.to_string()
}

fn is_draft(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
    entry.as_ref().is_ok_and(|e| e.file_name().to_string_lossy().contains(".tmp"))
}

fn packings() -> impl Strategy<Value = Packing> {
    prop_oneof![Just(Packing::Zip), Just(Packing::None)]
}

fn compressions() -> impl Strategy<Value = Compression> {
    prop_oneof![
        Just(Compression::ZIP16),
        Just(Compression::ZIP1),
        Just(Compression::Uncompressed),
        Just(Compression::RLE),
        Just(Compression::PIZ)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_bit_of_every_channel_is_kept(
        size in (1u32..70, 1u32..90),
        cells in (1u32..5, 1u32..7),
        channels in 1usize..=6,
        overlap in 0u32..20,
        seed: u32,
        packing in packings(),
        compression in compressions(),
        threads in 1usize..4,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let picture = Picture::new(Frame::new(size.0, size.1).unwrap(), channels, seed);
        let grid = Grid::new(picture.frame, cells.0.min(size.0), cells.1.min(size.1)).unwrap().tiles();
        let parts = tiles(&picture, &grid, overlap, folder.path(), compression);
        let out = folder.path().join("out.exr");
        let summary =
            exr(&parts, picture.frame, &out, &ExrOptions::default().packing(packing).threads(threads)).unwrap();
        prop_assert_eq!(summary.bytes, std::fs::metadata(&out).unwrap().len());
        prop_assert!(summary.missing.is_empty());
        let (header, samples) = Picture::load(&out);
        prop_assert_eq!(&header.channels, &picture.header(compression).channels);
        prop_assert!(samples == picture.samples);
        prop_assert_eq!(header.own_attributes.layer_position, Vec2(0, 0));
    }

    #[test]
    fn damaged_tiles_are_errors_and_never_panics(cut in 0.0f64..1.0, flips in prop::collection::vec((0.0f64..1.0, any::<u8>()), 0..6)) {
        let folder = tempfile::tempdir().unwrap();
        let (picture, parts) = two_tiles(folder.path());
        let mut bytes = std::fs::read(&parts[1].path).unwrap();
        for (at, value) in flips {
            let at = (at * bytes.len() as f64) as usize;
            bytes[at] ^= value;
        }
        bytes.truncate((cut * bytes.len() as f64) as usize);
        std::fs::write(&parts[1].path, bytes).unwrap();
        let out = folder.path().join("out.exr");
        // Cut off somewhere, so it cannot come out well; what is said must name the file.
        let e = exr(&parts, picture.frame, &out, &ExrOptions::default()).expect_err("a part of the tile is gone");
        prop_assert!(e.to_string().contains("tile-1.exr"), "{}", e);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn flipped_bits_never_panic(flips in prop::collection::vec((0.0f64..1.0, any::<u8>()), 1..8), header: bool) {
        let folder = tempfile::tempdir().unwrap();
        let (picture, parts) = two_tiles(folder.path());
        let mut bytes = std::fs::read(&parts[1].path).unwrap();
        // The header is where most harm can be done.
        let reach = if header { 420.0 } else { bytes.len() as f64 };
        for (at, value) in flips {
            bytes[(at * reach) as usize] ^= value;
        }
        std::fs::write(&parts[1].path, bytes).unwrap();
        let out = folder.path().join("out.exr");
        // Pixels have no checksum in an EXR file, so it may come out well.
        if let Err(e) = exr(&parts, picture.frame, &out, &ExrOptions::default()) {
            prop_assert!(e.to_string().contains("tile-1.exr"), "{}", e);
        }
    }
}

#[test]
fn nan_is_kept_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut picture = Picture::new(Frame::new(20, 40).unwrap(), 1, 7);
    picture.samples[0] = 1.5f32.to_ne_bytes().repeat(800);
    // In the second tile, with a payload; and in the overlap of the first, where it is not taken.
    picture.samples[0][22 * 20 * 4..][..4].copy_from_slice(&0x7fc0_1234u32.to_ne_bytes());
    let grid = Grid::new(picture.frame, 1, 2).unwrap().tiles();
    let parts = tiles(&picture, &grid, 3, folder.path(), Compression::ZIP16);
    let out = folder.path().join("out.exr");
    let summary = exr(&parts, picture.frame, &out, &ExrOptions::default()).unwrap();
    assert_eq!(summary.nans, vec![(parts[1].path.clone(), 1)]);
    assert_eq!(Picture::load(&out).1, picture.samples);
}

#[test]
fn attributes_that_all_tiles_share_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut picture = Picture::new(Frame::new(9, 20).unwrap(), 1, 3);
    let manifest = format!("{{{}}}", "\"Cube\":\"a8fce865\",".repeat(5000));
    picture.texts.insert("cryptomatte/542cafa/manifest", manifest.clone());
    let mut parts = Vec::new();
    for (number, region) in Grid::new(picture.frame, 1, 2).unwrap().tiles().into_iter().enumerate() {
        picture.texts.insert("RenderTime", format!("00:0{number}.10"));
        let path = folder.path().join(format!("{number}.exr"));
        picture.cut(region).save(&path, Compression::ZIP16);
        parts.push(Part::whole(path, region));
    }
    let out = folder.path().join("out.exr");
    let summary = exr(&parts, picture.frame, &out, &ExrOptions::default()).unwrap();
    assert_eq!(summary.disagreements, vec!["RenderTime".to_owned()]);
    let kept = Picture::load(&out).0.own_attributes.other;
    assert_eq!(
        kept.get(&Text::from("cryptomatte/542cafa/manifest")),
        Some(&AttributeValue::Text(Text::from(manifest.as_str())))
    );
    assert!(!kept.contains_key(&Text::from("RenderTime")));
}

#[test]
fn other_channels_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (picture, parts) = two_tiles(folder.path());
    let mut other = picture.cut(parts[1].rendered);
    other.channels.pop();
    other.samples.pop();
    other.save(&parts[1].path, Compression::ZIP16);
    let said = message(&parts, picture.frame, folder.path());
    assert!(said.contains("tile-1.exr") && said.contains("it lacks 'Größe.CryptoObject00.r'"), "{said}");

    let mut other = picture.cut(parts[1].rendered);
    other.channels[2].1 = SampleType::U32;
    other.save(&parts[1].path, Compression::ZIP16);
    let said = message(&parts, picture.frame, folder.path());
    assert!(said.contains("is unsigned integer instead of float"), "{said}");
}

#[test]
fn another_size_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (picture, parts) = two_tiles(folder.path());
    picture.cut(parts[0].region).save(&parts[1].path, Compression::ZIP16);
    let said = message(&parts, picture.frame, folder.path());
    assert!(said.contains("tile-1.exr") && said.contains("20x20 pixels where 20x23 are expected"), "{said}");
}

#[test]
fn what_is_no_exr_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (picture, parts) = two_tiles(folder.path());
    for bytes in [&b""[..], b"\x89PNG\r\n\x1a\n and more", b"\x76\x2f\x31\x01\x02\0\0\0channels\0"] {
        std::fs::write(&parts[1].path, bytes).unwrap();
        let said = message(&parts, picture.frame, folder.path());
        assert!(said.contains("tile-1.exr"), "{said}");
    }
    std::fs::remove_file(&parts[1].path).unwrap();
    assert!(message(&parts, picture.frame, folder.path()).contains("tile-1.exr"));
}

#[test]
fn a_tile_that_ends_below_its_region_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let picture = Picture::new(Frame::new(20, 100).unwrap(), 3, 7);
    let grid = Grid::new(picture.frame, 1, 2).unwrap().tiles();
    let parts = tiles(&picture, &grid, 40, folder.path(), Compression::ZIP16);
    let bytes = std::fs::read(&parts[0].path).unwrap();
    std::fs::write(&parts[0].path, &bytes[..bytes.len() - 5]).unwrap();
    let said = message(&parts, picture.frame, folder.path());
    assert!(said.contains("tile-0.exr") && said.contains("cut off"), "{said}");
}

#[test]
fn holes_are_refused_or_filled() {
    let folder = tempfile::tempdir().unwrap();
    let (picture, parts) = two_tiles(folder.path());
    let said = message(&parts[..1], picture.frame, folder.path());
    assert!(said.contains("no tile covers 20x20+0+20"), "{said}");
    let out = folder.path().join("out.exr");
    let black = ExrOptions::default().holes(Holes::Transparent);
    let summary = exr(&parts[..1], picture.frame, &out, &black).unwrap();
    assert_eq!(summary.missing, vec![Rect::new(0, 20, 20, 20).unwrap()]);
    let (_, samples) = Picture::load(&out);
    for (samples, wanted) in samples.iter().zip(&picture.samples) {
        assert_eq!(samples[..1600], wanted[..1600]);
        assert!(samples[1600..].iter().all(|&b| b == 0));
    }
    exr(&parts[..1], picture.frame, &out, &ExrOptions::default().holes(Holes::Hatched)).unwrap();
    let (header, samples) = Picture::load(&out);
    let floats = |at: usize| -> Vec<f32> {
        samples[at][1600..].as_chunks().0.iter().map(|b| f32::from_ne_bytes(*b)).collect()
    };
    let of = |end: &str| header.channels.list.iter().position(|c| c.name.to_string().ends_with(end)).unwrap();
    let red = floats(of("Combined.R"));
    assert!(red.iter().all(|v| [0.05, 0.5].contains(v)) && red.contains(&0.05) && red.contains(&0.5));
    assert_eq!(floats(of("Combined.A")), [1.0; 400]);
    assert_eq!(floats(of("Object00.r")), [0.0; 400], "only colours are striped");
}

#[test]
fn sample_counts_become_numbers_of_samples() {
    let folder = tempfile::tempdir().unwrap();
    let frame = Frame::new(4, 4).unwrap();
    let share = |n: f32, most: f32| (n * (1.0 / most)).to_ne_bytes().repeat(8);
    let mut parts: Vec<Part> = Vec::new();
    for (number, (most, samples)) in [(48.0, 32.0), (300.0, 133.0)].into_iter().enumerate() {
        let region = Rect::new(0, number as u32 * 2, 4, 2).unwrap();
        let picture = Picture {
            frame: region.size(),
            channels: vec![("L.Debug Sample Count.X", SampleType::F32)],
            samples: vec![share(samples, most)],
            texts: [("Note", format!("tilectl samples: {most}   "))].into_iter().collect(),
        };
        let path: PathBuf = folder.path().join(format!("tile-{number}.exr"));
        picture.save(&path, Compression::ZIP16);
        parts.push(Part::whole(path, region));
    }
    let out = folder.path().join("out.exr");
    exr(&parts, frame, &out, &ExrOptions::default()).unwrap();
    let (header, samples) = Picture::load(&out);
    let numbers: Vec<f32> = samples[0].as_chunks().0.iter().map(|b| f32::from_ne_bytes(*b)).collect();
    assert_eq!(numbers, [[32.0; 8], [133.0; 8]].concat());
    assert_eq!(
        header.own_attributes.other.get(&Text::from("Note")),
        Some(&AttributeValue::Text(Text::from("tilectl samples: 300")))
    );
}
