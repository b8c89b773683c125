"""What imbalanced-learn's SMOTENC makes of a small class: makes smote_nc.json.

Run with imbalanced-learn 0.14.2, scikit-learn 1.9.1, numpy 2.4.6:  python smote_nc.py > smote_nc.json

90 rows (age, gender, blood group, blood pressure, days of exercise, as levels of the default study) with twins and ties, resampled 400
times with another seed and another order of the rows each time: which of the rows that tie for the last neighbour's place are taken depends
on the order. Numbers are given in units of their range, as the preprocessor scales them, and rounded to whole levels afterwards. Kept are
the counts of every feature's levels and of every pair of features (numbers in tenths of their range).
"""
import itertools
import json
import sys

import numpy as np
from imblearn.over_sampling import SMOTENC

ROWS, RUNS, MADE = 90, 400, 1000
UNITS = np.array([120, 1, 1, 1, 31])
DIMS = [121, 2, 4, 5, 32]


def rows():
    rng = np.random.default_rng(20261124)
    distinct = ROWS * 3 // 4
    made = np.column_stack([
        np.clip(rng.normal(48, 14, distinct).round(), 0, 120), rng.integers(0, 2, distinct), rng.choice(4, distinct, p=[.4, .3, .1, .2]),
        rng.choice(5, distinct, p=[.1, .1, .2, .4, .2]), np.clip(rng.normal(9, 5, distinct).round(), 0, 31)]).astype(int)
    # Age in fives: distances tie. A quarter of the rows has a twin.
    made[:, 0] = made[:, 0] // 5 * 5
    return np.concatenate([made, made[:ROWS - distinct]])


def tenths(column, feature):
    return column * 10 // DIMS[feature] if DIMS[feature] > 5 else column


def main():
    minority = rows()
    single = [np.zeros(dim, int) for dim in DIMS]
    pairs = {pair: np.zeros((10, 10), int) for pair in itertools.combinations(range(5), 2)}
    for run in range(RUNS):
        order = np.random.default_rng(run).permutation(ROWS)
        x = np.concatenate([minority[order], np.tile(minority[:1], (ROWS + MADE, 1))]) / UNITS
        y = np.repeat([1, 0], [ROWS, ROWS + MADE])
        model = SMOTENC(categorical_features=[1, 2, 3], k_neighbors=5, random_state=run)
        made = np.rint(model.fit_resample(x, y)[0][len(x):] * UNITS).astype(int)
        assert made.shape == (MADE, 5)
        for feature in range(5):
            np.add.at(single[feature], made[:, feature], 1)
        for (a, b), table in pairs.items():
            np.add.at(table, (tenths(made[:, a], a), tenths(made[:, b], b)), 1)
    json.dump({"rows": minority.tolist(), "neighbours": 5, "made": RUNS * MADE, "single": [counts.tolist() for counts in single],
               "pairs": [{"features": pair, "counts": table.tolist()} for pair, table in pairs.items()]}, sys.stdout)


if __name__ == "__main__":
    main()
