"""Reference values for the reference cohort, from its definition in numpy (reference_cohort.py).

    pip install numpy
    python reference_scores.py FOLDER_OF_reference_cohort.py > reference_scores.json

Two predictors are scored for each preset, with and without the novel diseases: the truth itself, and one made by integer
arithmetic on the levels (in the product's order of blood groups: A, B, AB, O), rich in ties.
"""
import io, json, platform, sys
from contextlib import redirect_stdout
import numpy as np

sys.path.insert(0, sys.argv[1])
import reference_cohort as rc

assert rc.BLOOD == ["O", "A", "B", "AB"]
age, gender, blood, pressure, days = (a.ravel() for a in np.indices(rc.SHAPE))
blood = np.array([3, 0, 1, 2])[blood]  # to the product's order
made_score = ((age * 31 + gender * 17 + blood * 29 + pressure * 23 + days * 19) % 101) / 101
made_class = (age // 20 + gender + 2 * blood + pressure + days // 9) % 4


def report(cohort, score, decided):
    with redirect_stdout(io.StringIO()):
        out = rc.report("", cohort, cohort.p_severity, score, decided)
    out["f1"] = rc.macro_f1(cohort, decided).tolist()  # report rounds them
    del out["name"]
    return out


def marginals(cohort):
    """Exact population values that do not depend on the order of cells."""
    w, shape = cohort.weight, rc.SHAPE
    of = lambda axis: cohort.weight.reshape(shape).sum(tuple(a for a in range(5) if a != axis)).tolist()
    probe = [(0, 0, "O", "normal", 0), (35, 1, "A", "elevated", 21), (64, 0, "B", "crisis", 2), (12, 1, "AB", "stage_1", 0), (71, 1, "O", "normal", 1)]
    cells = [np.ravel_multi_index((a, g, rc.BLOOD.index(b), rc.PRESSURE.index(p), d), shape) for a, g, b, p, d in probe]
    return {"age": of(0), "gender": of(1), "blood_type": dict(zip(rc.BLOOD, of(2))), "blood_pressure": of(3), "exercise": of(4),
            "severity": (w[:, None] * cohort.p_severity).sum(0).tolist(),
            "probes": [{"cell": list(q), "weight": w[c], "severity": cohort.p_severity[c].tolist(), "orphan": cohort.p_orphan[c]} for q, c in zip(probe, cells)]}


out = []
for preset in ("epidemiology", "hard", "reference", "easy"):
    for novel in (False, True):
        c = rc.Cohort(preset, novel)
        out.append({"preset": preset, "novel": novel, "truth": report(c, c.p_orphan, c.p_severity.argmax(1)),
                    "made": report(c, made_score, made_class), "marginals": marginals(c)})

# Pressures within each category: shares of rounded, redrawn normal pairs, for comparison with exact ones.
rng = np.random.default_rng(1); n = 400_000; c = rc.Cohort("reference"); pressures = []
for category in range(5):
    s, d = rc.pressures(c, np.full(n, category), rng)
    edges_s, edges_d = np.quantile(s, [0.1, 0.3, 0.5, 0.7, 0.9]).round().astype(int), np.quantile(d, [0.1, 0.3, 0.5, 0.7, 0.9]).round().astype(int)
    pressures.append({"n": n, "mean": [s.mean(), d.mean()], "sd": [s.std(), d.std()], "correlation": np.corrcoef(s, d)[0, 1],
                      "systolic_at_most": [[int(e), float((s <= e).mean())] for e in edges_s],
                      "diastolic_at_most": [[int(e), float((d <= e).mean())] for e in edges_d]})
print(json.dumps({"made_by": "reference_scores.py", "numpy": np.__version__, "python": platform.python_version(), "scores": out, "pressures": pressures}))
