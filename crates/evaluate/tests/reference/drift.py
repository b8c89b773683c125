"""Reference values for `tests/it/drift.rs`: scipy 1.17.1, statsmodels 0.15.0, numpy 2.4.6, Python 3.11.

    python drift.py > drift.json

Samples are counts per level (value 0, 1, 2 ...), heavy ties included; the permutation p-values are scipy's with 20,000 resamples.
"""

import json

import numpy as np
from scipy import special, stats
from statsmodels.stats.multitest import multipletests

rng = np.random.default_rng(20260101)


def counts(sample, levels):
    return np.bincount(sample, minlength=levels).tolist()


def cases():
    yield "gender", [480, 520], [230, 270]
    yield "gender moved", [480, 520], [150, 350]
    yield "blood groups", [430, 110, 40, 420], [40, 15, 9, 36]
    yield "sparse code", [60, 3, 1, 0], [8, 0, 1, 2]
    yield "one level", [50], [70]
    yield "empty levels", [0, 10, 0, 25, 0], [0, 4, 6, 1, 0]
    yield "no overlap", [30, 20, 0, 0], [0, 0, 10, 10]
    age = lambda mean, n: np.clip(rng.normal(mean, 18, n).round().astype(int), 0, 120)
    yield "age same", counts(age(50, 800), 121), counts(age(50, 300), 121)
    yield "age older", counts(age(50, 800), 121), counts(age(56, 300), 121)
    days = lambda p, n: rng.choice([0, 4, 8, 12, 30], size=n, p=p)
    yield "exercise, heavy ties", counts(days([0.5, 0.2, 0.1, 0.1, 0.1], 700), 32), counts(days([0.5, 0.2, 0.1, 0.1, 0.1], 250), 32)
    yield "exercise moved, heavy ties", counts(days([0.5, 0.2, 0.1, 0.1, 0.1], 700), 32), counts(days([0.4, 0.2, 0.1, 0.1, 0.2], 250), 32)
    aha = lambda p, n: rng.choice(5, size=n, p=p)
    yield "graded", counts(aha([0.4, 0.15, 0.2, 0.2, 0.05], 500), 5), counts(aha([0.3, 0.15, 0.2, 0.25, 0.1], 400), 5)
    yield "large", counts(age(50, 200_000), 121), counts(age(50.3, 60_000), 121)


def permutation(a, b, statistic):
    found = stats.permutation_test((a, b), statistic, permutation_type="independent", alternative="greater", n_resamples=20_000, rng=np.random.default_rng(7), vectorized=False)
    return float(found.pvalue)


def psi(a, b, bins):
    a, b, bins = np.asarray(a), np.asarray(b), np.asarray(bins)
    pairs = [(a[bins == k].sum(), b[bins == k].sum()) for k in np.unique(bins)]
    pairs = np.array([p for p in pairs if sum(p) > 0], float)
    r = (pairs[:, 0] + 0.5) / (a.sum() + 0.5 * len(pairs))
    w = (pairs[:, 1] + 0.5) / (b.sum() + 0.5 * len(pairs))
    return float(((w - r) * np.log(w / r)).sum())


def deciles(a):
    a = np.asarray(a, float)
    middle = a.cumsum() - a / 2
    return np.minimum((middle / a.sum() * 10).astype(int), 9)


def one(name, a, b):
    values = np.arange(len(a))
    x, y = np.repeat(values, a), np.repeat(values, b)
    n, m = len(x), len(y)
    table = np.array([a, b])[:, (np.array(a) + np.array(b)) > 0]
    out = {"name": name, "reference": a, "window": b}
    d = stats.ks_2samp(x, y, method="asymp").statistic
    out["ks"] = float(d)
    out["ks_p_asymptotic"] = float(special.kolmogorov(np.sqrt(n * m / (n + m)) * d))
    out["ks_p_asymptotic_scipy"] = float(stats.ks_2samp(x, y, method="asymp").pvalue)
    if n * m <= 1_000_000:
        out["ks_p_exact"] = float(stats.ks_2samp(x, y, method="exact").pvalue)
    if table.shape[1] > 1:
        chi = stats.chi2_contingency(table, correction=False)
        out["chi_square"], out["chi_square_p"], out["degrees"] = float(chi.statistic), float(chi.pvalue), int(chi.dof)
        g = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
        out["g"], out["g_p"] = float(g.statistic), float(g.pvalue)
    out["total_variation"] = float(np.abs(np.array(a) / n - np.array(b) / m).sum() / 2)
    out["wasserstein"] = float(stats.wasserstein_distance(values, values, a, b))
    out["psi_levels"] = psi(a, b, values)
    out["psi_deciles"] = psi(a, b, deciles(a))
    if n + m <= 1200:
        edges = np.arange(len(a))

        def gap(u, v):
            # Whole numbers, as ties would otherwise be decided by rounding.
            cu = np.bincount(u, minlength=len(a)).cumsum() * len(v)
            cv = np.bincount(v, minlength=len(a)).cumsum() * len(u)
            return np.abs(cu - cv).max()

        def pearson(u, v):
            both = np.array([np.bincount(u, minlength=len(a)), np.bincount(v, minlength=len(a))])
            both = both[:, both.sum(0) > 0].astype(float)
            expected = both.sum(0) * both.sum(1, keepdims=True) / both.sum()
            return round(((both - expected) ** 2 / expected).sum(), 9)

        out["ks_p_permutation"] = permutation(x, y, gap)
        if table.shape[1] > 1:
            out["chi_square_p_permutation"] = permutation(x, y, pearson)
    return out


def corrections():
    for p in ([0.01, 0.04, 0.03, 0.005, 0.5], [0.02, 0.02, 0.02], [1.0], [0.001, 0.9, 0.9, 0.049, 0.051, 0.001], list(np.round(rng.uniform(size=40) ** 3, 4))):
        bh = multipletests(p, method="fdr_bh")[1]
        bonferroni = multipletests(p, method="bonferroni")[1]
        yield {"p": [float(v) for v in p], "benjamini_hochberg": bh.tolist(), "bonferroni": bonferroni.tolist()}


print(json.dumps({"cases": [one(*case) for case in cases()], "corrections": list(corrections())}, indent=1))
