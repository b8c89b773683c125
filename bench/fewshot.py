"""The few-shot half: CPU beside numpy, what a case more costs, and how well it finds diseases that were never trained on.

Speed: 1,000 episodes (8 diseases, 5 cases to learn from, 10 to recognise; network 13-64-64-16) by the crate's example and by numpy with
a backward pass by hand, on the same counted cohort, run in turn; a tensor library with automatic differentiation once beside them.

Quality, exact over every possible patient of the reference cohort: average precision of the rarity margin alone and fused with XGBoost's
gate, and the recall of three orphan diseases that no training case had, by one case each and by five, drawn from their true profiles;
no model is trained again. The truth stays here: the product sees counts and cases.
"""
import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import xgboost

import measure
from report import Bars, machine, table

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "reference"))
import reference_cohort as reference  # noqa: E402

FOLDS, NOVEL = 5, 3
# The very cores and cache sizes that the library finds by itself.
ONE_THREAD = ["env", "-u", "OPENBLAS_CORETYPE", "-u", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS=1", "OMP_NUM_THREADS=1"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=Path, required=True, help="folder of the release binaries")
    parser.add_argument("--runs", type=int, default=7, help="runs of each side of the speed comparison (the median counts)")
    parser.add_argument("--episodes", type=int, default=1_000)
    parser.add_argument("--sizes", type=int, nargs="*", default=[2_000, 10_000, 50_000], help="training cases; the recall bars are for 10,000")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--draws", type=int, default=60, help="draws of cases of the new diseases, per seed and number of cases")
    parser.add_argument("--aim", type=float, default=0.75, help="recall of known orphans that the gate's threshold aims at")
    parser.add_argument("--alerts", type=float, default=0.042, help="share of the training cohort that may be alarmed in all")
    parser.add_argument("--open-set", type=float, default=0.001, help="the open set alarms below this p-value")
    return parser.parse_args()


class Truth:
    """The reference cohort: known diseases, and the novel ones that stay hidden."""

    def __init__(self):
        self.cohort = reference.Cohort("reference", novel=True)
        c = self.cohort
        self.known = len(c.diseases) - NOVEL
        known = slice(0, self.known)
        self.prior = c.prior[known] / c.prior[known].sum()
        self.orphan = c.is_orphan[known]
        self.weight = self.prior @ c.likelihood[known]                # p(patient) without the novel diseases
        self.weight_orphan = self.prior[self.orphan] @ c.likelihood[known][self.orphan]
        self.x = encode()
        self.groups = sorted({self.group(d) for d in range(self.known)})

    def group(self, d):
        return int(self.cohort.severity[d]), bool(self.orphan[d])

    def average_precision(self, score):
        order = np.argsort(-score, kind="stable")
        alerts, hits = np.cumsum(self.weight[order]), np.cumsum(self.weight_orphan[order])
        last = np.r_[np.diff(score[order]) != 0, True] & (alerts > 0)
        return reference.average_precision(hits[last] / hits[-1], hits[last] / alerts[last])

    def sample(self, rows, seed):
        """(disease, patient, fold) of `rows` training cases; folds are dealt within each disease."""
        rng = np.random.default_rng([seed, rows])
        disease = rng.choice(self.known, rows, p=self.prior)
        patient, fold = np.empty(rows, int), np.empty(rows, int)
        for d in np.unique(disease):
            own = np.flatnonzero(disease == d)
            patient[own] = draw(self.cohort.likelihood[d], len(own), rng)
            fold[own] = (rng.permutation(len(own)) + rng.integers(FOLDS)) % FOLDS
        return disease, patient, fold


def draw(p, n, rng):
    return np.minimum(np.searchsorted(np.cumsum(p), rng.random(n) * (1 - 1e-12), side="right"), len(p) - 1)


def encode():
    """The 13 columns of every possible patient, scaled by the accepted ranges."""
    age, gender, blood, pressure, days = (axis.ravel() for axis in np.indices(reference.SHAPE))
    x = np.zeros((age.size, 13), np.float32)
    x[:, 0], x[:, 1] = age / 120, days / 31
    for first, level in ((2, gender), (4, blood), (8, pressure)):
        x[np.arange(age.size), first + level] = 1
    return x


def write(folder, truth, disease, patient, fold):
    keys, counts = np.unique(np.stack([fold, disease, patient], 1), axis=0, return_counts=True)
    np.concatenate([keys, counts[:, None]], 1).astype(np.uint32).tofile(folder / "cases.u32")
    truth.x.tofile(folder / "x.f32")
    (folder / "shape.json").write_text(json.dumps(truth.x.shape))
    names = [d["disease_code"] or d["severity"] for d in truth.cohort.diseases[:truth.known]]
    (folder / "diseases.json").write_text(json.dumps([{"code": n, "orphan": bool(o)} for n, o in zip(names, truth.orphan)]))


def example(given, *parts):
    return json.loads(measure.run([given.binaries / "examples" / "fewshot", *parts]).out)


def speed(given, truth, bars):
    with tempfile.TemporaryDirectory(prefix="hoofbeat-bench-") as name:
        folder = Path(name)
        write(folder, truth, *truth.sample(10_000, 1))
        sides = {"hoofbeat": [], "numpy": []}
        for run in range(given.runs):
            sides["hoofbeat"].append(example(given, "train", folder, given.episodes, run))
            peer = measure.run([*ONE_THREAD, sys.executable, HERE / "fewshot_numpy.py", folder, given.episodes, run])
            sides["numpy"].append(json.loads(peer.out))
        sides["burn (tensor library, autodiff)"] = [example(given, "train-burn", folder, given.episodes, run) for run in range(2)]
        cost = example(given, "refresh", folder, 1)
    median = lambda side, what: statistics.median(run[what] for run in sides[side])
    mean = lambda side: statistics.mean(run["loss"] for run in sides[side])
    print(f"\n{given.episodes:,} episodes, medians of {given.runs} runs taken in turn\n")
    print(table(["", "CPU s", "loss", "CPU of numpy / its own"],
                [(side, f"{median(side, 'cpu_s'):.3f}", f"{mean(side):.4f}", f"{median('numpy', 'cpu_s') / median(side, 'cpu_s'):.2f}x") for side in sides]))
    error = sum(statistics.variance([run["loss"] for run in sides[side]]) / given.runs for side in ("hoofbeat", "numpy")) ** 0.5
    difference = mean("hoofbeat") - mean("numpy")
    bars.at_least("CPU of numpy / ours", median("numpy", "cpu_s") / median("hoofbeat", "cpu_s"), 1.0)
    bars.holds("loss - numpy's loss", f"{difference:+.4f} (standard error {error:.4f})", "within 3 standard errors", abs(difference) <= 3 * error)
    per_case = cost["add_cpu_s"] + cost["margins_cpu_s"] + cost["budget_cpu_s"]
    print(f"\n{cost['patients']:,} possible patients, {cost['prototypes']} prototypes ({cost['new']} new): embedding {cost['embed_cpu_s']:.3f} CPU s once; "
          f"a case more {per_case:.3f} CPU s\n(margins {cost['margins_cpu_s']:.3f}, alarms' budgets {cost['budget_cpu_s']:.3f}); fitting the prototypes {cost['fit_cpu_s']:.3f}")
    bars.at_most("embedding and margins of all patients", cost["embed_cpu_s"] + cost["margins_cpu_s"], 0.3, " CPU s")


class Gate:
    """One booster per fold: P(orphan) of every patient (their mean), and of each case by the booster that has not seen it."""

    def __init__(self, truth, disease, patient, fold, seed):
        label = np.array([truth.groups.index(truth.group(d)) for d in range(truth.known)])[disease]
        orphan = [i for i, (_, o) in enumerate(truth.groups) if o]
        severities = np.zeros((len(truth.groups), 4))
        severities[np.arange(len(truth.groups)), [s for s, _ in truth.groups]] = 1
        every = xgboost.DMatrix(truth.x)
        self.unseen, mean = np.zeros((FOLDS, len(truth.x))), np.zeros((len(truth.x), len(truth.groups)))
        for f in range(FOLDS):
            train, held = fold != f, fold == f
            data = [xgboost.DMatrix(truth.x[patient[m]], label[m]) for m in (train, held)]
            parameters = dict(objective="multi:softprob", num_class=len(truth.groups), max_depth=4, eta=0.06, subsample=0.8, nthread=1, seed=seed)
            booster = xgboost.train(parameters, data[0], 600, evals=[(data[1], "held")], early_stopping_rounds=20, verbose_eval=False)
            p = booster.predict(every, iteration_range=(0, booster.best_iteration + 1))
            mean += p / FOLDS
            self.unseen[f] = p[:, orphan].sum(1)
        self.p = mean[:, orphan].sum(1)
        self.sick = (mean @ severities).argmax(1) != 0


def logit(p):
    p = np.clip(p, 1e-15, 1 - 1e-15)
    return np.log(p / (1 - p))


def fuse(g, r, y):
    """a0, a1, a2 of a0 + a1 logit g + a2 r by logistic regression with a ridge towards (0, 1, 0), a1 and a2 at least 0 (Newton, then clipped)."""
    columns, a, prior = np.stack([np.ones_like(r), logit(g), r], 1), np.array([0.0, 1.0, 0.0]), np.array([0.0, 1.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(columns @ a, -500, 500)))
        slope = columns.T @ (p - y) + (a - prior)
        a = a - np.linalg.solve((columns * (p * (1 - p))[:, None]).T @ columns + np.eye(3), slope)
    return np.maximum(a, [-np.inf, 0, 0])


def conformal(scores, aim):
    k = int(np.floor((1 - aim) * (len(scores) + 1) + 1e-9))
    return np.sort(scores)[k - 1] if k else -np.inf


def quality(given, truth, rows, seed):
    c = truth.cohort
    disease, patient, fold = truth.sample(rows, seed)
    gate = Gate(truth, disease, patient, fold, seed)
    y = truth.orphan[disease]
    with tempfile.TemporaryDirectory(prefix="hoofbeat-bench-") as name:
        folder = Path(name)
        write(folder, truth, disease, patient, fold)
        example(given, "margins", folder, seed)
        r, r_mean = np.fromfile(folder / "rarity.f64"), np.fromfile(folder / "rarity_mean.f64")
        r_unseen = np.fromfile(folder / "rarity_folds.f64").reshape(FOLDS, -1)[fold, patient]
        g_unseen = gate.unseen[fold, patient]
        a = fuse(g_unseen, r_unseen, y)
        score = lambda g, r: a[0] + a[1] * logit(g) + a[2] * r
        h, h_unseen = score(gate.p, r), score(g_unseen, r_unseen)
        alarmed = h >= conformal(h_unseen[y], given.aim)
        out = {"gate": truth.average_precision(gate.p), "margin": truth.average_precision(r), "mean margin": truth.average_precision(r_mean),
               "fused": truth.average_precision(h), "fused mean": truth.average_precision(score(gate.p, r_mean)), "a2": a[2], "orphans": int(y.sum()),
               "gate recall": truth.weight_orphan[alarmed].sum() / truth.weight_orphan.sum(),
               "gate alerts": c.weight[alarmed].sum(), "gate novel": c.likelihood[truth.known:][:, alarmed].sum(1).mean()}
        alarmed.astype(np.uint32).tofile(folder / "alarmed.u32")
        gate.sick.astype(np.uint32).tofile(folder / "sick.u32")
        np.concatenate([c.likelihood[truth.known:], c.weight[None]]).tofile(folder / "truth.f64")
        codes = [d["disease_code"] for d in c.diseases[truth.known:]]
        for shots in (1, 5):
            rng = np.random.default_rng([seed, rows, shots])
            draws = np.stack([np.stack([draw(c.likelihood[truth.known + j], shots, rng) for j in range(NOVEL)]) for _ in range(given.draws)])
            draws.astype(np.uint32).tofile(folder / "draws.u32")
            budget = {"each": 0.0045, "total": 0.02, "alerts": given.alerts}
            (folder / "novel.json").write_text(json.dumps({"codes": codes, "shots": shots, "budget": budget, "open_set": given.open_set}))
            answers = example(given, "novel", folder, seed)["draws"]
            recall = np.array([answer["recall"] for answer in answers])
            out[shots] = {"recall": recall.mean(1), "each": recall.mean(0), "alerts": np.array([answer["alerts"] for answer in answers]),
                          "before": answers[0]["alerts_before"], "budget": np.mean([answer["each"] for answer in answers]),
                          "top1": np.mean([answer["top1"] for answer in answers]), "top3": np.mean([answer["top3"] for answer in answers])}
    return out


def interval(values):
    """Mean and its 95 % interval over draws."""
    half = 1.96 * values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.3f} ({values.mean() - half:.3f}-{values.mean() + half:.3f})"


def main():
    given = arguments()
    print(machine(["numpy", "xgboost-cpu"]), flush=True)
    truth, bars, results = Truth(), Bars(), {}
    if given.runs:
        speed(given, truth, bars)
    for rows in given.sizes:
        for seed in given.seeds:
            print(f"==> {rows:,} cases, seed {seed}", file=sys.stderr, flush=True)
            results[rows, seed] = quality(given, truth, rows, seed)
    print("\naverage precision for known orphan diseases, exact\n")
    names = ["gate", "margin", "mean margin", "fused", "fused mean"]
    print(table(["cases", "seed", "orphans", *names, "a2"], [(f"{rows:,}", seed, r["orphans"], *(f"{r[n]:.4f}" for n in names), f"{r['a2']:.3f}")
                                                             for (rows, seed), r in results.items()]))
    print("\nrecall of three diseases never trained on: mean over draws with its 95 % interval; per disease; alerts of the whole population\n")
    print(table(["cases", "seed", "shots", "recall", "per disease", "alerts (highest)", "before", "each budget", "gate: known, novel, alerts", "top 1", "top 3"],
                [(f"{rows:,}", seed, shots, interval(r[shots]["recall"]), "/".join(f"{p:.2f}" for p in r[shots]["each"]),
                  f"{r[shots]['alerts'].mean():.4f} ({r[shots]['alerts'].max():.4f})", f"{r[shots]['before']:.4f}", f"{r[shots]['budget']:.4f}",
                  f"{r['gate recall']:.2f}, {r['gate novel']:.2f}, {r['gate alerts']:.4f}", f"{r[shots]['top1']:.2f}", f"{r[shots]['top3']:.2f}")
                 for (rows, seed), r in results.items() for shots in (1, 5)]))
    for rows in given.sizes:
        if rows != 10_000:
            continue
        of = [results[rows, seed] for seed in given.seeds]
        for shots, bar in ((1, 0.70), (5, 0.80)):
            pooled = np.concatenate([r[shots]["recall"] for r in of])
            bars.at_least(f"recall of new diseases, {shots} case{'s' * (shots > 1)} each, worst of {len(of)} seeds, {rows:,} cases", min(r[shots]["recall"].mean() for r in of), bar, "")
            print(f"\n{rows:,} cases, {shots} shots: recall {interval(pooled)} over {len(pooled)} draws")
        bars.at_most(f"alerts, worst of {len(of)} seeds, {rows:,} cases", max(r[shots]["alerts"].mean() for r in of for shots in (1, 5)), 0.045)
    sys.exit(bars.finish())


if __name__ == "__main__":
    main()
