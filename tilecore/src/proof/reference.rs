//! The reference of a proof: a small whole frame that this machine's Blender makes of the file as it lies.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::compare::Written;
use crate::blender::Picture;
use crate::environment::Environment;
use crate::error::{Error, IoContext, Result};
use crate::text::printable;

/// How often whoever waits is asked whether to go on.
const ASK: Duration = Duration::from_millis(50);

/// How long Blender may use no processor time at all: it waits for something that does not come.
const IDLE: Duration = Duration::from_secs(180);

/// How long a process has used no processor time.
struct Idleness {
    ticks: u64,
    since: Instant,
}

impl Idleness {
    fn new(now: Instant) -> Self {
        Self { ticks: 0, since: now }
    }

    /// Takes the processor time that it has had by `now`; for how long that has been the same.
    fn take(&mut self, ticks: u64, now: Instant) -> Duration {
        if ticks != self.ticks {
            (self.ticks, self.since) = (ticks, now);
        }
        now.duration_since(self.since)
    }
}

/// The processor time that a process has had, in ticks of the system's clock, where the system says it.
fn processor_ticks(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // User and system time are the 14th and 15th fields; the second, a name in brackets, may hold spaces.
    let fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some(fields.skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum())
}

/// What is asked of one scene of the file: it is rendered small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Its name.
    pub scene: String,
    /// Resolution before the percentage; its own when absent.
    pub resolution: Option<(u32, u32)>,
    /// Resolution percentage.
    pub percentage: Option<u32>,
    /// Samples per pixel.
    pub samples: Option<u32>,
    /// Seed.
    pub seed: Option<i32>,
}

/// One small frame.
#[derive(Clone, Debug)]
pub struct Small {
    /// Scene, camera, frame, threads and device.
    pub picture: Picture,
    /// What is asked of the file's scenes.
    pub scenes: Vec<Asked>,
    /// The file's format, as Blender calls it, where it is not the scene's own.
    pub format: Option<String>,
}

/// What this machine's Blender is asked to render.
#[derive(Clone, Debug)]
pub struct Order {
    /// The program.
    pub blender: PathBuf,
    /// The .blend as it lies.
    pub blend: PathBuf,
    /// Whether scripts in it may run.
    pub scripts: bool,
    /// The frames.
    pub pictures: Vec<Small>,
    /// Where files are kept; it is there and empty.
    pub folder: PathBuf,
}

/// What it rendered.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The files of every picture, in the order asked for.
    pub pictures: Vec<Vec<Written>>,
    /// What besides the scene's files decided what they are.
    pub environment: Environment,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    pictures: Vec<AnswerPicture>,
    #[serde(default)]
    environment: Environment,
    error: Option<String>,
}

#[derive(Deserialize)]
struct AnswerPicture {
    files: Vec<AnswerFile>,
}

#[derive(Deserialize)]
struct AnswerFile {
    path: PathBuf,
    view_suffix: Option<String>,
    target: Option<String>,
}

/// Starts Blender as its user does, without a window, and has it render the frames; what each wrote, in their order.
/// `go_on` is asked now and then.
///
/// # Errors
/// When Blender cannot be started, or does not render the frames; with its last words.
pub fn render(order: &Order, go_on: &dyn Fn() -> bool) -> Result<Rendered> {
    // Blender takes relative paths from the variable PWD, which need not name the directory it is started in.
    let folder = std::path::absolute(&order.folder).at("find", &order.folder)?;
    let code = folder.join("code");
    std::fs::create_dir_all(&code).at("create", &code)?;
    for (name, source) in crate::blender::worker_files() {
        let path = code.join(name);
        std::fs::write(&path, source).at("write", &path)?;
    }
    let (asked, answered) = (folder.join("request.json"), folder.join("answer.json"));
    let mut pictures = Vec::new();
    for (number, small) in order.pictures.iter().enumerate() {
        let place = folder.join(format!("picture-{number}"));
        std::fs::create_dir_all(&place).at("create", &place)?;
        pictures.push(json!({
            "folder": place,
            "scene": small.picture.scene,
            "camera": small.picture.camera,
            "frame": small.picture.frame,
            "threads": small.picture.threads,
            "device": small.picture.device,
            "format": small.format,
            "passes": small.picture.passes,
            "scenes": small.scenes,
        }));
    }
    let request = json!({"pictures": pictures});
    std::fs::write(&asked, request.to_string()).at("write", &asked)?;
    let log = folder.join("log");
    let said = std::fs::File::create(&log).at("write", &log)?;
    let errors = said.try_clone().at("write", &log)?;
    let mut command = Command::new(&order.blender);
    command.args(["-b", "-noaudio", if order.scripts { "-y" } else { "-Y" }]);
    command.arg(&order.blend).arg("-P").arg(code.join("reference.py")).arg("--").args([&asked, &answered]);
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::piped()).stdout(said).stderr(errors);
    // A group of its own: Ctrl-C in the terminal is for the controller; Blender would write half a picture.
    command.process_group(0);
    let program = order.blender.display().to_string();
    let mut child = command.spawn().map_err(|e| {
        Error::node(format!("{program} cannot be started: {}", crate::error::reason(&e))).fatal()
    })?;
    let mut idleness = Idleness::new(Instant::now());
    let ended = loop {
        let idle = processor_ticks(child.id()).map(|ticks| idleness.take(ticks, Instant::now()));
        if idle.is_some_and(|idle| idle > IDLE) {
            let _ = child.kill();
            let _ = child.wait();
            let minutes = IDLE.as_secs() / 60;
            break format!("it did nothing for {minutes} minutes and was ended");
        }
        match child.try_wait() {
            Ok(Some(status)) => break status.to_string(),
            Ok(None) if go_on() => std::thread::sleep(ASK),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Error::interrupted("stopped"));
            }
            Err(e) => break crate::error::reason(&e),
        }
    };
    let failed = |why: String| {
        let words = std::fs::read(&log).unwrap_or_default();
        let tail = String::from_utf8_lossy(&words[words.len().saturating_sub(3000)..]).into_owned();
        Error::render(format!("this machine's Blender did not render the scene: {why}"))
            .remedy("Render the frame in Blender by hand to see what is wrong with it.")
            .log(printable(&tail, 3000))
    };
    let text =
        std::fs::read(&answered).map_err(|_| failed(format!("it ended ({ended}) without a picture")))?;
    let answer: Answer =
        serde_json::from_slice(&text).map_err(|_| failed("its answer makes no sense".into()))?;
    if let Some(error) = answer.error {
        return Err(failed(printable(&error, 500)));
    }
    if answer.pictures.len() != order.pictures.len() {
        return Err(failed("it rendered another number of pictures".into()));
    }
    let written = |file: AnswerFile| Written {
        name: file.target.unwrap_or_else(|| Written::picture(file.view_suffix.as_deref().unwrap_or(""))),
        path: file.path,
    };
    let pictures = answer.pictures.into_iter().map(|p| p.files.into_iter().map(written).collect()).collect();
    Ok(Rendered { pictures, environment: answer.environment.tamed() })
}

/// The version and build of a Blender on this machine, as `--version` says them: (`5.3.0`, hash).
pub fn version_of(blender: &Path) -> Option<(String, String)> {
    let out =
        Command::new(blender).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let line = |start: &str| {
        text.lines().find_map(|l| l.trim().strip_prefix(start)).map(|rest| rest.trim().to_owned())
    };
    // Distributions' builds have none, which Blender itself calls so.
    Some((line("Blender ")?, line("build hash:").unwrap_or_else(|| "Unknown".into())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_who_uses_no_processor_time_is_idle() {
        let began = Instant::now();
        let mut idleness = Idleness::new(began);
        let mut at = |s: u64, ticks| idleness.take(ticks, began + Duration::from_secs(s)).as_secs();
        assert_eq!([at(100, 5), at(170, 5), at(280, 6), at(281, 6)], [0, 70, 0, 1]);
    }

    #[test]
    fn the_system_says_what_processor_time_this_process_has_had() {
        let own = std::process::id();
        let before = processor_ticks(own);
        let until = |more: u64| {
            let mut sum = 0_u64;
            while processor_ticks(own) < before.map(|b| b + more) {
                sum = std::hint::black_box((0..100_000_u64).fold(sum, u64::wrapping_add));
            }
        };
        if cfg!(target_os = "linux") {
            until(2);
            assert!(processor_ticks(own) > before);
        }
    }

    #[test]
    fn blender_is_in_a_group_of_its_own_which_no_terminals_interrupt_reaches() {
        let dir = tempfile::tempdir().unwrap();
        let blender = dir.path().join("blender");
        // It says its own number and that of its group.
        let program = "#!/bin/sh\nset -- \"$@\" $(cut -d ' ' -f 1,5 /proc/$$/stat)\n\
            while [ $# -gt 3 ]; do shift; done\nprintf '{\"error\": \"%s in %s\"}' $2 $3 > $1\n";
        std::fs::write(&blender, program).unwrap();
        std::fs::set_permissions(&blender, std::fs::Permissions::from_mode(0o755)).unwrap();
        let folder = dir.path().join("reference");
        std::fs::create_dir(&folder).unwrap();
        let order = Order { blender, blend: "/s.blend".into(), scripts: false, pictures: Vec::new(), folder };
        let said = render(&order, &|| true).unwrap_err().to_string();
        let numbers: Vec<&str> = said.rsplit(": ").next().unwrap().split(" in ").collect();
        assert_eq!(numbers.len(), 2, "{said}");
        assert_eq!(numbers[0], numbers[1], "{said}");
    }
}
