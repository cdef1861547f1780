//! A heat map as CSV and JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Cell, HeatMap};
use crate::error::{Error, Result};
use crate::geometry::Frame;

/// One block as JSON has it.
#[derive(Serialize)]
struct Row<'a> {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    node: &'a str,
    seconds: f64,
    rate: f64,
    rendered_pixels: u64,
    samples: u32,
    seconds_per_megapixel: f64,
    relative: f64,
}

impl<'a> Row<'a> {
    fn of(cell: &'a Cell) -> Self {
        let Cell { block, seconds_per_megapixel, relative } = cell;
        Self {
            x: block.rect.x(),
            y: block.rect.y(),
            width: block.rect.width(),
            height: block.rect.height(),
            node: &block.node,
            seconds: block.seconds,
            rate: block.rate,
            rendered_pixels: block.rendered_area,
            samples: block.samples,
            seconds_per_megapixel: *seconds_per_megapixel,
            relative: *relative,
        }
    }
}

/// The map as JSON has it.
#[derive(Serialize)]
struct Table<'a> {
    frame: Frame,
    coverage: f64,
    least_seconds_per_megapixel: f64,
    most_seconds_per_megapixel: f64,
    mean_seconds_per_megapixel: f64,
    total_seconds: f64,
    blocks: Vec<Row<'a>>,
}

impl HeatMap {
    /// One line a block under a line of names; pixels from the top left, seconds as measured, cost as
    /// [`Cell::seconds_per_megapixel`] and [`Cell::relative`].
    pub fn csv(&self) -> String {
        let mut text = String::from(
            "x,y,width,height,node,seconds,rate,rendered_pixels,samples,seconds_per_megapixel,relative\n",
        );
        for Cell { block, seconds_per_megapixel, relative } in self.cells() {
            let r = block.rect;
            let _ = writeln!(
                text,
                "{},{},{},{},{},{},{},{},{},{seconds_per_megapixel},{relative}",
                r.x(),
                r.y(),
                r.width(),
                r.height(),
                field(&block.node),
                block.seconds,
                block.rate,
                block.rendered_area,
                block.samples,
            );
        }
        text
    }

    /// The same as one JSON object, with the frame's size and the range.
    pub fn json(&self) -> Result<String> {
        let (least, most) = self.range();
        let table = Table {
            frame: self.frame(),
            coverage: self.coverage(),
            least_seconds_per_megapixel: least,
            most_seconds_per_megapixel: most,
            mean_seconds_per_megapixel: self.mean(),
            total_seconds: self.total_seconds(),
            blocks: self.cells().iter().map(Row::of).collect(),
        };
        serde_json::to_string_pretty(&table).map_err(|e| {
            Error::render(format!("the heat map cannot be written as JSON: {e}"))
                .remedy("Report this as a defect of tilectl.")
        })
    }
}

/// A CSV field (RFC 4180): quoted where needed, and never one that a spreadsheet would take for a formula.
fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{block, frame};
    use super::*;
    use crate::heatmap::Block;

    fn map(node: &str) -> HeatMap {
        let frame = frame(20, 10);
        let (left, right) = frame.rect().cut(true, 10).unwrap();
        let left = Block { node: node.into(), samples: 16, rendered_area: 140, ..block(left, 1.4) };
        HeatMap::new(frame, &[left, block(right, 3.0)]).unwrap()
    }

    #[test]
    fn csv_has_a_line_a_block() {
        assert_eq!(
            map("a").csv(),
            "x,y,width,height,node,seconds,rate,rendered_pixels,samples,seconds_per_megapixel,relative\n\
             0,0,10,10,a,1.4,1,140,16,10000,0.5\n\
             10,0,10,10,a,3,1,0,0,30000,1.5\n"
        );
    }

    #[test]
    fn no_name_breaks_the_table_or_computes() {
        let line = |node: &str| map(node).csv().lines().nth(1).unwrap().to_owned();
        assert!(line("=HYPERLINK(1)").contains(",'=HYPERLINK(1),"));
        assert!(line("a,b").contains(",\"a,b\","));
        assert!(line("say \"hi\"").contains(",\"say \"\"hi\"\"\","));
    }

    #[test]
    fn json_says_the_same() {
        let json: serde_json::Value = serde_json::from_str(&map("a").json().unwrap()).unwrap();
        assert_eq!(json["frame"], serde_json::json!([20, 10]));
        assert_eq!(json["blocks"][1]["x"], 10);
        assert_eq!(json["blocks"][0]["relative"], 0.5);
        assert_eq!(json["mean_seconds_per_megapixel"], 20_000.0);
        assert_eq!(json["total_seconds"], 4.0);
    }
}
