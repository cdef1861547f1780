//! What every node did when, as SVG: one row a node, percent of the width for time, so that it fits any screen.

use std::fmt::Write as _;

use super::account::number;
use super::escape::{Text, place};
use super::{NodeReport, ReportData, Span, SpanKind};
use crate::text::duration;

/// Most bars that one row draws; beyond that, neighbours of a kind are drawn as one.
const BARS: usize = 1500;

/// The time line of all nodes, with its axis and legend.
pub(super) fn timeline(data: &ReportData) -> String {
    let elapsed = number(data.elapsed_s);
    if elapsed <= 0.0 || data.nodes.is_empty() {
        return "<p>No node has done anything yet.</p>".into();
    }
    let mut out = String::from("<div class=\"timeline\">");
    for node in &data.nodes {
        let _ = write!(
            out,
            "<div class=\"row\"><div class=\"name\">{}</div><svg class=\"bars\" role=\"img\" aria-label=\"{}\">\
             <rect class=\"idle\" x=\"0\" y=\"0\" width=\"100%\" height=\"100%\"><title>idle</title></rect>",
            Text(&node.name),
            Text(&summary(node, elapsed)),
        );
        for (from, to) in &data.pauses {
            bar(
                &mut out,
                "pause",
                number(*from),
                number(*to),
                elapsed,
                "nothing ran: stopped and started again later",
            );
        }
        for span in merged(&node.spans, elapsed) {
            bar(&mut out, span.kind.class(), number(span.from_s), number(span.to_s), elapsed, &title(&span));
        }
        out.push_str("</svg></div>");
    }
    // What takes no time leaves nothing to be seen.
    if let Some((from, to)) = data.closing.filter(|(from, to)| to - from > elapsed / 400.0) {
        out.push_str("<div class=\"row\"><div class=\"name\">this machine</div><svg class=\"bars\" role=\"img\" aria-label=\"stitching\"><rect class=\"idle\" x=\"0\" y=\"0\" width=\"100%\" height=\"100%\"/>");
        let text = format!("stitching, {}", duration(number(to) - number(from)));
        bar(&mut out, "finish", number(from), number(to), elapsed, &text);
        out.push_str("</svg></div>");
    }
    out.push_str(&axis(elapsed));
    out.push_str("<p class=\"key\">");
    for kind in SpanKind::ALL {
        if data.nodes.iter().any(|n| n.spans.iter().any(|s| s.kind == kind)) {
            let _ = write!(out, "<span><i class=\"{}\"></i>{}</span>", kind.class(), kind.label());
        }
    }
    if !data.pauses.is_empty() {
        out.push_str("<span><i class=\"pause\"></i>nothing ran</span>");
    }
    out.push_str("<span><i class=\"idle\"></i>idle</span></p></div>");
    out
}

/// For those who hear the page.
fn summary(node: &NodeReport, elapsed: f64) -> String {
    let tiles = node.spans.iter().filter(|s| s.kind == SpanKind::Tile).count();
    let what = if tiles == 1 { "tile" } else { "tiles" };
    format!("{}: {tiles} {what} in {}", node.name, duration(elapsed))
}

fn title(span: &Span) -> String {
    let mut text = span.kind.label().to_owned();
    if span.kind == SpanKind::Tile {
        "tile".clone_into(&mut text);
    }
    if let Some(region) = span.region {
        let _ = write!(text, " {}", place(region));
    }
    let _ = write!(text, ", {}", duration(number(span.to_s) - number(span.from_s)));
    if let Some(note) = &span.note {
        let _ = write!(text, ", {note}");
    }
    text
}

fn bar(out: &mut String, class: &str, from: f64, to: f64, elapsed: f64, title: &str) {
    let (from, to) = (from.min(elapsed), to.min(elapsed));
    if to <= from {
        return;
    }
    let _ = write!(
        out,
        "<rect class=\"{class}\" x=\"{:.3}%\" width=\"{:.3}%\" y=\"0\" height=\"100%\"><title>{}</title></rect>",
        from / elapsed * 100.0,
        (to - from) / elapsed * 100.0,
        Text(title),
    );
}

/// The spans, those of one kind that nearly touch joined where there are too many to draw.
fn merged(spans: &[Span], elapsed: f64) -> Vec<Span> {
    if spans.len() <= BARS {
        return spans.to_vec();
    }
    let gap = elapsed / BARS as f64;
    let mut joined: Vec<(Span, usize)> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some((last, n)) if last.kind == span.kind && span.from_s - last.to_s < gap => {
                last.to_s = span.to_s.max(last.to_s);
                last.region = None;
                last.note = Some(format!("{} of them", *n + 1));
                *n += 1;
            }
            _ => joined.push((span.clone(), 1)),
        }
    }
    joined.into_iter().map(|(span, _)| span).collect()
}

/// Four to eight round times below the rows.
fn axis(elapsed: f64) -> String {
    const ROUND: [f64; 17] = [
        0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, 7200.0,
        36_000.0,
    ];
    let step = ROUND.into_iter().find(|s| elapsed / s <= 8.0).unwrap_or(elapsed / 5.0);
    let mut out = String::from(
        "<div class=\"row\"><div class=\"name\"></div><svg class=\"axis\" aria-hidden=\"true\">",
    );
    let mut at = 0.0;
    while at <= elapsed {
        let x = at / elapsed * 100.0;
        let anchor = if at == 0.0 {
            "start"
        } else if x > 94.0 {
            "end"
        } else {
            "middle"
        };
        let _ = write!(
            out,
            "<line x1=\"{x:.3}%\" x2=\"{x:.3}%\" y1=\"0\" y2=\"5\"/><text x=\"{x:.3}%\" y=\"18\" text-anchor=\"{anchor}\">{}</text>",
            tick(at, step)
        );
        at += step;
    }
    out.push_str("</svg></div>");
    out
}

fn tick(at: f64, step: f64) -> String {
    if at == 0.0 {
        "0".into()
    } else if step < 1.0 {
        format!("{at:.1} s")
    } else if step < 60.0 && at < 120.0 {
        format!("{at:.0} s")
    } else if step < 3600.0 {
        let whole = at.round() as u64;
        if whole.is_multiple_of(60) {
            format!("{} min", whole / 60)
        } else {
            format!("{}:{:02}", whole / 60, whole % 60)
        }
    } else {
        format!("{:.0} h", at / 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::span;
    use super::*;

    #[test]
    fn thousands_of_tiles_stay_drawable() {
        let spans: Vec<Span> =
            (0..50_000).map(|i| span(SpanKind::Tile, f64::from(i), f64::from(i) + 0.99)).collect();
        let drawn = merged(&spans, 50_000.0);
        assert!(drawn.len() <= BARS, "{}", drawn.len());
        assert_eq!((drawn[0].from_s, drawn[drawn.len() - 1].to_s), (0.0, 49_999.99));
    }

    #[test]
    fn axes_have_few_round_ticks() {
        for elapsed in [0.3, 1.0, 7.7, 59.0, 61.0, 600.0, 5000.0, 90_000.0, 1e7] {
            let ticks = axis(elapsed).matches("<text").count();
            assert!((2..=10).contains(&ticks), "{elapsed}: {ticks}");
        }
    }

    #[test]
    fn bars_stay_within_the_row() {
        let mut out = String::new();
        bar(&mut out, "tile", 5.0, 50.0, 10.0, "a \"b\"");
        assert!(out.contains("x=\"50.000%\" width=\"50.000%\"") && out.contains("a &quot;b&quot;"), "{out}");
        out.clear();
        bar(&mut out, "tile", 50.0, 60.0, 10.0, "");
        assert!(out.is_empty());
    }
}
