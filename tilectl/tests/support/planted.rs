//! A Blender whose worker has a fault: a launcher that changes the worker's files before it starts the real one.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Writes a launcher of `blender` to `at`. Each fault names a file of the worker, what stands there, and what is to
/// stand there instead. What does not stand there ends the launcher, so that no fault is planted in vain. A Blender that
/// is no worker (the reference of a proof) is started as it is.
pub fn planted(at: &Path, blender: &Path, faults: &[(&str, &str, &str)]) -> PathBuf {
    let patch = at.with_extension("py");
    let mut python = String::from("import sys\nfolder = sys.argv[1]\n");
    for (file, from, to) in faults {
        let _ = writeln!(
            python,
            "path = folder + '/{file}'\ntext = open(path).read()\nassert {from:?} in text, {file:?}\n\
             open(path, 'w').write(text.replace({from:?}, {to:?}))"
        );
    }
    fs::write(&patch, python).unwrap();
    let script = format!(
        "#!/bin/sh\nfor word; do case $word in */worker.py) python3 '{}' \"${{word%/*}}\" || exit 97 ;; esac; done\n\
         exec '{}' \"$@\"\n",
        patch.display(),
        blender.display()
    );
    fs::write(at, script).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
    at.to_owned()
}
