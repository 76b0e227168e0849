"""An afternoon with some data, as one would have it in a notebook: nothing to start, nothing to install but Rutile.

python examples/notebook.py             # in memory
python examples/notebook.py some/dir    # kept
"""

# %%
from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import rutile
from rutile.ingest.import_file import import_file

# %% A directory is a database. It runs in this process for as long as somebody is connected to it.
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
db = rutile.connect(folder / "notebook")

# %% A Parquet file becomes a table.
trips = pa.table({
    "id": range(10_000),
    "day": [f"2026-01-{1 + i % 28:02}" for i in range(10_000)],
    "km": [(i * 37 % 1000) / 10 for i in range(10_000)],
})  # fmt: skip
pq.write_table(trips, folder / "trips.parquet")
db.execute("DROP TABLE IF EXISTS trips")
db.execute("CREATE TABLE trips (id INT PRIMARY KEY, day DATE, km DOUBLE)")
print(import_file(str(folder / "notebook"), "test", "trips", folder / "trips.parquet"), "trips")

# %% Rows can be changed one by one, in transactions; queries see them at once.
db.execute("UPDATE trips SET km = km + 1000 WHERE id = 7")
longest = db.execute("SELECT day, MAX(km) AS km FROM trips GROUP BY day ORDER BY km DESC LIMIT 3")
print(longest.fetchall())

# %% Results are Arrow, so they go to pandas, polars or a plot without a copy.
per_day = db.execute("SELECT day, COUNT(*) AS trips, SUM(km) AS km FROM trips GROUP BY day ORDER BY day").arrow()
print(per_day.slice(0, 3).to_pylist())

# %% Where did it run?
for step, *_ in db.execute("EXPLAIN SELECT COUNT(*) FROM trips WHERE km > 50").fetchall():
    print(step)
db.close()
