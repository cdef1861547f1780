//! The PNG file being written: under a temporary name until it is whole and on the disk.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::ancillary::Ancillary;
use super::chunk;
use super::layout::Layout;
use super::segment::{Deflated, adler_combine};
use crate::error::{IoContext, Result};
use crate::geometry::Frame;

/// A file under a temporary name beside its own; dropped without [`Draft::finish`], it is removed.
pub(super) struct Draft<'a> {
    path: &'a Path,
    file: BufWriter<NamedTempFile>,
}

impl<'a> Draft<'a> {
    /// Creates the file in the folder where `path` will be.
    pub(super) fn create(path: &'a Path) -> Result<Self> {
        let folder = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        let temporary = tempfile::Builder::new()
            .prefix(".stitch-")
            .suffix(".tmp")
            .permissions_like_new_files()
            .tempfile_in(folder)
            .at("write", path)?;
        Ok(Self { path, file: BufWriter::with_capacity(1 << 20, temporary) })
    }

    /// Where to write.
    pub(super) fn file(&mut self) -> &mut BufWriter<NamedTempFile> {
        &mut self.file
    }

    /// Brings the file to the disk and gives it its name. Returns its size.
    pub(super) fn finish(self) -> Result<u64> {
        let path = self.path;
        let temporary =
            self.file.into_inner().map_err(std::io::IntoInnerError::into_error).at("write", path)?;
        let file = temporary.as_file();
        let bytes = file.metadata().at("write", path)?.len();
        file.sync_all().at("write", path)?;
        temporary.persist(path).map_err(|e| e.error).at("write", path)?;
        sync_folder(path);
        Ok(bytes)
    }
}

/// A PNG file on its way.
pub(super) struct Output<'a> {
    path: &'a Path,
    draft: Draft<'a>,
    adler: u32,
}

impl<'a> Output<'a> {
    /// Creates the file and writes everything before the pixels.
    pub(super) fn create(
        path: &'a Path,
        frame: Frame,
        layout: Layout,
        ancillary: &Ancillary,
    ) -> Result<Self> {
        let mut this = Self { path, draft: Draft::create(path)?, adler: 1 };
        this.draft.file.write_all(&chunk::SIGNATURE).at("write", path)?;
        let mut ihdr = Vec::with_capacity(13);
        ihdr.extend_from_slice(&frame.width().to_be_bytes());
        ihdr.extend_from_slice(&frame.height().to_be_bytes());
        ihdr.extend_from_slice(&[layout.depth(), layout.colour_type(), 0, 0, 0]);
        this.chunk(*b"IHDR", &ihdr)?;
        for (name, data) in ancillary.ordered() {
            this.chunk(name, data)?;
        }
        // The zlib header: deflate with a 32 KiB window.
        this.chunk(*b"IDAT", &[0x78, 0x9c])?;
        Ok(this)
    }

    fn chunk(&mut self, name: chunk::Name, data: &[u8]) -> Result<()> {
        chunk::write(&mut self.draft.file, name, data).at("write", self.path)?;
        Ok(())
    }

    /// Writes the next segment.
    pub(super) fn segment(&mut self, segment: &Deflated) -> Result<()> {
        self.adler = adler_combine(self.adler, segment.adler, segment.raw);
        self.chunk(*b"IDAT", &segment.bytes)
    }

    /// Ends the file, brings it to the disk and gives it its name. Returns its size.
    pub(super) fn finish(mut self) -> Result<u64> {
        let adler = self.adler.to_be_bytes();
        self.chunk(*b"IDAT", &adler)?;
        self.chunk(*b"IEND", &[])?;
        self.draft.finish()
    }
}

/// Brings the new name to the disk. Not every file system can; the data is there in any case.
fn sync_folder(path: &Path) {
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty())
        && let Ok(folder) = File::open(folder)
    {
        let _ = folder.sync_all();
    }
}

/// Temporary files are private; what the user asked for is not.
trait LikeNewFiles {
    fn permissions_like_new_files(&mut self) -> &mut Self;
}

impl LikeNewFiles for tempfile::Builder<'_, '_> {
    #[cfg(unix)]
    fn permissions_like_new_files(&mut self) -> &mut Self {
        use std::os::unix::fs::PermissionsExt;
        self.permissions(std::fs::Permissions::from_mode(0o666))
    }

    #[cfg(not(unix))]
    fn permissions_like_new_files(&mut self) -> &mut Self {
        self
    }
}
