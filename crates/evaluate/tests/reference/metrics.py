"""Reference values for the metrics, from scikit-learn and scipy on rows.

Makes a small cohort of cells, writes it with the figures that scikit-learn computes on the same patients as rows (or
with sample weights), and a table of Clopper-Pearson intervals from scipy. Run it again with

    pip install numpy scipy scikit-learn
    python metrics.py > metrics.json
"""
import json, platform
import numpy as np, scipy, sklearn
from scipy import stats
from sklearn import metrics as m

K = 4
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
    return {
        "patients": int(len(k)),
        "orphans": int(o.sum()),
        "f1": f1.tolist(),
        "macro_f1": float(m.f1_score(k, decided[cell], average="macro", labels=range(K))),
        "f1_common": float(m.f1_score(k[common], decided[cell][common], average="macro", labels=range(K))),
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
            "decided": c[3].tolist(), "counts": c[4].reshape(cells, -1).tolist(), "expected": figures(*c)}
    if name == "tied scores":
        case["bootstrap"] = bootstrap(*c)
    cases.append(case)

intervals = [clopper_pearson(k, n) for n in (1, 2, 9, 10, 49, 100, 1500, 20000) for k in sorted({0, 1, n // 3, n // 2, n - 1, n})]
intervals += [clopper_pearson(k, n) for k, n in [(3, 10**6), (420, 10**6), (10**5, 10**6), (7 * 10**5, 10**6), (199_999, 399_998), (199_999, 10**9), (300_000, 600_000), (5 * 10**8, 10**9), (10**9 - 20, 10**9)]]
print(json.dumps({"made_by": "metrics.py", "numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__,
                  "python": platform.python_version(), "cases": cases, "clopper_pearson": intervals}))
