//! An answer, written within a deadline however slowly it is read.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use super::request::Refused;

/// What is answered.
pub(super) struct Reply {
    status: &'static str,
    kind: &'static str,
    policy: Option<Arc<str>>,
    body: Arc<str>,
}

impl Reply {
    /// A page under its own content security policy.
    pub(super) fn page(html: Arc<str>, policy: Arc<str>) -> Self {
        Self { status: "200 OK", kind: "text/html; charset=utf-8", policy: Some(policy), body: html }
    }

    /// JSON.
    pub(super) fn json(body: String) -> Self {
        Self { status: "200 OK", kind: "application/json", policy: None, body: body.into() }
    }

    /// There is nothing new.
    pub(super) fn nothing() -> Self {
        Self { status: "204 No Content", kind: "text/plain", policy: None, body: "".into() }
    }

    /// A refusal, which tells nothing but itself.
    pub(super) fn refused(refused: &Refused) -> Self {
        let status = match refused {
            Refused::BadRequest => "400 Bad Request",
            Refused::Forbidden => "403 Forbidden",
            Refused::NotFound => "404 Not Found",
            Refused::BadMethod => "405 Method Not Allowed",
            Refused::TooLarge => "431 Request Header Fields Too Large",
        };
        Self { status, kind: "text/plain", policy: None, body: format!("{status}\n").into() }
    }

    /// Writes it, or its header alone; whether it was taken to the end.
    pub(super) fn write(&self, stream: &mut TcpStream, head: bool, until: Instant) -> bool {
        let policy = self.policy.as_deref().unwrap_or("default-src 'none'");
        let header = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\nCache-Control: no-store\r\n\
             Content-Security-Policy: {policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
             X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n\r\n",
            self.status,
            self.kind,
            self.body.len(),
        );
        let body = if head { &[] } else { self.body.as_bytes() };
        let written = all(stream, header.as_bytes(), until) && all(stream, body, until);
        let _ = stream.shutdown(Shutdown::Write);
        written
    }
}

fn all(stream: &mut TcpStream, mut bytes: &[u8], until: Instant) -> bool {
    while !bytes.is_empty() {
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        if left.is_none() || stream.set_write_timeout(left).is_err() {
            return false;
        }
        match stream.write(bytes) {
            Ok(n) if n > 0 => bytes = bytes.get(n..).unwrap_or_default(),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            _ => return false,
        }
    }
    true
}
