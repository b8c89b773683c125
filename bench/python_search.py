"""The peer: polars reads the stored Parquet files, Optuna (TPE, median pruner) searches, XGBoost trains on the rows of each fold.

Same training slots, same folds (ranges of slots), same groups (severity with rarity), same space, early stopping and pruning after every
fold and within it. The rows are prepared once; each fold has its quantised matrix per number of bins, made when first needed and kept.

usage:  python_search.py JOB.json
        {"files": [...], "trials": N, "seed": S, "folds": K, "first": [{"eta": ..., ...}, ...], "space": {...}, "rounds": R,
         "early_stopping": E, "pruner": {...}}; `first` are tried before the sampler is asked
"""
import json
import sys
import time

import numpy as np
import optuna
import polars as pl
import xgboost

import python_pipeline

GROUPS = [("healthy", False), ("mild", False), ("acute", False), ("chronic", False), ("mild", True), ("acute", True), ("chronic", True)]


def read(files):
    """Features (float32), group and slot of the training rows."""
    slots = python_pipeline.TRAIN
    features = python_pipeline.rows(files, slots).drop("label").collect().to_numpy()
    outcome = (pl.scan_parquet(files).select("severity", "rarity", "slot").filter(pl.col("slot").is_between(*slots))
               .with_columns(pl.col("severity").cast(python_pipeline.SEVERITY).to_physical().cast(pl.Int8)).collect())
    severity = outcome["severity"].to_numpy()
    orphan = (outcome["rarity"] == "orphan").fill_null(False).to_numpy()
    names = python_pipeline.SEVERITY.categories.to_list()
    index = {(names.index(name), rare): i for i, (name, rare) in enumerate(GROUPS)}
    group = np.array([[index.get((s, rare), -1) for rare in (False, True)] for s in range(4)])[severity, orphan.astype(int)]
    return features, group.astype(np.float32), outcome["slot"].to_numpy().astype(int)


class Search:
    def __init__(self, job):
        self.job = job
        self.features, group, slot = read(job["files"])
        present = np.unique(group).astype(int)
        self.groups = [GROUPS[g] for g in present]
        self.label = np.searchsorted(present, group).astype(np.float32)
        slots = python_pipeline.TRAIN[1] + 1
        self.fold_of = slot * job["folds"] // slots
        self.matrices = {}
        self.out = []

    def matrix(self, fold, bins):
        if (fold, bins) not in self.matrices:
            inside = self.fold_of == fold
            train = xgboost.QuantileDMatrix(self.features[~inside], self.label[~inside], max_bin=bins, nthread=2)
            held = xgboost.QuantileDMatrix(self.features[inside], self.label[inside], max_bin=bins, nthread=2, ref=train)
            self.matrices[fold, bins] = train, held, self.label[inside].astype(int)
        return self.matrices[fold, bins]

    def suggest(self, trial):
        values = {}
        for name, dimension in self.job["space"].items():
            if isinstance(dimension, list):
                values[name] = trial.suggest_categorical(name, dimension)
            elif name == "depth":
                values[name] = trial.suggest_int(name, int(dimension["low"]), int(dimension["high"]))
            else:
                values[name] = trial.suggest_float(name, dimension["low"], dimension["high"], log=dimension.get("log", False))
        return values

    def __call__(self, trial):
        begin, cpu = time.monotonic(), time.process_time()
        values = self.suggest(trial)
        parameters = {
            "objective": "multi:softprob", "num_class": len(self.groups), "tree_method": "hist", "nthread": 2, "eval_metric": "mlogloss",
            "eta": values["eta"], "max_depth": values["depth"], "subsample": values["subsample"], "colsample_bynode": values["columns"],
            "max_bin": values["bins"], "min_child_weight": values["min_child_weight"], "lambda": values["lambda"], "seed": self.job["seed"]}
        confusion, loss, cases, rounds = np.zeros((4, 4)), 0.0, 0, 0
        kept = {"values": values, "state": "complete"}
        try:
            for fold in range(self.job["folds"]):
                train, held, truth = self.matrix(fold, values["bins"])
                watch = Watch(trial, fold, self.job["pruner"], self.job["rounds"])
                booster = xgboost.train(parameters, train, num_boost_round=self.job["rounds"], evals=[(held, "held")], verbose_eval=False,
                                        early_stopping_rounds=self.job["early_stopping"], callbacks=[watch])
                last = booster.best_iteration + 1
                p = booster.predict(held, iteration_range=(0, last)).astype(float)
                loss -= np.log(np.maximum(p[np.arange(len(truth)), truth], 1e-300)).sum()
                cases, rounds = cases + len(truth), rounds + last
                severity = np.zeros((len(p), 4))
                for g, (name, _) in enumerate(self.groups):
                    severity[:, ["healthy", "mild", "acute", "chronic"].index(name)] += p[:, g]
                of_group = np.array([["healthy", "mild", "acute", "chronic"].index(name) for name, _ in self.groups])
                common = np.array([not rare for _, rare in self.groups])[truth]
                np.add.at(confusion, (of_group[truth][common], severity.argmax(1)[common]), 1)
                trial.report(loss / cases, (fold + 1) * self.job["rounds"] * 2)
                if fold + 1 < self.job["folds"] and trial.should_prune():
                    raise optuna.TrialPruned
            hit = np.diag(confusion)
            kept |= {"log_loss": loss / cases, "f1_common": float((2 * hit / (confusion.sum(0) + confusion.sum(1))).mean())}
            return loss / cases
        except optuna.TrialPruned:
            kept["state"] = "pruned"
            raise
        finally:
            self.out.append(kept | {"rounds": rounds, "seconds": time.monotonic() - begin, "cpu": time.process_time() - cpu})


class Watch(xgboost.callback.TrainingCallback):
    """Reports the held-out loss within a fold and lets the pruner end the trial."""

    def __init__(self, trial, fold, pruner, rounds):
        self.trial, self.offset, self.pruner = trial, fold * rounds * 2 + rounds, pruner

    def after_iteration(self, model, epoch, evals_log):
        loss = evals_log["held"]["mlogloss"]
        if (epoch + 1) % self.pruner["every"] == 0:
            self.trial.report(min(loss), self.offset + epoch + 1)
            if epoch + 1 >= self.pruner["warmup_rounds"] and self.trial.should_prune():
                raise optuna.TrialPruned
        return False


def main(path):
    job = json.load(open(path))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    begin, cpu = time.monotonic(), time.process_time()
    search = Search(job)
    prepared, prepared_cpu = time.monotonic() - begin, time.process_time() - cpu
    pruner = optuna.pruners.MedianPruner(n_startup_trials=job["pruner"]["warmup_trials"])
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=job["seed"]), pruner=pruner)
    for values in job["first"]:
        study.enqueue_trial(values)
    study.optimize(search, n_trials=job["trials"])
    json.dump({"rows": len(search.label), "prepare_s": prepared, "prepare_cpu": prepared_cpu, "trials": search.out}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
