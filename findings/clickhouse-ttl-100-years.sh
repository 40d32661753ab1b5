#!/usr/bin/env bash
# ClickHouse 26.9.2.1 (PyPI chdb-core 26.9.0): TTL toDateTime(t) + INTERVAL 100 YEAR deletes rows that are a second old.
# The sum is a DateTime of 32 bits, which ends in 2106; later results wrap to 1970 without an error, so every row has expired,
# and the next merge drops it. An interval of 70 years keeps the rows. CREATE TABLE accepts both.
# Seen on 2026-11-30, 10 rows of the current time each, after OPTIMIZE TABLE ... FINAL:
#   70 years: 10 rows before the merge, 10 after it
#   100 years: 10 rows before the merge, 0 after it
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
for years in (70, 100):
    table = f"d.keep_{years}"
    query(f"""CREATE TABLE {table} (t DateTime64(9), n UInt64) ENGINE = MergeTree ORDER BY n
              TTL toDateTime(t) + INTERVAL {years} YEAR""")
    # Without this, a background merge could drop the rows before the first count.
    query(f"SYSTEM STOP MERGES {table}")
    query(f"INSERT INTO {table} SELECT now64(9), number FROM numbers(10)")
    before = query(f"SELECT count() FROM {table}")
    query(f"SYSTEM START MERGES {table}")
    query(f"OPTIMIZE TABLE {table} FINAL")
    after = query(f"SELECT count() FROM {table}")
    print(f"{years} years: {before} rows before the merge, {after} after it")
PY
)
printf '%s\n' "$seen"

stated='70 years: 10 rows before the merge, 10 after it
100 years: 10 rows before the merge, 0 after it'
[[ $seen == "$stated" ]] || { echo 'changed: the counts differ from those in the head'; exit 1; }
echo 'as stated'
