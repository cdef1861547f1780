//! The report in a real browser: it shows something, complains of nothing, loads nothing, and its slider works.

use std::path::{Path, PathBuf};
use std::process::Command;

use tilecore::geometry::{Frame, Grid, Rect};
use tilecore::heatmap::Block;
use tilecore::report::{NodeReport, Outcome, ReportData, Span, SpanKind, html};

/// A picture of the frame's size with something in every corner.
fn picture(path: &Path, frame: Frame) {
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), frame.width(), frame.height());
    encoder.set_color(png::ColorType::Rgb);
    let pixels: Vec<u8> = (0..frame.height())
        .flat_map(|y| (0..frame.width()).map(move |x| (x, y)))
        .flat_map(|(x, y)| {
            let wave = (f64::from(x) / 60.0).sin() + (f64::from(y) / 45.0).cos();
            [x * 255 / frame.width(), y * 255 / frame.height(), (wave * 50.0 + 120.0) as u32].map(|c| c as u8)
        })
        .collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

/// A render on three unlike nodes, one of which fails at times and goes away.
fn render(picture: Option<PathBuf>) -> ReportData {
    let frame = Frame::new(960, 540).unwrap();
    let cost = |r: Rect| {
        let (dx, dy) = (f64::from(r.x()) / 960.0 - 0.3, f64::from(r.y()) / 540.0 - 0.6);
        r.area() as f64 * 2e-5 * (1.0 + 8.0 * (-12.0 * (dx * dx + dy * dy)).exp())
    };
    let span = |kind, from_s: f64, to_s: f64| Span { kind, from_s, to_s, region: None, note: None };
    let mut nodes: Vec<NodeReport> =
        [("workstation", 3.2, "local"), ("tower", 2.1, "me@tower"), ("laptop", 0.8, "me@laptop")]
            .map(|(name, rate, place)| NodeReport {
                name: name.into(),
                place: place.into(),
                blender: "3.4.1 (55485cb379f7)".into(),
                device: "CPU".into(),
                cores: 8,
                rate: Some(rate),
                spans: vec![span(SpanKind::Start, 0.0, 1.5), span(SpanKind::Sync, 1.5, 4.5)],
                ..NodeReport::default()
            })
            .into();
    let mut free = [4.5; 3];
    let mut blocks = Vec::new();
    for rect in Grid::with_tile_size(frame, 80, 60).unwrap().tiles() {
        let n = (0..3).min_by(|a, b| f64::total_cmp(&free[*a], &free[*b])).unwrap();
        let rate = nodes[n].rate.unwrap();
        let seconds = cost(rect) / rate;
        let (from, to) = (free[n], free[n] + seconds);
        nodes[n].spans.push(Span { region: Some(rect), ..span(SpanKind::Tile, from, to) });
        free[n] = to + 0.01;
        if n == 2 && blocks.len() > 30 && nodes[2].spans.iter().all(|s| s.kind != SpanKind::Failed) {
            let note = Some("the connection was lost: <reset> by \"peer\"".to_owned());
            nodes[2].spans.push(Span { note, ..span(SpanKind::Failed, free[2], free[2] + 1.2) });
            nodes[2].spans.push(span(SpanKind::Away, free[2] + 1.2, free[2] + 3.0));
            free[2] += 3.0;
        }
        blocks.push(Block {
            rect,
            seconds,
            node: nodes[n].name.clone(),
            rate,
            rendered_area: 0,
            samples: 64,
        });
    }
    let end = free.iter().copied().fold(0.0, f64::max);
    nodes[1].expected_s = Some(0.6 * end);
    ReportData {
        scene_file: "still <life> & \"friends\".blend".into(),
        frame_number: 1,
        size: Some(frame),
        samples: 64,
        outcome: Outcome::Done,
        began_at: 1_790_000_000.0,
        elapsed_s: end + 0.8,
        predicted_s: Some(end * 0.8),
        closing: Some((end, end + 0.8)),
        nodes,
        blocks,
        picture,
        warnings: vec![
            "tower and laptop differ in their processors.\nSeams are possible in the last bit <b>only</b>."
                .into(),
        ],
        settings: [
            ("Engine", "Cycles"),
            ("Seed", "7"),
            ("Overlap", "8 px"),
            ("Tile format", "PNG"),
            ("Camera", "Camera"),
        ]
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .into(),
        versions: [("tilectl", "0.1.0"), ("Blender on workstation", "3.4.1"), ("Blender on tower", "3.4.1")]
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .into(),
        ..ReportData::default()
    }
}

fn check(report: &Path, more: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/check_report.py");
    let out = Command::new("python3").arg(&script).arg(report).args(more).output();
    let out = out.expect("python3 is missing: run fixtures/setup.sh --tests");
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{} on {}:\n{said}", script.display(), report.display());
}

fn place(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&dir).unwrap();
    dir.join(name)
}

#[test]
fn the_report_of_a_render_works_in_a_browser() {
    let png = place("picture.png");
    picture(&png, Frame::new(960, 540).unwrap());
    let report = place("done.html");
    std::fs::write(&report, html(&render(Some(png)))).unwrap();
    check(&report, &["--slider", "--screenshots", &place("shots").display().to_string()]);
}

#[test]
fn a_report_without_picture_or_anything_works_too() {
    let running = ReportData { outcome: Outcome::Running, ..render(None) };
    let failed = ReportData {
        scene_file: "x.blend".into(),
        outcome: Outcome::Failed("no node is left".into()),
        ..ReportData::default()
    };
    for (name, data) in [("running", running), ("failed", failed)] {
        let report = place(&format!("{name}.html"));
        std::fs::write(&report, html(&data)).unwrap();
        check(&report, &[]);
    }
}

#[test]
fn nothing_from_outside_becomes_markup() {
    const BAIT: &str = "\"'><img src=http://example.invalid/x onerror=alert(1)><script>alert(1)</script>";
    let bait = || BAIT.to_owned();
    let mut data = render(None);
    data.scene_file = bait();
    data.outcome = Outcome::Failed(bait());
    data.picture = Some(PathBuf::from(BAIT));
    data.warnings.push(bait());
    data.settings.push((bait(), bait()));
    data.versions.push((bait(), bait()));
    for node in &mut data.nodes {
        (node.name, node.place, node.blender, node.device) = (bait(), bait(), bait(), bait());
        node.trouble = Some(bait());
        node.expected_s = Some(1e-3);
        for span in &mut node.spans {
            span.note = Some(bait());
        }
    }
    for block in &mut data.blocks {
        block.node = bait();
    }
    let page = html(&data);
    assert!(page.contains("&lt;script&gt;alert(1)"), "it is shown as text");
    assert_eq!(page.matches("<script").count(), 1);
    assert!(!page.contains("<img src=http") && !page.contains("\"'>"));
    let report = place("bait.html");
    std::fs::write(&report, page).unwrap();
    check(&report, &[]);
}
