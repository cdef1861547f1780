//! What stands where no part reaches.

use super::layout::Layout;
use crate::geometry::Rect;

/// What stands where no part reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Holes {
    /// A hole is an error and nothing is written.
    #[default]
    Refused,
    /// Transparent black; the picture gets an alpha channel if it has none.
    Transparent,
    /// Diagonal stripes that nobody takes for a render.
    Hatched,
}

/// Width of a stripe in pixels.
const STRIPE: u32 = 8;
/// The stripes' greys.
const GREYS: [u8; 2] = [0x40, 0xc0];

impl Holes {
    /// Fills `hole` within `rows`, whose first is row `top` of the frame.
    pub(super) fn fill(self, hole: Rect, rows: &mut [u8], top: u32, row_bytes: usize, layout: Layout) {
        let greys = GREYS.map(|grey| {
            let mut pixel = Vec::new();
            Layout::default().widen(&[grey], layout, &mut pixel);
            pixel
        });
        let pixel = layout.bytes_per_pixel();
        let (left, right) = (hole.x() as usize * pixel, hole.right() as usize * pixel);
        for (y, row) in (top..).zip(rows.chunks_exact_mut(row_bytes)) {
            let Some(place) = row.get_mut(left..right).filter(|_| (hole.y()..hole.bottom()).contains(&y))
            else {
                continue;
            };
            if self == Holes::Hatched {
                for (x, place) in (hole.x()..).zip(place.chunks_exact_mut(pixel)) {
                    let [dark, light] = &greys;
                    place.copy_from_slice(if ((x + y) / STRIPE).is_multiple_of(2) { light } else { dark });
                }
            } else {
                place.fill(0);
            }
        }
    }
}
