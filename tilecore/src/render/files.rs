//! The files of stored pieces. Two slots that render the same region write files of the same name, one after the other:
//! the file goes only with the last piece that it stands for.

use std::collections::HashMap;

/// Names of files, by the numbers of the pieces they hold.
#[derive(Debug, Default)]
pub(super) struct Files(HashMap<u64, String>);

impl Files {
    /// A piece is in this file.
    pub(super) fn insert(&mut self, piece: u64, file: String) {
        self.0.insert(piece, file);
    }

    /// A piece is no longer needed. Its file, when no other piece is in a file of that name.
    pub(super) fn discard(&mut self, piece: u64) -> Option<String> {
        let file = self.0.remove(&piece)?;
        (!self.0.values().any(|other| *other == file)).then_some(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_two_equal_pieces_stays_until_both_are_discarded() {
        let mut files = Files::default();
        files.insert(1, "p0-x0-y0-8x8.png".into());
        files.insert(2, "p0-x8-y0-8x8.png".into());
        files.insert(7, "p0-x0-y0-8x8.png".into());
        assert_eq!(files.discard(7), None);
        assert_eq!(files.discard(2).as_deref(), Some("p0-x8-y0-8x8.png"));
        assert_eq!(files.discard(1).as_deref(), Some("p0-x0-y0-8x8.png"));
        assert_eq!(files.discard(1), None);
    }
}
