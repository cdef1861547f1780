//! Tiles from any tool: a grid of files in reading order, or files whose names say where they belong.

use std::cmp::Ordering;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Part;
use crate::error::{Error, IoContext, Result};
use crate::geometry::{Frame, Rect};

/// Tiles with their places, and the frame they lie in; both go to [`png`](super::png()), which finds the holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loose {
    /// The smallest frame that holds all tiles.
    pub frame: Frame,
    /// One for each file.
    pub parts: Vec<Part>,
}

/// How many tiles lie side by side and how many one above the other, as in `8x6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Tiles side by side.
    pub columns: u32,
    /// Tiles one above the other.
    pub rows: u32,
}

impl std::str::FromStr for Columns {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let sides = text.split_once(['x', 'X']).and_then(|(c, r)| Some((c.parse().ok()?, r.parse().ok()?)));
        match sides {
            Some((columns @ 1.., rows @ 1..)) => Ok(Self { columns, rows }),
            _ => Err(Error::input(format!("{text:?} is not a grid"))
                .remedy("Write how many tiles lie side by side and one above the other, such as 8x6.")),
        }
    }
}

/// Width and height of a tile's file in pixels, such as [`png_size`](super::png_size).
pub type SizeOf<'a> = &'a dyn Fn(&Path) -> Result<(u32, u32)>;

/// Places files row by row from the top left. All tiles of a row have the same height and all of a column the same
/// width; rows and columns may differ.
///
/// The files are taken in their order, unless that is the order a shell sorts names in: then by the numbers in the
/// names, so that `t_2.png` comes before `t_10.png`.
pub fn grid(files: &[PathBuf], grid: Columns, size_of: SizeOf<'_>) -> Result<Loose> {
    let Columns { columns, rows } = grid;
    if u64::from(columns) * u64::from(rows) != files.len() as u64 {
        return Err(Error::input(format!(
            "{} files do not make a grid of {columns}x{rows} tiles, which has {}",
            files.len(),
            u64::from(columns) * u64::from(rows)
        ))
        .remedy("Check the size of the grid and that no tile is missing or named twice."));
    }
    let mut files = files.to_vec();
    if files.is_sorted() {
        files.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()).then_with(|| a.cmp(b)));
    }
    let mut seen = BTreeSet::new();
    if let Some(path) = files.iter().find(|path| !seen.insert(*path)) {
        return Err(
            Error::input(format!("{} is named twice", path.display())).remedy("Name every tile once.")
        );
    }
    let places = (0..rows).flat_map(|y| (0..columns).map(move |x| (x, y)));
    place(places.zip(files).collect(), size_of)
}

/// Finds the files whose names follow `pattern`, in which `{x}` and `{y}` stand for numbers: columns and rows if they
/// are consecutive, wherever they begin; else the place of the tile's left and upper edge in pixels.
pub fn pattern(pattern: &Path, size_of: SizeOf<'_>) -> Result<Loose> {
    let wrong = |what: &str| {
        Error::input(format!("{} is not a pattern: {what}", pattern.display()))
            .remedy("Write {x} and {y} where the names have their numbers, such as tile_{x}_{y}.png.")
    };
    let name = pattern.file_name().and_then(|n| n.to_str()).ok_or_else(|| wrong("it has no file name"))?;
    let tokens = tokens(name).map_err(wrong)?;
    let folder = match pattern.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).at("read", folder)? {
        let path = entry.at("read", folder)?.path();
        let Some((x, y)) = path.file_name().and_then(|n| n.to_str()).and_then(|n| matched(n, &tokens)) else {
            continue;
        };
        match found.entry((x, y)) {
            Entry::Vacant(place) => {
                place.insert(path);
            }
            Entry::Occupied(other) => {
                let (a, b) = (other.get().min(&path).display(), other.get().max(&path).display());
                return Err(
                    Error::input(format!("{a} and {b} have the same place")).remedy("Keep one of them.")
                );
            }
        }
    }
    if found.is_empty() {
        return Err(Error::input(format!("no file is named after {}", pattern.display()))
            .remedy("Check the folder and the pattern."));
    }
    place(found, size_of)
}

/// A piece of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Text(&'a str),
    X,
    Y,
}

/// The pieces of a pattern that has each number once and can be read in only one way.
fn tokens(pattern: &str) -> Result<Vec<Token<'_>>, &'static str> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while !rest.is_empty() {
        let next = [("{x}", Token::X), ("{y}", Token::Y)]
            .into_iter()
            .filter_map(|(mark, token)| Some((rest.find(mark)?, mark, token)))
            .min_by_key(|(at, ..)| *at);
        let Some((at, mark, token)) = next else {
            tokens.push(Token::Text(rest));
            break;
        };
        let (text, behind) = rest.split_at(at);
        if !text.is_empty() {
            tokens.push(Token::Text(text));
        }
        tokens.push(token);
        rest = behind.strip_prefix(mark).unwrap_or_default();
    }
    for token in [Token::X, Token::Y] {
        if tokens.iter().filter(|t| **t == token).count() != 1 {
            return Err("{x} and {y} must be there once each");
        }
    }
    let clear = |pair: &[Token<'_>]| match pair {
        [Token::X | Token::Y, Token::Text(text)] => !text.starts_with(|c: char| c.is_ascii_digit()),
        [Token::X | Token::Y, _] => false,
        _ => true,
    };
    if tokens.windows(2).all(clear) { Ok(tokens) } else { Err("something must stand between two numbers") }
}

/// The numbers of a name that follows a pattern.
fn matched(name: &str, tokens: &[Token<'_>]) -> Option<(u32, u32)> {
    let (mut x, mut y) = (None, None);
    let mut rest = name;
    for token in tokens {
        if let Token::Text(text) = token {
            rest = rest.strip_prefix(text)?;
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, behind) = rest.split_at(end);
        *(if *token == Token::X { &mut x } else { &mut y }) = Some(digits.parse().ok()?);
        rest = behind;
    }
    if rest.is_empty() { x.zip(y) } else { None }
}

/// Gives every file its place, from its numbers and its size.
fn place(files: BTreeMap<(u32, u32), PathBuf>, size_of: SizeOf<'_>) -> Result<Loose> {
    let mut widths = BTreeMap::new();
    let mut heights = BTreeMap::new();
    for (&(x, y), path) in &files {
        let (width, height) = size_of(path)?;
        let sides = [(&mut widths, x, width, "wide", "column"), (&mut heights, y, height, "high", "row")];
        for (known, number, side, how, line) in sides {
            let expected = *known.entry(number).or_insert(side);
            if expected != side {
                return Err(Error::input(format!(
                    "{} is {side} pixels {how} where the others of its {line} have {expected}",
                    path.display()
                ))
                .remedy("Check the order of the tiles and the size of the grid."));
            }
        }
    }
    let (lefts, width) = edges(&widths, "x")?;
    let (tops, height) = edges(&heights, "y")?;
    let frame = Frame::new(width, height)?;
    let mut parts = Vec::with_capacity(files.len());
    for ((x, y), path) in files {
        let of = |sides: &BTreeMap<u32, u32>, number| sides.get(&number).copied().unwrap_or(0);
        let region = Rect::new(of(&lefts, x), of(&tops, y), of(&widths, x), of(&heights, y))?;
        parts.push(Part::whole(path, region));
    }
    Ok(Loose { frame, parts })
}

/// Where each column or row begins, by its number, and where the last one ends.
fn edges(sides: &BTreeMap<u32, u32>, axis: &str) -> Result<(BTreeMap<u32, u32>, u32)> {
    let numbers: Vec<u32> = sides.keys().copied().collect();
    let consecutive = numbers.windows(2).all(|pair| matches!(pair, [a, b] if b - a == 1));
    let mut edges = BTreeMap::new();
    let mut end = 0u32;
    for (&number, &side) in sides {
        let start = if consecutive { end } else { number };
        if start < end {
            return Err(Error::input(format!(
                "the numbers for {axis} are neither consecutive nor places in pixels: {number} lies within the tile before it"
            ))
            .remedy("Check that no column or row is missing."));
        }
        edges.insert(number, start);
        end = start.saturating_add(side);
    }
    Ok((edges, end))
}

/// Compares names so that numbers in them count as numbers.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        let (Some(first), Some(second)) = (one.chars().next(), other.chars().next()) else {
            return one.len().cmp(&other.len());
        };
        if first.is_ascii_digit() && second.is_ascii_digit() {
            let ((number, behind), (against, behind_other)) = (number(one), number(other));
            match number.len().cmp(&against.len()).then_with(|| number.cmp(against)) {
                Ordering::Equal => (one, other) = (behind, behind_other),
                unequal => return unequal,
            }
        } else if first == second {
            let behind = first.len_utf8();
            (one, other) = (one.get(behind..).unwrap_or_default(), other.get(behind..).unwrap_or_default());
        } else {
            return first.cmp(&second);
        }
    }
}

/// The digits a text begins with, without leading zeros, and what is behind them.
fn number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, behind) = text.split_at(end);
    (digits.trim_start_matches('0'), behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    fn places(loose: &Loose) -> Vec<(String, String)> {
        loose.parts.iter().map(|p| (p.path.display().to_string(), p.region.to_string())).collect()
    }

    /// A folder with these files, and a function that reads a size out of their content.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    fn size(path: &Path) -> (u32, u32) {
        let text = std::fs::read_to_string(path).unwrap();
        let (w, h) = text.split_once('x').unwrap();
        (w.parse().unwrap(), h.parse().unwrap())
    }

    fn found(folder: &tempfile::TempDir, name: &str) -> Result<Vec<(String, String)>> {
        let loose = pattern(&folder.path().join(name), &|path| Ok(size(path)))?;
        Ok(loose
            .parts
            .iter()
            .map(|p| (p.path.file_name().unwrap().to_str().unwrap().to_owned(), p.region.to_string()))
            .chain([("frame".to_owned(), loose.frame.to_string())])
            .collect())
    }

    fn strings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn a_grid_is_read_like_a_page() {
        let files = paths(&["t_1.png", "t_10.png", "t_11.png", "t_2.png", "t_3.png", "t_9.png"]);
        let loose = grid(&files, "3x2".parse().unwrap(), &|_| Ok((10, 20))).unwrap();
        assert_eq!(loose.frame.to_string(), "30x40");
        let expected = [
            ("t_1.png", "10x20+0+0"),
            ("t_2.png", "10x20+10+0"),
            ("t_3.png", "10x20+20+0"),
            ("t_9.png", "10x20+0+20"),
            ("t_10.png", "10x20+10+20"),
            ("t_11.png", "10x20+20+20"),
        ];
        let mut got = places(&loose);
        got.sort_by_key(|(_, place)| place.rsplit('+').next().unwrap().parse::<u32>().unwrap());
        assert_eq!(got.len(), 6);
        for (name, place) in expected {
            assert!(got.contains(&(name.to_owned(), place.to_owned())), "{name} {place}: {got:?}");
        }
    }

    #[test]
    fn an_order_that_is_not_a_shells_is_kept() {
        let files = paths(&["b.png", "a.png"]);
        let loose = grid(&files, Columns { columns: 2, rows: 1 }, &|_| Ok((1, 1))).unwrap();
        assert!(places(&loose).contains(&("a.png".into(), "1x1+1+0".into())));
    }

    #[test]
    fn grids_that_do_not_match_are_refused() {
        let files = paths(&["a", "b", "c"]);
        let error = grid(&files, "2x2".parse().unwrap(), &|_| Ok((1, 1))).unwrap_err();
        assert_eq!(error.to_string(), "3 files do not make a grid of 2x2 tiles, which has 4");
        let twice = paths(&["b", "a", "c", "b"]);
        let error = grid(&twice, "2x2".parse().unwrap(), &|_| Ok((1, 1))).unwrap_err();
        assert_eq!(error.to_string(), "b is named twice");
        let files = paths(&["a", "b", "c", "d"]);
        let error =
            grid(&files, "2x2".parse().unwrap(), &|p| Ok((if p == Path::new("d") { 9 } else { 8 }, 5)));
        assert_eq!(
            error.unwrap_err().to_string(),
            "d is 9 pixels wide where the others of its column have 8"
        );
        for wrong in ["", "8", "8x", "0x3", "3x-1", "axb"] {
            assert!(wrong.parse::<Columns>().is_err(), "{wrong}");
        }
        assert!(grid(&paths(&["a", "b"]), "2x1".parse().unwrap(), &|_| Ok((40_000, 1))).is_err());
    }

    #[test]
    fn names_carry_columns_from_any_start() {
        let folder = folder(&[
            ("tile_1_07.png", "10x5"),
            ("tile_2_07.png", "12x5"),
            ("tile_1_08.png", "10x6"),
            ("tile_02_08.png", "12x6"),
            ("tile_3_x.png", ""),
            ("tile_1_07.png.bak", ""),
            ("a_tile_1_07.png", ""),
        ]);
        let expected = strings(&[
            ("tile_1_07.png", "10x5+0+0"),
            ("tile_1_08.png", "10x6+0+5"),
            ("tile_2_07.png", "12x5+10+0"),
            ("tile_02_08.png", "12x6+10+5"),
            ("frame", "22x11"),
        ]);
        assert_eq!(found(&folder, "tile_{x}_{y}.png").unwrap(), expected);
    }

    #[test]
    fn names_carry_pixels() {
        let folder = folder(&[("0-0.png", "16x16"), ("0-32.png", "16x8"), ("16-0.png", "20x16")]);
        let expected = strings(&[
            ("0-0.png", "16x16+0+0"),
            ("0-32.png", "16x8+0+32"),
            ("16-0.png", "20x16+16+0"),
            ("frame", "36x40"),
        ]);
        assert_eq!(found(&folder, "{x}-{y}.png").unwrap(), expected);
    }

    #[test]
    fn names_that_leave_doubt_are_refused() {
        let message = |files: &[(&str, &str)], name: &str| {
            let folder = folder(files);
            let error = found(&folder, name).unwrap_err().to_string();
            error.replace(folder.path().to_str().unwrap(), "").replace('/', "")
        };
        let a = ("t_0_0.png", "8x8");
        assert_eq!(message(&[a], "u_{x}_{y}.png"), "no file is named after u_{x}_{y}.png");
        assert!(message(&[a], "t_{x}_0.png").contains("must be there once each"));
        assert!(message(&[a], "t_{x}_{x}_{y}.png").contains("must be there once each"));
        assert!(message(&[a], "t_{x}{y}.png").contains("between two numbers"));
        assert!(message(&[a], "t_{x}0_{y}.png").contains("between two numbers"));
        assert_eq!(
            message(&[a, ("t_0_00.png", "8x8")], "t_{x}_{y}.png"),
            "t_0_0.png and t_0_00.png have the same place"
        );
        assert!(
            message(&[a, ("t_1_0.png", "8x8"), ("t_3_0.png", "8x8")], "t_{x}_{y}.png")
                .contains("neither consecutive nor places in pixels: 1 lies within")
        );
    }

    proptest! {
        #[test]
        fn any_names_and_patterns_are_taken_or_refused(name in ".{0,20}", pattern in "[a-c0-2]{0,3}(\\{[xyz]\\}[a-c_0-2]{0,2}){0,4}") {
            if let Ok(tokens) = tokens(&pattern) {
                let _ = matched(&name, &tokens);
                let named = pattern.replace("{x}", "12").replace("{y}", "00034");
                prop_assert_eq!(matched(&named, &tokens), Some((12, 34)));
            }
        }

        #[test]
        fn natural_order_is_an_order(mut names in prop::collection::vec("[ab0-3]{0,6}", 0..20)) {
            // Sorting panics on what is no order.
            names.sort_by(|a, b| natural(a, b));
            for pair in names.windows(2) {
                prop_assert!(natural(&pair[0], &pair[1]).is_le() && natural(&pair[1], &pair[0]).is_ge());
            }
        }
    }
}
