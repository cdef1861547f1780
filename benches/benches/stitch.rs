//! The steps of a stitch, each on its own and all together.

use std::hint::black_box;

use benches::noise;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tilecore::geometry::{Frame, Rect};
use tilecore::stitch::stages::{Segment, decode, unfilter};
use tilecore::stitch::{self, Compression, Part, PngOptions};

const SIDE: u32 = 2048;
const TILE: u32 = 512;
const LEVELS: [Compression; 3] = [Compression::Fast, Compression::Default, Compression::Small];

fn reading(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let parts = noise::save(folder.path(), SIDE, TILE).expect("tiles can be written");
    let bytes = u64::from(TILE) * u64::from(TILE) * 3;
    let mut group = c.benchmark_group("read");
    group.throughput(Throughput::Bytes(bytes));
    group.bench_function("decode", |b| b.iter(|| decode(black_box(&parts[5])).expect("a tile")));
    // The same pixels less eight on every side.
    let rendered = parts[5].rendered;
    let region = Rect::new(rendered.x() + 8, rendered.y() + 8, TILE - 16, TILE - 16).expect("a region");
    let cropped = Part { region, ..parts[5].clone() };
    group.bench_function("decode and crop", |b| b.iter(|| decode(black_box(&cropped)).expect("a tile")));
    let (mut row, mut above) = (Vec::new(), Vec::new());
    noise::row(SIDE, 1000, 0, SIDE, &mut row);
    noise::row(SIDE, 999, 0, SIDE, &mut above);
    group.throughput(Throughput::Bytes(row.len() as u64));
    for (number, name) in [(1, "sub"), (2, "up"), (3, "average"), (4, "paeth")] {
        group.bench_function(BenchmarkId::new("unfilter", name), |b| {
            b.iter(|| unfilter(number, 3, black_box(&mut row), &above));
        });
    }
    group.finish();
}

fn writing(c: &mut Criterion) {
    let mut rows = Vec::new();
    let row_bytes = SIDE as usize * 3;
    let mut group = c.benchmark_group("write");
    for y in 0..512 {
        noise::row(SIDE, y, 0, SIDE, &mut rows);
    }
    for level in LEVELS {
        let mut segment = Segment::new(row_bytes, 3, level);
        let rows = &rows[..segment.bytes().min(rows.len())];
        group.throughput(Throughput::Bytes(rows.len() as u64));
        group.bench_function(BenchmarkId::new("filter", format!("{level:?}")), |b| {
            b.iter(|| segment.filter(black_box(rows)));
        });
        group.bench_function(BenchmarkId::new("deflate", format!("{level:?}")), |b| {
            b.iter(|| segment.deflate());
        });
    }
    group.finish();
}

fn whole(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let parts = noise::save(folder.path(), SIDE, TILE).expect("tiles can be written");
    let out = folder.path().join("out.png");
    let frame = Frame::new(SIDE, SIDE).expect("a frame");
    let mut group = c.benchmark_group("whole");
    group.throughput(Throughput::Bytes(frame.area() * 3)).sample_size(10);
    for level in LEVELS {
        let options = PngOptions::default().compression(level);
        group.bench_function(format!("{level:?}"), |b| {
            b.iter(|| stitch::png(&parts, frame, &out, &options).expect("a stitch"));
        });
    }
    group.finish();
}

criterion_group!(benches, reading, writing, whole);
criterion_main!(benches);
