#!/usr/bin/env bash
# ClickHouse 26.9.2.1 (PyPI chdb-core 26.9.0): the list of columns of an INSERT decides whether a JSON row can be inserted.
# A table has Nested columns e.a and e.b, and a row has e.a only. INSERT INTO t (e.a) fills e.b with as many defaults as e.a has
# elements; INSERT INTO t without the list fills it with an empty array, and then refuses its own default for its size.
# Seen on 2026-11-30 for the row {"e.a": [1, 2]} in JSONEachRow:
#   with the list: stored [1,2] ['','']
#   without it: SIZES_OF_ARRAYS_DONT_MATCH
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check chdb-core==26.9.0

seen=$(venv/bin/python - <<'PY'
import re

from chdb.session import Session

session = Session()
query = lambda text: str(session.query(text, "TSVRaw")).strip()
query("CREATE DATABASE d ENGINE = Atomic")
for name, columns in [("with the list", "(`e.a`)"), ("without it", "")]:
    query("CREATE OR REPLACE TABLE d.t (e Nested(a UInt64, b String)) ENGINE = MergeTree ORDER BY tuple()")
    try:
        query(f'INSERT INTO d.t {columns} SETTINGS async_insert = 0 FORMAT JSONEachRow {{"e.a": [1, 2]}}')
        print(f"{name}: stored", *query("SELECT e.a, e.b FROM d.t").split("\t"))
    except Exception as error:
        # The name of the error stands in brackets at the end of its text.
        print(f"{name}:", re.findall(r"\(([A-Z_]+)\)", str(error))[-1])
PY
)
printf '%s\n' "$seen"

stated="with the list: stored [1,2] ['','']
without it: SIZES_OF_ARRAYS_DONT_MATCH"
[[ $seen == "$stated" ]] || { echo 'changed: the output differs from that in the head'; exit 1; }
echo 'as stated'
