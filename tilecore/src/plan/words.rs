//! The plan in words: the table of nodes, why a node is left out, and what limits the whole.

use super::Plan;
use crate::cost::NodeModel;
use crate::text::duration;

/// Why a slot that gets nothing to do is left out.
pub(super) fn no_use(model: &NodeModel, seconds: f64) -> String {
    if model.ready_s() >= seconds {
        format!("ready only after {}, when the others are done", duration(model.ready_s()))
    } else {
        "its first tile would take longer than the others take for everything".to_owned()
    }
}

/// Why a slot that would do next to nothing is left out.
pub(super) fn little_use(share: f64) -> String {
    format!("the others are as fast without its {:.1} %", share * 100.0)
}

/// Why all but one are left out.
pub(super) fn not_needed(best: &str) -> String {
    format!("the picture is cheaper than sharing it out: {best} alone is as fast")
}

/// What limits the plan.
pub(super) fn limit(plan: &Plan) -> String {
    let used = || plan.nodes.iter().filter(|n| n.tiles > 0);
    if plan.pieces.is_empty() && plan.work.pictures.iter().all(|p| p.todo.is_empty()) {
        return "There is nothing left to render.".to_owned();
    }
    let Some(seconds) = plan.seconds else {
        return "How fast the nodes are is not known yet: the first tiles will tell.".to_owned();
    };
    let slow_link = used().find(|n| {
        let rendering = 1.0 / n.model.rate;
        plan.work.bytes_per_pixel / n.model.transfer_bytes_per_s > rendering
    });
    let ready = used().map(|n| n.model.ready_s()).fold(f64::INFINITY, f64::min);
    if ready > seconds / 2.0 {
        format!(
            "Starting Blender and building the scene take {} of {}: more nodes can shorten only the rest.",
            duration(ready),
            duration(seconds)
        )
    } else if let Some(node) = slow_link {
        format!("{} renders faster than its connection carries the tiles.", node.model.name)
    } else if used().count() == 1 {
        format!("{} renders everything: its speed is the limit.", used().next().map_or("", |n| &n.model.name))
    } else if plan.overhead > 0.1 {
        format!(
            "{:.0} % of the rendering time go into the edges and the fixed cost of tiles: fewer nodes would do nearly as well.",
            plan.overhead * 100.0
        )
    } else {
        let faster = plan.alone.as_ref().map_or(1.0, |a| a.1 / seconds.max(1e-9));
        let name = plan.alone.as_ref().map_or("", |a| &a.0);
        format!(
            "The speed of the nodes is the limit: together they are {faster:.1} times as fast as {name} alone."
        )
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self.nodes.iter().map(|n| n.model.name.chars().count()).max().unwrap_or(0).max(4);
        writeln!(f, "{:width$}  {:>12}  {:>6}  {:>5}  {:>8}", "node", "pixels/s", "share", "tiles", "busy")?;
        for node in &self.nodes {
            let rate = if node.model.known { format!("{:.0}", node.model.rate) } else { "not known".into() };
            write!(f, "{:width$}  {rate:>12}", node.model.name)?;
            if let Some(reason) = &node.left_out {
                writeln!(f, "  left out: {reason}")?;
            } else {
                let share = 100.0 * node.share;
                match self.seconds {
                    Some(_) => writeln!(f, "  {share:5.1}%  {:5}  {:>7.1}s", node.tiles, node.busy_s)?,
                    None => writeln!(f, "  {:>6}  {:>5}  {:>8}", "?", "?", "?")?,
                }
            }
        }
        match self.tiles() {
            Some(1) => f.write_str("1 tile")?,
            Some(tiles) => write!(f, "{tiles} tiles")?,
            None => f.write_str("tiles are cut as it turns out how long they take")?,
        }
        if let Some(seconds) = self.seconds {
            write!(f, ", about {} together", duration(seconds))?;
        }
        if let Some((name, seconds)) = &self.alone {
            write!(f, ", {} on {name} alone", duration(*seconds))?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan;
    use crate::cost::{NodeModel, Tiling, Work};
    use crate::geometry::Frame;

    #[test]
    fn tiles_that_nobody_can_count_yet_are_not_counted() {
        let frame = Frame::new(1920, 1080).unwrap();
        let table = |tiling, rate: f64| {
            let model = NodeModel { rate, known: rate > 0.0, ..NodeModel::unknown("attic") };
            plan(Work { tiling, ..Work::whole(frame) }, &[model]).unwrap().to_string()
        };
        let unknown = table(Tiling::Auto, 0.0);
        assert!(unknown.ends_with("\ntiles are cut as it turns out how long they take\n"), "{unknown}");
        assert!(
            unknown.lines().nth(1).is_some_and(|l| l.split_whitespace().last() == Some("?")),
            "{unknown}"
        );
        let grid = table(Tiling::Count(12), 0.0);
        assert!(grid.ends_with("\n12 tiles\n"), "{grid}");
        let known = table(Tiling::Auto, 1000.0);
        assert!(known.contains(" tiles, about ") || known.contains("1 tile, about "), "{known}");
        assert!(known.lines().nth(1).is_some_and(|l| l.ends_with('s')), "{known}");
    }
}
