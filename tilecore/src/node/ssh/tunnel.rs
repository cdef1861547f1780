//! Ways to a server that is not reached directly: through jump hosts, or through a command (`proxy`).
//!
//! Each jump host has a session of its own on a thread of its own, which copies between a channel of it and a socket
//! pair. Either end closing closes everything behind it.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::bounded;
use rustix::event::{PollFd, PollFlags, poll};
use ssh2::{BlockDirections, Channel, Session};

use super::options::SshOptions;
use super::proxy::Proxy;
use super::route::Route;
use super::session::{lower, open};
use super::target::Target;
use super::wire::{Wire, dial};
use crate::error::{Error, Result, reason};

/// What a jump host may send before it is read, bytes.
const WINDOW: u32 = 8 << 20;

/// Opens the way to the last server of `route`.
pub(super) fn reach(route: &Route, options: &SshOptions) -> Result<Arc<Wire>> {
    let first = route.jumps.first().unwrap_or(&route.target);
    let mut wire = match &route.command {
        Some(command) => Proxy::start(command, first, options)?,
        None => Wire::Tcp(dial(&first.host, first.port, first.timeout).map_err(|e| unreachable(first, &e))?),
    };
    let mut nexts = route.jumps.iter().skip(1).chain([&route.target]);
    for jump in &route.jumps {
        let Some(next) = nexts.next() else { break };
        wire = through_host(wire, jump, next, options)?;
    }
    Ok(Arc::new(wire))
}

fn unreachable(target: &Target, e: &std::io::Error) -> Error {
    let error = Error::node(format!("cannot connect to {target}: {}", reason(e)));
    match e.kind() {
        ErrorKind::ConnectionRefused => error.remedy("Start the SSH server there, or check the port."),
        ErrorKind::TimedOut => error.remedy("Check that the machine is on and reachable."),
        _ => error.remedy("Check the name, and that the machine is on and reachable."),
    }
}

/// Logs in to `jump` over `wire` and opens a connection from there to `next`.
fn through_host(wire: Wire, jump: &Target, next: &Target, options: &SshOptions) -> Result<Wire> {
    let failed = |e: &std::io::Error| {
        Error::node(format!("cannot go through {jump}: {}", reason(e))).remedy("It is tried again.")
    };
    let (near, far) = UnixStream::pair().map_err(|e| failed(&e))?;
    far.set_nonblocking(true).map_err(|e| failed(&e))?;
    let (ready, started) = bounded(1);
    let (jump, next, options) = (jump.clone(), next.clone(), options.clone());
    let name = jump.to_string();
    std::thread::spawn(move || {
        let wire = Arc::new(wire);
        match connect(&wire, &jump, &next, &options) {
            Ok((session, channel)) => {
                if ready.send(Ok(())).is_ok() {
                    let mut pump = Pump { channel, session, wire: &wire, far: &far };
                    if let Err(e) = pump.run() {
                        tracing::debug!("the tunnel through {jump} ended: {e}");
                    }
                }
            }
            Err(e) => {
                let _ = ready.send(Err(e));
            }
        }
        // The session was freed on this thread by now; whoever reads the near end learns that it is over.
        let _ = far.shutdown(std::net::Shutdown::Both);
        wire.shut();
    });
    // Every step of the thread has a time limit, so this has one.
    started.recv().unwrap_or_else(|_| {
        Err(Error::node(format!("cannot go through {name}")).remedy("It is tried again."))
    })?;
    Ok(Wire::Tunnel(near, None))
}

fn connect(
    wire: &Arc<Wire>,
    jump: &Target,
    next: &Target,
    options: &SshOptions,
) -> Result<(Session, Channel)> {
    let (session, _) = open(wire, jump, options)?;
    let channel = session.channel_direct_tcpip(&next.host, next.port, None).map_err(|e| {
        Error::node(format!(
            "{jump} cannot connect to {}:{}: {}",
            next.host,
            next.port,
            lower(e.message())
        ))
        .remedy("Check that the machine is on, that its name is known there, and that AllowTcpForwarding is on.")
    })?;
    session.set_blocking(false);
    Ok((session, channel))
}

/// Copies between a channel and a socket until either ends.
struct Pump<'a> {
    channel: Channel,
    session: Session,
    wire: &'a Wire,
    far: &'a UnixStream,
}

impl Drop for Pump<'_> {
    fn drop(&mut self) {
        self.wire.shut(); // Freeing the channel must not wait for the jump host.
    }
}

impl Pump<'_> {
    fn run(&mut self) -> std::io::Result<()> {
        // Small enough that both sides of the pump work at the same time.
        let mut inward = Buffer::new(128 << 10);
        let mut outward = Buffer::new(128 << 10);
        let mut idle = 0_u32;
        loop {
            let mut moved = false;
            if outward.is_empty() {
                match outward.fill(|buffer| self.far.read(buffer)) {
                    Ok(Some(0)) => return Ok(()), // The link was dropped.
                    Ok(n) => moved |= n.is_some(),
                    Err(e) => return Err(e),
                }
            }
            moved |= outward.empty_into(|bytes| self.channel.write(bytes))?;
            // After the write, which takes everything off the wire as well: what it left in the queue is seen here.
            if inward.is_empty() {
                match inward.fill(|buffer| self.channel.read(buffer)) {
                    Ok(Some(0)) if self.channel.eof() => return Ok(()),
                    Ok(n) => moved |= n.is_some_and(|n| n > 0),
                    Err(e) => return Err(e),
                }
            }
            moved |= inward.empty_into(|bytes| self.far.write(bytes))?;
            self.widen()?;
            // The read may have found the permission to send more.
            let blocked = self.session.block_directions();
            let may_send = !outward.is_empty()
                && self.channel.write_window().remaining > 0
                && matches!(blocked, BlockDirections::Inbound | BlockDirections::None);
            if moved || may_send {
                idle = 0;
                continue;
            }
            // A wire that can be read while libssh2 insists on writing first would make this spin.
            idle += 1;
            if idle > 8 {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.wait(&blocked, outward.is_empty(), !inward.is_empty())?;
        }
    }

    /// Lets the jump host send far ahead: libssh2 opens such a channel with a window of 2 MiB, which would bound the
    /// speed to that much a round trip.
    fn widen(&mut self) -> std::io::Result<()> {
        let remaining = self.channel.read_window().remaining;
        if remaining < WINDOW / 4 * 3 {
            // One that did not fit into the socket is finished by the next call.
            later(
                self.channel.adjust_receive_window(u64::from(WINDOW - remaining), true).map_err(Into::into),
            )?;
        }
        Ok(())
    }

    fn wait(&self, blocked: &BlockDirections, far_read: bool, far_write: bool) -> std::io::Result<()> {
        let mut wire = PollFlags::empty();
        // Also while bytes for the far socket wait: the permission to send more comes in here, and if nobody took it,
        // this and the session behind the far socket could wait for each other.
        wire.set(PollFlags::IN, (!far_write || !far_read) && *blocked != BlockDirections::Outbound);
        wire.set(PollFlags::OUT, matches!(blocked, BlockDirections::Outbound | BlockDirections::Both));
        let mut far = PollFlags::empty();
        far.set(PollFlags::IN, far_read);
        far.set(PollFlags::OUT, far_write);
        let mut fds =
            [PollFd::new(self.wire, wire), PollFd::from_borrowed_fd(std::os::fd::AsFd::as_fd(self.far), far)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

/// Bytes on their way.
struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    fn new(size: usize) -> Self {
        Self { bytes: vec![0; size], start: 0, end: 0 }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Reads into the empty buffer; `None` when nothing is there yet.
    fn fill(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> std::io::Result<usize>,
    ) -> std::io::Result<Option<usize>> {
        let read = later(read(&mut self.bytes))?;
        (self.start, self.end) = (0, read.unwrap_or(0));
        Ok(read)
    }

    /// Writes what is there, as far as it goes; whether anything went.
    fn empty_into(
        &mut self,
        mut write: impl FnMut(&[u8]) -> std::io::Result<usize>,
    ) -> std::io::Result<bool> {
        let mut moved = false;
        while !self.is_empty() {
            match later(write(&self.bytes[self.start..self.end]))? {
                None | Some(0) => break,
                Some(n) => self.start += n,
            }
            moved = true;
        }
        Ok(moved)
    }
}

/// `None` for an error that only says: not now.
fn later<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(e) => Err(e),
    }
}
