//! A job that is known: its pictures, its identity, its work directory, and what is finished of it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::canvas::Canvas;
use super::messages::Tile;
use super::shot::Shot;
use crate::formats::TileFormat;
use crate::geometry::{Frame, Overlap, Rect, uncovered};
use crate::job::Identity;
use crate::node::Device;
use crate::schedule::{Piece, SlotId};
use crate::state::{History, TileRecord, WorkDir};
use crate::stitch::Part;
use crate::stitch::preview::Live;

/// How often the preview is renewed.
const PREVIEW: std::time::Duration = std::time::Duration::from_secs(2);

/// Everything about the job.
pub(super) struct Work {
    pub(super) canvases: Vec<Canvas>,
    pub(super) shots: Vec<Shot>,
    pub(super) identity: Identity,
    pub(super) overlap: Overlap,
    pub(super) dir: WorkDir,
    pub(super) tiles: Vec<TileRecord>,
    pub(super) adopted: usize,
    /// Finished tiles whose picture is written, so that they are gone.
    pub(super) put_away: usize,
    /// Keeps `preview.png` in the work directory up to date.
    pub(super) preview: Option<Live>,
    /// Only these regions of the first picture are wanted.
    pub(super) only: Option<Vec<Rect>>,
}

impl Work {
    /// Takes over what earlier runs wrote of several pictures, and what is to be left out because it is there.
    pub(super) fn recall(&mut self, history: Option<&History>, skip_existing: bool) {
        if self.shots.len() > 1 {
            let sound = history.map(|h| self.dir.sound_shots(h)).unwrap_or_default();
            for (shot, path) in sound {
                let shot = self.shots.get_mut(shot as usize).filter(|s| s.path == path);
                if let Some(shot) = shot {
                    shot.written = true;
                }
            }
        }
        for shot in self.shots.iter_mut().filter(|s| skip_existing && s.path.is_file()) {
            shot.written = true;
        }
        let closed = self.closed();
        self.tiles.retain(|t| !closed.contains(&t.picture));
        self.adopted = self.tiles.len();
    }

    /// Pictures of which nothing is wanted any more.
    pub(super) fn closed(&self) -> HashSet<u32> {
        self.shots.iter().filter(|s| s.written).flat_map(|s| s.canvases.clone()).collect()
    }

    /// How many shots are written.
    pub(super) fn shots_done(&self) -> usize {
        self.shots.iter().filter(|s| s.written).count()
    }

    /// The shot that a picture is rendered for.
    pub(super) fn shot_of(&self, picture: u32) -> Option<usize> {
        let at = self.shots.partition_point(|s| s.canvases.end <= picture);
        self.shots.get(at).filter(|s| s.canvases.contains(&picture)).map(|_| at)
    }

    /// Whether every tile of a shot is here.
    pub(super) fn is_complete(&self, shot: usize) -> bool {
        self.shots.get(shot).is_some_and(|s| {
            s.canvases.clone().all(|picture| {
                let done = self.tiles.iter().filter(|t| t.picture == picture).map(|t| t.region);
                self.canvases.get(picture as usize).is_some_and(|c| uncovered(c.region, done).is_empty())
            })
        })
    }

    /// The first picture that is not written.
    pub(super) fn next_canvas(&self) -> Option<&Canvas> {
        let open = self.shots.iter().find(|s| !s.written)?;
        self.canvases.get(open.canvases.start as usize)
    }

    /// Pixels that are finished.
    pub(super) fn done_area(&self) -> u64 {
        let closed = self.closed();
        let written: u64 =
            closed.iter().filter_map(|p| self.canvases.get(*p as usize)).map(|c| c.region.area()).sum();
        written
            + self.tiles.iter().filter(|t| !closed.contains(&t.picture)).map(|t| t.region.area()).sum::<u64>()
    }

    /// Forgets a written shot's tiles, files and all.
    pub(super) fn put_away(&mut self, shot: usize) {
        let Some(pictures) = self.shots.get(shot).map(|s| s.canvases.clone()) else { return };
        let (gone, kept) =
            std::mem::take(&mut self.tiles).into_iter().partition(|t| pictures.contains(&t.picture));
        self.tiles = kept;
        let gone: Vec<TileRecord> = gone;
        self.put_away += gone.len();
        for tile in gone {
            let _ = std::fs::remove_file(self.dir.layout().tile(&tile.file));
        }
    }

    /// What is not finished of each picture.
    pub(super) fn todo(&self) -> Vec<Vec<Rect>> {
        let closed = self.closed();
        let mut done: HashMap<u32, Vec<Rect>> = HashMap::new();
        for tile in &self.tiles {
            done.entry(tile.picture).or_default().push(tile.region);
        }
        (0u32..)
            .zip(&self.canvases)
            .map(|(index, canvas)| {
                if closed.contains(&index) {
                    return Vec::new();
                }
                let left = uncovered(canvas.region, done.remove(&index).unwrap_or_default());
                match &self.only {
                    None => left,
                    Some(_) if index > 0 => Vec::new(),
                    Some(wanted) => wanted
                        .iter()
                        .flat_map(|w| left.iter().filter_map(|l| l.intersection(*w)).collect::<Vec<_>>())
                        .collect(),
                }
            })
            .collect()
    }

    /// Begins the preview with what is there; where tiles are no pictures yet, only when it is `wanted`.
    pub(super) fn begin_preview(&mut self, wanted: bool) {
        let Some(canvas) = self.canvases.first() else { return };
        if self.shots.len() > 1 || (self.format() != TileFormat::Png && !wanted) || self.only.is_some() {
            return;
        }
        let path = self.dir.layout().preview();
        // No render fails for its preview.
        self.preview = Live::start(canvas.region.size(), path, PREVIEW).ok();
        for tile in &self.tiles {
            self.show(tile);
        }
    }

    /// Shows a tile in the preview.
    pub(super) fn show(&self, tile: &TileRecord) {
        let (Some(preview), Some(canvas)) = (&self.preview, self.canvases.first()) else { return };
        if let (0, Some(region), Some(rendered)) =
            (tile.picture, tile.region.relative_to(canvas.region), tile.rendered.relative_to(canvas.region))
        {
            preview.add(Part { path: self.dir.layout().tile(&tile.file), region, rendered });
        }
    }

    /// Pixels of all pictures.
    pub(super) fn area(&self) -> u64 {
        self.canvases.iter().map(|c| c.region.area()).sum()
    }

    /// The order to render a piece on a slot with these settings.
    pub(super) fn tile(
        &self,
        piece: Piece,
        slot: SlotId,
        device: Device,
        threads: Option<u32>,
    ) -> Option<Tile> {
        let mut tile = tile(&self.canvases, self.overlap, &self.dir.layout().tiles(), piece, slot)?;
        (tile.picture.device, tile.picture.threads) = (device, threads);
        Some(tile)
    }

    /// The finished tiles of a picture, for the stitcher.
    pub(super) fn parts(&self, picture: u32) -> Vec<Part> {
        self.tiles
            .iter()
            .filter(|t| t.picture == picture)
            .map(|t| Part { path: self.dir.layout().tile(&t.file), region: t.region, rendered: t.rendered })
            .collect()
    }

    /// The tile format; the first shot's of several.
    pub(super) fn format(&self) -> TileFormat {
        self.identity.format
    }
}

/// What a job's spool is called on nodes. Another run of the same job elsewhere, be it a plan or a proof, must neither
/// take what is there nor remove it.
pub(super) fn spool_of(identity: &Identity, work_dir: &Path) -> String {
    let place = std::path::absolute(work_dir).unwrap_or_else(|_| work_dir.to_owned());
    let place = Sha256::digest(place.as_os_str().as_encoded_bytes());
    format!("{}-{}", identity.id(), crate::hash::hex(&place[..8]))
}

/// What a piece is called in a node's spool.
pub(super) fn name_of(picture: u32, region: Rect) -> String {
    format!("p{picture}-x{}-y{}-{}.tile", region.x(), region.y(), region.size())
}

/// A piece as a tile: what is rendered for it, what it is called, where its file goes. Two slots that render the same
/// piece have files of their own: the one that is not needed can go without the other.
pub(super) fn tile(
    canvases: &[Canvas],
    overlap: Overlap,
    tiles: &Path,
    piece: Piece,
    slot: SlotId,
) -> Option<Tile> {
    let canvas = canvases.get(piece.picture as usize).filter(|c| c.region.contains(piece.region))?;
    let name = name_of(piece.picture, piece.region);
    let stem = name.trim_end_matches(".tile");
    Some(Tile {
        piece,
        rendered: grown_within(piece.region, overlap, canvas.region),
        frame: canvas.frame,
        into: tiles.join(format!("{stem}-s{slot}.{}", canvas.picture.format.extension())),
        name,
        picture: canvas.picture.clone(),
    })
}

/// The piece that a tile in a node's spool is, by its name.
pub(super) fn piece_of(name: &str) -> Option<Piece> {
    let (picture, rest) = name.strip_prefix('p')?.strip_suffix(".tile")?.split_once("-x")?;
    let (x, rest) = rest.split_once("-y")?;
    let (y, size) = rest.split_once('-')?;
    let (width, height) = size.split_once('x')?;
    let region =
        Rect::new(x.parse().ok()?, y.parse().ok()?, width.parse().ok()?, height.parse().ok()?).ok()?;
    Some(Piece { id: u64::MAX, picture: picture.parse().ok()?, region })
}

/// What is rendered for a tile, with the overlap; no line of single pixels, whose colours Blender converts another way
/// than those of wider pictures, which shows in the last bit of 16.
///
/// Overlap stops at the region that the file itself renders: Blender looks no further there either.
pub(super) fn grown_within(region: Rect, overlap: Overlap, bounds: Rect) -> Rect {
    let narrow = region.width().min(region.height()) == 1;
    let overlap = Overlap(overlap.0.max(u32::from(narrow)));
    let end = Frame::new(bounds.right(), bounds.bottom());
    end.ok().and_then(|frame| region.grown(overlap, frame).intersection(bounds)).unwrap_or(region)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blender::Picture;

    #[test]
    fn jobs_in_different_places_do_not_share_a_spool() {
        let identity: Identity = ron::from_str(
            "(files:[],scene:\"S\",camera:None,frame:1,seed:0,samples:1,resolution:(60,60),percentage:100,size:(60,60),\
             region:(0,0,60,60),format:png,overlap:0,pictures:[\"S\"],blender:\"b\",hash:\"h\",scripts:false)",
        )
        .unwrap();
        let of = |dir: &str| spool_of(&identity, Path::new(dir));
        assert_eq!(of("/a/still.tiles"), of("/a/still.tiles"));
        assert_ne!(of("/a/still.tiles"), of("/tmp/plan"), "a plan must not remove what a render left there");
    }

    #[test]
    fn no_tile_is_rendered_as_a_line() {
        let bounds = Rect::new(2, 2, 20, 10).unwrap();
        let of = |x, y, w, h| grown_within(Rect::new(x, y, w, h).unwrap(), Overlap(0), bounds);
        assert_eq!(of(5, 2, 1, 10), Rect::new(4, 2, 3, 10).unwrap());
        assert_eq!(of(2, 3, 20, 1), Rect::new(2, 2, 20, 3).unwrap());
        assert_eq!(of(2, 2, 1, 10), Rect::new(2, 2, 2, 10).unwrap());
        assert_eq!(of(4, 2, 2, 2), Rect::new(4, 2, 2, 2).unwrap());
        let line = Rect::new(2, 2, 1, 10).unwrap();
        assert_eq!(grown_within(line, Overlap(0), line), line, "the frame itself is no wider");
    }

    #[test]
    fn twins_have_one_name_on_nodes_and_files_of_their_own_here() {
        let frame = Frame::new(64, 64).unwrap();
        let canvases = [Canvas { picture: Picture::plain(), frame, region: frame.rect() }];
        let piece = Piece { id: 7, picture: 0, region: Rect::new(8, 16, 32, 8).unwrap() };
        let on = |slot| tile(&canvases, Overlap(4), Path::new("tiles"), piece, slot).unwrap();
        let (a, b) = (on(0), on(1));
        assert_eq!(a.name, b.name);
        assert_ne!(a.into, b.into, "one of them is discarded, and must not take the other's file along");
        assert_eq!(piece_of(&a.name).unwrap().region, piece.region);
        assert_eq!(a.rendered, Rect::new(4, 12, 40, 16).unwrap());
    }
}
