//! What a tile's header says, checked, and the header of the frame made from those of the tiles.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use ::exr::block::reader::Reader;
use ::exr::meta::BlockDescription;
use ::exr::meta::attribute::{ChannelDescription, LineOrder};
use ::exr::meta::header::Header;
use ::exr::prelude::{IntegerBounds, SampleType, Vec2};

use super::Packing;
use super::tile::{damaged, decoding};
use crate::error::{Error, IoContext, Result};
use crate::geometry::Frame;

/// Most channels a file may have: 8 views of 16 layers with 32 channels each.
const CHANNELS: usize = 4096;
/// A header has to fit into this many bytes; a Cryptomatte manifest of a large scene has some megabytes.
const HEADER: u64 = 256 << 20;
/// Bytes read ahead in a tile.
const AHEAD: usize = 256 << 10;

/// Opens a tile and checks that its header promises an image of `size` this module can stitch.
pub(super) fn open(path: &Path, size: Frame) -> Result<Reader<BufReader<File>>> {
    let file = File::open(path).at("open", path)?;
    // The header is read through a limit first, because a header that never ends would be kept in memory.
    let mut limited = BufReader::with_capacity(16 << 10, file.take(HEADER));
    ::exr::meta::MetaData::read_from_buffered(&mut limited, false).map_err(|e| decoding(path, e))?;
    let mut file = limited.into_inner().into_inner();
    std::io::Seek::rewind(&mut file).at("read", path)?;
    let reader =
        ::exr::block::read(BufReader::with_capacity(AHEAD, file), false).map_err(|e| decoding(path, e))?;
    check(reader.headers(), path, size)?;
    Ok(reader)
}

fn check(headers: &[Header], path: &Path, size: Frame) -> Result<()> {
    let [header] = headers else {
        return Err(damaged(path, "it has several parts where one is expected"));
    };
    let Vec2(width, height) = header.layer_size;
    if (width, height) != (size.width() as usize, size.height() as usize) {
        return Err(damaged(path, format!("it is {width}x{height} pixels where {size} are expected")));
    }
    if header.deep || header.blocks != BlockDescription::ScanLines {
        return Err(damaged(path, "it is deep or stored in tiles, where scan lines are expected"));
    }
    if header.line_order == LineOrder::Decreasing {
        return Err(damaged(path, "its lines are stored from the bottom"));
    }
    let channels = &header.channels.list;
    if channels.is_empty() || channels.len() > CHANNELS {
        return Err(damaged(path, format!("it has {} channels", channels.len())));
    }
    if channels.iter().any(|c| c.sampling != Vec2(1, 1)) {
        return Err(damaged(path, "some of its channels are subsampled"));
    }
    Ok(())
}

/// An error that says how two tiles differ, unless they have the same channels.
pub(super) fn same_channels(first: (&Path, &Header), other: (&Path, &Header)) -> Result<()> {
    let (a, b) = (&first.1.channels.list, &other.1.channels.list);
    let differ = |what: String| {
        Err(Error::render(format!(
            "{} has other channels than {}: {what}",
            other.0.display(),
            first.0.display()
        ))
        .remedy("Render all tiles with the same settings: run the same command again with --fresh."))
    };
    let lacks = |list: &[ChannelDescription], c: &ChannelDescription| list.iter().all(|d| d.name != c.name);
    if let Some(c) = a.iter().find(|c| lacks(b, c)) {
        return differ(format!("it lacks {}", shown(c)));
    }
    if let Some(c) = b.iter().find(|c| lacks(a, c)) {
        return differ(format!("only it has {}", shown(c)));
    }
    for (c, d) in a.iter().zip(b) {
        if c.name != d.name {
            return differ(format!("{} is where {} is expected", shown(d), shown(c)));
        }
        if c.sample_type != d.sample_type {
            return differ(format!("{} is {} instead of {}", shown(c), type_name(d), type_name(c)));
        }
    }
    Ok(())
}

fn shown(channel: &ChannelDescription) -> String {
    let name: String = channel.name.to_string().chars().filter(|c| !c.is_control()).take(200).collect();
    format!("'{name}'")
}

fn type_name(channel: &ChannelDescription) -> &'static str {
    match channel.sample_type {
        SampleType::U32 => "unsigned integer",
        SampleType::F16 => "half",
        SampleType::F32 => "float",
    }
}

/// The header of the frame: the first tile's, its attributes reduced to those that all tiles agree on. Names of the
/// others are appended to `disagreements`.
pub(super) fn merged(
    headers: &[&Header],
    frame: Frame,
    packing: Packing,
    disagreements: &mut Vec<String>,
) -> Option<Header> {
    let (first, others) = headers.split_first()?;
    let mut header = Header::clone(first);
    for other in others {
        header.own_attributes.other.retain(|name, value| {
            let same = other.own_attributes.other.get(name) == Some(value);
            if !same {
                disagreements.push(name.to_string());
            }
            same
        });
        if header.own_attributes.capture_date != other.own_attributes.capture_date {
            header.own_attributes.capture_date = None;
        }
    }
    let size = Vec2(frame.width() as usize, frame.height() as usize);
    header.own_attributes.layer_position = Vec2(0, 0);
    header.shared_attributes.display_window = IntegerBounds::new(Vec2(0, 0), size);
    header.layer_size = size;
    header.compression = packing.compression();
    header.line_order = LineOrder::Increasing;
    header.chunk_count = ::exr::meta::compute_chunk_count(header.compression, size, header.blocks);
    Some(header)
}
