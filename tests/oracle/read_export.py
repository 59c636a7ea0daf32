"""Reads files that were exported as somebody does who has Python's standard library and docs/guide/export.md, and nothing
of the program.

    read_export.py FORMAT=FILE...

FORMAT: ndjson, json, csv, csv-raw, or rows (PostgreSQL's row_to_json, a row a line, without a manifest). For each file one
line of JSON on standard output: an object with `events`, a list of objects by column. Numbers in states are texts of their
digits, SQL NULL is the empty text (CSV has no other), times are left as they are. Ends with 1, and says why, when a manifest
does not tell of its file what is so.
"""

import csv
import hashlib
import io
import json
import re
import sys

# Larger than any value of PostgreSQL's; Python's own limit is 128 KiB.
csv.field_size_limit(1 << 30)

STATES = ("previous_state", "new_state")
SIGNS = "=+-@＝＋－＠"
ESCAPE = re.compile(r"(\\+)(?:x([0-9A-F]{2})|u\{([0-9A-F]{4,6})\})")


def loads(text):
    digits = dict(parse_int=str, parse_float=str)

    def members(pairs):
        names = [name for name, _ in pairs]
        if len(set(names)) != len(names):
            raise ValueError(f"a key stands twice: {names}")
        return dict(pairs)

    return json.loads(text, object_pairs_hook=members, **digits)


def unescaped(text):
    """Undoes `\\xHH` and `\\u{H}`; a backslash before one of them was doubled."""

    def undo(found):
        slashes = len(found[1])
        if slashes % 2 == 0:
            return "\\" * (slashes // 2) + found[0][slashes:]
        return "\\" * (slashes // 2) + chr(int(found[2] or found[3], 16))

    return ESCAPE.sub(undo, text)


def cell(name, text, guarded):
    if guarded and text.startswith("'") and text.lstrip("'").startswith(tuple(SIGNS)):
        text = text[1:]
    elif guarded and text.startswith(tuple(SIGNS)):
        raise ValueError(f"{name}: a spreadsheet evaluates {text!r}")
    if name in STATES:
        return loads(text) if text else ""
    return unescaped(text)


def value(name, given):
    if given is None:
        return ""
    return loads(given) if name in STATES and isinstance(given, str) else given


def events(form, data):
    text = data.decode("utf-8")
    if form.startswith("csv"):
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        return [{n: cell(n, t, form == "csv") for n, t in row.items()} for row in rows]
    if form == "json":
        document = loads(text)
        assert document["count"] == str(len(document["events"])), "count"
        found = document["events"]
    else:
        # Not splitlines: it also ends lines where JSON has none.
        found = [loads(line) for line in text.split("\n") if line]
    return [{n: value(n, v) for n, v in event.items()} for event in found]


def check(path, data, found):
    with open(path + ".manifest.json", encoding="utf-8") as file:
        manifest = json.load(file)
    says = (manifest["sha256"], manifest["bytes"], manifest["events"])
    holds = (hashlib.sha256(data).hexdigest(), len(data), len(found))
    if says != holds:
        sys.exit(f"{path}: the manifest says {says}, the file holds {holds}")
    for place, event in (("first", found[0]), ("last", found[-1])):
        stands = {name: event[name] for name in ("event_id", "timestamp")}
        if manifest[place] != stands:
            sys.exit(f"{path}: the {place} event is {stands}, not {manifest[place]}")


for argument in sys.argv[1:]:
    form, path = argument.split("=", 1)
    with open(path, "rb") as file:
        data = file.read()
    found = events(form, data)
    if form != "rows":
        check(path, data, found)
    json.dump({"events": found}, sys.stdout)
    print()
