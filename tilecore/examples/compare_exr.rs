//! Compares two EXR files channel by channel, bit by bit: prints `0`, or the largest difference of each channel that
//! differs. Layers of multi-part files and prefixes of channel names are the same thing here.

use std::collections::BTreeMap;
use std::io::Write;

use exr::prelude::*;

/// Size and bits of every channel, by layer and name.
type Channels = BTreeMap<String, (Vec2<usize>, Vec<u32>)>;

fn channels(path: &str) -> Result<Channels> {
    let image = read()
        .no_deep_data()
        .largest_resolution_level()
        .all_channels()
        .all_layers()
        .all_attributes()
        .from_file(path)?;
    let mut found = BTreeMap::new();
    for layer in image.layer_data {
        let prefix = layer.attributes.layer_name.map(|n| n.to_string()).unwrap_or_default();
        for channel in layer.channel_data.list {
            let samples = match channel.sample_data {
                FlatSamples::F16(v) => v.into_iter().map(|x| u32::from(x.to_bits())).collect(),
                FlatSamples::F32(v) => v.into_iter().map(f32::to_bits).collect(),
                FlatSamples::U32(v) => v,
            };
            found.insert(format!("{prefix}/{}", channel.name), (layer.size, samples));
        }
    }
    Ok(found)
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut files = std::env::args().skip(1);
    let (a, b) = (files.next().unwrap_or_default(), files.next().unwrap_or_default());
    let (a, b) = (channels(&a)?, channels(&b)?);
    let mut out = std::io::stdout();
    let mut same = true;
    for (name, (size, x)) in &a {
        let Some((other, y)) = b.get(name) else {
            write!(out, "only the first has {name}; ")?;
            same = false;
            continue;
        };
        if size != other {
            write!(out, "{name}: {size:?} and {other:?}; ")?;
            same = false;
            continue;
        }
        let differing = x.iter().zip(y).filter(|(p, q)| p != q).count();
        if differing > 0 {
            let largest = x
                .iter()
                .zip(y)
                .map(|(p, q)| (f32::from_bits(*p) - f32::from_bits(*q)).abs())
                .fold(0.0, f32::max);
            write!(out, "{name}: {differing} of {} by up to {largest}; ", x.len())?;
            same = false;
        }
    }
    for name in b.keys().filter(|n| !a.contains_key(*n)) {
        write!(out, "only the second has {name}; ")?;
        same = false;
    }
    if same {
        write!(out, "0")?;
    }
    writeln!(out)?;
    Ok(())
}
