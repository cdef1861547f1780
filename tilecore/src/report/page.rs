//! The page as a whole: head, sections in order, and what it may load (nothing).

use std::fmt::Write as _;

use base64::Engine as _;
use sha2::{Digest, Sha256};

use super::account::Account;
use super::escape::{Text, date, duration, percent};
use super::{Outcome, ReportData, picture, tables, timeline};
use crate::heatmap::HeatMap;

const CSS: &str = include_str!("report.css");
const JS: &str = include_str!("report.js");

/// The report as one HTML file.
///
/// What cannot be shown (no finished block, no readable picture) is left out or said in words; there is always a page.
/// It loads nothing: a content security policy admits its own style and script by their hashes and pictures that it
/// carries itself.
pub fn html(data: &ReportData) -> String {
    let account = Account::of(data);
    let map = data.size.filter(|_| !data.blocks.is_empty()).map(|frame| HeatMap::new(frame, &data.blocks));
    let mut problems = Vec::new();
    let map = match map {
        Some(Ok(map)) => Some(map),
        Some(Err(e)) => {
            problems.push(format!("There is no heat map: {e}."));
            None
        }
        None => None,
    };
    let (stage, unshown) = picture::picture(data, map.as_ref());
    problems.extend(unshown);

    let mut out = String::with_capacity(stage.len() + (64 << 10));
    head(&mut out, data);
    out.push_str("<main>");
    title(&mut out, data);
    cards(&mut out, data, &account, map.as_ref());
    let warnings: Vec<&String> = data.warnings.iter().chain(&problems).collect();
    if !warnings.is_empty() {
        out.push_str("<ul class=\"warnings\">");
        for warning in warnings {
            let _ = write!(out, "<li>{}</li>", Text(warning));
        }
        out.push_str("</ul>");
    }
    section(&mut out, "picture", "Picture and cost", &stage);
    section(&mut out, "timeline", "What every node did when", &timeline::timeline(data));
    section(&mut out, "nodes", "What every node contributed", &tables::nodes(data, &account));
    section(&mut out, "time", "Planned and actual time", &time(data, &account));
    if let Some(map) = &map {
        section(&mut out, "slowest", "Slowest blocks", &tables::slowest(map));
    }
    for (id, heading, pairs) in
        [("settings", "Settings", &data.settings), ("versions", "Versions", &data.versions)]
    {
        if !pairs.is_empty() {
            section(&mut out, id, heading, &tables::pairs(pairs));
        }
    }
    let _ = writeln!(
        out,
        "<footer>Began {}. Made by tilectl {}.</footer></main><script>{JS}</script></body></html>",
        date(data.began_at),
        env!("CARGO_PKG_VERSION"),
    );
    out
}

fn head(out: &mut String, data: &ReportData) {
    let hash = |text: &str| base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text.as_bytes()));
    let _ = write!(
        out,
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src &#39;none&#39;; img-src data:; style-src &#39;sha256-{}&#39;; script-src &#39;sha256-{}&#39;\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"referrer\" content=\"no-referrer\">\
         <link rel=\"icon\" href=\"data:,\"><title>{}, frame {}</title><style>{CSS}</style></head><body>",
        hash(CSS),
        hash(JS),
        Text(&data.scene_file),
        data.frame_number,
    );
}

fn title(out: &mut String, data: &ReportData) {
    let (class, state) = match &data.outcome {
        Outcome::Running => ("running", "running"),
        Outcome::Done => ("done", "done"),
        Outcome::Interrupted => ("stopped", "stopped, can go on"),
        Outcome::Failed(_) => ("failed", "not completed"),
    };
    let _ = write!(
        out,
        "<header><h1>{}, frame {}</h1><p><span class=\"state {class}\">{state}</span> <span class=\"small\">",
        Text(&data.scene_file),
        data.frame_number
    );
    if let Some(size) = data.size {
        let _ = write!(out, "{size} pixels");
    }
    if data.samples > 0 {
        let _ = write!(out, ", {} samples", data.samples);
    }
    out.push_str("</span></p>");
    if let Outcome::Failed(reason) = &data.outcome {
        let _ = write!(out, "<p class=\"bad\">{}</p>", Text(reason));
    }
    out.push_str("</header>");
}

fn cards(out: &mut String, data: &ReportData, account: &Account, map: Option<&HeatMap>) {
    let mut cards = vec![(duration(account.working_s), "time")];
    if let Some(predicted) = data.predicted_s {
        cards.push((duration(predicted), "planned"));
    }
    if let Some(speedup) = account.speedup.filter(|_| data.nodes.len() > 1 && data.outcome == Outcome::Done) {
        cards.push((format!("{speedup:.2}x"), "as fast as the fastest node alone"));
    }
    if account.efficiency > 0.0 {
        cards.push((percent(account.efficiency), "of the nodes&#39; capacity rendered"));
    }
    cards.push((account.shares.iter().map(|s| s.count).sum::<usize>().to_string(), "tiles"));
    cards.push((data.nodes.len().to_string(), if data.nodes.len() == 1 { "node" } else { "nodes" }));
    if let Some(map) = map.filter(|m| m.coverage() < 0.9999) {
        cards.push((percent(map.coverage()), "of the frame finished"));
    }
    out.push_str("<div class=\"cards\">");
    for (value, what) in cards {
        let _ = write!(out, "<div><b>{value}</b><span>{what}</span></div>");
    }
    out.push_str("</div>");
}

fn section(out: &mut String, id: &str, heading: &str, body: &str) {
    if !body.is_empty() {
        let _ = write!(out, "<section id=\"{id}\"><h2>{heading}</h2>{body}</section>");
    }
}

/// Planned, actual and ideal time as bars to one scale, where capacity went, and why.
fn time(data: &ReportData, account: &Account) -> String {
    let mut bars = Vec::new();
    if let Some(alone) = account.alone_s {
        bars.push(("fastest alone", "away", alone));
    }
    if let Some(predicted) = data.predicted_s.filter(|p| p.is_finite()) {
        bars.push(("planned", "start", predicted));
    }
    bars.push(("actual", "tile", account.working_s));
    bars.push(("ideal", "finish", account.ideal_s));
    let longest = bars.iter().map(|b| b.2).fold(0.0, f64::max);
    if longest <= 0.0 {
        return String::new();
    }
    let mut out = String::from("<div class=\"versus\">");
    for (name, class, seconds) in bars {
        let _ = write!(
            out,
            "<span>{name}</span><svg aria-hidden=\"true\"><rect class=\"{class}\" width=\"{:.2}%\" height=\"100%\"/></svg><span>{}</span>",
            seconds / longest * 100.0,
            duration(seconds)
        );
    }
    out.push_str("<span>capacity</span><svg aria-hidden=\"true\">");
    let mut at = 0.0;
    for (_, class, part) in &account.capacity {
        let _ = write!(
            out,
            "<rect class=\"{class}\" x=\"{:.2}%\" width=\"{:.2}%\" height=\"100%\"/>",
            at * 100.0,
            part * 100.0
        );
        at += part;
    }
    let _ = write!(out, "</svg><span>{}</span></div><p class=\"key\">", percent(account.efficiency));
    for (name, class, part) in &account.capacity {
        let _ = write!(out, "<span><i class=\"{class}\"></i>{name} {}</span>", percent(*part));
    }
    out.push_str("</p><p class=\"small\">Ideal is the time had every node rendered at its rate from the first second to the last. Capacity is all nodes&#39; time, weighted by their rates.</p>");
    if !account.reasons.is_empty() {
        out.push_str("<ul class=\"reasons\">");
        for reason in &account.reasons {
            let _ = write!(out, "<li>{}</li>", Text(reason));
        }
        out.push_str("</ul>");
    }
    out
}
