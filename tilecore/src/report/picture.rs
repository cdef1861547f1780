//! The picture with the heat map over it, and who rendered what.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;

use super::ReportData;
use super::escape::{Text, place};
use crate::error::Result;
use crate::heatmap::{Canvas, HeatMap, Palette, Scale, Style};
use crate::text::duration;

/// Largest side of the embedded pictures, pixels.
const LARGEST: u32 = 1280;
/// Width the stage has where there is room, CSS pixels.
const WIDTH: u32 = 1048;
/// Largest file of a preview, bytes.
const PREVIEW: u64 = 16 << 20;
/// Colours for nodes; the ninth begins again.
const NODE_COLORS: usize = 8;

/// How the map is drawn here: the page has its own legend.
const STYLE: Style =
    Style { palette: Palette::Viridis, scale: Scale::Linear, legend: false, max_side: LARGEST };

/// The section with pictures, and what could not be shown.
pub(super) fn picture(data: &ReportData, map: Option<&HeatMap>) -> (String, Vec<String>) {
    let mut problems = Vec::new();
    let mut embed = |canvas: Result<Canvas>| match canvas.and_then(|c| embedded(&c)) {
        Ok(uri) => Some(uri),
        Err(e) => {
            problems.push(format!("The picture cannot be shown: {e}."));
            None
        }
    };
    let photo = match (&data.picture, data.size) {
        (Some(path), Some(frame)) => {
            let shrink = frame.width().max(frame.height()).div_ceil(LARGEST);
            embed(Canvas::of_png(path, frame, shrink))
        }
        // It grows while it is looked at: what cannot be read now can be in a moment.
        _ => data.preview.as_deref().and_then(as_it_is),
    };
    let heat = map.and_then(|map| embed(Ok(map.draw(STYLE))));
    let mut out = String::new();
    let photo_says = if data.picture.is_some() { "The rendered picture" } else { "The picture so far" };
    let in_work = in_work(data);
    if photo.is_none() && heat.is_none() && in_work.is_empty() {
        return (out, problems);
    }
    let (width, height) = data.size.map_or((16, 9), |s| (s.width(), s.height()));
    // An empty drawing of the frame's shape gives the stage its size; a small frame is shown large.
    let (shown_width, shown_height) =
        (f64::from(width.max(WIDTH)), f64::from(height) * f64::from(width.max(WIDTH)) / f64::from(width));
    let _ = write!(
        out,
        "<div class=\"stage\" id=\"stage\"><svg class=\"frame\" width=\"{shown_width}\" height=\"{shown_height:.2}\" viewBox=\"0 0 {width} {height}\"></svg>"
    );
    if let Some(uri) = &photo {
        let _ = write!(out, "<img class=\"photo\" src=\"{uri}\" alt=\"{photo_says}\">");
    }
    if let Some(uri) = &heat {
        let over = if photo.is_some() { "over" } else { "over alone" };
        let _ = write!(
            out,
            "<div class=\"{over}\" id=\"over\"><img id=\"heat\" src=\"{uri}\" alt=\"Heat map: cost of every block\">"
        );
        out.push_str(&owners(data));
        out.push_str("</div>");
        if photo.is_some() {
            out.push_str("<div class=\"edge\" id=\"edge\"></div>");
        }
    }
    out.push_str(&in_work);
    out.push_str("</div>");
    if heat.is_some() {
        out.push_str("<div class=\"controls\">");
        if photo.is_some() {
            out.push_str("<label class=\"slide\">picture <input id=\"slider\" type=\"range\" min=\"0\" max=\"100\" value=\"0\" aria-label=\"How much of the heat map covers the picture\"> map</label>");
        }
        out.push_str("<fieldset><label><input type=\"radio\" name=\"map\" value=\"heat\" checked> cost</label><label><input type=\"radio\" name=\"map\" value=\"owners\"> nodes</label></fieldset></div>");
    }
    if let Some(map) = map {
        out.push_str(&legend(map));
    }
    let names: Vec<&str> = data.nodes.iter().map(|n| n.name.as_str()).collect();
    out.push_str("<p class=\"key\" id=\"who\" hidden>");
    for (n, name) in names.iter().enumerate() {
        let _ = write!(out, "<span><i class=\"n{}\"></i>{}</span>", n % NODE_COLORS, Text(name));
    }
    out.push_str("</p>");
    (out, problems)
}

/// The blocks in their nodes' colours, each saying what it took.
fn owners(data: &ReportData) -> String {
    let Some(frame) = data.size else { return String::new() };
    let mut out = format!(
        "<svg id=\"owners\" viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" hidden>",
        frame.width(),
        frame.height()
    );
    for block in &data.blocks {
        let node =
            data.nodes.iter().position(|n| n.name == block.node).unwrap_or(NODE_COLORS - 1) % NODE_COLORS;
        let r = block.rect;
        let _ = write!(
            out,
            "<rect class=\"n{node}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{} on {}, {}</title></rect>",
            r.x(),
            r.y(),
            r.width(),
            r.height(),
            place(r),
            Text(&block.node),
            duration(block.seconds),
        );
    }
    out.push_str("</svg>");
    out
}

/// What is being rendered now, as frames round its parts.
fn in_work(data: &ReportData) -> String {
    let (Some(frame), Some(now)) = (data.size, &data.now) else { return String::new() };
    let mut out = String::new();
    for (busy, r) in now.nodes.iter().filter_map(|b| Some((b, b.region?))) {
        let node = data.nodes.iter().position(|n| n.name == busy.name).unwrap_or(0) % NODE_COLORS;
        let _ = write!(
            out,
            "<rect class=\"n{node}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{}: {}</title></rect>",
            r.x(),
            r.y(),
            r.width(),
            r.height(),
            Text(&busy.name),
            Text(&busy.words),
        );
    }
    if out.is_empty() {
        return out;
    }
    let (w, h) = (frame.width(), frame.height());
    format!("<svg id=\"work\" viewBox=\"0 0 {w} {h}\" preserveAspectRatio=\"none\">{out}</svg>")
}

fn legend(map: &HeatMap) -> String {
    let mut out = String::from(
        "<div class=\"legend\" id=\"legend\"><svg class=\"scale\" aria-hidden=\"true\"><defs><linearGradient id=\"palette\">",
    );
    for stop in 0..=20 {
        let [r, g, b] = STYLE.palette.color(f64::from(stop) / 20.0);
        let _ = write!(out, "<stop offset=\"{}%\" stop-color=\"#{r:02x}{g:02x}{b:02x}\"/>", stop * 5);
    }
    out.push_str(
        "</linearGradient></defs><rect x=\"0\" y=\"0\" width=\"100%\" height=\"10\" fill=\"url(#palette)\"/>",
    );
    for value in map.ticks(STYLE.scale) {
        let x = map.place(value, STYLE.scale) * 100.0;
        let anchor = if x < 4.0 {
            "start"
        } else if x > 96.0 {
            "end"
        } else {
            "middle"
        };
        let _ = write!(
            out,
            "<line x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"10\" y2=\"14\"/><text x=\"{x:.2}%\" y=\"27\" text-anchor=\"{anchor}\">{}</text>",
            map.label(value)
        );
    }
    let _ = write!(
        out,
        "</svg><p class=\"small\">Seconds per megapixel, brought to the fastest node&#39;s speed; the whole frame costs that node {}.{}</p></div>",
        duration(map.total_seconds()),
        if map.coverage() < 0.9999 { " Striped parts were not measured." } else { "" },
    );
    out
}

/// A PNG file that is small already.
fn as_it_is(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(PREVIEW + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= PREVIEW && bytes.starts_with(b"\x89PNG")).then(|| {
        format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(&bytes))
    })
}

fn embedded(canvas: &Canvas) -> Result<String> {
    Ok(format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(canvas.png()?)))
}
