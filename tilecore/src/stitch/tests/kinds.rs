//! Tiles of different kinds become one picture without loss, and what they say about it is carried over.

use std::io::Write;

use proptest::prelude::*;

use super::*;

/// What the png crate makes of a file: eight or sixteen bits, palettes and transparent colours expanded.
fn expanded(path: &Path) -> Picture {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let mut decoder = png::Decoder::new(file);
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let frame = Frame::new(info.width, info.height).unwrap();
    Picture { frame, color: info.color_type, depth: info.bit_depth, pixels }
}

/// The pixel as sixteen-bit RGBA.
fn rgba16(picture: &Picture, x: u32, y: u32) -> [u16; 4] {
    let pixel = picture.pixel();
    let start = (y as usize * picture.frame.width() as usize + x as usize) * pixel;
    let samples: Vec<u16> = match picture.depth {
        png::BitDepth::Sixteen => {
            picture.pixels[start..start + pixel].chunks(2).map(|s| u16::from_be_bytes([s[0], s[1]])).collect()
        }
        _ => picture.pixels[start..start + pixel].iter().map(|&s| u16::from(s) * 257).collect(),
    };
    match samples[..] {
        [grey] => [grey, grey, grey, u16::MAX],
        [grey, alpha] => [grey, grey, grey, alpha],
        [red, green, blue] => [red, green, blue, u16::MAX],
        [red, green, blue, alpha] => [red, green, blue, alpha],
        _ => unreachable!(),
    }
}

/// A file of any kind PNG has, 31x23 pixels.
fn any_kind() -> impl Strategy<Value = Vec<u8>> {
    use png::{BitDepth::*, ColorType::*};
    let kinds = [
        (Grayscale, One),
        (Grayscale, Two),
        (Grayscale, Four),
        (Grayscale, Eight),
        (Grayscale, Sixteen),
        (GrayscaleAlpha, Eight),
        (GrayscaleAlpha, Sixteen),
        (Rgb, Eight),
        (Rgb, Sixteen),
        (Rgba, Eight),
        (Rgba, Sixteen),
        (Indexed, One),
        (Indexed, Two),
        (Indexed, Four),
        (Indexed, Eight),
    ];
    (prop::sample::select(kinds.to_vec()), any::<bool>(), prop::collection::vec(any::<u8>(), 31 * 23 * 8))
        .prop_map(|((color, depth), transparent, noise)| {
            let mut file = Vec::new();
            let mut encoder = png::Encoder::new(&mut file, 31, 23);
            encoder.set_color(color);
            encoder.set_depth(depth);
            if color == Indexed {
                encoder.set_palette(noise[..3 << depth as u8].to_vec());
            }
            if transparent {
                match color {
                    // Fewer entries than the palette has: the others are opaque.
                    Indexed => encoder.set_trns(noise[..depth as usize].to_vec()),
                    Grayscale => encoder.set_trns(match depth {
                        Sixteen => noise[..2].to_vec(),
                        Eight => vec![0, noise[0]],
                        _ => vec![0, 1],
                    }),
                    Rgb if depth == Eight => encoder.set_trns(vec![0, noise[0], 0, noise[1], 0, noise[2]]),
                    Rgb => encoder.set_trns(noise[..6].to_vec()),
                    _ => {}
                }
            }
            let row = (31 * color.samples() * depth as usize).div_ceil(8);
            encoder.write_header().unwrap().write_image_data(&noise[..row * 23]).unwrap();
            file
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn mixed_tiles_become_the_smallest_kind_that_holds_all(
        a in any_kind(),
        b in any_kind(),
        crop in 0u32..6,
        segment_bytes in 1usize..4000,
    ) {
        let folder = folder();
        let (left, right) = (folder.path().join("a.png"), folder.path().join("b.png"));
        std::fs::write(&left, &a).unwrap();
        std::fs::write(&right, &b).unwrap();
        // The right tile overlaps the left one, which is used up to `crop` pixels before its edge.
        let parts = [
            Part { path: left.clone(), region: rect(0, 0, 31 - crop, 23), rendered: rect(0, 0, 31, 23) },
            Part { path: right.clone(), region: rect(31 - crop, 0, 31 - crop, 23), rendered: rect(31 - 2 * crop, 0, 31, 23) },
        ];
        let frame = Frame::new(62 - 2 * crop, 23).unwrap();
        let out = folder.path().join("out.png");
        let options = PngOptions { segment_bytes, ..PngOptions::default() };
        let summary = png(&parts, frame, &out, &options).unwrap();
        let (a, b, got) = (expanded(&left), expanded(&right), Picture::load(&out));
        for y in 0..23 {
            for x in 0..frame.width() {
                let from = if x < 31 - crop { rgba16(&a, x, y) } else { rgba16(&b, x - (31 - 2 * crop), y) };
                prop_assert_eq!(rgba16(&got, x, y), from, "{} {}", x, y);
            }
        }
        let sixteen = [&a, &b].iter().any(|p| p.depth == png::BitDepth::Sixteen);
        let channels = |c: png::ColorType| (c.samples() > 2, c.samples().is_multiple_of(2));
        let ((ca, aa), (cb, ab)) = (channels(a.color), channels(b.color));
        prop_assert_eq!(channels(got.color), (ca || cb, aa || ab));
        prop_assert_eq!(got.depth == png::BitDepth::Sixteen, sixteen);
        let same = |p: &Picture| (p.color, p.depth) == (got.color, got.depth);
        prop_assert_eq!(summary.converted, usize::from(!same(&a)) + usize::from(!same(&b)));
    }
}

#[test]
fn interlaced_tiles_are_taken() {
    // The png crate writes none: seven passes of a 5x3 grey image by hand (PNG, section 8.2), pixel = 16 * y + x.
    let passes: [&[&[u8]]; 7] = [
        &[&[0x00]],
        &[],
        &[],
        &[&[0x02]],
        &[&[0x20, 0x22, 0x24]],
        &[&[0x01, 0x03], &[0x21, 0x23]],
        &[&[0x10, 0x11, 0x12, 0x13, 0x14]],
    ];
    // Pass 2 begins in column 4, which there is: one row of one pixel.
    let mut rows = Vec::new();
    for (pass, lines) in passes.iter().enumerate() {
        let lines: Vec<Vec<u8>> =
            if pass == 1 { vec![vec![0x04]] } else { lines.iter().map(|l| l.to_vec()).collect() };
        for line in lines {
            rows.push(0);
            rows.extend(line);
        }
    }
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&rows).unwrap();
    let mut file = chunk::SIGNATURE.to_vec();
    file.extend(chunk::whole(*b"IHDR", &[0, 0, 0, 5, 0, 0, 0, 3, 8, 0, 0, 0, 1]));
    file.extend(chunk::whole(*b"IDAT", &zlib.finish().unwrap()));
    file.extend(chunk::whole(*b"IEND", &[]));
    let folder = folder();
    let path = folder.path().join("a.png");
    std::fs::write(&path, file).unwrap();
    let out = folder.path().join("out.png");
    let part = Part { path, region: rect(0, 0, 4, 2), rendered: rect(0, 0, 5, 3) };
    png(&[part], Frame::new(4, 2).unwrap(), &out, &PngOptions::default()).unwrap();
    assert_eq!(Picture::load(&out).pixels, [0x00, 0x01, 0x02, 0x03, 0x10, 0x11, 0x12, 0x13]);
}

#[test]
fn what_tiles_agree_on_is_carried_over() {
    let folder = folder();
    let picture = rgb8(40, 20);
    let regions = [rect(0, 0, 20, 20), rect(20, 0, 20, 20)];
    let parts = save_parts(&picture, &regions, 0, folder.path());
    for (part, title) in parts.iter().zip(["left", "right"]) {
        let bytes = picture.cut(part.region).bytes(|encoder| {
            encoder.set_source_gamma(png::ScaledFloat::from_scaled(45_455));
            encoder.set_pixel_dims(Some(png::PixelDimensions {
                xppu: 11811,
                yppu: 11811,
                unit: png::Unit::Meter,
            }));
            encoder.add_text_chunk("Title".into(), title.into()).unwrap();
            encoder.add_text_chunk("Scene".into(), "Studio".into()).unwrap();
            encoder.add_itxt_chunk("Author".into(), "Ünal".into()).unwrap();
        });
        std::fs::write(&part.path, bytes).unwrap();
    }
    let out = folder.path().join("out.png");
    let summary = png(&parts, picture.frame, &out, &PngOptions::default()).unwrap();
    assert_eq!(summary.disagreements, ["tEXt"]);
    let reader = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(&out).unwrap()));
    let mut reader = reader.read_info().unwrap();
    reader.finish().unwrap();
    let info = reader.info();
    assert_eq!(info.gamma().map(png::ScaledFloat::into_scaled), Some(45_455));
    assert_eq!(info.pixel_dims.map(|d| (d.xppu, d.yppu)), Some((11_811, 11_811)));
    let texts: Vec<_> =
        info.uncompressed_latin1_text.iter().map(|t| (t.keyword.as_str(), t.text.as_str())).collect();
    assert_eq!(texts, [("Scene", "Studio")]);
    assert_eq!(info.utf8_text.len(), 1);
}

#[test]
fn rows_of_many_tiles_need_few_open_files() {
    let folder = folder();
    let picture = rgb8(1300, 12);
    let regions: Vec<Rect> = (0..1300).map(|x| rect(x, 0, 1, 12)).collect();
    let parts = save_parts(&picture, &regions, 0, folder.path());
    let out = folder.path().join("out.png");
    // Segments of one row, so that all 1300 tiles are open at a time.
    let options = PngOptions { segment_bytes: 1, ..PngOptions::default() };
    png(&parts, picture.frame, &out, &options).unwrap();
    assert!(Picture::load(&out).pixels == picture.pixels);
}

#[test]
fn the_widest_frame_has_its_rows() {
    let folder = folder();
    let picture =
        Picture::new(Frame::new(65_536, 3).unwrap(), png::ColorType::Rgba, png::BitDepth::Sixteen, 5);
    let regions = crate::geometry::Grid::new(picture.frame, 5, 2).unwrap().tiles();
    let parts = save_parts(&picture, &regions, 7, folder.path());
    let out = folder.path().join("out.png");
    png(&parts, picture.frame, &out, &PngOptions::default()).unwrap();
    assert!(Picture::load(&out).pixels == picture.pixels);
}
