//! The shell script that turns a plain login into a warm worker.

use std::fmt::Write as _;

use crate::node::{NodeSpec, Place};

/// The worker's Python files, by name.
pub(super) const WORKER: &[(&str, &str)] = &[
    ("arrival.py", include_str!("worker/arrival.py")),
    ("blend_name.py", include_str!("worker/blend_name.py")),
    ("cameras.py", include_str!("worker/cameras.py")),
    ("colour.py", include_str!("worker/colour.py")),
    ("compat.py", include_str!("worker/compat.py")),
    ("counts.py", include_str!("worker/counts.py")),
    ("develop.py", include_str!("worker/develop.py")),
    ("device_trial.py", include_str!("worker/device_trial.py")),
    ("devices.py", include_str!("worker/devices.py")),
    ("driven.py", include_str!("worker/driven.py")),
    ("empty.py", include_str!("worker/empty.py")),
    ("environment.py", include_str!("worker/environment.py")),
    ("exr_header.py", include_str!("worker/exr_header.py")),
    ("exr_pixels.py", include_str!("worker/exr_pixels.py")),
    ("extent.py", include_str!("worker/extent.py")),
    ("files_of_scene.py", include_str!("worker/files_of_scene.py")),
    ("film.py", include_str!("worker/film.py")),
    ("finish.py", include_str!("worker/finish.py")),
    ("geometry_nodes.py", include_str!("worker/geometry_nodes.py")),
    ("handlers.py", include_str!("worker/handlers.py")),
    ("identity.py", include_str!("worker/identity.py")),
    ("libraries.py", include_str!("worker/libraries.py")),
    ("locks.py", include_str!("worker/locks.py")),
    ("names.py", include_str!("worker/names.py")),
    ("native.py", include_str!("worker/native.py")),
    ("needs.py", include_str!("worker/needs.py")),
    ("objects.py", include_str!("worker/objects.py")),
    ("outputs.py", include_str!("worker/outputs.py")),
    ("png_text.py", include_str!("worker/png_text.py")),
    ("progress.py", include_str!("worker/progress.py")),
    ("project.py", include_str!("worker/project.py")),
    ("reads.py", include_str!("worker/reads.py")),
    ("reference.py", include_str!("worker/reference.py")),
    ("references.py", include_str!("worker/references.py")),
    ("resync.py", include_str!("worker/resync.py")),
    ("room.py", include_str!("worker/room.py")),
    ("scripted.py", include_str!("worker/scripted.py")),
    ("simulations.py", include_str!("worker/simulations.py")),
    ("stage.py", include_str!("worker/stage.py")),
    ("stitched.py", include_str!("worker/stitched.py")),
    ("store.py", include_str!("worker/store.py")),
    ("texture_cache.py", include_str!("worker/texture_cache.py")),
    ("tiles.py", include_str!("worker/tiles.py")),
    ("timing.py", include_str!("worker/timing.py")),
    ("trees.py", include_str!("worker/trees.py")),
    ("unread.py", include_str!("worker/unread.py")),
    ("usd_files.py", include_str!("worker/usd_files.py")),
    ("volumes.py", include_str!("worker/volumes.py")),
    ("wire.py", include_str!("worker/wire.py")),
    ("worker.py", include_str!("worker/worker.py")),
];

/// Names and sources of the worker's files.
pub(crate) fn worker_files() -> impl Iterator<Item = (&'static str, &'static str)> {
    WORKER.iter().copied()
}

/// `text` as one word of a POSIX shell: nothing in it is special. This is the one place where quoting happens.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "'\\''"))
}

/// Has the shell say that it is there.
pub(super) fn greeting(mark: &str) -> String {
    format!("printf '\\n%s up\\n' {}\n", quote(mark))
}

/// The script for one worker. `mark` starts every line that the script itself answers with; `run` names this run.
pub(super) fn script(spec: &NodeSpec, mark: &str, run: &str) -> String {
    let mut text = String::with_capacity(96 * 1024);
    text.push_str("{\n");
    for (name, value) in [
        ("MARK", mark),
        ("RUN", run),
        ("CACHE", spec.cache_dir.as_deref().unwrap_or("")),
        ("BLENDER", spec.blender.as_deref().unwrap_or("")),
    ] {
        let _ = writeln!(text, "{name}={}", quote(value));
    }
    let _ = writeln!(text, "NICE={}", spec.nice.map_or(String::new(), |n| n.to_string()));
    let scratch = ["TMPDIR", "TMP", "TEMP"].iter().find_map(|name| spec.env.get(*name));
    let _ = writeln!(text, "SCRATCH={}", quote(scratch.map_or("", String::as_str)));
    // The colours of a picture are those of the machine that it is rendered for: this one, unless the user says otherwise.
    let elsewhere = spec.place != Place::Local;
    let _ = writeln!(text, "ELSEWHERE={}", if elsewhere { "yes" } else { "" });
    let _ =
        writeln!(text, "OWN_OCIO={}", if elsewhere && !spec.env.contains_key("OCIO") { "" } else { "yes" });
    for (name, value) in &spec.env {
        let _ = writeln!(text, "{name}={}; export {name}", quote(value));
    }
    text.push_str("unpack() {\n");
    for (name, source) in worker_files() {
        let _ = writeln!(text, "cat >{} <<'{mark}' || return 1\n{source}{mark}", quote(name));
    }
    text.push_str("}\n");
    text.push_str(include_str!("boot.sh"));
    text.push_str("exit 0\n}\n");
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn quoting_leaves_nothing_special() {
        for text in ["plain", "it's", "$(touch x)", "`x`", "a\nb", "\\", "", "''"] {
            let out = std::process::Command::new("/bin/sh")
                .arg("-c")
                .arg(format!("printf %s {}", quote(text)))
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(out.stdout).unwrap(), text);
        }
    }

    #[test]
    fn a_shell_accepts_the_script() {
        let mut spec = NodeSpec::new("a", Place::Local);
        spec.env.insert("A".into(), "it's; rm -rf \"$HOME\"".into());
        let text = script(&spec, "tilectl-0123", "r1");
        let mut shell = std::process::Command::new("/bin/sh")
            .arg("-n")
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut shell.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let out = shell.wait_with_output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    #[test]
    fn hosts_that_share_a_cache_clean_up_after_themselves_only() {
        let cache = tempfile::tempdir().unwrap();
        let output = |command: &mut std::process::Command| {
            String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
        };
        let host = output(std::process::Command::new("uname").arg("-n"));
        // A process that has been: nobody has its number for a while.
        let gone = output(std::process::Command::new("/bin/sh").args(["-c", "echo $$"]));
        let run = |name: String| {
            let dir = cache.path().join("run").join(name);
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("pid"), &gone).unwrap();
            dir
        };
        let (mine, neighbour) = (run(format!("h{host}+r0")), run(format!("h{host}-1+r0")));
        let mut spec = NodeSpec::new("a", Place::Local);
        spec.cache_dir = Some(cache.path().display().to_string());
        spec.blender = Some("/no/blender".into());
        let text = greeting("tilectl-m") + &script(&spec, "tilectl-m", "r1");
        let mut shell = std::process::Command::new("/bin/sh")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut shell.stdin.take().unwrap(), text.as_bytes()).unwrap();
        let said = String::from_utf8(shell.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(
            said,
            "\ntilectl-m up\n\ntilectl-m error no_blender /no/blender is not there or not executable\n"
        );
        assert!(!mine.exists() && neighbour.exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_comes_back_ends_the_blender_it_had_and_no_other_process() {
        let cache = tempfile::tempdir().unwrap();
        let host = std::process::Command::new("uname").arg("-n").output().unwrap().stdout;
        let host = String::from_utf8(host).unwrap().trim().to_owned();
        // A process that waits for its input, with `argument` among its arguments.
        let process = |argument: &Path| {
            std::process::Command::new("/bin/sh")
                .args(["-c", "read -r line"])
                .arg(argument)
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        };
        let run = |name: &str, shell: u32, blender: u32| {
            let dir = cache.path().join("run").join(format!("h{host}+{name}"));
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("pid"), shell.to_string()).unwrap();
            std::fs::write(dir.join("blender"), blender.to_string()).unwrap();
            dir
        };
        let worker = |name: &str| cache.path().join("run").join(format!("h{host}+{name}")).join("worker.py");
        let mut before = process(&worker("r1.7"));
        let mut other = process(&worker("r2.7"));
        let mut stranger = process(Path::new("worker.py"));
        // Its shell lives, as far as this host knows.
        let mine = run("r1.7", std::process::id(), before.id());
        // Its number belongs to somebody else now.
        let reused = run("r1.8", std::process::id(), stranger.id());
        let of_another = run("r2.7", std::process::id(), other.id());
        let mut spec = NodeSpec::new("a", Place::Local);
        spec.cache_dir = Some(cache.path().display().to_string());
        spec.blender = Some("/no/blender".into());
        let mut shell = std::process::Command::new("/bin/sh")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let text = script(&spec, "tilectl-m", "r1");
        std::io::Write::write_all(&mut shell.stdin.take().unwrap(), text.as_bytes()).unwrap();
        shell.wait().unwrap();
        assert!(!mine.exists() && !reused.exists() && of_another.exists());
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&before.wait().unwrap()), Some(9));
        for process in [&mut other, &mut stranger] {
            assert!(process.try_wait().unwrap().is_none());
            // The end of its input is its end.
            drop(process.stdin.take());
            process.wait().unwrap();
        }
    }

    #[test]
    fn every_worker_file_is_sent() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/blender/worker");
        let mut there: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|name| std::path::Path::new(name).extension().is_some_and(|e| e == "py"))
            .collect();
        there.sort();
        assert_eq!(there, worker_files().map(|(name, _)| name).collect::<Vec<_>>());
    }

    #[test]
    fn every_worker_file_ends_with_a_line_break() {
        for (name, source) in worker_files() {
            assert!(source.ends_with('\n'), "{name} would swallow the end of its here-document");
        }
    }
}
