"""Reference values for the metrics, from scikit-learn, scipy and dcurves on rows.

Makes a small cohort of cells, writes it with the figures that scikit-learn computes on the same patients as rows (or
with sample weights), decision curves from dcurves (the package of that method's authors), and a table of
Clopper-Pearson intervals from scipy. Run it again with

    pip install numpy scipy scikit-learn dcurves
    python metrics.py > metrics.json
"""
import json, platform
from importlib.metadata import version
import dcurves, numpy as np, pandas as pd, scipy, sklearn
from scipy import stats
from sklearn import metrics as m

K = 4
THRESHOLDS = [0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50]
# Of a stream of its own, so that what was stored before diseases were stays as it is.
disease_rng = np.random.default_rng(20260102)
rng = np.random.default_rng(20260101)


def cohort(cells, scale, tied):
    """Cells with probabilities, an answer and counts [severity][not orphan, orphan]."""
    p = rng.dirichlet([1.2, 0.8, 0.6, 0.7], cells)
    orphan = rng.beta(0.6, 6.0, cells)
    if tied:
        orphan = np.round(orphan, 1).clip(0.05, 0.95)  # many cells share a score
    counts = np.zeros((cells, K, 2), int)
    for i in range(cells):
        n = rng.poisson(scale)
        o = rng.binomial(n, 0.7 * orphan[i])
        counts[i, :, 0] = rng.multinomial(n - o, p[i])
        q = np.r_[0.0, p[i, 1:]]
        counts[i, :, 1] = rng.multinomial(o, q / q.sum())
    alarm = orphan >= 0.2
    decided = np.where(alarm, 1 + p[:, 1:].argmax(1), p.argmax(1))
    return p, orphan, alarm, decided, counts


def ece(confidence, hit, bins=10):
    """Expected calibration error over bins of equal mass, equal confidences together."""
    order = np.argsort(confidence, kind="stable")
    c, h = confidence[order], hit[order]
    value, start, size = np.unique(c, return_index=True, return_counts=True)
    middle = (start + size / 2) / len(c)
    bin_of = np.repeat(np.minimum((middle * bins).astype(int), bins - 1), size)
    return float(sum(abs((c[bin_of == b] - h[bin_of == b]).sum()) for b in range(bins)) / len(c))


def figures(p, orphan, alarm, decided, counts):
    cell, k, o = np.nonzero(counts)
    n = counts[cell, k, o]
    cell, k, o = (np.repeat(a, n) for a in (cell, k, o))  # rows
    prob = p[cell]
    f1 = m.f1_score(k, decided[cell], average=None, labels=range(K))
    common = o == 0
    shown, most_probable = decided[cell], prob.argmax(1)
    sure = prob.max(1) >= 0.5
    return {
        "patients": int(len(k)),
        "orphans": int(o.sum()),
        "f1": f1.tolist(),
        "macro_f1": float(m.f1_score(k, decided[cell], average="macro", labels=range(K))),
        "f1_common": float(m.f1_score(k[common], decided[cell][common], average="macro", labels=range(K))),
        "f1_common_without_alarm": float(m.f1_score(k[common], most_probable[common], average="macro", labels=range(K))),
        "precision": m.precision_score(k, shown, average=None, labels=range(K)).tolist(),
        "recall": m.recall_score(k, shown, average=None, labels=range(K)).tolist(),
        "orphan_omission": float(o[~alarm[cell]].mean()),
        "decision_curve": decision_curve(o, orphan[cell], alarm[cell]),
        # "Not sure" where no class reaches a half.
        "answered": float(sure.mean()),
        "among_answered": {
            "macro_f1": float(m.f1_score(k[sure], shown[sure], average="macro", labels=range(K))),
            "orphan_recall": float(m.recall_score(o[sure], alarm[cell][sure])),
            "brier": float(((prob[sure] - np.eye(K)[k[sure]]) ** 2).sum(1).mean()),
        },
        "orphan_recall": float(m.recall_score(o, alarm[cell])),
        "orphan_precision": float(m.precision_score(o, alarm[cell])),
        "alerts_per_1000": float(1000 * alarm[cell].mean()),
        "orphan_average_precision": float(m.average_precision_score(o, orphan[cell])),
        "orphan_roc_auc": float(m.roc_auc_score(o, orphan[cell])),
        "brier": float(((prob - np.eye(K)[k]) ** 2).sum(1).mean()),
        "log_loss": float(m.log_loss(k, prob, labels=range(K))),
        "calibration_error": ece(prob.max(1), prob.argmax(1) == k),
        "orphan_brier": float(m.brier_score_loss(o, orphan[cell])),
        "orphan_log_loss": float(m.log_loss(o, orphan[cell])),
        "orphan_calibration_error": ece(orphan[cell], o == 1),
        "confusion": m.confusion_matrix(k, decided[cell], labels=range(K)).tolist(),
    }


def decision_curve(o, score, alarm):
    """Net benefit by threshold: of the score, of the alarm as it is, of everybody."""
    rows = pd.DataFrame({"o": o, "score": score, "alarm": alarm.astype(float)})
    # dcurves calls a patient positive above the threshold, here one is positive at it already.
    just_below = np.array(THRESHOLDS) * (1 - 1e-13)
    curve = dcurves.dca(data=rows, outcome="o", modelnames=["score", "alarm"], thresholds=just_below)
    of = {name: part.sort_values("threshold").net_benefit.tolist() for name, part in curve.groupby("model")}
    return {"by_probability": of["score"], "by_alarm": of["alarm"], "everybody": of["all"]}


def diseases(p, orphan, alarm, decided, counts):
    """Every outcome's patients divided among three diseases, and how each disease's patients fare."""
    names = [[f"{'ORPHA' if o else 'ICD-10'}:{k}{d}" for d in range(3)] for k in range(K) for o in (0, 1)]
    shares = disease_rng.dirichlet([4.0, 2.0, 0.05], 2 * K)
    flat = counts.reshape(len(counts), -1)
    out = []
    for outcome in range(2, 2 * K):  # the first severity has no disease
        split = np.stack([disease_rng.multinomial(n, shares[outcome]) for n in flat[:, outcome]])
        k, o = divmod(outcome, 2)
        right = alarm if o else decided == k
        for d, name in enumerate(names[outcome]):
            n, hit = int(split[:, d].sum()), int(split[right, d].sum())
            out.append({
                "code": name, "orphan": bool(o), "severity": k, "cells": split[:, d].tolist(), "patients": n,
                "recall": clopper_pearson(hit, n)[2:] + [hit / n] if n >= 9 else None,
                "precision": clopper_pearson(hit, int(flat[right].sum()))[2:] + [hit / flat[right].sum()] if n >= 9 else None,
                "alarmed": clopper_pearson(int(split[alarm, d].sum()), n)[2:] + [split[alarm, d].sum() / n] if n >= 9 else None,
            })
    return out


def bootstrap(p, orphan, alarm, decided, counts, replicates=4000):
    """Percentile intervals of two statistics by resampling rows, with numpy's own multinomial."""
    cell, k, o = np.nonzero(counts)
    n = counts[cell, k, o]
    f1, ap = [], []
    for _ in range(replicates):
        w = rng.multinomial(n.sum(), n / n.sum())
        f1.append(m.f1_score(k, decided[cell], average="macro", labels=range(K), sample_weight=w))
        ap.append(m.average_precision_score(o, orphan[cell], sample_weight=w))
    return {"macro_f1": np.quantile(f1, [0.025, 0.975]).tolist(), "orphan_average_precision": np.quantile(ap, [0.025, 0.975]).tolist()}


def clopper_pearson(hits, n):
    low = 0.0 if hits == 0 else float(stats.beta.ppf(0.025, hits, n - hits + 1))
    high = 1.0 if hits == n else float(stats.beta.ppf(0.975, hits + 1, n - hits))
    return [hits, n, low, high]


cases = []
for name, cells, scale, tied in [("single patients", 400, 1.0, False), ("tied scores", 60, 25.0, True), ("big counts", 300, 400.0, False)]:
    c = cohort(cells, scale, tied)
    case = {"name": name, "probabilities": c[0].tolist(), "orphan": c[1].tolist(), "alarm": c[2].tolist(),
            "decided": c[3].tolist(), "counts": c[4].reshape(cells, -1).tolist(), "expected": figures(*c), "diseases": diseases(*c)}
    if name == "tied scores":
        case["bootstrap"] = bootstrap(*c)
    cases.append(case)

intervals = [clopper_pearson(k, n) for n in (1, 2, 9, 10, 49, 100, 1500, 20000) for k in sorted({0, 1, n // 3, n // 2, n - 1, n})]
intervals += [clopper_pearson(k, n) for k, n in [(3, 10**6), (420, 10**6), (10**5, 10**6), (7 * 10**5, 10**6), (199_999, 399_998), (199_999, 10**9), (300_000, 600_000), (5 * 10**8, 10**9), (10**9 - 20, 10**9)]]
print(json.dumps({"made_by": "metrics.py", "numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__, "dcurves": version("dcurves"),
                  "python": platform.python_version(), "cases": cases, "clopper_pearson": intervals}))
