//! Zip files: the one format in which Blender takes extensions.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// Writes a zip file into anything.
pub(crate) struct Zip<W> {
    out: W,
    at: u32,
    /// The entries of the directory at the end.
    directory: Vec<u8>,
    count: u16,
}

impl<W: Write> Zip<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, at: 0, directory: Vec::new(), count: 0 }
    }

    /// Adds a file; `mode` are its permissions.
    pub(crate) fn add(&mut self, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::new(6));
        packer.write_all(content)?;
        let packed = packer.finish()?;
        let size = |n: usize| {
            u32::try_from(n)
                .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 GB"))
        };
        let mut shared = Vec::new();
        // Version 2.0, names in UTF-8, deflate, the first of January 1980.
        for word in [20_u16, 1 << 11, 8, 0, (1 << 5) | 1] {
            shared.extend(word.to_le_bytes());
        }
        for word in [crc32fast::hash(content), size(packed.len())?, size(content.len())?] {
            shared.extend(word.to_le_bytes());
        }
        shared.extend((name.len() as u16).to_le_bytes());
        shared.extend(0_u16.to_le_bytes());
        self.directory.extend(b"PK\x01\x02");
        // Made on Unix, so that the permissions below count.
        self.directory.extend(0x0314_u16.to_le_bytes());
        self.directory.extend(&shared);
        self.directory.extend([0; 6]);
        self.directory.extend(((0o100_000 | mode) << 16).to_le_bytes());
        self.directory.extend(self.at.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.count += 1;
        let head = [b"PK\x03\x04".as_slice(), &shared, name.as_bytes()].concat();
        self.out.write_all(&head)?;
        self.out.write_all(&packed)?;
        self.at = size(self.at as usize + head.len() + packed.len())?;
        Ok(())
    }

    /// Writes the directory.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let length = self.directory.len() as u32;
        self.out.write_all(&self.directory)?;
        let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
        end.extend(self.count.to_le_bytes());
        end.extend(self.count.to_le_bytes());
        end.extend(length.to_le_bytes());
        end.extend(self.at.to_le_bytes());
        end.extend([0; 2]);
        self.out.write_all(&end)?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.zip");
        let mut zip = Zip::new(std::fs::File::create(&path).unwrap());
        zip.add("d/a.txt", &b"a".repeat(1000), 0o644).unwrap();
        zip.add("d/ü", b"", 0o755).unwrap();
        zip.finish().unwrap();
        let script = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\n\
                      print(z.testzip(), [(i.filename, i.file_size, oct(i.external_attr >> 16)) for i in z.infolist()])";
        let said = std::process::Command::new("python3").args(["-c", script]).arg(&path).output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&said.stdout).trim(),
            "None [('d/a.txt', 1000, '0o100644'), ('d/ü', 0, '0o100755')]"
        );
    }
}
