//! The page as a whole: head, sections in order, and what it may load (nothing).

use std::fmt::Write as _;

use base64::Engine as _;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::account::Account;
use super::escape::{Text, date, percent};
use super::{Outcome, ReportData, picture, tables, timeline};
use crate::heatmap::HeatMap;
use crate::text::duration;

const CSS: &str = include_str!("report.css");
const JS: &str = include_str!("report.js");
const LIVE_JS: &str = include_str!("live.js");

/// A part of the page: everything about one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// What its element is called.
    pub id: &'static str,
    /// Its content; empty when there is nothing to show.
    pub html: String,
}

/// The report as one HTML file.
///
/// What cannot be shown (no finished block, no readable picture) is left out or said in words; there is always a page.
/// It loads nothing: a content security policy admits its own style and script by their hashes and pictures that it
/// carries itself.
pub fn html(data: &ReportData) -> String {
    page(data, sections(data).into_iter().filter(|s| !s.html.is_empty()), JS, &policy(JS, ""))
}

/// A page that renews itself, and the content security policy to be sent with it as a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivePage {
    /// The page.
    pub html: String,
    /// What it may load: as the report, and from its own server.
    pub policy: String,
}

/// The report as a page for a server: every second it asks for `parts` beside itself.
///
/// The answer is JSON: `version` (of the content, any text), `ended` (whether to ask no more), and `sections` as
/// [`sections`] has them. The question has the version that is shown: `parts?have=VERSION`; when it is still the same,
/// the answer is empty with status 204.
pub fn live_page(data: &ReportData) -> LivePage {
    let script = format!("{JS}{LIVE_JS}");
    let policy = policy(&script, " connect-src 'self';");
    LivePage { html: page(data, sections(data).into_iter(), &script, &policy), policy }
}

/// The page's parts in their order; always the same ids.
pub fn sections(data: &ReportData) -> Vec<Section> {
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
    let mut top = String::new();
    title(&mut top, data);
    cards(&mut top, data, &account, map.as_ref());
    let warnings: Vec<&String> = data.warnings.iter().chain(&problems).collect();
    if !warnings.is_empty() {
        top.push_str("<ul class=\"warnings\">");
        for warning in warnings {
            let _ = write!(top, "<li>{}</li>", Text(warning));
        }
        top.push_str("</ul>");
    }
    let pairs = |pairs: &[(String, String)]| {
        if pairs.is_empty() { String::new() } else { tables::pairs(pairs) }
    };
    vec![
        Section { id: "top", html: top },
        section("picture", "Picture and cost", &stage),
        section("timeline", "What every node did when", &timeline::timeline(data)),
        section("nodes", "What every node contributed", &tables::nodes(data, &account)),
        section("time", "Planned and actual time", &time(data, &account)),
        section("slowest", "Slowest blocks", &map.as_ref().map(tables::slowest).unwrap_or_default()),
        section("settings", "Settings", &pairs(&data.settings)),
        section("versions", "Versions", &pairs(&data.versions)),
    ]
}

fn section(id: &'static str, heading: &str, body: &str) -> Section {
    let html = if body.is_empty() { String::new() } else { format!("<h2>{heading}</h2>{body}") };
    Section { id, html }
}

fn page(data: &ReportData, sections: impl Iterator<Item = Section>, script: &str, policy: &str) -> String {
    let mut out = String::with_capacity(64 << 10);
    head(&mut out, data, policy);
    out.push_str("<main>");
    for Section { id, html } in sections {
        let hidden = if html.is_empty() { " hidden" } else { "" };
        let _ = write!(out, "<section id=\"{id}\"{hidden}>{html}</section>");
    }
    let _ = writeln!(
        out,
        "<footer>Began {}. Made by tilectl {}.</footer></main><script>{script}</script></body></html>",
        date(data.began_at),
        env!("CARGO_PKG_VERSION"),
    );
    out
}

/// What the page may load; `more` is what else.
fn policy(script: &str, more: &str) -> String {
    let hash = |text: &str| base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; img-src data:;{more} style-src 'sha256-{}'; script-src 'sha256-{}'",
        hash(CSS),
        hash(script)
    )
}

fn head(out: &mut String, data: &ReportData, policy: &str) {
    let _ = write!(
        out,
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"referrer\" content=\"no-referrer\">\
         <link rel=\"icon\" href=\"data:,\"><title>{}, frame {}</title><style>{CSS}</style></head><body>",
        Text(policy),
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
    if let Some(now) = &data.now {
        let done = if now.done.is_finite() { now.done.clamp(0.0, 1.0) * 100.0 } else { 0.0 };
        let left = now.left.as_ref().map_or_else(String::new, |left| format!(", {} to go", Text(left)));
        let _ = write!(
            out,
            "<svg class=\"progress\" role=\"img\" aria-label=\"{done:.0} percent\"><rect class=\"idle\" width=\"100%\" height=\"100%\"/>\
             <rect class=\"tile\" width=\"{done:.2}%\" height=\"100%\"/></svg><p id=\"now\">{done:.1} %{left}. {}</p>",
            Text(&now.words),
        );
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
    // Before the end it would be compared with work that is not done.
    if account.efficiency > 0.0 && data.outcome != Outcome::Running {
        cards.push((percent(account.efficiency), "of the nodes&#39; capacity rendered"));
    }
    let tiles = account.shares.iter().map(|s| s.count).sum::<usize>();
    cards.push((tiles.to_string(), if tiles == 1 { "tile" } else { "tiles" }));
    cards.push((data.nodes.len().to_string(), if data.nodes.len() == 1 { "node" } else { "nodes" }));
    // While it runs, how far it is stands above, by what the parts cost.
    if let Some(map) = map.filter(|m| m.coverage() < 0.9999 && data.now.is_none()) {
        cards.push((percent(map.coverage()), "of the frame finished"));
    }
    out.push_str("<div class=\"cards\">");
    for (value, what) in cards {
        let _ = write!(out, "<div><b>{value}</b><span>{what}</span></div>");
    }
    out.push_str("</div>");
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
    let running = data.outcome == Outcome::Running;
    if running {
        if let Some(bar) = bars.last_mut() {
            bar.0 = "so far";
        }
    } else {
        bars.push(("ideal", "finish", account.ideal_s));
    }
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
    let efficiency = if running { String::new() } else { percent(account.efficiency) };
    let _ = write!(out, "</svg><span>{efficiency}</span></div><p class=\"key\">");
    for (name, class, part) in &account.capacity {
        let _ = write!(out, "<span><i class=\"{class}\"></i>{name} {}</span>", percent(*part));
    }
    out.push_str("</p><p class=\"small\">");
    if !running {
        out.push_str(
            "Ideal is the time had every node rendered at its rate from the first second to the last. ",
        );
    }
    out.push_str("Capacity is all nodes&#39; time, weighted by their rates.</p>");
    if !account.reasons.is_empty() && data.outcome != Outcome::Running {
        out.push_str("<ul class=\"reasons\">");
        for reason in &account.reasons {
            let _ = write!(out, "<li>{}</li>", Text(reason));
        }
        out.push_str("</ul>");
    }
    out
}
