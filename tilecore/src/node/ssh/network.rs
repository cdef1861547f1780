//! The networks of a `Match localnetwork` line: whether this machine is in one of them.

use std::net::IpAddr;

/// Whether this machine has an address in one of the networks in `list`, which commas separate.
///
/// # Errors
/// When one of them is no network, or this machine does not say its addresses: in words.
pub(super) fn holds(list: &str) -> Result<bool, String> {
    let own = if_addrs::get_if_addrs()
        .map_err(|e| format!("this machine's addresses are not known: {}", crate::error::reason(&e)))?;
    let own: Vec<IpAddr> = own.iter().map(if_addrs::Interface::ip).collect();
    any_in(list, &own)
}

fn any_in(list: &str, own: &[IpAddr]) -> Result<bool, String> {
    let mut any = false;
    for text in list.split(',') {
        let network = Network::parse(text.trim()).ok_or_else(|| format!("`{text}` is no network"))?;
        any |= own.iter().any(|address| network.contains(address));
    }
    Ok(any)
}

/// An address and how many bits of it count: `10.0.0.0/8`.
struct Network {
    address: IpAddr,
    length: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = bits(&address).1;
        let length = length.map_or(Some(longest), |length| length.parse().ok())?;
        (length <= longest).then_some(Self { address, length })
    }

    fn contains(&self, other: &IpAddr) -> bool {
        let ((own, longest), (other, length)) = (bits(&self.address), bits(other));
        // Nothing counts, or what counts is the same.
        longest == length && (own ^ other).checked_shr(longest - self.length).unwrap_or(0) == 0
    }
}

/// An address as a number, and its length in bits.
fn bits(address: &IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_address_is_in_a_network_when_its_first_bits_are() {
        let own = ["127.0.0.1", "10.1.2.3", "fd00::7"].map(|a| a.parse().unwrap());
        for (list, expected) in [
            ("10.0.0.0/8", Ok(true)),
            ("10.1.2.0/31", Ok(false)),
            ("10.1.2.2/31", Ok(true)),
            ("192.168.0.0/16,fd00::/8", Ok(true)),
            ("192.168.0.0/16, fe00::/8", Ok(false)),
            ("10.1.2.3", Ok(true)),
            ("0.0.0.0/0", Ok(true)),
            ("::/0", Ok(true)),
            ("10.0.0.0/33", Err("`10.0.0.0/33` is no network".to_owned())),
            ("home", Err("`home` is no network".to_owned())),
        ] {
            assert_eq!(any_in(list, &own), expected, "{list}");
        }
        assert_eq!(any_in("::/0", &own[..2]), Ok(false));
        assert_eq!(holds("127.0.0.0/8"), Ok(true));
    }

    proptest! {
        #[test]
        fn any_text_is_a_network_or_an_error(text in "[0-9a-f.:/,]{0,40}") {
            let _ = any_in(&text, &[IpAddr::from([10, 0, 0, 1]), IpAddr::from([0u16; 8])]);
        }
    }
}
