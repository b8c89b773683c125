"""Best of 60 trials by Optuna's samplers on a made-up response to the default study's XGBoost space.

`pip install optuna==5.0.0`, then run: prints the median over 31 seeds of each sampler. The figures are stored in
`src/search/tpe.rs` (test `it_is_as_good_as_a_widespread_sampler`), which computes the same response.
"""

import math
import statistics

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)


def share(value: float, low: float, high: float) -> float:
    """Position between low and high by ratio."""
    return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))


def response(trial: optuna.Trial) -> float:
    """A bowl with one interaction: more depth needs less learning rate."""
    eta = share(trial.suggest_float("eta", 0.03, 0.3, log=True), 0.03, 0.3) - 0.3
    depth = (trial.suggest_int("depth", 2, 8) - 4) / 6
    subsample = trial.suggest_float("subsample", 0.5, 1.0) - 0.8
    columns = trial.suggest_float("columns", 0.2, 1.0) - 0.35
    bins = math.log2(trial.suggest_categorical("bins", [16, 32, 64, 128]) / 32)
    weight = share(trial.suggest_float("min_child_weight", 0.3, 30.0, log=True), 0.3, 30.0) - 0.5
    penalty = share(trial.suggest_float("lambda", 0.1, 30.0, log=True), 0.1, 30.0) - 0.6
    bowl = eta**2 + 2 * depth**2 + 0.3 * subsample**2 + 0.5 * columns**2 + 0.01 * abs(bins)
    return bowl + 0.1 * weight**2 + 0.05 * penalty**2 + 0.5 * eta * depth


def best(sampler: optuna.samplers.BaseSampler) -> float:
    study = optuna.create_study(sampler=sampler)
    study.optimize(response, n_trials=60)
    return study.best_value


for name, sampler in [("random", optuna.samplers.RandomSampler), ("tpe", optuna.samplers.TPESampler)]:
    print(name, round(statistics.median(best(sampler(seed=seed)) for seed in range(31)), 5))
