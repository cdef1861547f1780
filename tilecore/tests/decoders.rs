//! Stitched pictures in the eyes of programs that share no code with this one: Pillow and libvips.
//!
//! Both are installed by `fixtures/setup.sh --tests`.

use std::path::{Path, PathBuf};
use std::process::Command;

use tilecore::geometry::{Frame, Grid, Overlap};
use tilecore::stitch::{self, Compression, Part, PngOptions};

/// A picture in one of PNG's colour types: gradients with noise.
struct Picture {
    frame: Frame,
    color: png::ColorType,
    depth: png::BitDepth,
    pixels: Vec<u8>,
}

impl Picture {
    fn new(frame: Frame, color: png::ColorType, depth: png::BitDepth) -> Self {
        let pixel = color.samples() * if depth == png::BitDepth::Sixteen { 2 } else { 1 };
        let mut state = 1u32;
        let pixels = (0..frame.area() as usize * pixel)
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (x, y) = (i / pixel % frame.width() as usize, i / pixel / frame.width() as usize);
                // A flat corner, so that there is something to match too.
                if x < 60 && y < 90 { 17 } else { (x / 3 + y / 2) as u8 ^ (state >> 29) as u8 }
            })
            .collect();
        Self { frame, color, depth, pixels }
    }

    /// Saves the tiles of a grid with an overlap of 5 pixels.
    fn parts(&self, folder: &Path, columns: u32, rows: u32) -> Vec<Part> {
        let pixel = self.pixels.len() / self.frame.area() as usize;
        let width = self.frame.width() as usize;
        let save = |(i, region): (usize, tilecore::geometry::Rect)| {
            let rendered = region.grown(Overlap(5), self.frame);
            let path = folder.join(format!("{i}.png"));
            let file = std::fs::File::create(&path).unwrap();
            let mut encoder = png::Encoder::new(file, rendered.width(), rendered.height());
            encoder.set_color(self.color);
            encoder.set_depth(self.depth);
            let pixels: Vec<u8> = (rendered.y()..rendered.bottom())
                .flat_map(|y| {
                    let start = (y as usize * width + rendered.x() as usize) * pixel;
                    self.pixels[start..start + rendered.width() as usize * pixel].iter().copied()
                })
                .collect();
            encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
            Part { path, region, rendered }
        };
        Grid::new(self.frame, columns, rows).unwrap().tiles().into_iter().enumerate().map(save).collect()
    }
}

/// Stitches in every colour type, depth and compression, large enough for several segments, and compares what `decode`
/// makes of the file: samples in the machine's byte order, row by row.
fn compare(decode: &dyn Fn(&Path, &Picture, &Path) -> Vec<u8>) {
    use png::{
        BitDepth::{Eight, Sixteen},
        ColorType::{Grayscale, GrayscaleAlpha, Rgb, Rgba},
    };
    let folder = tempfile::tempdir().unwrap();
    let kinds = [
        (Grayscale, Eight),
        (Grayscale, Sixteen),
        (GrayscaleAlpha, Eight),
        (Rgb, Eight),
        (Rgb, Sixteen),
        (Rgba, Eight),
        (Rgba, Sixteen),
    ];
    for (color, depth) in kinds {
        let picture = Picture::new(Frame::new(801, 653).unwrap(), color, depth);
        let parts = picture.parts(folder.path(), 3, 4);
        for compression in [Compression::Fast, Compression::Default, Compression::Small] {
            let out = folder.path().join("out.png");
            let options = PngOptions::default().compression(compression);
            stitch::png(&parts, picture.frame, &out, &options).unwrap();
            let mut got = decode(&out, &picture, folder.path());
            if depth == Sixteen && cfg!(target_endian = "little") {
                got.as_chunks_mut::<2>().0.iter_mut().for_each(|pair| pair.swap(0, 1));
            }
            assert!(got == picture.pixels, "{color:?} {depth:?} {compression:?}");
        }
    }
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|e| {
        panic!("{}: {e}; run fixtures/setup.sh --tests", command.get_program().display())
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn libvips_sees_the_same_pixels() {
    compare(&|out, _, folder| {
        let raw: PathBuf = folder.join("out.raw");
        // Warnings are errors here: a valid file gives none.
        run(Command::new("vips").args(["rawsave", &format!("{}[fail_on=warning]", out.display())]).arg(&raw));
        std::fs::read(raw).unwrap()
    });
}

#[test]
fn pillow_sees_the_same_pixels() {
    // Pillow holds no more than eight bits of colour pictures; those of 16 are compared by their upper bytes.
    let python = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
    let script = "import sys\nfrom PIL import Image\nimage = Image.open(sys.argv[1])\nimage.load()\n\
                  sys.stdout.buffer.write(image.tobytes())";
    compare(&|out, picture, _| {
        let got = run(Command::new(python).args(["-c", script]).arg(out));
        if picture.depth == png::BitDepth::Eight {
            return got;
        }
        let upper: Vec<u8> = picture.pixels.iter().copied().step_by(2).collect();
        let little =
            |big: &[u8]| big.as_chunks::<2>().0.iter().flat_map(|&[h, l]| [l, h]).collect::<Vec<u8>>();
        let same = if picture.color == png::ColorType::Grayscale {
            // 32-bit integers or 16-bit ones, depending on the version.
            let samples =
                picture.pixels.as_chunks::<2>().0.iter().map(|&pair| u32::from(u16::from_be_bytes(pair)));
            got == little(&picture.pixels) || got == samples.flat_map(u32::to_le_bytes).collect::<Vec<u8>>()
        } else {
            got == upper
        };
        assert!(same, "{:?}", picture.color);
        little(&picture.pixels)
    });
}
