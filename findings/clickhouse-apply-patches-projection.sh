#!/usr/bin/env bash
# ClickHouse 26.9.2.1 (PyPI chdb-core 26.9.0): a lightweight UPDATE of one row switches a projection off, and APPLY PATCHES with
# mutations_sync = 2 does not switch it on again. The statement returns and system.mutations says done, but the applied patch part
# stays active until the clean-up of old parts, tens of seconds later, and one active patch part keeps every projection of the
# table from being read. Queries that rely on the projection read the whole table meanwhile, without a warning.
# Seen on 2026-11-30:
#   before UPDATE: projection read, 0 patch parts active
#   after UPDATE: projection refused, 1 patch parts active
#   after APPLY PATCHES: projection refused, 1 patch parts active, mutation done: 1
#   after the clean-up: projection read, 0 patch parts active
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check chdb-core==26.9.0

seen=$(venv/bin/python - <<'PY'
import time

from chdb.session import Session

session = Session()
query = lambda text: str(session.query(text, "TSV")).strip()


def report(moment, more=""):
    try:
        query("SELECT g, count() FROM d.t GROUP BY g SETTINGS force_optimize_projection = 1")
        projection = "read"
    except Exception as error:
        assert "PROJECTION_NOT_USED" in str(error), error
        projection = "refused"
    print(f"{moment}: projection {projection}, {patches()} patch parts active{more}")


def patches():
    return query("SELECT count() FROM system.parts WHERE table = 't' AND active AND startsWith(name, 'patch-')")


query("CREATE DATABASE d ENGINE = Atomic")
# Lightweight updates need the two columns that the settings add.
query("""CREATE TABLE d.t (n UInt64, g UInt64, v String, PROJECTION p (SELECT g, count() GROUP BY g))
         ENGINE = MergeTree ORDER BY n SETTINGS enable_block_number_column = 1, enable_block_offset_column = 1""")
query("INSERT INTO d.t SELECT number, number % 10, 'old' FROM numbers(100000)")
report("before UPDATE")
query("UPDATE d.t SET v = 'new' WHERE n = 1 SETTINGS enable_lightweight_update = 1")
report("after UPDATE")
query("ALTER TABLE d.t APPLY PATCHES SETTINGS mutations_sync = 2")
done = query("SELECT min(is_done) FROM system.mutations WHERE table = 't'")
report("after APPLY PATCHES", f", mutation done: {done}")
deadline = time.monotonic() + 180
while patches() != "0" and time.monotonic() < deadline:
    time.sleep(2)
report("after the clean-up")
PY
)
printf '%s\n' "$seen"

stated='before UPDATE: projection read, 0 patch parts active
after UPDATE: projection refused, 1 patch parts active
after APPLY PATCHES: projection refused, 1 patch parts active, mutation done: 1
after the clean-up: projection read, 0 patch parts active'
[[ $seen == "$stated" ]] || { echo 'changed: the output differs from that in the head'; exit 1; }
echo 'as stated'
