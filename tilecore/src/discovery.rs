//! Machines nearby that announce SSH by DNS-SD (RFC 6763), asked for once over multicast DNS (RFC 6762).
//!
//! The question goes out from a port of its own, so that answers come back to it alone (section 6.7): nothing is
//! announced, and nothing listens once the answers are here. What they say is anybody's word and is taken as a hint.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use serde::Serialize;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, Question, TYPE};

use crate::error::{Error, Result, reason};

/// Where multicast DNS is spoken.
const GROUP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251)), 5353);
/// What is asked for.
const SERVICE: &str = "_ssh._tcp.local";
/// No network has more machines that matter, and no liar makes more of them.
const MOST: usize = 256;

/// A machine that announces SSH.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// What it calls itself, fit to be shown.
    pub name: String,
    /// Its host name, ending in `.local`.
    pub host: String,
    /// Its IPv4 addresses, as far as it told them.
    pub addresses: Vec<Ipv4Addr>,
    /// The port of its SSH server.
    pub port: u16,
}

/// Asks over every interface of this machine, and listens for answers for so long.
///
/// # Errors
/// When nothing can be asked: no network at all.
pub fn announced(wait: Duration) -> Result<Vec<Machine>> {
    let interfaces = if_addrs::get_if_addrs().map_err(|e| silent(&e))?;
    let mut own: Vec<Ipv4Addr> =
        interfaces.iter().filter_map(|i| if let IpAddr::V4(ip) = i.ip() { Some(ip) } else { None }).collect();
    own.push(Ipv4Addr::UNSPECIFIED);
    ask(&own, GROUP, wait)
}

fn ask(from: &[Ipv4Addr], to: SocketAddr, wait: Duration) -> Result<Vec<Machine>> {
    let question = question(SERVICE, TYPE::PTR)?;
    let mut sockets = Vec::new();
    let mut failed = None;
    for ip in from {
        // The address a question comes from decides over which interface it goes.
        let asked = UdpSocket::bind((*ip, 0)).and_then(|socket| {
            socket.set_read_timeout(Some(Duration::from_millis(20)))?;
            socket.send_to(&question, to)?;
            Ok(socket)
        });
        match asked {
            Ok(socket) => sockets.push(socket),
            Err(e) => failed = Some(e),
        }
    }
    if let (true, Some(e)) = (sockets.is_empty(), failed) {
        return Err(silent(&e));
    }
    let mut heard = Heard::default();
    let mut buffer = [0; 9000];
    let until = Instant::now() + wait;
    while Instant::now() < until {
        for socket in &sockets {
            let Ok((length, _)) = socket.recv_from(&mut buffer) else { continue };
            for missing in heard.take(&buffer[..length]) {
                let _ = socket.send_to(&missing, to);
            }
        }
    }
    Ok(heard.machines())
}

fn silent(e: &std::io::Error) -> Error {
    Error::node(format!("the network cannot be asked for machines: {}", reason(e)))
        .remedy("Check that a network is up, or leave the question out with --no-dns.")
        .fatal()
}

fn question(name: &str, kind: TYPE) -> Result<Vec<u8>> {
    let build = || {
        let mut packet = Packet::new_query(0x7463);
        let name = Name::new(name)?;
        packet.questions.push(Question::new(name, kind.into(), CLASS::IN.into(), false));
        packet.build_bytes_vec()
    };
    build().map_err(|e| Error::input(format!("`{name}` cannot be asked for: {e}")))
}

/// What was heard so far, by names in lower case.
#[derive(Default)]
struct Heard {
    instances: BTreeSet<String>,
    services: BTreeMap<String, (String, u16)>,
    addresses: BTreeMap<String, BTreeSet<Ipv4Addr>>,
    asked: BTreeSet<String>,
}

impl Heard {
    /// Takes a packet; returns questions for what it left out. Packets that make no sense say nothing.
    fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let Ok(packet) = Packet::parse(bytes) else { return Vec::new() };
        for record in packet.answers.iter().chain(&packet.additional_records) {
            let name = record.name.to_string();
            let full = self.instances.len() + self.services.len() + self.addresses.len() > 4 * MOST;
            match &record.rdata {
                _ if full => {}
                RData::PTR(pointer) if name.eq_ignore_ascii_case(SERVICE) => {
                    self.instances.insert(pointer.0.to_string());
                }
                RData::SRV(service) => {
                    let host = service.target.to_string().to_ascii_lowercase();
                    self.services.insert(name.to_ascii_lowercase(), (host, service.port));
                }
                RData::A(address) => {
                    let all = self.addresses.entry(name.to_ascii_lowercase()).or_default();
                    if all.len() < 16 {
                        all.insert(Ipv4Addr::from(address.address));
                    }
                }
                _ => {}
            }
        }
        let unknown = |i: &&String| !self.services.contains_key(&i.to_ascii_lowercase());
        let open: Vec<String> =
            self.instances.iter().filter(unknown).filter(|i| !self.asked.contains(*i)).cloned().collect();
        self.asked.extend(open.iter().cloned());
        open.iter().filter_map(|instance| question(instance, TYPE::SRV).ok()).collect()
    }

    fn machines(&self) -> Vec<Machine> {
        let machine = |instance: &String| {
            let (host, port) = self.services.get(&instance.to_ascii_lowercase())?;
            let host = host.trim_end_matches('.');
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            // It becomes part of a command line: names that could be options or worse are nobody's.
            let local = host.strip_suffix(".local").is_some_and(|h| !h.is_empty());
            let fits = local && host.chars().all(plain) && !host.starts_with('-');
            let end = instance.to_ascii_lowercase().find(&format!(".{SERVICE}")).unwrap_or(instance.len());
            let name = crate::text::printable(instance.get(..end).unwrap_or(instance), 60);
            let addresses = self.addresses.get(host).into_iter().flatten().copied().collect();
            (fits && *port > 0).then(|| Machine { name, host: host.to_owned(), addresses, port: *port })
        };
        let mut found: Vec<Machine> = self.instances.iter().filter_map(machine).take(MOST).collect();
        found.sort_by(|a, b| (&a.host, a.port).cmp(&(&b.host, b.port)));
        found.dedup_by(|a, b| (&a.host, a.port) == (&b.host, b.port));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, PTR, SRV};

    fn record<'a>(name: &'a str, rdata: RData<'a>) -> ResourceRecord<'a> {
        ResourceRecord::new(Name::new_unchecked(name), CLASS::IN, 10, rdata)
    }

    fn srv(host: &str, port: u16) -> RData<'_> {
        RData::SRV(SRV { priority: 0, weight: 0, port, target: Name::new_unchecked(host) })
    }

    fn answer(records: Vec<ResourceRecord<'_>>) -> Vec<u8> {
        let mut packet = Packet::new_reply(0);
        packet.answers = records;
        packet.build_bytes_vec().unwrap()
    }

    #[test]
    fn machines_are_found_and_what_an_answer_left_out_is_asked_for() {
        let responder = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = responder.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 9000];
            for _ in 0..2 {
                let (length, from) = responder.recv_from(&mut buffer).unwrap();
                let asked = Packet::parse(&buffer[..length]).unwrap().questions[0].qname.to_string();
                let bytes = if asked == SERVICE {
                    answer(vec![record(
                        SERVICE,
                        RData::PTR(PTR(Name::new_unchecked("desk._ssh._tcp.local"))),
                    )])
                } else {
                    answer(vec![
                        record("desk._ssh._tcp.local", srv("desk.local", 2222)),
                        record("desk.local", RData::A(A { address: u32::from(Ipv4Addr::new(10, 0, 0, 7)) })),
                    ])
                };
                responder.send_to(b"nonsense", from).unwrap();
                responder.send_to(&bytes, from).unwrap();
            }
        });
        let found = ask(&[Ipv4Addr::LOCALHOST], to, Duration::from_millis(600)).unwrap();
        thread.join().unwrap();
        let desk = Machine {
            name: "desk".into(),
            host: "desk.local".into(),
            addresses: vec![Ipv4Addr::new(10, 0, 0, 7)],
            port: 2222,
        };
        assert_eq!(found, [desk]);
    }

    #[test]
    fn hosts_that_are_none_are_left_out() {
        for host in ["-oProxyCommand=x.local", "a b.local", "evil.example.com", "x;y.local"] {
            let mut heard = Heard::default();
            let instance = "a._ssh._tcp.local";
            heard.take(&answer(vec![
                record(SERVICE, RData::PTR(PTR(Name::new_unchecked(instance)))),
                record(instance, srv(host, 22)),
            ]));
            assert!(heard.machines().is_empty(), "{host}");
        }
    }

    #[test]
    fn no_packet_is_too_strange() {
        let mut heard = Heard::default();
        let whole = answer(vec![record("x._ssh._tcp.local", srv("x.local", 22))]);
        for cut in 0..whole.len() {
            heard.take(&whole[..cut]);
            let mut bent = whole.clone();
            bent[cut] ^= 0xff;
            heard.take(&bent);
        }
        assert!(heard.take(&[0xc0; 64]).is_empty());
    }
}
