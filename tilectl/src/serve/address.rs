//! Where the live page is served, what its address is for others, and under which names it may be asked for.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::str::FromStr;

/// What `--serve` takes: `ADDRESS:PORT`, an address, or a port of this machine's own address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Name or number of the place.
    host: String,
    /// Port; 0 for one that is free.
    port: u16,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let loopback = Ipv4Addr::LOCALHOST.to_string();
        let this = |host: &str, port: u16| Self { host: host.to_owned(), port };
        if let Ok(port) = text.parse::<u16>() {
            return Ok(this(&loopback, port));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(this(&address.ip().to_string(), address.port()));
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(this(&ip.to_string(), 0));
        }
        let named = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        let is_name =
            |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
        match named {
            Some((host, port)) if !host.is_empty() && is_name(host) => Ok(this(&host.to_lowercase(), port)),
            _ => Err("write it as ADDRESS:PORT, for example 127.0.0.1:8080, or put --serve last".to_owned()),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Address {
    /// The addresses it stands for.
    pub(crate) fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        Ok((self.host.as_str(), self.port).to_socket_addrs()?.collect())
    }

    /// How others reach what listens at `bound`: without path.
    pub(crate) fn origin(&self, bound: SocketAddr) -> String {
        let reachable = match self.host.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() => outward(ip).unwrap_or(ip).to_string(),
            _ => self.host.clone(),
        };
        format!("http://{}", Self { host: reachable, port: bound.port() })
    }

    /// Whether a request that was sent to `host` (the header of that name) may be answered.
    ///
    /// A page of somebody else whose name was made to point here (DNS rebinding) asks under that name. Numbers cannot be
    /// rebound, nor can `localhost` and the name that was given.
    pub(crate) fn admits(&self, host: &str, bound: SocketAddr) -> bool {
        if let Ok(address) = host.parse::<SocketAddr>() {
            return address.port() == bound.port();
        }
        if let Ok(ip) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return bound.port() == 80 && !ip.is_unspecified();
        }
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) => (name, port.parse::<u16>().ok()),
            None => (host, Some(80)),
        };
        port == Some(bound.port())
            && (name.eq_ignore_ascii_case("localhost") || name.eq_ignore_ascii_case(&self.host))
    }
}

/// This machine's address towards others; nothing is sent to find it.
fn outward(any: IpAddr) -> Option<IpAddr> {
    let (from, to) = if any.is_ipv4() { ("0.0.0.0:0", "192.0.2.1:9") } else { ("[::]:0", "[2001:db8::1]:9") };
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_numbers_names_or_a_port() {
        for (text, meant) in [
            ("8080", "127.0.0.1:8080"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("0.0.0.0:8080", "0.0.0.0:8080"),
            ("10.1.2.3", "10.1.2.3:0"),
            ("[::1]:80", "[::1]:80"),
            ("::1", "[::1]:0"),
            ("Desk.lan:8080", "desk.lan:8080"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), meant);
        }
        for wrong in ["", "still.blend", "a b:1", "host:", ":80", "host:99999", "/x:1", "-1"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_names_that_cannot_be_rebound_are_answered() {
        let bound: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        let address: Address = "desk:8080".parse().unwrap();
        for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080", "desk:8080"] {
            assert!(address.admits(host, bound), "{host}");
        }
        for host in
            ["evil.example:8080", "127.0.0.1", "localhost", "127.0.0.1:80", "desk", "", ":8080", "a:b:8080"]
        {
            assert!(!address.admits(host, bound), "{host}");
        }
        assert!(address.admits("localhost", "127.0.0.1:80".parse().unwrap()));
    }
}
