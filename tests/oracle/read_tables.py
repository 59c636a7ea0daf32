"""Reads files that were exported with DuckDB and pyarrow: what those programs' users get, and no more.

    read_tables.py FOLDER

text.ndjson (states as texts), guarded.csv, raw.csv, and data.parquet where it is there. One line of JSON on standard
output: for each reader a list of rows by event_id.
"""

import json
import os
import sys

import duckdb
import pyarrow.parquet

folder = sys.argv[1]
COLUMNS = "event_id, resource_name, session_id, new_state"


def rows(relation):
    found = duckdb.sql(f"SELECT {COLUMNS} FROM {relation} ORDER BY timestamp, event_id").fetchall()
    return [dict(zip(COLUMNS.split(", "), row)) for row in found]


def path(name):
    return "'" + os.path.join(folder, name).replace("'", "''") + "'"


said = {
    "duckdb": duckdb.__version__,
    "pyarrow": pyarrow.__version__,
    "ndjson": rows(f"read_json({path('text.ndjson')}, format = 'newline_delimited')"),
    "keys": duckdb.sql(
        f"SELECT new_state->>'$.Key', new_state->>'$.key' FROM read_json({path('text.ndjson')}, "
        "format = 'newline_delimited') WHERE event_id = 'keys'"
    ).fetchall(),
    "raw": rows(f"read_csv({path('raw.csv')}, all_varchar = true, header = true)"),
}
try:
    duckdb.sql(f"SELECT count(*) FROM read_json({path('json.ndjson')}, format = 'newline_delimited')").fetchall()
    said["json"] = "read"
except duckdb.Error as error:
    said["json"] = str(error)
if os.path.exists(os.path.join(folder, "data.parquet")):
    said["parquet"] = rows(f"read_parquet({path('data.parquet')})")
    table = pyarrow.parquet.read_table(os.path.join(folder, "data.parquet"))
    said["types"] = {field.name: str(field.type) for field in table.schema}
    said["arrow"] = table.sort_by([("timestamp", "ascending"), ("event_id", "ascending")]).select(
        COLUMNS.split(", ")
    ).to_pylist()
    said["instants"] = [t.isoformat() if t else None for t in table.column("timestamp").to_pylist()]
    said["groups"] = pyarrow.parquet.ParquetFile(os.path.join(folder, "data.parquet")).num_row_groups
json.dump(said, sys.stdout)
