#!/usr/bin/env bash
# ClickHouse 26.9.2.1 (PyPI chdb-core 26.9.0): insert_deduplication_token stores rows twice when a retry has smaller blocks.
# The token of an INSERT stands for the blocks by their number, not for the rows. A retry of the same rows under the same token
# finds the numbers of the first try only: blocks beyond them are new to the table and are stored again, in silence. A retry with
# larger blocks drops everything. So max_insert_block_size, or a client's way to split a body, is part of the token's meaning.
# Seen on 2026-11-30 for the same 20 rows under one token, in an INSERT ... SELECT:
#   first try, blocks of 10: 20 rows, 20 distinct
#   retry, blocks of 20: 20 rows, 20 distinct
#   retry, blocks of 5: 30 rows, 20 distinct
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
query("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100")
for name, rows in [("first try", 10), ("retry", 20), ("retry", 5)]:
    # deduplicate_insert_select covers INSERT ... SELECT. One thread keeps the order of the blocks.
    query(f"""INSERT INTO d.t SETTINGS insert_deduplication_token = 'batch', deduplicate_insert_select = 'force_enable',
              max_block_size = {rows}, max_insert_block_size = {rows}, min_insert_block_size_rows = {rows},
              max_threads = 1, max_insert_threads = 1
              SELECT number FROM numbers(20) ORDER BY number""")
    total, distinct = query("SELECT count(), uniqExact(n) FROM d.t").split("\t")
    print(f"{name}, blocks of {rows}: {total} rows, {distinct} distinct")
PY
)
printf '%s\n' "$seen"

stated='first try, blocks of 10: 20 rows, 20 distinct
retry, blocks of 20: 20 rows, 20 distinct
retry, blocks of 5: 30 rows, 20 distinct'
[[ $seen == "$stated" ]] || { echo 'changed: the counts differ from those in the head'; exit 1; }
echo 'as stated'
