//! The Blender that references are rendered with, and the references: whole frames, each rendered once and kept.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::sshd::which;

/// A Blender on this machine.
#[derive(Clone, Debug)]
pub struct Blender {
    /// The program, as `blender=` takes it.
    pub program: PathBuf,
    /// What `--version` says, build hash included.
    pub version: String,
}

impl Blender {
    /// The Blender the tests run with: `TILECTL_TEST_BLENDER`, or the installed one.
    pub fn of_the_tests() -> Self {
        let program = match std::env::var_os("TILECTL_TEST_BLENDER") {
            Some(program) => PathBuf::from(program),
            None => which("blender")
                .unwrap_or_else(|| panic!("Blender is missing: run fixtures/setup.sh --tests")),
        };
        Self::at(program)
    }

    /// The newest Blender, a wheel behind a launcher; another version than [`Blender::of_the_tests`] by default.
    pub fn newest() -> Self {
        Self::wheel("newest")
    }

    /// One with long-term support between the oldest and the newest, likewise.
    pub fn lts() -> Self {
        Self::wheel("lts")
    }

    fn wheel(which: &str) -> Self {
        let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(
            || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache"),
            PathBuf::from,
        );
        let program = cache.join(format!("tilectl-fixtures/bpy-{which}/blender"));
        assert!(program.is_file(), "{} is missing: run fixtures/setup.sh --tests", program.display());
        Self::at(program)
    }

    fn at(program: PathBuf) -> Self {
        let out = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
        let out = out.unwrap_or_else(|e| panic!("{} cannot be started: {e}", program.display()));
        let version = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        assert!(
            out.status.success() && version.contains("Blender"),
            "{} --version failed",
            program.display()
        );
        Self { program, version }
    }

    /// A whole-frame render of `blend`, to be described further.
    pub fn reference(&self, blend: &Path) -> Reference {
        Reference { blender: self.clone(), blend: blend.to_owned(), frame: 1, script: String::new() }
    }

    /// Writes what lines of Python make of the scene that a new file begins with, and returns its path.
    pub fn written(&self, lines: &str, blend: &Path) -> PathBuf {
        let save =
            format!("{lines}\nbpy.ops.wm.save_as_mainfile(filepath='{}', compress=True)", blend.display());
        let mut command = Command::new(&self.program);
        command.args([
            "-b",
            "--factory-startup",
            "-noaudio",
            "--python-exit-code",
            "9",
            "--python-expr",
            &save,
        ]);
        let out = command.stdin(Stdio::null()).output().expect("Blender starts");
        assert!(out.status.success() && blend.is_file(), "{}", String::from_utf8_lossy(&out.stderr));
        blend.to_owned()
    }

    /// Writes the scene of a feature (`fixtures/features`) to `blend`, and returns its path.
    pub fn feature(&self, name: &str, blend: &Path) -> PathBuf {
        let script = super::root().join("fixtures/features/features.py");
        let mut command = Command::new(&self.program);
        command.args(["-b", "--factory-startup", "-noaudio", "-P"]).arg(script).args(["--", name]).arg(blend);
        let out = command.stdin(Stdio::null()).output().expect("Blender starts");
        assert!(out.status.success() && blend.is_file(), "{}", String::from_utf8_lossy(&out.stdout));
        blend.to_owned()
    }
}

/// Blender's own `-a`: every frame of a scene, by number, after a line of Python.
pub fn animation(
    blender: &Blender,
    blend: &Path,
    scene: &str,
    line: &str,
    frames: (i32, i32, i32),
    into: &Path,
) {
    let mut command = Command::new(&blender.program);
    command
        .args(["-b", "--factory-startup", "-noaudio", "--python-exit-code", "9"])
        .arg(blend)
        .args(["--python-expr", &format!("import bpy\n{line}")])
        .args(["-S", scene, "-o"])
        .arg(into.join("####"))
        .args(["-F", "PNG", "-x", "1", "-s", &frames.0.to_string(), "-e", &frames.1.to_string()])
        .args(["-j", &frames.2.to_string(), "-a"])
        .stdin(Stdio::null());
    let out = command.output().unwrap_or_else(|e| panic!("{command:?} cannot be started: {e}"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stdout));
}

/// What a whole frame is rendered from; nothing about it knows tiles.
#[derive(Clone, Debug)]
pub struct Reference {
    blender: Blender,
    blend: PathBuf,
    frame: i32,
    script: String,
}

impl Reference {
    /// Another frame than 1.
    pub fn frame(mut self, frame: i32) -> Self {
        self.frame = frame;
        self
    }

    /// Another size, at 100 %.
    pub fn resolution(self, width: u32, height: u32) -> Self {
        self.python(&format!(
            "r = bpy.context.scene.render; r.resolution_x, r.resolution_y, r.resolution_percentage = {width}, {height}, 100"
        ))
    }

    /// Another number of samples.
    pub fn samples(self, samples: u32) -> Self {
        self.python(&format!("bpy.context.scene.cycles.samples = {samples}"))
    }

    /// Another seed.
    pub fn seed(self, seed: i32) -> Self {
        self.python(&format!("bpy.context.scene.cycles.seed = {seed}"))
    }

    /// Any other setting: a line of Python that Blender runs before it renders.
    pub fn python(mut self, line: &str) -> Self {
        let _ = writeln!(self.script, "{line}");
        self
    }

    /// The PNG; rendered now unless an earlier test has, of this file by this Blender with these settings.
    pub fn png(&self) -> PathBuf {
        let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("references");
        fs::create_dir_all(&kept).expect("the target directory can be written");
        let scene = fs::read(&self.blend).unwrap_or_else(|e| panic!("{}: {e}", self.blend.display()));
        let mut hash = Sha256::new();
        for part in
            [&scene, self.blender.version.as_bytes(), &self.frame.to_le_bytes(), self.script.as_bytes()]
        {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let key: String = hash.finalize().iter().take(12).fold(String::new(), |mut key, byte| {
            let _ = write!(key, "{byte:02x}");
            key
        });
        let name = self.blend.file_stem().unwrap_or_default().to_string_lossy();
        let png = kept.join(format!("{name}-{key}.png"));
        // Tests run in parallel, in processes of their own too: one renders, the others wait for it.
        let lock =
            fs::File::create(kept.join(format!("{key}.lock"))).expect("the target directory can be written");
        lock.lock().expect("files can be locked");
        if !png.is_file() {
            self.render_to(&png);
        }
        png
    }

    /// Renders it now, to `png`, and returns that: for what depends on where the .blend lies.
    pub fn fresh(&self, png: &Path) -> PathBuf {
        self.render_to(png);
        png.to_owned()
    }

    /// Renders it now, to `png`.
    pub fn render_to(&self, png: &Path) {
        let dir =
            tempfile::tempdir_in(png.parent().expect("a file lies somewhere")).expect("it can be written");
        let mut command = Command::new(&self.blender.program);
        command
            .args(["-b", "--factory-startup", "-noaudio", "--python-exit-code", "9"])
            .arg(&self.blend)
            .args(["--python-expr", &format!("import bpy\n{}", self.script)])
            .arg("-o")
            .arg(dir.path().join("frame-"))
            .args(["-F", "PNG", "-x", "1", "-f", &self.frame.to_string()])
            .stdin(Stdio::null());
        let out = command.output().unwrap_or_else(|e| panic!("{command:?} cannot be started: {e}"));
        let rendered = fs::read_dir(dir.path())
            .expect("a directory just made can be read")
            .map(|entry| entry.expect("a directory just made can be read").path())
            .find(|path| path.extension().is_some_and(|ending| ending == "png"));
        let (true, Some(rendered)) = (out.status.success(), rendered) else {
            let (stdout, stderr) =
                (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
            panic!("{command:?} rendered nothing:\n{stdout}\n{stderr}");
        };
        fs::rename(rendered, png).expect("the target directory can be written");
    }
}
