#!/usr/bin/env bash
# serde_jcs 0.1.0 (Rust crate): a 128-bit integer in a struct leaves its place, and the result is not JSON.
#
# A good engineer expects: RFC 8785 text, or an error (128-bit integers are outside of what RFC 8785 can carry exactly).
# Seen: to_string returns Ok; the digits stand directly behind the opening brace, in the order of the struct's fields,
#       and the members themselves have no value. Integers of 64 bits in the same struct are written properly.
# Why it matters here: nanoseconds since 1970 and UUIDs as u128 are ordinary in event records; the text is hashed without
# anybody reading it, so nothing complains until somebody else has to parse it.
# Output seen with rustc 1.95, 2026-11:
#   {1700000000000000000"seq":7,"time_ns":}
# Exits 0 while that is so, 1 when it has changed, 2 when the packages cannot be installed.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "check"
version = "0.0.0"
edition = "2021"
[dependencies]
serde = { version = "=1.0.229", features = ["derive"] }
serde_jcs = "=0.1.0"
serde_json = "=1.0.154"
TOML
cat >src/main.rs <<'RUST'
#[derive(serde::Serialize)]
struct Event {
    time_ns: u128,
    seq: u64,
}
fn main() {
    let event = Event { time_ns: 1_700_000_000_000_000_000, seq: 7 };
    let text = serde_jcs::to_string(&event).unwrap();
    println!("{text}");
    let is_json = serde_json::from_str::<serde_json::Value>(&text).is_ok();
    let by_serde_json = serde_json::to_string(&event).unwrap();
    assert_eq!(by_serde_json, r#"{"time_ns":1700000000000000000,"seq":7}"#);
    std::process::exit(i32::from(is_json || text != r#"{1700000000000000000"seq":7,"time_ns":}"#));
}
RUST
cargo build --quiet || exit 2
rustc --version
target/debug/check
