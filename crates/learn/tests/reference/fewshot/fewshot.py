"""Makes embedding.safetensors and fewshot.json: the few-shot half's formulas in numpy, on a small fixed case.

A fixed network embeds 60 rows of 9 columns; 5 diseases (3 common, 2 orphan) have counts there; two new orphan diseases get cases one by
one: ORPHA:30 a single one, ORPHA:20 six, of which one is an outlier. Everything is written from the formulas and shares nothing with the
crate. The geometric median and the sharpness are found by scipy's minimisers. Written with numpy 2.4.6, scipy 1.17.1, safetensors 0.8.0:

    python fewshot.py FOLDER
"""
import json, sys
import numpy as np
import scipy
import scipy.optimize
from safetensors.numpy import save_file

eighths = lambda values: (np.round(values * 8) / 8).astype(np.float32)
rng = np.random.default_rng(20261124)
columns, n, dim = 9, 60, 16
shapes = {"0": (64, columns), "2": (64, 64), "4": (dim, 64)}
weights = {}
for name, (out, inputs) in shapes.items():
    # Whole eighths: every sum below is exact in 32 bits, so that both sides start from the very same points.
    weights[f"{name}.weight"] = eighths(rng.normal(size=(out, inputs)) * np.sqrt(2 / inputs))
    weights[f"{name}.bias"] = eighths(rng.normal(size=out) * 0.2)
save_file(weights, f"{sys.argv[1]}/embedding.safetensors")

x = eighths(np.concatenate([rng.uniform(size=(n, 2)), (rng.uniform(size=(n, columns - 2)) < 0.3)], 1))
x[59] *= 3; x[59, :2] = [5, 4]                # an outlier


def embed(x):
    h = x.astype(np.float64)
    for name in ("0", "2", "4"):
        h = h @ weights[f"{name}.weight"].T.astype(np.float64) + weights[f"{name}.bias"]
        h = h if name == "4" else np.maximum(h, 0)
    return h


z = embed(x)
codes = ["healthy", "ICD-10:I10", "ICD-10:E11", "ORPHA:10", "ORPHA:11"]
orphan = np.array([False, False, False, True, True])
# Diseases lie round centres of their own, so that the posterior has something to say.
near = -0.15 * ((z[:, None, :] - z[[0, 7, 14, 21, 28]][None]) ** 2).sum(2)
counts = rng.poisson(np.array([9, 5, 4, 1.2, 0.9]) * np.exp(near)).astype(float)
counts[59] = 0; counts[21, 3] += 2; counts[28, 4] += 1
kappa, nu = 1.0, 2 * dim

total = counts.sum(0)
means = (counts.T @ z) / total[:, None]
parent = {False: means[~orphan].mean(0), True: means[orphan].mean(0)}
centres = [(total[j] * means[j] + kappa * parent[orphan[j]]) / (total[j] + kappa) for j in range(5)]
scatter = [sum(counts[i, j] * ((z[i] - centres[j]) ** 2).sum() for i in range(n)) for j in range(5)]
v0 = sum(scatter) / (dim * total.sum())
spreads = [(scatter[j] + nu * v0) / (dim * total[j] + nu) for j in range(5)]
unknown = v0 + np.mean([((centres[j] - parent[True]) ** 2).sum() for j in range(5) if orphan[j]]) / dim
typical = np.sort(total[orphan])[0]           # the lower median of two
weight = list(total / total.sum())


def density(c, v):
    return -((z - c) ** 2).sum(1) / (2 * v) - dim / 2 * np.log(v)


def log_loss(t):
    joint = np.stack([t * density(centres[j], spreads[j]) + np.log(weight[j]) for j in range(5)], 1)
    return -(counts * (joint - scipy.special.logsumexp(joint, axis=1, keepdims=True))).sum()


found = scipy.optimize.minimize_scalar(lambda log: log_loss(np.exp(log)), bounds=(np.log(1e-3), np.log(10)), method="bounded", options={"xatol": 1e-12})
t = float(np.exp(found.x))
nearest = np.stack([((z - centres[j]) ** 2).sum(1) / spreads[j] for j in range(5)], 1).min(1)
probes = [0.0, *np.quantile(nearest, [0.1, 0.5, 0.9, 0.99]), nearest.max() * 0.999, nearest.max() + 1]
beyond = [float((counts.sum(1) * (nearest >= d)).sum()) for d in probes]
p_values = [(b + 1) / (counts.sum() + 1) for b in beyond]


def geometric_median(points):
    loss = lambda m: np.sqrt(((points - m) ** 2).sum(1)).sum()
    by = lambda m: ((m - points) / np.sqrt(((points - m) ** 2).sum(1))[:, None]).sum(0)
    return scipy.optimize.minimize(loss, points.mean(0), jac=by, method="BFGS", options={"gtol": 1e-11}).x


def follow(rows, start_sum, start_count, centre):
    """Centre after each of the cases at `rows`, and the spread after the last."""
    path, points = [], []
    for row in rows:
        before = start_count + len(points)
        points.append(z[row])
        count = before + 1
        mean = (start_sum + np.sum(points, 0)) / count
        if start_count == 0 and 5 <= len(points) <= 64:
            mean = geometric_median(np.array(points))
        target = (count * mean + kappa * parent[True]) / (count + kappa)
        step, bound = target - centre, 2 * np.sqrt(dim * v0) / (before + 1)
        length = np.sqrt((step ** 2).sum())
        centre = target if before == 0 else centre + step * min(1, bound / length)
        path.append(centre)
    return path


added = {"ORPHA:20": [35, 36, 37, 59, 38, 39], "ORPHA:30": [42], "ORPHA:11": [43, 44]}
places = {}
for code, rows in added.items():
    j = codes.index(code) if code in codes else None
    start = (total[j] * means[j], total[j], centres[j]) if j is not None else (np.zeros(dim), 0.0, parent[True])
    path = follow(rows, *start)
    squares = sum(((z[r] - path[-1]) ** 2).sum() for r in rows)
    if j is not None:
        squares += sum(counts[i, j] * ((z[i] - path[-1]) ** 2).sum() for i in range(n))
    count = start[1] + len(rows)
    places[code] = (path, (squares + nu * v0) / (dim * count + nu), count)

centres[4], spreads[4] = places["ORPHA:11"][0][-1], places["ORPHA:11"][1]
weight[4] = places["ORPHA:11"][2] / total.sum()
for code in ("ORPHA:20", "ORPHA:30"):
    path, v, count = places[code]
    centres.append(path[-1]); spreads.append(v); weight.append(max(count, typical) / total.sum())
joint = np.stack([t * density(c, v) + np.log(w) for c, v, w in zip(centres, spreads, weight)], 1)
common = scipy.special.logsumexp(joint[:, :3], axis=1)
rarity = scipy.special.logsumexp(joint[:, 3:5], axis=1) - common
novelty = joint[:, 5:] - common[:, None]
none = t * density(parent[True], unknown) + np.log(typical / total.sum())
posterior = scipy.special.softmax(np.concatenate([joint[:, 3:], none[:, None]], 1), axis=1)
distance = np.stack([((z - c) ** 2).sum(1) / v for c, v in zip(centres, spreads)], 1).min(1)

# The loss of one episode of 3 diseases, 2 supports and 3 queries each, in rows 0..15.
task = (3, 2, 3)


def episode_loss(z):
    ways, shots, queries = task
    z = z.reshape(ways, shots + queries, dim)
    prototype = z[:, :shots].mean(1)
    q = z[:, shots:].reshape(-1, dim)
    logits = -((q[:, None] - prototype[None]) ** 2).sum(2)
    truth = np.repeat(np.arange(ways), queries)
    return float((scipy.special.logsumexp(logits, axis=1) - logits[np.arange(len(q)), truth]).mean())


json.dump({
    "made_by": f"fewshot.py, numpy {np.__version__}, scipy {scipy.__version__}",
    "x": x.tolist(), "codes": codes, "orphan": orphan.tolist(), "counts": counts.tolist(),
    "embedded": z.tolist(), "sharpness": t, "probes": list(map(float, probes)), "p_values": p_values,
    "added": added, "paths": {code: np.array(path).tolist() for code, (path, _, _) in places.items()},
    "rarity": rarity.tolist(), "novelty": novelty.tolist(), "posterior": posterior.tolist(), "distance": distance.tolist(),
    "episode_loss": episode_loss(z[:15]),
}, open(f"{sys.argv[1]}/fewshot.json", "w"))
