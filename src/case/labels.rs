//! Local labels: what an id or a network is called here, in words (`labels.csv` beside the configuration).
//!
//! Two columns, `value` and `label`, without a header or with this one: `u-17,Eve (contractor)`, `203.0.113.0/24,office`.
//! A value is an id, an e-mail address, an address, or a network with its prefix length. Labels are the reader's words
//! and stand beside what the record holds, never in its place; nothing that is exported, copied or signed has them.

use crate::domain::Safe;
use crate::filter::Network;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::Path;

/// Name of the file.
pub const FILE: &str = "labels.csv";
/// Maximum length of the file, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Maximum length of a label, in characters.
const LONGEST: usize = 60;

/// Labels by what they are of.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Labels {
    values: HashMap<String, Safe>,
    /// Networks and addresses, the narrowest first.
    networks: Vec<(Network, Safe)>,
}

impl Labels {
    /// Reads the file; without one there are no labels.
    ///
    /// # Errors
    /// Why it cannot be used, in words, with its line.
    pub fn load(path: &Path) -> Result<Self, String> {
        let too_long = || format!("it is longer than {MAX_BYTES} bytes");
        match std::fs::metadata(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Ok(file) if file.len() > MAX_BYTES => return Err(too_long()),
            _ => {}
        }
        Self::read(&std::fs::read(path).map_err(|e| e.to_string())?)
    }

    fn read(bytes: &[u8]) -> Result<Self, String> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(bytes);
        let mut labels = Self::default();
        for row in reader.records() {
            let row = row.map_err(|e| e.to_string())?;
            let line = row.position().map_or(0, csv::Position::line);
            let (value, label) = match row.iter().collect::<Vec<_>>()[..] {
                ["value", "label"] if line == 1 => continue,
                [value, label] if !value.is_empty() && !label.is_empty() => (value, label),
                _ => {
                    return Err(format!(
                        "line {line}: a value and a label are wanted, with a comma between them"
                    ));
                }
            };
            if label.chars().count() > LONGEST {
                return Err(format!("line {line}: the label is longer than {LONGEST} characters"));
            }
            let label = Safe::from_untrusted(label);
            match value.parse::<Network>() {
                Ok(network) => labels.networks.push((network, label)),
                Err(()) => {
                    labels.values.insert(value.to_owned(), label);
                }
            }
        }
        // Of two alike the later one counts, as of values.
        labels.networks.reverse();
        labels.networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.bits()));
        Ok(labels)
    }

    /// What a value is called, or else the narrowest network of an address.
    pub fn of(&self, value: &str) -> Option<&Safe> {
        if self.values.is_empty() && self.networks.is_empty() {
            return None;
        }
        let by_network = || {
            let address: IpAddr = value.parse().ok()?;
            self.networks.iter().find(|(network, _)| network.contains(address)).map(|(_, label)| label)
        };
        self.values.get(value).or_else(by_network)
    }

    /// What a value is called, as it stands behind the value: in quotes that tell that it is not part of the record.
    pub fn beside(&self, value: &str) -> Option<Safe> {
        let label = self.of(value)?;
        Some(Safe::concat(&[&Safe::literal("‹"), label, &Safe::literal("›")]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        Labels::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_value_goes_before_a_network_and_a_narrow_network_before_a_wide_one() {
        let labels = labels(
            "value,label\nu-17,Eve (contractor)\n10.0.0.0/8,inside\n10.1.0.0/16,\"lab, floor 2\"\n10.1.2.3,printer\n\
             2001:db8::/32,doc\n# a remark\n-uihn,odd id\n",
        );
        let of = |value: &str| labels.of(value).map(Safe::as_str);
        assert_eq!(of("u-17"), Some("Eve (contractor)"));
        assert_eq!(of("10.1.2.3"), Some("printer"));
        assert_eq!(of("10.1.2.4"), Some("lab, floor 2"));
        assert_eq!(of("10.2.0.1"), Some("inside"));
        assert_eq!(of("11.2.0.1"), None);
        assert_eq!(of("2001:db8::1"), Some("doc"));
        assert_eq!(of("::a01:204"), None, "not the IPv4 address of the same bits");
        assert_eq!(of("-uihn"), Some("odd id"));
        assert_eq!(labels.beside("u-17").unwrap().as_str(), "‹Eve (contractor)›");
        assert_eq!(self::labels("0.0.0.0/0,v4\n::/0,v6\n").of("9.9.9.9").unwrap().as_str(), "v4");
    }

    #[test]
    fn a_file_that_cannot_be_used_names_its_line() {
        let refused = |text: &str| Labels::read(text.as_bytes()).unwrap_err();
        assert!(refused("a,b\nc\n").starts_with("line 2:"), "{}", refused("a,b\nc\n"));
        assert!(refused("a,b,c\n").starts_with("line 1:"));
        assert!(refused(&format!("a,{}\n", "x".repeat(61))).contains("60 characters"));
        assert!(Labels::read(b"a,\xff\n").is_err());
        assert_eq!(labels("\u{feff}value,label\n"), Labels::default());
    }
}
