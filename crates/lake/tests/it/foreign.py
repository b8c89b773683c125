"""Counts rows of a lake's case table with readers that are not ours: one JSON line.

usage: foreign.py TABLE VERSION...     the versions that a dataset version came from, and itself
"""

import json
import sys

import duckdb
from deltalake import DeltaTable

table, versions = DeltaTable(sys.argv[1]), [int(version) for version in sys.argv[2:]]
files = [uri.removeprefix("file://") for uri in table.file_uris()]
lineage = ", ".join(map(str, versions))
query = f"""
    SELECT severity, count(*) AS rows, count(DISTINCT case_id) AS cases
    FROM read_parquet({files!r}, union_by_name = true) WHERE dataset_version IN ({lineage})
    GROUP BY severity ORDER BY severity
"""
by_severity = duckdb.sql(query).fetchall()
print(
    json.dumps(
        {
            "files": len(files),
            "stored": table.count(),
            "rows": sum(rows for _, rows, _ in by_severity),
            "cases": sum(cases for _, _, cases in by_severity),
            "by_severity": {severity or "": rows for severity, rows, _ in by_severity},
            "columns": [field.name for field in table.schema().fields],
        }
    )
)
