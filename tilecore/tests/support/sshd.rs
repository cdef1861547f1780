//! A real sshd on loopback with throwaway keys, for tests: it touches neither the system's sshd nor anybody's `~/.ssh`.
//!
//! Free of the crates under test, so that every test binary can take it in with `#[path]`.
#![allow(dead_code, unreachable_pub, reason = "each test binary takes in the whole file and uses some of it")]

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const MISSING: &str = "is missing: run fixtures/setup.sh --tests, which installs what these tests need";

/// A running sshd. It stops listening when the value is dropped.
pub struct Sshd {
    /// The port it listens on, on 127.0.0.1 (and `::1` where the machine has it).
    pub port: u16,
    /// The private host key; the public one is beside it with `.pub`.
    pub host_key: PathBuf,
    /// Public keys that may log in, one a line.
    pub authorized: PathBuf,
    /// The home directory of whoever logs in.
    pub home: PathBuf,
    dir: TempDir,
    child: Guard,
}

/// How an [`Sshd`] is to be.
pub struct Setup {
    key_type: String,
    shell: Option<String>,
    lines: Vec<String>,
}

impl Sshd {
    /// An sshd with an ed25519 host key.
    pub fn start() -> Self {
        Self::with().start()
    }

    /// An sshd that is to be set up first.
    pub fn with() -> Setup {
        Setup { key_type: "ed25519".to_owned(), shell: Some("/bin/sh".to_owned()), lines: Vec::new() }
    }

    /// Lets the key with this public half log in.
    pub fn allow(&self, public: &Path) {
        let mut keys = fs::read(&self.authorized).unwrap_or_default();
        keys.extend(fs::read(public).expect("the public key is there"));
        fs::write(&self.authorized, keys).expect("the sshd's directory can be written");
    }

    /// The `known_hosts` line for this server under the name `host`.
    pub fn known_as(&self, host: &str) -> String {
        let mut public = self.host_key.as_os_str().to_owned();
        public.push(".pub");
        let key = fs::read_to_string(Path::new(&public)).expect("the public host key is there");
        format!("[{host}]:{} {key}", self.port)
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Kills the processes that carry its connections, as when the network or the machine goes.
    pub fn cut_connections(&self) {
        run(Command::new("pkill").args(["-KILL", "-P", &self.child.0.id().to_string()]));
    }

    /// Ends it as a crash would; its connections stay.
    pub fn stop_listening(&mut self) {
        let _ = self.child.0.kill();
        let _ = self.child.0.wait();
    }
}

impl Setup {
    /// Another type of host key, as `ssh-keygen -t` names it.
    pub fn host_key(mut self, key_type: &str) -> Self {
        key_type.clone_into(&mut self.key_type);
        self
    }

    /// A line of `sshd_config`, before all others.
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Runs what the client asks for through another shell, as if that were the user's login shell.
    ///
    /// A user's login shell can only be changed by an administrator; a forced command that hands the request to the
    /// shell makes the same call (`SHELL -c REQUEST`) without any rights.
    pub fn login_shell(mut self, shell: &str) -> Self {
        assert!(which(shell).is_some(), "{shell} {MISSING}");
        self.shell = Some(shell.to_owned());
        self
    }

    /// Runs what the client asks for as sshd would by itself: with the real login shell, in the real home directory,
    /// subsystems included.
    pub fn plain(mut self) -> Self {
        self.shell = None;
        self
    }

    /// Starts it and waits until it answers.
    pub fn start(self) -> Sshd {
        let sshd = which("sshd").unwrap_or_else(|| panic!("sshd {MISSING}"));
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let at = |name: &str| dir.path().join(name);
        let (host_key, authorized, home) = (at("host_key"), at("authorized_keys"), at("home"));
        fs::create_dir(&home).expect("the sshd's directory can be written");
        keygen(&host_key, &self.key_type, "");
        // Where it runs as root, sshd insists on this directory, which the system's service makes at boot.
        let _ = fs::create_dir_all("/run/sshd");
        let forced = self.shell.as_ref().map_or_else(String::new, |shell| {
            // Into the temporary home: sshd itself starts everything in the one of the password file.
            format!("ForceCommand cd \"$HOME\" && exec {shell} -c \"$SSH_ORIGINAL_COMMAND\"")
        });
        let mut tries = 0;
        loop {
            let port = free_port();
            let ipv6 = if TcpListener::bind("[::1]:0").is_ok() { "ListenAddress ::1" } else { "" };
            let config = format!(
                "{lines}\n{forced}\nPort {port}\nListenAddress 127.0.0.1\n{ipv6}\nHostKey {host_key}\n\
                 AuthorizedKeysFile {authorized}\nSetEnv HOME={home}\nPidFile none\nUsePAM no\nStrictModes no\n\
                 PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
                 MaxStartups 100\nPrintMotd no\nLogLevel VERBOSE\n",
                lines = self.lines.join("\n"),
                host_key = host_key.display(),
                authorized = authorized.display(),
                home = home.display(),
            );
            write(&at("sshd_config"), &config);
            let child = Command::new(&sshd)
                .arg("-D")
                .arg("-f")
                .arg(at("sshd_config"))
                .arg("-E")
                .arg(at("log"))
                .stdin(Stdio::null())
                .spawn()
                .unwrap_or_else(|e| panic!("{} cannot be started: {e}", sshd.display()));
            let mut child = Guard(child);
            if answers(port, &mut child.0) {
                return Sshd { port, host_key, authorized, home, dir, child };
            }
            let log = fs::read_to_string(at("log")).unwrap_or_default();
            // Somebody else may have taken the port between looking and listening.
            tries += 1;
            assert!(tries < 5 && log.contains("already in use"), "sshd does not start:\n{log}");
        }
    }
}

/// Waits until an SSH server answers on `port`, or `child` has ended.
fn answers(port: u16, child: &mut Child) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let mut banner = [0; 4];
            if stream.read_exact(&mut banner).is_ok() && &banner == b"SSH-" {
                return true;
            }
        }
        if child.try_wait().is_ok_and(|end| end.is_some()) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// A running agent. It ends with the value.
pub struct Agent {
    /// Its socket.
    pub socket: PathBuf,
    _dir: TempDir,
    _child: Guard,
}

impl Agent {
    /// An agent that holds `keys` (private key files without passphrase).
    pub fn start(keys: &[&Path]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let socket = dir.path().join("agent");
        let agent = which("ssh-agent").unwrap_or_else(|| panic!("ssh-agent {MISSING}"));
        let child = Command::new(agent)
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent can be started");
        let agent = Self { socket, _dir: dir, _child: Guard(child) };
        let start = Instant::now();
        while !agent.socket.exists() {
            assert!(start.elapsed() < Duration::from_secs(30), "ssh-agent does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        for key in keys {
            run(Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &agent.socket));
        }
        agent
    }
}

/// The home directory of whoever connects, with an empty `.ssh`.
pub struct Home {
    dir: TempDir,
}

impl Home {
    /// A new one.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let ssh = dir.path().join(".ssh");
        fs::create_dir(&ssh).expect("a temporary directory can be written");
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o700)).expect("its mode can be set");
        Self { dir }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The path of a file in `.ssh`.
    pub fn ssh(&self, name: &str) -> PathBuf {
        self.dir.path().join(".ssh").join(name)
    }

    /// Writes a file in `.ssh`.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.ssh(name);
        write(&path, text);
        path
    }

    /// Makes a key pair `.ssh/NAME` and `.ssh/NAME.pub`; returns both paths.
    pub fn key(&self, name: &str, key_type: &str, passphrase: &str) -> (PathBuf, PathBuf) {
        let private = self.ssh(name);
        keygen(&private, key_type, passphrase);
        let public = self.ssh(&format!("{name}.pub"));
        (private, public)
    }

    /// A home that can log in to `server` with `.ssh/id_ed25519` and knows it as 127.0.0.1, `::1` and localhost.
    pub fn for_server(server: &Sshd) -> Self {
        let home = Self::new();
        let (_, public) = home.key("id_ed25519", "ed25519", "");
        server.allow(&public);
        let known: String = ["127.0.0.1", "::1", "localhost"].map(|host| server.known_as(host)).concat();
        home.write("known_hosts", &known);
        home
    }
}

/// A child process that is killed when it goes out of scope.
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The name of the user who runs this test, the only one a test's sshd can let in.
pub fn user() -> String {
    let out = Command::new("id").arg("-un").output().expect("`id` runs");
    String::from_utf8(out.stdout).expect("user names are text").trim().to_owned()
}

/// Makes a key pair with `ssh-keygen`.
pub fn keygen(path: &Path, key_type: &str, passphrase: &str) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-C", "test", "-t", key_type, "-N", passphrase]).arg("-f").arg(path);
    if key_type == "rsa" {
        command.args(["-b", "2048"]);
    }
    run(&mut command);
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) {
    let out = command.stdin(Stdio::null()).output();
    let out = out.unwrap_or_else(|e| panic!("{command:?} cannot be started ({e}); a program {MISSING}"));
    assert!(out.status.success(), "{command:?} failed:\n{}", String::from_utf8_lossy(&out.stderr));
}

/// Where a program is; sshd is often outside the PATH of ordinary users.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("a listener has an address").port()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|e| panic!("{} cannot be written: {e}", path.display()));
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its mode can be set");
}
