//! Compares what two renders wrote, after decoding: every channel of every file, and metadata that holds no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext, Result};
use crate::text::printable;

/// Metadata that holds a clock or a machine, lower case: no two renders have the same.
const VARYING: [&str; 5] = ["date", "capdate", "memory", "hostname", "owner"];
/// The pass that is the clock's (Blender 5.0 and newer).
pub(crate) const CLOCK_PASS: &str = "Render Time";
/// So many times as many pixels may differ as between two renders by Blender alone, where it does not repeat itself.
const MORE_PIXELS: usize = 2;
/// So many times as large may differences be as between those.
const LARGER: f64 = 4.0;
/// Differences that are listed by name.
const NAMED: usize = 4;

/// A file that a render wrote.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Written {
    /// What it is, the same in both renders: a view's suffix for the picture, a File Output node's path otherwise.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl Written {
    /// What the picture itself is called, or that of one view.
    pub fn picture(suffix: &str) -> String {
        if suffix.is_empty() {
            "the picture".into()
        } else {
            format!("the view {}", printable(suffix, 60).trim_start_matches(['_', '.']))
        }
    }
}

/// How two sets of files differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Channels that were compared.
    pub channels: usize,
    /// Pixels that were compared, of all files.
    pub pixels: usize,
    /// Whether no file of the reference shows anything: all colours of all pixels are zero.
    pub black: bool,
    /// What differs besides pixels: files, sizes, channels. Each is a clause.
    pub structure: Vec<String>,
    /// What differs in metadata, each a clause: the picture is right all the same.
    pub metadata: Vec<String>,
    /// Every channel whose values differ.
    pub values: Vec<ChannelDifference>,
    /// Places of the pixels that differ, by file.
    places: BTreeMap<String, BTreeSet<usize>>,
}

/// A channel whose values differ.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelDifference {
    /// File.
    pub file: String,
    /// Channel, as it is called there (`ViewLayer.Combined.R`, `R`).
    pub channel: String,
    /// Pixels that differ.
    pub pixels: usize,
    /// Of so many.
    pub of: usize,
    /// The largest difference; levels of an integer format, units of a floating-point one.
    pub largest: f64,
}

impl Comparison {
    /// Whether every pixel of every file is the same.
    pub fn is_equal(&self) -> bool {
        self.structure.is_empty() && self.values.is_empty()
    }

    /// Whether what differs is of the size of what differs between two renders by Blender alone (`between`): in
    /// number of pixels by file, and in amount by pass. Two renders tell no more than the size of what varies, so
    /// `MORE_PIXELS` and `LARGER` leave room for a third.
    pub fn is_within(&self, between: &Comparison) -> bool {
        let none = BTreeSet::new();
        let largest = between.largest_by_pass();
        self.structure.iter().all(|s| between.structure.contains(s))
            && self.places.iter().all(|(file, places)| {
                let varying = between.places.get(file).unwrap_or(&none);
                places.is_subset(varying) || places.len() <= MORE_PIXELS * varying.len()
            })
            && self.largest_by_pass().iter().all(|(pass, mine)| {
                // What is no number compares with nothing but its like.
                largest.get(pass).is_some_and(|theirs| *mine <= LARGER * theirs || theirs.is_nan())
            })
    }

    /// The largest difference by file and pass.
    fn largest_by_pass(&self) -> BTreeMap<(&str, &str), f64> {
        let mut found = BTreeMap::new();
        for value in &self.values {
            let pass = value.channel.rsplit_once('.').map_or("", |(pass, _)| pass);
            let largest = found.entry((value.file.as_str(), pass)).or_insert(0.0_f64);
            *largest = if value.largest.is_nan() { f64::NAN } else { largest.max(value.largest) };
        }
        found
    }

    /// Pixels that differ, of all files.
    pub fn differing(&self) -> usize {
        self.places.values().map(BTreeSet::len).sum()
    }

    /// What differs, as a clause for people.
    pub fn words(&self) -> String {
        let mut words: Vec<String> =
            self.structure.iter().chain(&self.metadata).take(NAMED).cloned().collect();
        let mut files: BTreeMap<&str, Vec<&ChannelDifference>> = BTreeMap::new();
        for value in &self.values {
            files.entry(&value.file).or_default().push(value);
        }
        for (file, values) in files.into_iter().take(NAMED) {
            let pixels = self.places.get(file).map_or(0, BTreeSet::len);
            let of = values.iter().map(|v| v.of).max().unwrap_or(0);
            let largest = values.iter().map(|v| v.largest).fold(0.0, f64::max);
            let mut names: Vec<&str> = values.iter().map(|v| v.channel.as_str()).take(NAMED).collect();
            let more = values.len().saturating_sub(names.len());
            let rest = format!("{more} more");
            if more > 0 {
                names.push(&rest);
            }
            words.push(format!(
                "{file} differs in {pixels} of {of} pixels by up to {} ({})",
                amount(largest),
                names.join(", ")
            ));
        }
        if words.is_empty() { "nothing differs".into() } else { words.join("; ") }
    }
}

fn amount(value: f64) -> String {
    if value.is_nan() {
        "values that are no numbers".into()
    } else if value.fract() == 0.0 && value < 1e9 {
        format!("{value}")
    } else {
        format!("{value:.3e}")
    }
}

/// Compares two sets of files by their names. `a` is what is to be proved, `b` the reference.
///
/// # Errors
/// When a file cannot be read or is no picture of its format.
pub fn compare(a: &[Written], b: &[Written]) -> Result<Comparison> {
    let mut found = Comparison { black: true, ..Comparison::default() };
    let names: BTreeSet<&str> = a.iter().chain(b).map(|w| w.name.as_str()).collect();
    for name in names {
        let in_set = |set: &'_ [Written]| set.iter().find(|w| w.name == name).map(|w| w.path.clone());
        let shown = printable(name, 120);
        match (in_set(a), in_set(b)) {
            (Some(a), Some(b)) => found.files(&shown, &decode(&a)?, &decode(&b)?),
            (Some(_), None) => found.structure.push(format!("only tilectl writes {shown}")),
            (None, _) => found.structure.push(format!("{shown} is not written")),
        }
    }
    Ok(found)
}

impl Comparison {
    fn files(&mut self, name: &str, a: &Decoded, b: &Decoded) {
        if a.size != b.size {
            self.structure.push(format!(
                "{name} has {}x{} instead of {}x{} pixels",
                a.size.0, a.size.1, b.size.0, b.size.1
            ));
            return;
        }
        self.pixels += b.size.0 * b.size.1;
        self.black &= b.is_black();
        self.channels += b.channels.len();
        for (channel, values) in &b.channels {
            if let Some(mine) = a.channels.get(channel) {
                self.channel(name, channel, mine, values);
            } else {
                self.structure.push(format!("{name} lacks the channel {}", printable(channel, 80)));
            }
        }
        for channel in a.channels.keys().filter(|c| !b.channels.contains_key(*c)) {
            self.structure.push(format!("{name} has the channel {} too many", printable(channel, 80)));
        }
        let keys: BTreeSet<&String> = a.texts.keys().chain(b.texts.keys()).collect();
        for key in keys.into_iter().filter(|k| !varies(k)) {
            if a.texts.get(key) != b.texts.get(key) {
                let said =
                    |t: &BTreeMap<String, String>| t.get(key).map_or("nothing".into(), |v| printable(v, 80));
                let (mine, right) = (said(&a.texts), said(&b.texts));
                self.metadata.push(format!(
                    "the metadata {} of {name} is {mine} instead of {right}",
                    printable(key, 60)
                ));
            }
        }
    }

    fn channel(&mut self, file: &str, channel: &str, a: &Samples, b: &Samples) {
        if a.kind() != b.kind() {
            self.structure.push(format!(
                "{file} has {} instead of {} in {}",
                a.kind(),
                b.kind(),
                printable(channel, 80)
            ));
        }
        let (mut count, mut largest) = (0, 0.0_f64);
        let mut places = BTreeSet::new();
        if a.len() != b.len() {
            self.structure.push(format!("{file} has another number of values in {}", printable(channel, 80)));
            return;
        }
        for at in 0..b.len() {
            if let Some(apart) = a.apart(b, at) {
                count += 1;
                largest = if largest.is_nan() || apart.is_nan() { f64::NAN } else { largest.max(apart) };
                places.insert(at);
            }
        }
        if count > 0 {
            self.places.entry(file.to_owned()).or_default().append(&mut places);
            self.values.push(ChannelDifference {
                file: file.to_owned(),
                channel: printable(channel, 80),
                pixels: count,
                of: b.len(),
                largest,
            });
        }
    }
}

/// Whether metadata of this name is another one in every render.
fn varies(key: &str) -> bool {
    let key = key.to_lowercase();
    VARYING.contains(&key.as_str()) || key.contains("rendertime") || key.ends_with("_time")
}

/// One channel, a value per pixel from the top left.
enum Samples {
    /// Levels, and how many bits of a level the file has.
    Integers(Vec<u32>, u8),
    /// 16- or 32-bit floats, widened, and which of them.
    Floats(Vec<f32>, u8),
}

impl Samples {
    fn len(&self) -> usize {
        match self {
            Self::Integers(v, _) => v.len(),
            Self::Floats(v, _) => v.len(),
        }
    }

    /// What the file stores.
    fn kind(&self) -> String {
        match self {
            Self::Integers(_, bits) => format!("integers of {bits} bits"),
            Self::Floats(_, bits) => format!("floats of {bits} bits"),
        }
    }

    fn is_zero(&self) -> bool {
        match self {
            Self::Integers(v, _) => v.iter().all(|v| *v == 0),
            Self::Floats(v, _) => v.iter().all(|v| *v == 0.0),
        }
    }

    /// By how much a value differs, if it does. What is no number equals what is no number.
    fn apart(&self, other: &Self, at: usize) -> Option<f64> {
        match (self, other) {
            (Self::Integers(a, _), Self::Integers(b, _)) => {
                let (a, b) = (*a.get(at)?, *b.get(at)?);
                (a != b).then(|| f64::from(a.abs_diff(b)))
            }
            (Self::Floats(a, _), Self::Floats(b, _)) => {
                let (a, b) = (*a.get(at)?, *b.get(at)?);
                let same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
                (!same).then(|| f64::from((a - b).abs()))
            }
            _ => Some(f64::NAN),
        }
    }
}

/// A picture's values.
#[derive(Default)]
struct Decoded {
    size: (usize, usize),
    channels: BTreeMap<String, Samples>,
    texts: BTreeMap<String, String>,
}

impl Decoded {
    /// Whether it shows nothing; a picture without an alpha channel of its own kind is black, too.
    fn is_black(&self) -> bool {
        self.channels.iter().all(|(name, v)| matches!(name.rsplit('.').next(), Some("A")) || v.is_zero())
    }
}

fn decode(path: &Path) -> Result<Decoded> {
    let bytes = std::fs::read(path).at("read", path)?;
    if bytes.starts_with(&[0x76, 0x2f, 0x31, 0x01]) {
        exr(&bytes, path)
    } else if bytes.starts_with(b"\x89PNG") {
        png(&bytes, path)
    } else {
        Ok(other(&bytes, path))
    }
}

fn broken(path: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::render(format!("cannot decode {}: {e}", path.display()))
        .remedy("Check the disk; render it again if this repeats.")
}

/// All layers and channels of an EXR file.
pub(super) fn read_exr(bytes: &[u8], path: &Path) -> Result<exr::prelude::FlatImage> {
    use exr::prelude::*;
    read()
        .no_deep_data()
        .largest_resolution_level()
        .all_channels()
        .all_layers()
        .all_attributes()
        .from_buffered(std::io::Cursor::new(bytes))
        .map_err(|e| broken(path, &e))
}

fn exr(bytes: &[u8], path: &Path) -> Result<Decoded> {
    use exr::prelude::*;
    let image = read_exr(bytes, path)?;
    let mut found = Decoded::default();
    let text = |value: &AttributeValue| match value {
        AttributeValue::Text(text) => Some(text.to_string()),
        _ => None,
    };
    for layer in image.layer_data {
        found.size = (layer.size.width(), layer.size.height());
        let prefix = layer.attributes.layer_name.as_ref().map(ToString::to_string).unwrap_or_default();
        for (key, value) in &layer.attributes.other {
            if let Some(text) = text(value) {
                found.texts.insert(key.to_string(), text);
            }
        }
        for channel in layer.channel_data.list {
            let name = format!("{prefix}{}{}", if prefix.is_empty() { "" } else { "/" }, channel.name);
            if name.contains(CLOCK_PASS) {
                continue;
            }
            let samples = match channel.sample_data {
                FlatSamples::F16(v) => Samples::Floats(v.into_iter().map(f16::to_f32).collect(), 16),
                FlatSamples::F32(v) => Samples::Floats(v, 32),
                FlatSamples::U32(v) => Samples::Integers(v, 32),
            };
            found.channels.insert(name, samples);
        }
    }
    for (key, value) in &image.attributes.other {
        if let Some(text) = text(value) {
            found.texts.insert(key.to_string(), text);
        }
    }
    Ok(found)
}

fn png(bytes: &[u8], path: &Path) -> Result<Decoded> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(|e| broken(path, &e))?;
    let size = reader.output_buffer_size().ok_or_else(|| broken(path, &"it is too large"))?;
    let mut data = vec![0; size];
    let info = reader.next_frame(&mut data).map_err(|e| broken(path, &e))?;
    let _ = reader.finish();
    let names: &[&str] = match info.color_type {
        png::ColorType::Grayscale => &["Y"],
        png::ColorType::GrayscaleAlpha => &["Y", "A"],
        png::ColorType::Rgb => &["R", "G", "B"],
        png::ColorType::Rgba => &["R", "G", "B", "A"],
        png::ColorType::Indexed => return Err(broken(path, &"it has a palette, which Blender never writes")),
    };
    let (pixels, bits): (Vec<u32>, u8) = match info.bit_depth {
        png::BitDepth::Sixteen => {
            (data.chunks_exact(2).map(|p| u32::from(u16::from_be_bytes([p[0], p[1]]))).collect(), 16)
        }
        png::BitDepth::Eight => (data.iter().map(|b| u32::from(*b)).collect(), 8),
        _ => return Err(broken(path, &"it has a depth that Blender never writes")),
    };
    let meta = reader.info();
    let mut texts: BTreeMap<String, String> =
        meta.uncompressed_latin1_text.iter().map(|t| (t.keyword.clone(), t.text.clone())).collect();
    texts.extend(
        meta.compressed_latin1_text.iter().filter_map(|t| Some((t.keyword.clone(), t.get_text().ok()?))),
    );
    texts.extend(meta.utf8_text.iter().filter_map(|t| Some((t.keyword.clone(), t.get_text().ok()?))));
    // How a viewer is to show it.
    let colours = [
        ("cICP", meta.coding_independent_code_points.as_ref().map(|c| format!("{c:?}"))),
        ("iCCP", meta.icc_profile.as_ref().map(|c| format!("{} bytes, {:08x}", c.len(), crc32fast::hash(c)))),
        ("gAMA", meta.gama_chunk.as_ref().map(|c| format!("{c:?}"))),
        ("cHRM", meta.chrm_chunk.as_ref().map(|c| format!("{c:?}"))),
        ("sRGB", meta.srgb.as_ref().map(|c| format!("{c:?}"))),
        ("pHYs", meta.pixel_dims.as_ref().map(|c| format!("{c:?}"))),
    ];
    texts.extend(colours.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let values = |v| Samples::Integers(v, bits);
    Ok(Decoded {
        size: (info.width as usize, info.height as usize),
        channels: apart(names, &pixels, &values),
        texts,
    })
}

/// Interleaved values by channel.
fn apart<T: Copy>(names: &[&str], values: &[T], of: &dyn Fn(Vec<T>) -> Samples) -> BTreeMap<String, Samples> {
    names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            ((*name).to_owned(), of(values.iter().skip(at).step_by(names.len()).copied().collect()))
        })
        .collect()
}

fn other(bytes: &[u8], path: &Path) -> Decoded {
    let format = image::guess_format(bytes).ok().or_else(|| {
        // Targa files have no mark of their own.
        let targa = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("tga"));
        (targa || bytes.get(1..3) == Some(&[0, 2])).then_some(image::ImageFormat::Tga)
    });
    let decoded = format.and_then(|format| image::load_from_memory_with_format(bytes, format).ok());
    let Some(decoded) = decoded else { return raw(bytes) };
    let size = (decoded.width() as usize, decoded.height() as usize);
    let names = ["R", "G", "B", "A"];
    let channels = match &decoded {
        image::DynamicImage::ImageRgb32F(_) | image::DynamicImage::ImageRgba32F(_) => {
            apart(&names, decoded.to_rgba32f().as_raw(), &|v| Samples::Floats(v, 32))
        }
        _ => {
            let bits = decoded.color().bits_per_pixel() / u16::from(decoded.color().channel_count());
            let values: Vec<u32> = decoded.to_rgba16().as_raw().iter().map(|v| u32::from(*v)).collect();
            apart(&names, &values, &|v| Samples::Integers(v, bits as u8))
        }
    };
    Decoded { size, channels, texts: BTreeMap::new() }
}

/// A format that is not decoded here: its bytes, without the header where that holds a clock.
fn raw(bytes: &[u8]) -> Decoded {
    let at = |big: bool| {
        let four: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) } as usize)
    };
    // DPX and Cineon say where their pixels begin; what stands before that has the time.
    let start = match bytes.get(..4) {
        Some(b"SDPX" | b"\x80\x2a\x5f\xd7") => at(true),
        Some(b"XPDS" | b"\xd7\x5f\x2a\x80") => at(false),
        _ => Some(0),
    };
    let body = start.and_then(|start| bytes.get(start..)).unwrap_or(bytes);
    let values = body.iter().map(|b| u32::from(*b)).collect();
    Decoded {
        size: (body.len(), 1),
        channels: BTreeMap::from([("bytes".to_owned(), Samples::Integers(values, 8))]),
        texts: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_png(path: &Path, pixels: &[u8], texts: &[(&str, &str)]) -> Written {
        let file = std::fs::File::create(path).unwrap();
        let mut encoder = png::Encoder::new(file, pixels.len() as u32 / 3, 1);
        encoder.set_color(png::ColorType::Rgb);
        for (key, text) in texts {
            encoder.add_text_chunk((*key).into(), (*text).into()).unwrap();
        }
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
        Written { name: Written::picture(""), path: path.to_owned() }
    }

    #[test]
    fn equal_files_are_equal_whatever_their_clocks_say() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let a = write_png(&at("a.png"), &[1, 2, 3, 4, 5, 6], &[("Date", "now"), ("RenderTime", "1 s")]);
        let b = write_png(&at("b.png"), &[1, 2, 3, 4, 5, 6], &[("Date", "then"), ("RenderTime", "2 s")]);
        let found = compare(&[a], &[b]).unwrap();
        assert!(found.is_equal(), "{found:?}");
        assert_eq!((found.channels, found.pixels), (3, 2));
    }

    #[test]
    fn what_differs_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let a = write_png(&at("a.png"), &[1, 2, 3, 4, 5, 9], &[("Scene", "A")]);
        let b = write_png(&at("b.png"), &[1, 2, 3, 4, 5, 6], &[("Scene", "B")]);
        let found = compare(std::slice::from_ref(&a), std::slice::from_ref(&b)).unwrap();
        let words = found.words();
        assert!(words.contains("the metadata Scene of the picture is A instead of B"), "{words}");
        assert!(words.contains("the picture differs in 1 of 2 pixels by up to 3 (B)"), "{words}");
        let left = Written { name: Written::picture("_L"), ..b.clone() };
        let words = compare(&[a], &[b, left]).unwrap().words();
        assert!(words.contains("the view L is not written"), "{words}");
    }

    #[test]
    fn black_of_another_depth_is_not_equal_and_black_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, depth: png::BitDepth, data: &[u8]| {
            let path = dir.path().join(name);
            let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 1, 1);
            encoder.set_color(png::ColorType::Rgb);
            encoder.set_depth(depth);
            encoder.write_header().unwrap().write_image_data(data).unwrap();
            [Written { name: Written::picture(""), path }]
        };
        let eight = write("8.png", png::BitDepth::Eight, &[0; 3]);
        let sixteen = write("16.png", png::BitDepth::Sixteen, &[0; 6]);
        let found = compare(&eight, &sixteen).unwrap();
        assert!(!found.is_equal() && found.black);
        assert!(
            found.words().contains("integers of 8 bits instead of integers of 16 bits"),
            "{}",
            found.words()
        );
        let grey = write("g.png", png::BitDepth::Eight, &[0, 1, 0]);
        assert!(!compare(&eight, &grey).unwrap().black);
    }

    #[test]
    fn what_blender_does_not_repeat_excuses_as_much_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let reference = write_png(&at("r.png"), &[0; 9], &[]);
        let again = write_png(&at("s.png"), &[1, 0, 0, 0, 0, 0, 0, 0, 0], &[]);
        let elsewhere = write_png(&at("e.png"), &[0, 0, 0, 0, 4, 0, 0, 0, 0], &[]);
        let more = write_png(&at("m.png"), &[1, 0, 0, 1, 0, 0, 1, 0, 0], &[]);
        let of =
            |a: &Written, b: &Written| compare(std::slice::from_ref(a), std::slice::from_ref(b)).unwrap();
        let between = of(&again, &reference);
        assert!(of(&elsewhere, &reference).is_within(&between));
        assert!(!of(&more, &reference).is_within(&between));
        assert!(!of(&elsewhere, &reference).is_within(&Comparison::default()));
        let far = write_png(&at("f.png"), &[0, 0, 0, 8, 0, 0, 0, 0, 0], &[]);
        assert!(!of(&far, &reference).is_within(&between), "by more than Blender varies");
    }

    #[test]
    fn a_file_that_is_damaged_is_an_error_and_an_unknown_format_is_compared_by_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            Written { name: "x".into(), path }
        };
        for wrong in [&b"\x89PNG\r\n\x1a\nxx"[..], &[0x76, 0x2f, 0x31, 0x01, 2, 0]] {
            assert!(compare(&[at("a", wrong)], &[at("b", wrong)]).is_err());
        }
        let dpx = |clock: u8| [&b"SDPX"[..], &[0, 0, 0, 10, clock, clock], &[5, 6, 7]].concat();
        assert!(compare(&[at("a", &dpx(1))], &[at("b", &dpx(2))]).unwrap().is_equal());
        assert!(!compare(&[at("a", b"jp2 one")], &[at("b", b"jp2 two")]).unwrap().is_equal());
    }
}
