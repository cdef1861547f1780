//! A real Slurm cluster of one node with two processors, all of it this test's own: key, configuration, state, daemons.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::sshd::{Guard, user, which};

/// A running cluster. It ends when the value is dropped, with all its jobs.
pub struct Slurm {
    dir: TempDir,
    // Ended in this order.
    daemons: Vec<Guard>,
}

/// A job that holds one processor until it is dropped.
pub struct Blocker {
    conf: PathBuf,
    srun: Guard,
}

/// A job as `squeue` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name: the program's.
    pub name: String,
    /// `RUNNING`, `PENDING`, `COMPLETING`.
    pub state: String,
}

impl Slurm {
    /// Starts munged, slurmctld and slurmd, and waits until the node is idle.
    pub fn start() -> Self {
        let programs = ["munged", "slurmctld", "slurmd", "srun", "squeue", "sinfo", "scancel"];
        for program in programs {
            assert!(
                which(program).is_some(),
                "{program} is missing: run fixtures/setup.sh --tests, which installs slurm-wlm and munge"
            );
        }
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        // munged wants its socket reachable for everybody, and its key for nobody else.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        for (name, mode) in [("key", 0o700), ("socket", 0o755), ("state", 0o755), ("spool", 0o755)] {
            fs::DirBuilder::new().mode(mode).create(dir.path().join(name)).expect("it can be written");
        }
        let key: Vec<u8> = (0..16).flat_map(|_| fresh().to_le_bytes()).collect();
        let key_file = dir.path().join("key/key");
        fs::write(&key_file, key).expect("it can be written");
        fs::set_permissions(&key_file, fs::Permissions::from_mode(0o400)).expect("it is ours");
        let mut slurm = Self { dir, daemons: Vec::new() };
        fs::write(slurm.conf(), slurm.configuration()).expect("it can be written");
        slurm.run_daemons();
        slurm
    }

    fn run_daemons(&mut self) {
        let at = |name: &str| self.dir.path().join(name);
        let option = |name: &str, path: PathBuf| format!("--{name}={}", path.display());
        let munged = self.daemon(
            "munged",
            &[
                "--foreground".to_owned(),
                option("socket", self.socket()),
                option("key-file", at("key/key")),
                option("log-file", at("munged.log")),
                option("pid-file", at("munged.pid")),
                option("seed-file", at("munged.seed")),
            ],
        );
        self.daemons.insert(0, munged);
        self.wait("munged makes its socket", || self.socket().exists());
        let conf = self.conf().display().to_string();
        for program in ["slurmctld", "slurmd"] {
            let daemon = self.daemon(program, &["-D".to_owned(), "-f".to_owned(), conf.clone()]);
            self.daemons.insert(0, daemon);
        }
        self.wait("the node is idle", || self.ask("sinfo", &["-h", "-o", "%t"]).trim() == "idle");
    }

    fn daemon(&self, program: &str, arguments: &[String]) -> Guard {
        let path = which(program).expect("it was looked for");
        let out =
            fs::File::create(self.dir.path().join(format!("{program}.out"))).expect("it can be written");
        let mut command = Command::new(path);
        command.args(arguments).stdin(Stdio::null()).stdout(out.try_clone().expect("a file")).stderr(out);
        Guard(command.spawn().unwrap_or_else(|e| panic!("{command:?} cannot be started: {e}")))
    }

    fn configuration(&self) -> String {
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        let host = Command::new("uname").arg("-n").output().expect("uname is there").stdout;
        let host = String::from_utf8_lossy(&host).trim().split('.').next().unwrap_or_default().to_owned();
        let user = user();
        let socket = format!("socket={}", self.socket().display());
        let mut text = String::new();
        for (key, value) in [
            ("ClusterName", "tilectl"),
            ("SlurmctldHost", &format!("{host}(127.0.0.1)")),
            ("SlurmctldPort", &free_port().to_string()),
            ("SlurmdPort", &free_port().to_string()),
            ("SlurmUser", &user),
            ("SlurmdUser", &user),
            ("AuthType", "auth/munge"),
            ("AuthInfo", &socket),
            ("CredType", "cred/munge"),
            ("MpiDefault", "none"),
            // Nothing that asks the kernel for control groups: a container may not have them.
            ("ProctrackType", "proctrack/linuxproc"),
            ("TaskPlugin", "task/none"),
            ("JobAcctGatherType", "jobacct_gather/none"),
            ("AccountingStorageType", "accounting_storage/none"),
            ("SwitchType", "switch/none"),
            ("SelectType", "select/cons_tres"),
            ("SelectTypeParameters", "CR_CPU"),
            // Two processors, whatever this machine has.
            ("SlurmdParameters", "config_overrides"),
            ("ReturnToService", "2"),
            ("PropagateResourceLimits", "NONE"),
            ("KillWait", "2"),
            ("MinJobAge", "2"),
            ("StateSaveLocation", &at("state")),
            ("SlurmdSpoolDir", &at("spool")),
            ("SlurmctldPidFile", &at("slurmctld.pid")),
            ("SlurmdPidFile", &at("slurmd.pid")),
            ("SlurmctldLogFile", &at("slurmctld.log")),
            ("SlurmdLogFile", &at("slurmd.log")),
            ("NodeName", &format!("{host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN")),
            ("PartitionName", "main Nodes=ALL Default=YES MaxTime=INFINITE State=UP"),
        ] {
            let _ = writeln!(text, "{key}={value}");
        }
        text
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket/munge")
    }

    /// The cluster's configuration, for `SLURM_CONF`.
    pub fn conf(&self) -> PathBuf {
        self.dir.path().join("slurm.conf")
    }

    /// Takes one of the two processors.
    pub fn block(&self) -> Blocker {
        let before = self.jobs().len();
        let mut command = Command::new("srun");
        command.args(["-n1", "-c1", "-Jblocker", "sleep", "3600"]).env("SLURM_CONF", self.conf());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let srun = Guard(command.spawn().expect("srun can be started"));
        let held = |job: &Job| job.name == "blocker" && job.state == "RUNNING";
        self.wait("the blocker runs", || self.jobs().into_iter().filter(held).count() == before + 1);
        Blocker { conf: self.conf(), srun }
    }

    /// All jobs that are queued or run.
    pub fn jobs(&self) -> Vec<Job> {
        let listing = self.ask("squeue", &["-h", "-o", "%j %T"]);
        let job = |line: &str| {
            let (name, state) = line.trim().split_once(' ')?;
            Some(Job { name: name.to_owned(), state: state.to_owned() })
        };
        listing.lines().filter_map(job).collect()
    }

    /// Waits until no jobs are left but those of these names; says how long that took.
    pub fn left_alone_with(&self, names: &[&str]) -> Duration {
        let start = Instant::now();
        self.wait("the jobs are gone", || {
            self.jobs().iter().map(|j| j.name.as_str()).eq(names.iter().copied())
        });
        start.elapsed()
    }

    fn ask(&self, program: &str, arguments: &[&str]) -> String {
        let out = Command::new(program)
            .args(arguments)
            .env("SLURM_CONF", self.conf())
            .stdin(Stdio::null())
            .output();
        String::from_utf8_lossy(&out.expect("Slurm's programs can be started").stdout).into_owned()
    }

    fn wait(&self, what: &str, done: impl Fn() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < Duration::from_secs(60), "{what}: not after a minute\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn logs(&self) -> String {
        let mut text = self.ask("squeue", &[]) + &self.ask("sinfo", &[]);
        for name in ["munged.out", "slurmctld.out", "slurmctld.log", "slurmd.out", "slurmd.log"] {
            let log = fs::read(self.dir.path().join(name)).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            let _ = writeln!(text, "== {name}\n{}", lines[lines.len().saturating_sub(15)..].join("\n"));
        }
        text
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        // What runs in jobs would outlive the daemons.
        self.ask("scancel", &["--signal=KILL", "--full", "--user", &user()]);
        self.ask("scancel", &["--user", &user()]);
        let start = Instant::now();
        while !self.jobs().is_empty() && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Blocker {
    fn drop(&mut self) {
        let _ = Command::new("scancel").args(["--name", "blocker"]).env("SLURM_CONF", &self.conf).status();
        let _ = self.srun.0.wait();
    }
}

/// A number that nobody has had before.
fn fresh() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    listener.local_addr().expect("it is bound").port()
}

/// A path as a word of a configuration.
pub fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}
