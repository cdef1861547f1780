//! Tiles that are not what they should be: each is refused with its name and leaves nothing behind, whatever is wrong
//! with it.

use std::io::Write;

use proptest::prelude::*;

use super::super::chunk;
use super::*;
use crate::error::Kind;

/// A frame of two tiles side by side, of which the right one is replaced by `bytes`.
fn stitch_with(bytes: &[u8], overlap: u32) -> (tempfile::TempDir, Picture, Result<Summary>) {
    let folder = folder();
    let picture = rgb8(90, 70);
    let parts = save_parts(&picture, &[rect(0, 0, 40, 70), rect(40, 0, 50, 70)], overlap, folder.path());
    std::fs::write(&parts[1].path, bytes).unwrap();
    let out = folder.path().join("out.png");
    let result = png(&parts, picture.frame, &out, &PngOptions::default());
    assert_eq!(files(folder.path()).len(), if result.is_ok() { 3 } else { 2 }, "a temporary file is left");
    (folder, picture, result)
}

fn refused(bytes: &[u8]) -> String {
    let (_folder, _, result) = stitch_with(bytes, 0);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), Kind::Render);
    let message = error.to_string();
    assert!(message.contains("1.png"), "{message}");
    message.split_once("cannot be used: ").map_or(message.clone(), |(_, what)| what.to_owned())
}

fn good() -> Vec<u8> {
    rgb8(90, 70).cut(rect(40, 0, 50, 70)).bytes(|_| ())
}

/// The chunks of a PNG file.
fn chunks(file: &[u8]) -> Vec<(chunk::Name, Vec<u8>)> {
    let mut rest = &file[8..];
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (length, name) = chunk::read_head(&mut rest).unwrap();
        all.push((name, chunk::read_data(&mut rest, length, name).unwrap().unwrap()));
    }
    all
}

/// A file of chunks whose checksums are right.
fn file(chunks: &[(chunk::Name, Vec<u8>)]) -> Vec<u8> {
    let mut file = chunk::SIGNATURE.to_vec();
    file.extend(chunks.iter().flat_map(|(name, data)| chunk::whole(*name, data)));
    file
}

/// [`good`] with its chunks changed.
fn changed(change: impl FnOnce(&mut Vec<(chunk::Name, Vec<u8>)>)) -> Vec<u8> {
    let mut all = chunks(&good());
    change(&mut all);
    file(&all)
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// [`good`] with this data in its one chunk of pixels.
fn with_pixels(data: Vec<u8>) -> Vec<u8> {
    changed(|all| {
        all.retain(|(name, _)| name != b"IDAT");
        all.insert(1, (*b"IDAT", data));
    })
}

#[test]
fn the_undamaged_tile_is_taken() {
    let (folder, picture, result) = stitch_with(&good(), 0);
    result.unwrap();
    assert!(Picture::load(&folder.path().join("out.png")).pixels == picture.pixels);
}

#[test]
fn files_that_are_no_png_are_refused() {
    assert_eq!(refused(b""), "the file ends too early");
    assert_eq!(refused(b"GIF89a and more of it"), "it is not a PNG file");
    assert_eq!(refused(&chunk::SIGNATURE), "the file ends too early");
    assert_eq!(refused(&changed(|all| all.swap(0, 1))), "it does not begin with an image header");
}

#[test]
fn another_size_is_refused_before_anything_is_allocated() {
    let bomb = changed(|all| {
        all[0].1[..8].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
    });
    assert_eq!(refused(&bomb), "it is 2147483647x2147483647 pixels where 50x70 are expected");
    let other = rgb8(50, 69).bytes(|_| ());
    assert_eq!(refused(&other), "it is 50x69 pixels where 50x70 are expected");
}

#[test]
fn headers_that_png_does_not_know_are_refused() {
    for (colour_type, depth) in [(1, 8), (2, 4), (7, 8), (0, 3), (3, 16), (6, 1)] {
        let bytes = changed(|all| (all[0].1[8], all[0].1[9]) = (depth, colour_type));
        assert!(refused(&bytes).contains("is not PNG's"), "{colour_type} {depth}");
    }
    for place in [10, 11, 12] {
        assert_eq!(refused(&changed(|all| all[0].1[place] = 2)), "its image header is not valid");
    }
    let palette = changed(|all| all[0].1[9] = 3);
    assert!(refused(&palette).contains("its palette is not PNG's"));
}

#[test]
fn animations_are_refused() {
    let bytes = changed(|all| all.insert(1, (*b"acTL", vec![0, 0, 0, 2, 0, 0, 0, 0])));
    assert_eq!(refused(&bytes), "it is animated");
}

#[test]
fn metadata_without_end_is_refused_before_it_is_read() {
    let mut bytes = chunk::SIGNATURE.to_vec();
    bytes.extend(chunk::whole(*b"IHDR", &chunks(&good())[0].1));
    bytes.extend(u32::MAX.to_be_bytes());
    bytes.extend(b"iCCP");
    assert_eq!(refused(&bytes), "it carries more than 16 MiB of metadata");
}

#[test]
fn pixels_that_do_not_inflate_to_the_size_are_refused() {
    let row = [0; 50 * 3 + 1];
    let rows = |n: usize| row.repeat(n);
    assert_eq!(refused(&with_pixels(zlib(&rows(69)))), "it has fewer rows than its header says");
    assert_eq!(refused(&with_pixels(zlib(&rows(71)))), "it has more rows than its header says");
    let bomb = with_pixels(zlib(&vec![0; 200 << 20]));
    assert_eq!(refused(&bomb), "it has more rows than its header says");
    let mut no_such_filter = rows(70);
    no_such_filter[151 * 20] = 5;
    assert_eq!(refused(&with_pixels(zlib(&no_such_filter))), "a row of it is not valid");
    assert_eq!(refused(&with_pixels(vec![])), "its pixels are cut off");
}

#[test]
fn wrong_checksums_are_refused() {
    let mut stream = zlib(&vec![0; 70 * 151]);
    *stream.last_mut().unwrap() ^= 1;
    assert_eq!(refused(&with_pixels(stream)), "its compressed pixels are damaged");
    let mut bytes = good();
    let crc = bytes.len() - 12 - 1;
    bytes[crc] ^= 0x80;
    assert_eq!(refused(&bytes), "the checksum of its pixels is wrong");
    let mut bytes = good();
    bytes[8 + 8 + 13] ^= 1;
    assert_eq!(refused(&bytes), "the checksum of its header is wrong");
    let mut bytes = changed(|all| all.insert(1, (*b"tEXt", b"Title\0a".to_vec())));
    bytes[8 + 25 + 8] ^= 1;
    assert_eq!(refused(&bytes), "the checksum of tEXt is wrong");
}

#[test]
fn a_lost_tile_is_named() {
    let folder = folder();
    let part = Part::whole(folder.path().join("gone.png"), rect(0, 0, 8, 8));
    let out = folder.path().join("out.png");
    let error = png(&[part], Frame::new(8, 8).unwrap(), &out, &PngOptions::default()).unwrap_err();
    assert!(error.to_string().contains("gone.png"), "{error}");
}

#[test]
fn wrong_places_and_no_tiles_are_wrong_input() {
    let folder = folder();
    let out = folder.path().join("out.png");
    let frame = Frame::new(20, 20).unwrap();
    let a = folder.path().join("a.png");
    rgb8(20, 20).save(&a);
    let kind =
        |parts: &[Part], out: &Path| png(parts, frame, out, &PngOptions::default()).unwrap_err().kind();
    assert_eq!(kind(&[], &out), Kind::Input);
    assert_eq!(kind(&[Part::whole(&a, rect(1, 0, 20, 20))], &out), Kind::Input);
    let part = Part { path: a.clone(), region: rect(0, 0, 20, 20), rendered: rect(1, 0, 19, 20) };
    assert_eq!(kind(&[part], &out), Kind::Input);
    let whole = [Part::whole(&a, rect(0, 0, 20, 20))];
    assert_eq!(kind(&whole, &a), Kind::Input);
    std::fs::create_dir(folder.path().join("b")).unwrap();
    assert_eq!(kind(&whole, &folder.path().join("b/../a.png")), Kind::Input);
}

/// Sets the largest file a process may write and runs this very test again; the disk that ends is one of the errors
/// a file system gives.
#[cfg(target_os = "linux")]
#[test]
fn when_the_disk_is_full_the_temporary_file_goes_and_the_tiles_stay() {
    const FOLDER: &str = "STITCH_TEST_FOLDER";
    let picture = rgb8(300, 300);
    let whole = picture.frame.rect();
    if let Some(folder) = std::env::var_os(FOLDER) {
        let folder = PathBuf::from(folder);
        let parts = [Part::whole(folder.join("0.png"), whole)];
        let error = png(&parts, picture.frame, &folder.join("out.png"), &PngOptions::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::Render);
        assert!(error.to_string().contains("cannot write"), "{error}");
        std::io::stdout().write_all(b"the disk was full").unwrap();
        return;
    }
    let folder = folder();
    save_parts(&picture, &[whole], 0, folder.path());
    let output = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact --nocapture \"$1\""])
        .arg(std::env::current_exe().unwrap())
        .arg("stitch::tests::damage::when_the_disk_is_full_the_temporary_file_goes_and_the_tiles_stay")
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("the disk was full"), "{said}");
    assert_eq!(files(folder.path()), [folder.path().join("0.png")]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Wherever a tile is cut off, even in an overlap that is not used, it is refused.
    #[test]
    fn a_cut_tile_is_refused(cut in any::<prop::sample::Index>(), overlap in 0u32..9) {
        let picture = rgb8(90, 70);
        let right = rect(40, 0, 50, 70).grown(crate::geometry::Overlap(overlap), picture.frame);
        let bytes = picture.cut(right).bytes(|_| ());
        let (_folder, _, result) = stitch_with(&bytes[..cut.index(bytes.len())], overlap);
        prop_assert!(result.is_err());
    }

    /// A flipped bit is noticed unless it is where nothing is read.
    #[test]
    fn a_flipped_bit_never_reaches_the_picture(place in any::<prop::sample::Index>(), bit in 0u32..8) {
        let mut bytes = changed(|all| {
            all.insert(1, (*b"tIME", vec![7, 233, 1, 2, 3, 4, 5]));
            all.insert(1, (*b"tEXt", b"Comment\0carried over only where tiles agree".to_vec()));
        });
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let (folder, picture, result) = stitch_with(&bytes, 0);
        if result.is_ok() {
            prop_assert!(Picture::load(&folder.path().join("out.png")).pixels == picture.pixels);
        }
    }

    /// Chunks with right checksums and any content: an error or a picture, never a panic.
    #[test]
    fn any_chunks_are_taken_or_refused(
        header in prop::collection::vec(any::<u8>(), 5..=5),
        chunks in prop::collection::vec(
            (
                prop::sample::select(vec![*b"IDAT", *b"PLTE", *b"tRNS", *b"iCCP", *b"tEXt", *b"gAMA", *b"IHDR", *b"IEND", *b"zzZz"]),
                prop::collection::vec(any::<u8>(), 0..800),
                any::<bool>(),
            ),
            0..6,
        ),
    ) {
        let [depth, colour, compression, filter, interlace] = header[..] else { unreachable!() };
        let mut ihdr = vec![0, 0, 0, 50, 0, 0, 0, 70];
        // Mostly valid, so that what comes behind is reached.
        ihdr.push([1, 2, 4, 8, 16, 8, 16, depth][usize::from(depth % 8)]);
        ihdr.push([0, 2, 3, 4, 6, 2, 3, colour][usize::from(colour % 8)]);
        ihdr.extend([compression / 250, filter / 250, interlace % 2]);
        let mut all = vec![(*b"IHDR", ihdr)];
        all.extend(chunks.into_iter().map(|(name, data, packed)| (name, if packed { zlib(&data) } else { data })));
        all.push((*b"IEND", vec![]));
        let _ = stitch_with(&file(&all), 0);
    }

    /// Bytes that inflate to any rows.
    #[test]
    fn any_rows_are_taken_or_refused(
        rows in prop::collection::vec(prop_oneof![4 => 0u8..5, 1 => any::<u8>()], 0..12_000),
        (depth, colour) in prop::sample::select(vec![(8u8, 2u8), (8, 0), (1, 0), (4, 3), (8, 3), (16, 6), (8, 4)]),
        interlaced: bool,
        pieces in 1usize..5,
    ) {
        let stream = zlib(&rows);
        let mut all = chunks(&good());
        (all[0].1[8], all[0].1[9], all[0].1[12]) = (depth, colour, u8::from(interlaced));
        all.retain(|(name, _)| name != b"IDAT");
        let mut at = 1;
        if colour == 3 {
            all.insert(1, (*b"PLTE", vec![9; 3 * 4]));
            at = 2;
        }
        for piece in stream.chunks(stream.len().div_ceil(pieces)).rev() {
            all.insert(at, (*b"IDAT", piece.to_vec()));
        }
        let _ = stitch_with(&file(&all), 0);
    }
}
