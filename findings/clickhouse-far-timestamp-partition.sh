#!/usr/bin/env bash
# ClickHouse 26.9.2.1 (PyPI chdb-core 26.9.0) and timestamps of OTLP: rows of the year 2200 are lost to WHERE t > '2025-01-01'.
# OTLP's nanoseconds reach to 2554 and DateTime64(9) to 2262, but Date has 16 bits and ends in 2149. toDate wraps without an error,
# so PARTITION BY toDate(t), as in the Collector's ClickHouse exporter, puts a row of 2200-01-01 into the partition 2020-07-27.
# Pruning by t > '2025-01-01' drops that partition, while t > '2199-01-01' finds it. One wrong clock suffices.
# Seen on 2026-11-30, 10 rows of 2026 and 10 of 2200:
#   t > 2025: 10 found, 20 match
#   t > 2199: 10 found, 10 match
#   partitions: 2020-07-27 2026-01-01
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check chdb-core==26.9.0

seen=$(TZ=UTC venv/bin/python - <<'PY'
from chdb.session import Session

session = Session()
query = lambda text: str(session.query(text, "TSV")).strip()
query("CREATE DATABASE d ENGINE = Atomic")
query("CREATE TABLE d.spans (t DateTime64(9), n UInt64) ENGINE = MergeTree PARTITION BY toDate(t) ORDER BY n")
for year in (2026, 2200):
    query(f"INSERT INTO d.spans SELECT toDateTime64('{year}-01-01 00:00:00', 9) + number, number FROM numbers(10)")
for year in (2025, 2199):
    bound = f"t > '{year}-01-01 00:00:00'"
    found = query(f"SELECT count() FROM d.spans WHERE {bound}")
    # countIf has no WHERE, so that it cannot prune.
    matching = query(f"SELECT countIf({bound}) FROM d.spans")
    print(f"t > {year}: {found} found, {matching} match")
partitions = query("SELECT partition FROM system.parts WHERE table = 'spans' AND active ORDER BY partition")
print("partitions:", *partitions.split("\n"))
PY
)
printf '%s\n' "$seen"

stated='t > 2025: 10 found, 20 match
t > 2199: 10 found, 10 match
partitions: 2020-07-27 2026-01-01'
[[ $seen == "$stated" ]] || { echo 'changed: the counts differ from those in the head'; exit 1; }
echo 'as stated'
