"""The peer: polars reads the stored Parquet files, XGBoost trains on the rows. As fast as it reasonably gets in Python:
only the needed columns are read, the training slots are selected while scanning, everything is float32 from there, and the
quantised matrix is built from the frame's columns without a copy as rows.

usage:  python_pipeline.py train OUT.json FILE...      the whole pipeline, as measured
        python_pipeline.py scan FILE...                only reads the columns that the cohort query reads; prints its own cost
        python_pipeline.py evaluate JOB.json           log loss of several models on the validation rows
"""
import json
import resource
import sys
import time

import polars as pl

TRAIN, VALIDATION = (0, 13), (14, 16)
SEVERITY = pl.Enum(["healthy", "mild", "acute", "chronic"])
NUMBERS = ["age_years", "gender", "blood_type", "systolic_mmhg", "diastolic_mmhg", "exercise_days_per_month"]
OUTCOME = ["severity", "rarity", "disease_code", "slot"]
PARAMETERS = {"objective": "multi:softprob", "num_class": 4, "tree_method": "hist", "max_depth": 6, "eta": 0.1, "nthread": 2,
              "disable_default_eval_metric": 1}
ROUNDS = 200
# Offset and factor of the two scaled columns: their accepted ranges to 0..1.
RANGES = {"age": (0.0, 120.0), "exercise": (0.0, 31.0)}


def rows(files, slots, scales=RANGES):
    """The 13 columns of a range of slots, and the severity: a lazy frame."""
    systolic, diastolic = pl.col("systolic_mmhg"), pl.col("diastolic_mmhg")
    category = (pl.when((systolic > 180) | (diastolic > 120)).then(4).when((systolic >= 140) | (diastolic >= 90)).then(3)
                .when((systolic >= 130) | (diastolic >= 80)).then(2).when(systolic >= 120).then(1).otherwise(0).cast(pl.Int8))
    scaled = lambda column, name: ((pl.col(column).cast(pl.Float64) - scales[name][0]) / scales[name][1]).cast(pl.Float32).alias(name)
    one_hot = lambda column, codes: [(pl.col(column) == level).cast(pl.Float32).alias(code) for level, code in enumerate(codes)]
    return (pl.scan_parquet(files).select(NUMBERS + ["severity", "slot"]).filter(pl.col("slot").is_between(*slots))
            .with_columns(category.alias("category"))
            .select(scaled("age_years", "age"), scaled("exercise_days_per_month", "exercise"),
                    *one_hot("gender", ["gender_female", "gender_male"]),
                    *one_hot("blood_type", ["blood_a", "blood_b", "blood_ab", "blood_o"]),
                    *one_hot("category", ["bp_normal", "bp_elevated", "bp_stage_1", "bp_stage_2", "bp_crisis"]),
                    pl.col("severity").cast(pl.Enum(SEVERITY.categories)).to_physical().cast(pl.Float32).alias("label")))


def train(out, files):
    import xgboost
    begin = time.monotonic()
    frame = rows(files, TRAIN).collect()
    label, frame = frame["label"].to_numpy(), frame.drop("label")
    prepared = time.monotonic()
    matrix = xgboost.QuantileDMatrix(frame, label=label, nthread=PARAMETERS["nthread"])
    count = frame.height
    del frame, label  # the matrix holds what training needs
    booster = xgboost.train(PARAMETERS, matrix, num_boost_round=ROUNDS)
    booster.save_model(out)
    json.dump({"rows": count, "prepare_s": prepared - begin, "fit_s": time.monotonic() - prepared}, sys.stdout)


def scan(files):
    """Reads and decodes; the cost is taken inside the process, without the interpreter's and the library's start."""
    usage = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    cpu, wall = usage(), time.monotonic()
    frame = pl.scan_parquet(files).select(NUMBERS + OUTCOME).collect()
    json.dump({"cpu": usage() - cpu, "wall": time.monotonic() - wall, "rows": frame.height}, sys.stdout)


def evaluate(job):
    """`{"files": [...], "models": {name: {"file": ..., "scales": {...}}}}` -> mean log loss of each on the same rows."""
    import numpy as np
    import xgboost
    job, out = json.load(open(job)), {}
    for name, model in job["models"].items():
        scales = {feature: tuple(scale) for feature, scale in (model.get("scales") or RANGES).items()}
        frame = rows(job["files"], VALIDATION, scales).collect()
        label = frame["label"].to_numpy().astype(int)
        booster = xgboost.Booster(model_file=model["file"])
        p = booster.predict(xgboost.DMatrix(frame.drop("label").to_numpy()), validate_features=False)  # ours carries no names
        loss = -np.log(np.maximum(p[np.arange(len(label)), label].astype(float), 1e-300))
        out[name] = {"log_loss": float(loss.mean()), "rows": len(label)}
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["train", out, *files] if files:
            train(out, files)
        case ["scan", *files] if files:
            scan(files)
        case ["evaluate", job]:
            evaluate(job)
        case _:
            sys.exit(__doc__)
