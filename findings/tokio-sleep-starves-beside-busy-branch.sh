#!/usr/bin/env bash
# tokio 1.54.1 (Rust crate): in a select!, a sleep beside a branch that is always busy never ends; timeout() around the same
# branch does.
#
# A good engineer expects: select! polls every branch of a task at each turn, so a sleep of 50 ms ends after 50 ms even where
#       the other branch always has more to do, as long as that yields to the runtime (it does: each turn ends with Pending).
# Seen: the busy branch is polled first and uses up the cooperative budget of the task; the sleep, polled with no budget left,
#       answers Pending although its time has come, at every turn. tokio::time::timeout() has a special case for just this,
#       Sleep has none; wrapped in tokio::task::coop::unconstrained() it ends in time.
# Why it matters here: a watchdog written as select! { answer = reading, () = sleep(limit) } is silent exactly while a server
#       floods the connection faster than it is read: when it is needed.
# Output seen with rustc 1.95, 2026-11:
#   timeout: ended
#   select with sleep: not ended after 40 times its length
#   select with unconstrained sleep: ended
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
tokio = { version = "=1.54.1", features = ["macros", "rt", "time"] }
TOML
cat >src/main.rs <<'RUST'
use std::time::{Duration, Instant};
use tokio::task::coop::{consume_budget, unconstrained};
use tokio::time::{sleep, timeout};

const LENGTH: Duration = Duration::from_millis(50);

/// Busy until 40 times the length have passed; gives the turn back whenever its budget is used up.
async fn busy() {
    let begun = Instant::now();
    while begun.elapsed() < 40 * LENGTH {
        consume_budget().await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let by_timeout = timeout(LENGTH, busy()).await.is_err();
    let by_sleep = tokio::select! {
        biased;
        () = busy() => false,
        () = sleep(LENGTH) => true,
    };
    let by_unconstrained = tokio::select! {
        biased;
        () = busy() => false,
        () = unconstrained(sleep(LENGTH)) => true,
    };
    let says = |ended| if ended { "ended" } else { "not ended after 40 times its length" };
    println!("timeout: {}", says(by_timeout));
    println!("select with sleep: {}", says(by_sleep));
    println!("select with unconstrained sleep: {}", says(by_unconstrained));
    std::process::exit(i32::from((by_timeout, by_sleep, by_unconstrained) != (true, false, true)));
}
RUST
cargo build --quiet || exit 2
rustc --version
target/debug/check
