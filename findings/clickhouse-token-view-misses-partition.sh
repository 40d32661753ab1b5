#!/usr/bin/env bash
# ClickHouse 26.9.2.1 (PyPI chdb-core 26.9.0): a known insert_deduplication_token lets a table and its materialized view part.
# The token is looked up for each part that an INSERT makes, so for each partition. Rows of a partition that has not seen the token
# are stored, rows of one that has are dropped, in one INSERT and in silence. The view makes a block of its own under the token,
# which its target knows, so it drops the stored rows too: the table has them, the view never will.
# Seen on 2026-11-30: one token, first a row of partition 1, then one each of partitions 1 and 2:
#   without a token: table 1,1,2; view 2,1
#   with a token: table 1,2; view 1
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check chdb-core==26.9.0

seen=$(venv/bin/python - <<'PY'
from chdb.session import Session

session = Session()
query = lambda text: str(session.query(text, "TSV")).strip()
query("CREATE DATABASE d ENGINE = Atomic")
window = "SETTINGS non_replicated_deduplication_window = 100"
for name, setting in [("without a token", "deduplicate_insert = 'disable'"), ("with a token", "insert_deduplication_token = 'batch'")]:
    query(f"CREATE OR REPLACE TABLE d.t (p UInt8, n UInt64) ENGINE = MergeTree PARTITION BY p ORDER BY n {window}")
    query(f"CREATE OR REPLACE TABLE d.counts (p UInt8, c UInt64) ENGINE = SummingMergeTree ORDER BY p {window}")
    query("DROP VIEW IF EXISTS d.view")
    query("CREATE MATERIALIZED VIEW d.view TO d.counts AS SELECT p, count() AS c FROM d.t GROUP BY p")
    for rows in ("(1, 10)", "(1, 11), (2, 20)"):
        query(f"INSERT INTO d.t SETTINGS async_insert = 0, {setting} VALUES {rows}")
    table = query("SELECT p FROM d.t ORDER BY p").split("\n")
    view = query("SELECT sum(c) FROM d.counts GROUP BY p ORDER BY p").split("\n")
    # The view's numbers are rows of partition 1, then rows of partition 2.
    print(f"{name}: table {','.join(table)}; view {','.join(view)}")
PY
)
printf '%s\n' "$seen"

stated='without a token: table 1,1,2; view 2,1
with a token: table 1,2; view 1'
[[ $seen == "$stated" ]] || { echo 'changed: the rows differ from those in the head'; exit 1; }
echo 'as stated'
