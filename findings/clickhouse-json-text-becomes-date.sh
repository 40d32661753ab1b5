#!/usr/bin/env bash
# ClickHouse 26.9.2.1 (PyPI chdb-core 26.9.0), type JSON: a text that looks like a date comes back as another text.
# The JSON type infers Date and DateTime from texts on insert and does not keep the text. The zone is lost, the reader's
# session_timezone decides the hours, digits are added, and a day that does not exist becomes the next one. An attribute such as
# a release's name is no longer equal to what the application sent.
# Seen on 2026-11-30, read in Asia/Tokyo:
#   2026-1-5 -> 2026-01-05 (Date)
#   2026-11-31 -> 2026-12-01 (Date)
#   2026-11-30T10:00:00Z -> 2026-11-30 19:00:00 (DateTime)
#   2026-11-30T10:00:00.5Z -> 2026-11-30 19:00:00.500000000 (DateTime64(9))
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check chdb-core==26.9.0

seen=$(TZ=UTC venv/bin/python - <<'PY'
import json

from chdb.session import Session

session = Session()
query = lambda text: str(session.query(text, "TSVRaw")).strip()
query("CREATE DATABASE d ENGINE = Atomic")
query("CREATE TABLE d.spans (n UInt64, attributes JSON) ENGINE = MergeTree ORDER BY n")
texts = ["2026-1-5", "2026-11-31", "2026-11-30T10:00:00Z", "2026-11-30T10:00:00.5Z"]
for n, text in enumerate(texts):
    row = {"n": n, "attributes": {"release": text}}
    query("INSERT INTO d.spans SETTINGS async_insert = 0 FORMAT JSONEachRow " + json.dumps(row))
    zone = "SETTINGS session_timezone = 'Asia/Tokyo'"
    read = json.loads(query(f"SELECT attributes FROM d.spans WHERE n = {n} {zone}"))
    kind = query(f"SELECT dynamicType(attributes.release) FROM d.spans WHERE n = {n}")
    print(f"{text} -> {read['release']} ({kind})")
PY
)
printf '%s\n' "$seen"

stated='2026-1-5 -> 2026-01-05 (Date)
2026-11-31 -> 2026-12-01 (Date)
2026-11-30T10:00:00Z -> 2026-11-30 19:00:00 (DateTime)
2026-11-30T10:00:00.5Z -> 2026-11-30 19:00:00.500000000 (DateTime64(9))'
[[ $seen == "$stated" ]] || { echo 'changed: the texts differ from those in the head'; exit 1; }
echo 'as stated'
