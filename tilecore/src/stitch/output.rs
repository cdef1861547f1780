//! The PNG file being written: under a temporary name until it is whole and on the disk.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use tempfile::NamedTempFile;

use super::ancillary::Ancillary;
use super::chunk;
use super::layout::Layout;
use super::segment::{Deflated, adler_combine};
use crate::error::{IoContext, Result};
use crate::geometry::Frame;

/// Bytes after which the disk is asked to begin; less than what a disk writes in a tenth of a second.
const SYNC_EVERY: u64 = 16 << 20;

/// Any other file under a temporary name beside its own; dropped without [`Draft::finish`], it is removed.
pub(super) struct Draft<'a> {
    path: &'a Path,
    file: BufWriter<NamedTempFile>,
}

impl<'a> Draft<'a> {
    /// Creates the file in the folder where `path` will be.
    pub(super) fn create(path: &'a Path) -> Result<Self> {
        let file = temporary(folder_of(path)).at("write", path)?;
        Ok(Self { path, file: BufWriter::with_capacity(1 << 20, file) })
    }

    /// Where to write.
    pub(super) fn file(&mut self) -> &mut BufWriter<NamedTempFile> {
        &mut self.file
    }

    /// Brings the file to the disk and gives it its name. Returns its size.
    pub(super) fn finish(self) -> Result<u64> {
        let path = self.path;
        let file = self.file.into_inner().map_err(std::io::IntoInnerError::into_error).at("write", path)?;
        let bytes = file.as_file().metadata().at("write", path)?.len();
        file.as_file().sync_all().at("write", path)?;
        file.persist(path).map_err(|e| e.error).at("write", path)?;
        sync_folder(path);
        Ok(bytes)
    }
}

/// The folder a file lies in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A PNG file under a temporary name beside its own; dropped without [`Output::finish`], it is removed.
pub(super) struct Output<'a> {
    path: &'a Path,
    file: NamedTempFile,
    early: Option<EarlySync>,
    adler: u32,
    bytes: u64,
}

impl<'a> Output<'a> {
    /// Creates the file and writes everything before the pixels.
    pub(super) fn create(
        path: &'a Path,
        frame: Frame,
        layout: Layout,
        ancillary: &Ancillary,
    ) -> Result<Self> {
        let file = temporary(folder_of(path)).at("write", path)?;
        let early = EarlySync::start(file.as_file());
        let mut this = Self { path, file, early, adler: 1, bytes: 0 };
        let mut head = chunk::SIGNATURE.to_vec();
        let mut ihdr = Vec::with_capacity(13);
        ihdr.extend_from_slice(&frame.width().to_be_bytes());
        ihdr.extend_from_slice(&frame.height().to_be_bytes());
        ihdr.extend_from_slice(&[layout.depth(), layout.colour_type(), 0, 0, 0]);
        head.extend(chunk::whole(*b"IHDR", &ihdr));
        for (name, data) in ancillary.ordered() {
            head.extend(chunk::whole(name, data));
        }
        // The zlib header: deflate with a 32 KiB window.
        head.extend(chunk::whole(*b"IDAT", &[0x78, 0x9c]));
        this.write(&head)?;
        Ok(this)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).at("write", self.path)?;
        let before = self.bytes / SYNC_EVERY;
        self.bytes += bytes.len() as u64;
        if let Some(early) = &self.early
            && self.bytes / SYNC_EVERY > before
        {
            early.request();
        }
        Ok(())
    }

    /// Writes the next segment.
    pub(super) fn segment(&mut self, segment: &Deflated) -> Result<()> {
        self.adler = adler_combine(self.adler, segment.adler, segment.raw);
        self.write(&segment.chunk)
    }

    fn end(&mut self) -> Result<()> {
        let [a, b, c, d] = self.adler.to_be_bytes();
        // An empty block marked as the last, then the checksum.
        self.write(&chunk::whole(*b"IDAT", &[3, 0, a, b, c, d]))?;
        self.write(&chunk::whole(*b"IEND", &[]))?;
        drop(self.early.take());
        Ok(())
    }

    /// Ends the file, brings it to the disk and gives it its name. Returns its size.
    pub(super) fn finish(mut self) -> Result<u64> {
        self.end()?;
        let path = self.path;
        self.file.as_file().sync_all().at("write", path)?;
        self.file.persist(path).map_err(|e| e.error).at("write", path)?;
        sync_folder(path);
        Ok(self.bytes)
    }

    /// As [`Output::finish`], for a file that may be lost with the power.
    pub(super) fn finish_fast(mut self) -> Result<()> {
        self.end()?;
        let path = self.path;
        self.file.persist(path).map_err(|e| e.error).at("write", path)?;
        Ok(())
    }
}

/// A new file in `folder` with the permissions any new file gets; the library's own are private.
fn temporary(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".stitch-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Brings the new name to the disk. Not every file system can; the data is there in any case.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// A thread that has the disk begin while the picture is still being made, so that little is left to wait for at
/// the end. Whether it succeeds does not matter: the last sync tells.
struct EarlySync {
    requests: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EarlySync {
    fn start(file: &File) -> Option<Self> {
        let file = file.try_clone().ok()?;
        let (requests, asked) = channel::<()>();
        let thread = std::thread::Builder::new()
            .name("stitch-sync".into())
            .spawn(move || {
                while asked.recv().is_ok() {
                    while asked.try_recv().is_ok() {}
                    let _ = file.sync_data();
                }
            })
            .ok()?;
        Some(Self { requests: Some(requests), thread: Some(thread) })
    }

    fn request(&self) {
        if let Some(requests) = &self.requests {
            let _ = requests.send(());
        }
    }
}

impl Drop for EarlySync {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
