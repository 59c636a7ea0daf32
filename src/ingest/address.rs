//! Addresses as sources write them: with a port, in brackets, several in a row, as a network, as the name of a service.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The client's address for the column; `None` where there is none: names of services, networks, nonsense. Of several
/// (a proxy's list) the first. The text itself stays in the state wherever this is not all of it.
pub(super) fn client(text: &str) -> Option<String> {
    let first = text.split(',').next().unwrap_or_default().trim();
    let host = without_port(first);
    if let Ok(address) = host.parse::<Ipv6Addr>() {
        // An IPv4 address in IPv6's clothes is found as what it is.
        return Some(address.to_ipv4_mapped().map_or_else(|| host.to_owned(), |v4| v4.to_string()));
    }
    // Leading zeros (`075.050.255.67`, seen in anonymised logs) are decimal for PostgreSQL; other readers refuse them
    // or take them for octal, so they are dropped here.
    let parts: Vec<u8> = host
        .split('.')
        .map(|part| {
            (part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok())?
        })
        .collect::<Option<_>>()?;
    <[u8; 4]>::try_from(parts).ok().map(|octets| Ipv4Addr::from(octets).to_string())
}

/// An address without its port and brackets: `1.2.3.4:443`, `[::1]:443`, `[::1]`.
fn without_port(text: &str) -> &str {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    if let Some(inner) = text.strip_prefix('[') {
        return match inner.split_once(']') {
            Some((host, "")) => host,
            Some((host, port)) if port.strip_prefix(':').is_some_and(is_port) => host,
            _ => text,
        };
    }
    match text.split_once(':') {
        Some((host, port)) if is_port(port) && host.contains('.') => host,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_every_spelling() {
        for (text, address) in [
            ("075.050.255.67", "75.50.255.67"),
            ("2001:db8::1", "2001:db8::1"),
            ("198.51.100.4:443", "198.51.100.4"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("::ffff:198.51.100.4", "198.51.100.4"),
            ("[::ffff:198.51.100.4]:443", "198.51.100.4"),
            ("198.51.100.7, 192.168.10.10", "198.51.100.7"),
            ("198.51.100.7:80,10.0.0.1", "198.51.100.7"),
        ] {
            assert_eq!(client(text).as_deref(), Some(address), "{text}");
        }
        for word in [
            "AWS Internal",
            "s3.amazonaws.com",
            "s3.amazonaws.com:443",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "1.2.3.0004",
            "1..2.3",
            "10.0.0.0/8",
            "fe80::1%eth0",
            "1.2.3.4:99999",
            "[1.2.3.4",
            "::1/64",
            ", 1.2.3.4",
            "",
        ] {
            assert_eq!(client(word), None, "{word}");
        }
    }
}
