//! The link: one channel with `/bin/sh` at its other end, driven without ever blocking in libssh2.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ssh2::{BlockDirections, Channel, Session, Stream};

use super::advice;
use super::options::SshOptions;
use super::session::lower;
use super::target::Target;
use super::wire::Wire;
use crate::error::{Error, Result, reason};
use crate::node::{Link, Received};

/// What the server may send before it is read, bytes. It bounds the speed to window / round trip (400 MB/s at 20 ms)
/// and the memory a node can take up here.
const WINDOW: u32 = 8 << 20;
/// The longest packet every SSH implementation must take, bytes.
const PACKET: u32 = 32 << 10;
/// How much standard error is kept for messages, bytes.
const KEPT: usize = 4096;
/// Sending fails when nothing could be sent for this long.
const SEND_LIMIT: Duration = Duration::from_secs(60);
/// How long to wait for the reason why a shell ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// After waiting so long in silence the server is asked for a sign of life; after the limit it is dead.
const SILENCE: Duration = Duration::from_secs(15);
const SILENCE_LIMIT: Duration = Duration::from_secs(75);

/// Standard input and output of `/bin/sh` on the server.
///
/// The session does not block, so the only place where this waits is [`Wire::wait`].
pub(super) struct Shell {
    // Declared in the order in which they must go: libssh2 frees a channel through its session.
    stderr: Stream,
    channel: Channel,
    session: Session,
    wire: Arc<Wire>,
    name: String,
    login: String,
    tail: Vec<u8>,
    /// How long was waited without a byte from the server, in this and earlier calls. Time spent elsewhere does not
    /// count: nobody listened then.
    silent: Duration,
    asked: Duration,
}

impl Shell {
    /// Starts the shell. It is called without arguments, so that any login shell there understands the command.
    pub(super) fn start(
        session: Session,
        wire: Arc<Wire>,
        target: &Target,
        options: &SshOptions,
        login: String,
    ) -> Result<Self> {
        let failed = |what: &str, e: &ssh2::Error| {
            let ssh = advice::command("ssh", target, options);
            Error::node(format!("{target} does not {what}: {}", lower(e.message())))
                .remedy(format!("`{ssh} /bin/sh` must give you a shell there."))
        };
        let mut channel = session
            .channel_open("session", WINDOW, PACKET, None)
            .map_err(|e| failed("open a channel", &e))?;
        channel.exec("/bin/sh").map_err(|e| failed("run commands", &e))?;
        session.set_blocking(false);
        // Sent by `wait` only, when it is worth it; the interval just has to be shorter than that.
        session.set_keepalive(true, 2);
        Ok(Self {
            stderr: channel.stderr(),
            channel,
            session,
            wire,
            name: target.to_string(),
            login,
            tail: Vec::new(),
            silent: Duration::ZERO,
            asked: Duration::ZERO,
        })
    }

    /// Takes what is there of standard error, which shares the window with standard output and must never fill it.
    ///
    /// Reading one stream makes libssh2 take everything off the socket, also what belongs to the other: whoever calls
    /// this must look at the other again before waiting for the socket. Returns the number of bytes taken.
    fn drain(&mut self) -> usize {
        let mut buffer = [0; 16 << 10];
        let mut taken = 0;
        // Bounded, so that a node that writes nothing else cannot keep the caller here.
        while taken < WINDOW as usize {
            match self.stderr.read(&mut buffer) {
                Ok(n @ 1..) => {
                    taken += n;
                    self.tail.extend_from_slice(&buffer[..n]);
                    self.tail.drain(..self.tail.len().saturating_sub(KEPT));
                }
                // An error shows at the next read of standard output too.
                _ => break,
            }
        }
        taken
    }

    /// Waits at most `limit` for what libssh2 waits for.
    fn wait(&mut self, limit: Duration, idle: bool) -> Result<()> {
        let (read, write, limit) = match self.session.block_directions() {
            BlockDirections::Inbound => (true, false, limit),
            BlockDirections::Outbound => (false, true, limit),
            BlockDirections::Both => (true, true, limit),
            // Nothing that it would name: look again soon.
            BlockDirections::None => (true, false, limit.min(Duration::from_millis(50))),
        };
        let limit = limit.min(SILENCE);
        let start = Instant::now();
        let found = self.wire.wait(read, write, limit).map_err(|e| self.lost(&e))?;
        if found.0 {
            (self.silent, self.asked) = (Duration::ZERO, Duration::ZERO);
            return Ok(());
        }
        self.silent += start.elapsed();
        if self.silent >= SILENCE_LIMIT {
            let silence = std::io::Error::new(ErrorKind::TimedOut, "nothing was heard for a minute");
            return Err(self.lost(&silence));
        }
        if idle && self.silent >= self.asked + SILENCE {
            // libssh2 loses the rest of a keepalive that did not fit into the socket, and then sends nothing any more:
            // so only when there is room for all of it.
            if self.wire.wait(false, true, Duration::ZERO).map_err(|e| self.lost(&e))?.1 {
                self.asked = self.silent;
                // A failure shows at the next read.
                let _ = self.session.keepalive_send();
            }
        }
        Ok(())
    }

    fn lost(&self, e: &std::io::Error) -> Error {
        Error::node(format!("the connection to {} broke: {}", self.name, lower(&reason(e))))
            .remedy("Check the network and that the machine is still up; it is tried again.")
    }
}

impl Link for Shell {
    fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        let mut progress = Instant::now();
        while !bytes.is_empty() {
            match self.channel.write(bytes) {
                Ok(n @ 1..) => {
                    bytes = &bytes[n..];
                    progress = Instant::now();
                    continue;
                }
                Ok(_) => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(e) => return Err(self.lost(&e)),
            }
            let left = SEND_LIMIT.saturating_sub(progress.elapsed());
            if left.is_zero() {
                self.wire.shut(); // A packet may have left in part: nothing sensible can follow it.
                let stuck = std::io::Error::new(ErrorKind::TimedOut, "nothing could be sent for a minute");
                return Err(self.lost(&stuck));
            }
            self.wait(left, false)?;
            self.drain();
            if self.channel.wait_close().is_ok() {
                // Without blocking this only looks; the server has closed the channel and will take nothing more.
                return Err(Error::node(format!("the shell on {} ended", self.name))
                    .remedy("See the node's log; it is tried again."));
            }
        }
        Ok(())
    }

    fn recv(&mut self, buffer: &mut [u8], wait: Duration) -> Result<Received> {
        let start = Instant::now();
        if buffer.is_empty() {
            return Ok(Received::Nothing);
        }
        loop {
            match self.channel.read(buffer) {
                Ok(n @ 1..) => return Ok(Received::Bytes(n)),
                Ok(_) if self.channel.eof() => return Ok(Received::Closed),
                Ok(_) => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(e) => return Err(self.lost(&e)),
            }
            // Whatever is here now is standard error.
            if self.channel.read_window().available > 0 && self.drain() > 0 {
                continue;
            }
            let left = wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(Received::Nothing);
            }
            self.wait(left, true)?;
        }
    }

    fn login(&self) -> String {
        self.login.clone()
    }

    fn diagnosis(&mut self) -> String {
        self.drain();
        // How the shell ended may be told only after its output has.
        let until = Instant::now() + LAST_WORDS;
        while self.channel.eof() && self.channel.wait_close().is_err() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.wait(left, true).is_err() {
                break;
            }
            self.drain();
        }
        let mut text = String::from_utf8_lossy(&self.tail).into_owned();
        if let Some(signal) = self.channel.exit_signal().ok().and_then(|end| end.exit_signal) {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            let _ = write!(text, "the shell was ended by signal {signal}");
        }
        text
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // A polite end needs the server's answer, and the server answers when the remote process is done. Cut off, the
        // server closes the process's standard input, and freeing the channel finds nothing to wait for.
        self.wire.shut();
    }
}
