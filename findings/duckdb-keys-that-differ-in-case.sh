#!/usr/bin/env bash
# duckdb 2.0.1 (PyPI): read_json refuses a file of JSON lines in which two objects at the same place have keys that differ
# only in case, also where each object by itself has one of them.
#
# JSON's names are compared as they are (RFC 8259, section 8.3): "Key" and "key" are two members. A good engineer expects
# two columns, or a MAP, as DuckDB takes for objects of many different keys; at least of lines that each have one of them.
# Seen: the types found in the lines are joined to one STRUCT, whose names DuckDB compares without case, and the file is
#       refused: "Duplicate name". With the remedy that the message names, ignore_errors = true, the file is read, and the
#       second key is gone with its value: no error, no warning, in its place a NULL or nothing.
# Why it matters here: the states of audited resources come from many programs, and one pair of such keys among a million
# events makes a whole export unreadable, or, by the remedy, a part of the evidence disappear. Exported with --states text
# all of it is read; so it is with maximum_depth = 1.
# Output seen, 2026-11:
#   one object     Duplicate name "key" in struct auto-detected in JSON
#   two objects    Duplicate name "key" in struct auto-detected in JSON
#   ignore_errors  [({'Key': 1},)]
#   maximum_depth  [('{"Key":1}',), ('{"key":2}',)]
#   texts          [('{"Key": 1, "key": 2}',)]
# Exits 0 while that is so, 1 when it has changed, 2 when the package cannot be installed.
set -euo pipefail
script=$(realpath "$0")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env && env/bin/pip install --quiet --disable-pip-version-check duckdb==2.0.1 || exit 2
cat >one.ndjson <<'JSON'
{"state": {"Key": 1, "key": 2}}
JSON
cat >two.ndjson <<'JSON'
{"state": {"Key": 1}}
{"state": {"key": 2}}
JSON
cat >texts.ndjson <<'JSON'
{"state": "{\"Key\": 1, \"key\": 2}"}
JSON
seen=$(env/bin/python - <<'PYTHON'
import duckdb

for what, file, more in (
    ("one object", "one", ""),
    ("two objects", "two", ""),
    ("ignore_errors", "one", ", ignore_errors = true"),
    ("maximum_depth", "two", ", maximum_depth = 1"),
    ("texts", "texts", ""),
):
    try:
        said = duckdb.sql(f"SELECT * FROM read_json('{file}.ndjson', format = 'newline_delimited'{more})").fetchall()
    except duckdb.Error as error:
        said = str(error).removeprefix("Not implemented Error: ").split(",")[0]
    print(f"{what:<13}  {said}")
PYTHON
)
echo "duckdb 2.0.1:"
echo "$seen"
wanted=$(sed -n '/^# Output seen/,/^# Exits/{s/^#   //p}' "$script")
[ "$seen" = "$wanted" ]
