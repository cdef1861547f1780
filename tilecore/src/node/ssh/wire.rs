//! The socket under a session: connecting to whichever address of a host answers, and waiting without hanging.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;

use super::proxy::Proxy;

/// How long one address has for itself before the next is tried beside it.
const HEAD_START: Duration = Duration::from_millis(300);
/// More addresses of one name are not tried.
const MOST_ADDRESSES: usize = 8;
/// The kernel asks a silent peer for a sign of life after this long, and then so often.
const KEEP_IDLE: Duration = Duration::from_secs(20);
const KEEP_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_COUNT: u32 = 4;

/// What a session sends its bytes through.
#[derive(Debug)]
pub(super) enum Wire {
    /// A connection of its own.
    Tcp(TcpStream),
    /// The near end of a tunnel through a jump host, or of a command.
    Tunnel(UnixStream, Option<Proxy>),
}

impl Wire {
    /// The command that it leads through.
    pub(super) fn proxy(&self) -> Option<&Proxy> {
        match self {
            Wire::Tunnel(_, proxy) => proxy.as_ref(),
            Wire::Tcp(_) => None,
        }
    }

    /// Ends both directions at once: whoever waits on it wakes up, and nothing sent later leaves.
    pub(super) fn shut(&self) {
        // An error means that it has ended already.
        let _ = match self {
            Wire::Tcp(stream) => stream.shutdown(std::net::Shutdown::Both),
            Wire::Tunnel(stream, _) => stream.shutdown(std::net::Shutdown::Both),
        };
    }

    /// Waits until the socket can be read or (if asked) written, at most `wait`. Says what it can be: (read, write).
    pub(super) fn wait(&self, read: bool, write: bool, wait: Duration) -> io::Result<(bool, bool)> {
        let mut events = PollFlags::empty();
        events.set(PollFlags::IN, read);
        events.set(PollFlags::OUT, write);
        let mut fds = [PollFd::new(self, events)];
        let wait = Timespec {
            tv_sec: wait.as_secs().min(3600).cast_signed(),
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        match poll(&mut fds, Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok((false, false)),
            Ok(_) => {
                let found = fds[0].revents();
                // A broken connection is both: the next call to read or write says what happened.
                let broken = found.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
                Ok((broken || found.contains(PollFlags::IN), broken || found.contains(PollFlags::OUT)))
            }
            Err(e) => Err(e.into()),
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Wire::Tcp(stream) => stream.as_fd(),
            Wire::Tunnel(stream, _) => stream.as_fd(),
        }
    }
}

impl AsRawFd for Wire {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// Connects to `host`, trying every address of the name, the next one while the one before still hesitates.
///
/// # Errors
/// The last address's reason, or `TimedOut` when none answered within `limit`.
pub(super) fn dial(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + limit;
    let left = || deadline.saturating_duration_since(Instant::now());
    let late = || io::Error::new(io::ErrorKind::TimedOut, "timed out");

    // The system's resolver has no time limit of its own, so it gets a thread and is left behind when it is late.
    let (sender, names) = crossbeam_channel::bounded(1);
    let name = host.to_owned();
    std::thread::spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs();
        let _ = sender.send(found.map(|all| all.take(MOST_ADDRESSES).collect::<Vec<SocketAddr>>()));
    });
    let mut waiting = names.recv_timeout(left()).map_err(|_| late())??.into_iter();

    let (sender, answers) = crossbeam_channel::unbounded();
    let mut running = 0_usize;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        if let Some(address) = waiting.next() {
            let (sender, limit) = (sender.clone(), left().max(Duration::from_millis(1)));
            running += 1;
            std::thread::spawn(move || sender.send(TcpStream::connect_timeout(&address, limit)));
        } else if running == 0 {
            return Err(last);
        }
        // The attempt's own limit ends at the deadline; a little more lets it say so itself.
        let patience = if waiting.len() > 0 { HEAD_START } else { left() + HEAD_START };
        match answers.recv_timeout(patience) {
            Ok(Ok(stream)) => {
                tune(&stream);
                return Ok(stream);
            }
            Ok(Err(e)) => {
                running -= 1;
                last = e;
            }
            Err(_) if waiting.len() == 0 => return Err(late()),
            Err(_) => {}
        }
    }
}

/// Sets what makes a connection fast and notices a dead peer. None of it is worth failing for.
fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, KEEP_IDLE);
    let _ = sockopt::set_tcp_keepintvl(stream, KEEP_INTERVAL);
    let _ = sockopt::set_tcp_keepcnt(stream, KEEP_COUNT);
    #[cfg(target_os = "linux")]
    let _ = sockopt::set_tcp_user_timeout(stream, 60_000);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_port_nobody_listens_on_is_refused() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = dial("127.0.0.1", port, Duration::from_secs(10)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn an_address_that_refuses_leaves_the_others() {
        // `localhost` is 127.0.0.1, on most machines ::1 too; only one of them listens.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = dial("localhost", port, Duration::from_secs(10)).unwrap();
        assert_eq!(stream.peer_addr().unwrap().port(), port);
    }

    #[test]
    fn waiting_ends_when_the_other_side_does() {
        let (near, far) = UnixStream::pair().unwrap();
        let wire = Wire::Tunnel(near, None);
        assert_eq!(wire.wait(true, false, Duration::ZERO).unwrap(), (false, false));
        drop(far);
        assert!(wire.wait(true, false, Duration::from_secs(60)).unwrap().0);
    }
}
