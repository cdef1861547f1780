//! The report's tables: what each node contributed, the slowest blocks, settings and versions.

use std::fmt::Write as _;

use super::account::Account;
use super::escape::{Text, percent, place};
use super::{NodeReport, ReportData};
use crate::heatmap::HeatMap;
use crate::text::duration;

/// How many of the slowest blocks are listed.
const SLOWEST: usize = 12;

/// One line a node.
pub(super) fn nodes(data: &ReportData, account: &Account) -> String {
    if data.nodes.is_empty() {
        return "<p>No node has taken part yet.</p>".into();
    }
    let live = data.now.is_some();
    let mut out = format!(
        "<div class=\"wide\"><table><thead><tr><th>Node</th>{}<th class=\"n\">Work</th><th></th><th class=\"n\">Tiles</th><th class=\"n\">Speed</th>\
         <th class=\"n\">Start</th><th class=\"n\">Sync</th><th class=\"n\">Rendering</th><th class=\"n\">Idle</th><th class=\"n\">Failed</th></tr></thead><tbody>",
        if live { "<th>Now</th>" } else { "" },
    );
    for (node, share) in data.nodes.iter().zip(&account.shares) {
        let speed = node.rate.map_or_else(|| "?".into(), |_| format!("{:.2}x", share.relative_rate));
        let _ = write!(
            out,
            "<tr><td><b>{}</b><br><span class=\"small\">{}</span>{}</td>{}<td class=\"n\" data-of=\"Work\">{}</td>\
             <td><svg class=\"meter\" aria-hidden=\"true\"><rect class=\"idle\" width=\"100%\" height=\"100%\"/><rect class=\"tile\" width=\"{:.2}%\" height=\"100%\"/></svg></td>\
             <td class=\"n\" data-of=\"Tiles\">{}</td><td class=\"n\" data-of=\"Speed\">{speed}</td><td class=\"n\" data-of=\"Start\">{}</td><td class=\"n\" data-of=\"Sync\">{}</td><td class=\"n\" data-of=\"Rendering\">{}</td><td class=\"n\" data-of=\"Idle\">{}</td><td class=\"n\" data-of=\"Failed\">{}</td></tr>",
            Text(&node.name),
            Text(&about(node)),
            node.trouble
                .as_ref()
                .map_or_else(String::new, |t| format!("<br><span class=\"bad\">{}</span>", Text(t))),
            data.now.as_ref().map_or_else(String::new, |now| {
                let busy = now.nodes.iter().find(|b| b.name == node.name);
                format!("<td data-of=\"Now\">{}</td>", Text(busy.map_or("", |b| b.words.as_str())))
            }),
            percent(share.contribution),
            share.contribution * 100.0,
            share.count,
            duration(share.start),
            duration(share.sync),
            duration(share.tiles),
            duration(share.idle),
            share.failures,
        );
    }
    out.push_str(
        "</tbody></table></div><p class=\"small\">Speed is relative to the slowest node, on this scene.</p>",
    );
    out
}

fn about(node: &NodeReport) -> String {
    let cores = if node.cores > 0 { format!("{} cores", node.cores) } else { String::new() };
    let blender = if node.blender.is_empty() { String::new() } else { format!("Blender {}", node.blender) };
    let parts = [node.place.clone(), node.device.clone(), cores, blender];
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(", ")
}

/// The blocks that cost most.
pub(super) fn slowest(map: &HeatMap) -> String {
    let mut out = String::from(
        "<div class=\"wide\"><table><thead><tr><th>Block</th><th>Node</th><th class=\"n\">Took</th><th class=\"n\">Cost per pixel</th></tr></thead><tbody>",
    );
    for cell in map.dearest().into_iter().take(SLOWEST) {
        let _ = write!(
            out,
            "<tr><td>{}</td><td data-of=\"Node\">{}</td><td class=\"n\" data-of=\"Took\">{}</td><td class=\"n\" data-of=\"Cost per pixel\">{:.2}x the mean</td></tr>",
            place(cell.block.rect),
            Text(&cell.block.node),
            duration(cell.block.seconds),
            cell.relative,
        );
    }
    out.push_str("</tbody></table></div><p class=\"small\">Blocks are WIDTHxHEIGHT at X, Y in pixels from the top left; in order of what they cost the fastest node.</p>");
    out
}

/// Names and values.
pub(super) fn pairs(pairs: &[(String, String)]) -> String {
    let mut out = String::from("<dl>");
    for (name, value) in pairs {
        let _ = write!(out, "<div><dt>{}</dt><dd>{}</dd></div>", Text(name), Text(value));
    }
    out.push_str("</dl>");
    out
}
