"""The numpy side of imbalance.py: the rows, the peer (imbalanced-learn's SMOTENC on the rows), and the comparison.

usage: python_smote_nc.py make ROWS ONE-IN SEED FOLDER             rows.csv and rows.npy: five levels and 0 or 1 for the rare class
       python_smote_nc.py resample ROWS.npy SEED OUT.npy UNIT...   five units: what each level is divided by
       python_smote_nc.py compare OURS.csv PEER.npy OTHER.npy      JSON: total variation distances

Only `resample` is measured. It draws the order of the rows anew from the seed, because the order decides which of the rows that tie for the
last neighbour's place are taken.
"""
import itertools
import json
import sys
from pathlib import Path

import numpy as np

DIMS = [121, 2, 4, 5, 32]
FEATURES = ["age", "gender", "blood_type", "blood_pressure", "exercise"]


def make(rows, one_in, seed, folder):
    """Patients of the reference cohort, drawn given the class, in random order."""
    sys.path.insert(0, str(Path(__file__).parent / "reference"))
    from reference_cohort import Cohort
    cohort, rng, orphans = Cohort(), np.random.default_rng(seed), rows // one_in

    def draw(n, orphan):
        joint = cohort.joint[cohort.is_orphan == orphan].sum(0)
        return rng.choice(len(joint), n, p=joint / joint.sum())

    levels = np.stack(np.unravel_index(np.concatenate([draw(rows - orphans, False), draw(orphans, True)]), DIMS), 1)
    labelled = rng.permutation(np.column_stack([levels, np.repeat([0, 1], [rows - orphans, orphans])]))
    np.savetxt(folder / "rows.csv", labelled, fmt="%d", delimiter=",")
    np.save(folder / "rows.npy", labelled)


def resample(rows, seed, out, units):
    from imblearn.over_sampling import SMOTENC
    rows = np.random.default_rng(seed).permutation(np.load(rows))
    x, y = rows[:, :5] / units, rows[:, 5]
    made = SMOTENC(categorical_features=[1, 2, 3], k_neighbors=5, random_state=seed).fit_resample(x, y)[0][len(rows):]
    np.save(out, np.rint(made * units).astype(np.int16))


def shares(levels, weights):
    """Distribution of every feature and every pair of features; numbers of a pair in tenths of their range."""
    coarse = [levels[:, f] * 10 // dim if dim > 5 else levels[:, f] for f, dim in enumerate(DIMS)]
    tables = {name: np.bincount(levels[:, f], weights, DIMS[f]) for f, name in enumerate(FEATURES)}
    for a, b in itertools.combinations(range(5), 2):
        tables[f"{FEATURES[a]}, {FEATURES[b]}"] = np.bincount(coarse[a] * 10 + coarse[b], weights, 100)
    return {name: counts / counts.sum() for name, counts in tables.items()}


def compare(ours, peer, other):
    counted = np.loadtxt(ours, delimiter=",", dtype=np.int64)
    peers = [np.load(file).astype(np.int64) for file in (peer, other)]
    ours, peer, other = shares(counted[:, :5], counted[:, 5]), *(shares(made, np.ones(len(made))) for made in peers)
    distance = lambda a, b: {name: np.abs(a[name] - b[name]).sum() / 2 for name in a}
    json.dump({"made": [int(counted[:, 5].sum()), *map(len, peers)], "distances": [distance(ours, peer), distance(ours, other), distance(peer, other)]},
              sys.stdout)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", rows, one_in, seed, folder]:
            make(int(rows), int(one_in), int(seed), Path(folder))
        case ["resample", rows, seed, out, *units] if len(units) == 5:
            resample(rows, int(seed), out, np.array(units, dtype=float))
        case ["compare", ours, peer, other]:
            compare(ours, peer, other)
        case _:
            sys.exit(__doc__)
