//! Stitches what a JSON plan on standard input says: `{"frame": [w, h], "out": path, "packing": "zip" | "none",
//! "parts": [{"path": path, "region": [x, y, w, h], "rendered": [x, y, w, h]}]}`, PNG or EXR by the name of `out`.

use std::path::PathBuf;

use serde::Deserialize;
use tilecore::geometry::{Frame, Rect};
use tilecore::stitch::{ExrOptions, Packing, Part, PngOptions, exr, png};

#[derive(Deserialize)]
struct Plan {
    frame: Frame,
    out: PathBuf,
    packing: Option<String>,
    parts: Vec<Place>,
}

#[derive(Deserialize)]
struct Place {
    path: PathBuf,
    region: Rect,
    rendered: Rect,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plan: Plan = serde_json::from_reader(std::io::stdin())?;
    let parts: Vec<Part> = plan
        .parts
        .into_iter()
        .map(|p| Part { path: p.path, region: p.region, rendered: p.rendered })
        .collect();
    if plan.out.extension().is_some_and(|e| e == "exr") {
        let packing = if plan.packing.as_deref() == Some("none") { Packing::None } else { Packing::Zip };
        exr(&parts, plan.frame, &plan.out, &ExrOptions::default().packing(packing))?;
    } else {
        png(&parts, plan.frame, &plan.out, &PngOptions::default())?;
    }
    Ok(())
}
