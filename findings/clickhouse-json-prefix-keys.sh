#!/usr/bin/env bash
# ClickHouse 26.9.2.1 (PyPI chdb-core 26.9.0), type JSON, and OpenTelemetry's attribute names: the output has a key twice.
# Both "db.system" and "db.system.name" are names of the semantic conventions, and a span may carry both. The JSON type stores
# two paths, and writes an object in which "system" is once a text and once an object. JSON parsers keep one of the two:
# Python's json loses the text, ClickHouse's own JSONExtract loses the name.
# Seen on 2026-11-30 for {"db.system": "a", "db.system.name": "b"}:
#   column: {"db":{"system":"a","system":{"name":"b"}}}
#   Python: {'db': {'system': {'name': 'b'}}}
#   JSONExtractString: system = a, name =
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check chdb-core==26.9.0

seen=$(venv/bin/python - <<'PY'
import json

from chdb.session import Session

session = Session()
query = lambda text: str(session.query(text, "TSVRaw")).strip()
query("CREATE DATABASE d ENGINE = Atomic")
query("CREATE TABLE d.spans (attributes JSON) ENGINE = MergeTree ORDER BY tuple()")
row = {"attributes": {"db.system": "a", "db.system.name": "b"}}
query("INSERT INTO d.spans SETTINGS async_insert = 0 FORMAT JSONEachRow " + json.dumps(row))
column = query("SELECT attributes FROM d.spans")
print("column:", column)
print("Python:", json.loads(column))
extract = lambda *path: query(f"SELECT JSONExtractString(toString(attributes), {', '.join(map(repr, path))}) FROM d.spans")
print(f"JSONExtractString: system = {extract('db', 'system')}, name = {extract('db', 'system', 'name')}".rstrip())
PY
)
printf '%s\n' "$seen"

stated='column: {"db":{"system":"a","system":{"name":"b"}}}
Python: {'\''db'\'': {'\''system'\'': {'\''name'\'': '\''b'\''}}}
JSONExtractString: system = a, name ='
[[ $seen == "$stated" ]] || { echo 'changed: the output differs from that in the head'; exit 1; }
echo 'as stated'
