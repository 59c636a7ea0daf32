#!/usr/bin/env bash
# olpc-cjson 0.1.4 (Rust crate) and securesystemslib 1.6.0 (PyPI): two canonical JSON encoders of the TUF world, two orders.
#
# Both write the "OLPC" canonical JSON over which TUF and in-toto metadata is signed. Members are to be sorted by name.
# A good engineer expects the same bytes from both for the same document.
# Seen: olpc-cjson sorts the *quoted* names, so the closing quotation mark (0x22) takes part in the comparison: a name
#       that is a prefix of another one comes after it when the next character is a blank (0x20) or "!" (0x21).
#       securesystemslib sorts the names themselves: the prefix comes first.
# Why it matters here: the digest over such a document (file names with blanks are ordinary) differs between the
# languages, and a correct signature made by one is refused by the other.
# Output seen with rustc 1.95 and Python 3.11, 2026-11:
#   olpc-cjson        {"report final.csv":2,"report":1}
#   securesystemslib  {"report":1,"report final.csv":2}
# Exits 0 while that is so, 1 when it has changed, 2 when the packages cannot be installed.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env && env/bin/pip install --quiet --disable-pip-version-check securesystemslib==1.6.0 || exit 2
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "check"
version = "0.0.0"
edition = "2021"
[dependencies]
olpc-cjson = "=0.1.4"
serde = "=1.0.229"
serde_json = "=1.0.154"
TOML
cat >src/main.rs <<'RUST'
use serde::Serialize;
fn main() {
    let text = std::env::args().nth(1).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut out = Vec::new();
    let formatter = olpc_cjson::CanonicalFormatter::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter)).unwrap();
    println!("{}", String::from_utf8(out).unwrap());
}
RUST
cargo build --quiet || exit 2
text='{"report":1,"report final.csv":2}'
rust=$(target/debug/check "$text")
python=$(env/bin/python -c '
import json, sys
from securesystemslib.formats import encode_canonical
print(encode_canonical(json.loads(sys.argv[1])))' "$text")
printf 'olpc-cjson        %s\nsecuresystemslib  %s\n' "$rust" "$python"
[ "$rust" = '{"report final.csv":2,"report":1}' ] && [ "$python" = "$text" ]
