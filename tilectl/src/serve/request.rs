//! One request: read within a deadline and a size, and checked before anything is done for it.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use subtle::ConstantTimeEq;

use super::address::Address;

/// Longest request, bytes.
const LONGEST: usize = 8 << 10;
/// Most headers.
const HEADERS: usize = 64;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The page itself.
    Page,
    /// What has changed since this version.
    Parts(String),
}

/// Why a request is not answered as it wants: the status.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    BadRequest,
    Forbidden,
    NotFound,
    BadMethod,
    TooLarge,
}

/// Who may ask for what.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) token: String,
    pub(super) address: Address,
    pub(super) bound: SocketAddr,
}

/// Reads a request; `None` when nothing came in time, or nothing that an answer could help.
pub(super) fn read(
    stream: &mut TcpStream,
    gate: &Gate,
    until: Instant,
) -> Option<(Result<Asked, Refused>, bool)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 2048];
    loop {
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        stream.set_read_timeout(Some(left)).ok()?;
        let read = stream.read(&mut piece).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(piece.get(..read)?);
        if let Some(answer) = gate.check(&bytes) {
            return Some(answer);
        }
        if bytes.len() > LONGEST {
            return Some((Err(Refused::TooLarge), false));
        }
    }
}

impl Gate {
    /// What a request asks for, and whether for the header alone; `None` while its end has not come.
    fn check(&self, bytes: &[u8]) -> Option<(Result<Asked, Refused>, bool)> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return None,
            Err(httparse::Error::TooManyHeaders) => return Some((Err(Refused::TooLarge), false)),
            Err(_) => return Some((Err(Refused::BadRequest), false)),
        }
        let head = request.method == Some("HEAD");
        Some((self.admit(&request), head))
    }

    fn admit(&self, request: &httparse::Request<'_, '_>) -> Result<Asked, Refused> {
        let mut hosts = request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("host"));
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Refused::BadRequest) };
        let host = std::str::from_utf8(host.value).map_err(|_| Refused::BadRequest)?;
        if !self.address.admits(host.trim(), self.bound) {
            return Err(Refused::Forbidden);
        }
        let target = request.path.and_then(|p| p.strip_prefix('/')).ok_or(Refused::BadRequest)?;
        let (token, rest) = target.split_once('/').ok_or(Refused::NotFound)?;
        if !bool::from(token.as_bytes().ct_eq(self.token.as_bytes())) {
            return Err(Refused::NotFound);
        }
        if !matches!(request.method, Some("GET" | "HEAD")) {
            return Err(Refused::BadMethod);
        }
        match rest.split_once('?').unwrap_or((rest, "")) {
            ("", "") => Ok(Asked::Page),
            ("parts", query) => Ok(Asked::Parts(query.strip_prefix("have=").unwrap_or_default().to_owned())),
            _ => Err(Refused::NotFound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        let address = "127.0.0.1:8080".parse().unwrap();
        Gate { token: "c0ffee".into(), address, bound: "127.0.0.1:8080".parse().unwrap() }
    }

    fn asked(line: &str, headers: &str) -> Option<Result<Asked, Refused>> {
        gate().check(format!("{line} HTTP/1.1\r\n{headers}\r\n").as_bytes()).map(|a| a.0)
    }

    #[test]
    fn the_token_and_the_host_open_the_gate() {
        const HOST: &str = "Host: 127.0.0.1:8080\r\n";
        assert_eq!(asked("GET /c0ffee/", HOST), Some(Ok(Asked::Page)));
        assert_eq!(asked("GET /c0ffee/parts?have=1-2", HOST), Some(Ok(Asked::Parts("1-2".into()))));
        for (line, headers, refused) in [
            ("GET /c0ffeE/", HOST, Refused::NotFound),
            ("GET /c0ffe/", HOST, Refused::NotFound),
            ("GET /", HOST, Refused::NotFound),
            ("GET /c0ffee", HOST, Refused::NotFound),
            ("GET /c0ffee/../state.ron", HOST, Refused::NotFound),
            ("GET /c0ffee/?x", HOST, Refused::NotFound),
            ("POST /c0ffee/", HOST, Refused::BadMethod),
            ("GET /c0ffee/", "", Refused::BadRequest),
            ("GET /c0ffee/", "Host: 127.0.0.1:8080\r\nHost: x\r\n", Refused::BadRequest),
            ("GET http://127.0.0.1:8080/c0ffee/", HOST, Refused::BadRequest),
            ("GET /c0ffee/", "Host: rebound.example:8080\r\n", Refused::Forbidden),
            ("GET /wrong/", "Host: rebound.example:8080\r\n", Refused::Forbidden),
        ] {
            assert_eq!(asked(line, headers), Some(Err(refused)), "{line} {headers}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused_or_waited_for() {
        let gate = gate();
        assert_eq!(gate.check(b"GET /c0ff"), None);
        assert_eq!(gate.check(b"\x16\x03\x01\x02\x00").map(|a| a.0), Some(Err(Refused::BadRequest)));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS + 1));
        assert_eq!(gate.check(many.as_bytes()).map(|a| a.0), Some(Err(Refused::TooLarge)));
    }
}
