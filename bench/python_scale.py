"""The peers of the data plane: the same GROUP BY in DuckDB and in polars, the bare scan, and DuckDB's copy of a CSV file to Parquet.

usage:  python_scale.py scan|polars|duckdb FILE...     over the stored Parquet files; prints its own cost and the number of groups
        python_scale.py copy IN.csv OUT.parquet        zstd, all columns, types as DuckDB detects them
"""
import json
import resource
import sys
import time

INPUTS = ["age_years", "gender", "blood_type", "systolic_mmhg", "diastolic_mmhg", "exercise_days_per_month"]
OUTCOME = ["severity", "rarity", "disease_code"]
THREADS = 2
# A patient's slot decides the part: five folds of the training set (slots 0-13, three each, the last has two), validation (14-16), test (17-19).
FOLDED, TEST = 14, 17


def measured(work):
    """Runs `work` and prints what it cost, without the interpreter's and the library's start."""
    usage = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    cpu, wall = usage(), time.monotonic()
    groups = work()
    json.dump({"cpu": usage() - cpu, "wall": time.monotonic() - wall, "groups": groups,
               "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}, sys.stdout)


def scan(files):
    """Reads and decodes every column that the query needs, batch by batch, and keeps nothing: codes stay codes, as in our own reader."""
    import pyarrow
    import pyarrow.dataset as ds
    pyarrow.set_cpu_count(THREADS)
    layout = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(dictionary_columns=OUTCOME))
    data = ds.dataset(files, format=layout)
    measured(lambda: sum(batch.num_rows for batch in data.to_batches(columns=INPUTS + OUTCOME + ["slot"])))


def polars(files):
    import polars as pl
    systolic, diastolic = pl.col("systolic_mmhg"), pl.col("diastolic_mmhg")
    category = (pl.when((systolic > 180) | (diastolic > 120)).then(4).when((systolic >= 140) | (diastolic >= 90)).then(3)
                .when((systolic >= 130) | (diastolic >= 80)).then(2).when(systolic >= 120).then(1).otherwise(0).cast(pl.Int8))
    part = (pl.when(pl.col("slot") < FOLDED).then(pl.col("slot") // 3).when(pl.col("slot") < TEST).then(5).otherwise(6).cast(pl.Int8))
    frame = (pl.scan_parquet(files).select(INPUTS + OUTCOME + ["slot"])
             .with_columns(category.alias("category"), part.alias("part"))
             .group_by(["age_years", "gender", "blood_type", "category", "exercise_days_per_month", *OUTCOME, "part"]).len())
    measured(lambda: frame.collect(engine="streaming").height)


def duckdb(files):
    import duckdb
    connection = duckdb.connect(config={"threads": THREADS})
    connection.execute("SET enable_progress_bar = false")
    query = f"""
        SELECT count(*) FROM (SELECT age_years, gender, blood_type, exercise_days_per_month, severity, rarity, disease_code,
            CASE WHEN systolic_mmhg > 180 OR diastolic_mmhg > 120 THEN 4 WHEN systolic_mmhg >= 140 OR diastolic_mmhg >= 90 THEN 3
                 WHEN systolic_mmhg >= 130 OR diastolic_mmhg >= 80 THEN 2 WHEN systolic_mmhg >= 120 THEN 1 ELSE 0 END AS category,
            CASE WHEN slot < {FOLDED} THEN slot // 3 WHEN slot < {TEST} THEN 5 ELSE 6 END AS part, count(*) AS rows
        FROM read_parquet({json.dumps(files).replace('"', "'")}) GROUP BY ALL)"""
    measured(lambda: connection.execute(query).fetchone()[0])


def copy(source, target):
    import duckdb
    connection = duckdb.connect(config={"threads": THREADS})
    connection.execute(f"COPY (SELECT * FROM read_csv('{source}')) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["scan", *files] if files:
            scan(files)
        case ["polars", *files] if files:
            polars(files)
        case ["duckdb", *files] if files:
            duckdb(files)
        case ["copy", source, target]:
            copy(source, target)
        case _:
            sys.exit(__doc__)
