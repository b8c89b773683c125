"""Two samples compared by scipy and numpy: makes fidelity.json.

Run with scipy 1.17.1, numpy 2.4.6:  python fidelity.py > fidelity.json

Rows are (age, gender, blood group, blood pressure, days of exercise) as levels of the default study. Kept are the Kolmogorov-Smirnov
statistic of the numbers, the total variation distance of the other features and of a contingency table, the difference of two correlations,
the share of rows that equal a parent, and the mean Gower distance to the nearest parent.
"""
import json
import sys

import numpy as np
from scipy import stats

DIMS = np.array([121, 2, 4, 5, 32])


def rows(rng, n, age, days):
    x = rng.normal(size=n)
    return np.column_stack([
        np.clip((age + 12 * x).round(), 0, 120), rng.integers(0, 2, n), rng.choice(4, n, p=[.4, .3, .1, .2]),
        rng.choice(5, n, p=[.3, .2, .2, .2, .1]), np.clip((days - 3 * x + rng.normal(size=n)).round(), 0, 31)]).astype(int)


def shares(values, size):
    return np.bincount(values, minlength=size) / len(values)


def nearest(rows, parents):
    apart = np.abs(rows[:, None, :] - parents[None, :, :])
    gower = np.where(np.array([1, 0, 0, 0, 1]), apart / (DIMS - 1), apart > 0).mean(-1)
    return gower.min(1)


def main():
    rng = np.random.default_rng(5)
    parents, real, synthetic = rows(rng, 80, 50, 10), rows(rng, 150, 50, 10), rows(rng, 400, 55, 9)
    synthetic[:100] = parents[rng.integers(0, 80, 100)]
    synthetic[:, 2] = np.where(rng.random(400) < .5, 0, synthetic[:, 2])
    synthetic[300:, 4] = rng.integers(0, 32, 100)
    distance = lambda a, b: np.abs(a - b).sum() / 2
    correlation = lambda x: stats.pearsonr(x[:, 0], x[:, 4]).statistic
    table = lambda x: shares(x[:, 1] * 4 + x[:, 2], 8)
    json.dump({
        "parents": parents.tolist(), "real": real.tolist(), "synthetic": synthetic.tolist(),
        "age": 1 - stats.ks_2samp(real[:, 0], synthetic[:, 0]).statistic,
        "exercise": 1 - stats.ks_2samp(real[:, 4], synthetic[:, 4]).statistic,
        "blood_type": 1 - distance(shares(real[:, 2], 4), shares(synthetic[:, 2], 4)),
        "age_exercise": 1 - abs(correlation(real) - correlation(synthetic)) / 2,
        "gender_blood_type": 1 - distance(table(real), table(synthetic)),
        "copies": float((nearest(synthetic, parents) == 0).mean()), "copies_real": float((nearest(real, parents) == 0).mean()),
        "nearest": nearest(synthetic, parents).mean(), "nearest_real": nearest(real, parents).mean(),
    }, sys.stdout)


if __name__ == "__main__":
    main()
