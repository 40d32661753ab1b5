#!/usr/bin/env bash
# ClickHouse 26.9.2.1 (PyPI chdb-core 26.9.0): a session_timezone west of the server's zone hides rows that match.
# The session's zone applies to a DateTime64 column without a zone, so the analysis of PARTITION BY toDate(t) computes the
# bound's day in the session's zone. The partition's value was computed in the server's zone, and the part is pruned.
# Setting use_partition_pruning = 0 brings the rows back. A key such as ORDER BY toStartOfHour(t) loses them in the same way.
# Seen on 2026-11-30, server in UTC, session in America/Los_Angeles, 1,000 rows that all match WHERE t <= bound:
#   partition key: 0 found, 1000 without pruning
#   sorting key: 0 found, 1000 without pruning
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check chdb-core==26.9.0

# The server's zone is that of the process.
seen=$(TZ=UTC venv/bin/python - <<'PY'
from chdb.session import Session

session = Session()
query = lambda text: str(session.query(text, "TSV")).strip()
query("CREATE DATABASE d ENGINE = Atomic")
# 00:30 in UTC is 16:30 of the day before in Los Angeles, and 18:00 there is later than all of the rows.
bound = "t <= '2026-11-29 18:00:00'"
for name, keys in [("partition", "PARTITION BY toDate(t) ORDER BY n"), ("sorting", "ORDER BY toStartOfHour(t)")]:
    query(f"CREATE TABLE d.{name} (t DateTime64(9), n UInt64) ENGINE = MergeTree {keys}")
    query(f"INSERT INTO d.{name} SELECT toDateTime64('2026-11-30 00:30:00', 9, 'UTC') + number, number FROM numbers(1000)")
    zone = "SETTINGS session_timezone = 'America/Los_Angeles'"
    found = query(f"SELECT count() FROM d.{name} WHERE {bound} {zone}")
    # countIf has no WHERE, so that it cannot prune.
    matching = query(f"SELECT countIf({bound}) FROM d.{name} {zone}")
    print(f"{name} key: {found} found, {matching} without pruning")
PY
)
printf '%s\n' "$seen"

stated='partition key: 0 found, 1000 without pruning
sorting key: 0 found, 1000 without pruning'
[[ $seen == "$stated" ]] || { echo 'changed: the counts differ from those in the head'; exit 1; }
echo 'as stated'
