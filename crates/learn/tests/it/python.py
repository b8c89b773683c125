"""Prints the largest difference between probabilities that hoofbeat answered and those that the official package of its
learner answers from the saved model: python.py LEARNER MODEL COLUMNS CLASSES, with the rows in the file `x` (single
precision) and the probabilities in `p` (double precision), row after row.
"""
import sys

import numpy as np


def xgboost(model, x):
    import xgboost

    booster = xgboost.Booster({"nthread": 1}, model_file=model)
    return booster.predict(xgboost.DMatrix(x))


def lightgbm(model, x):
    import lightgbm

    return lightgbm.Booster(model_file=model).predict(x, num_threads=1)


def mlp(model, x):
    """What torch.nn.Sequential(Linear, ReLU, Linear, ReLU, Linear) computes with these tensors, in double precision."""
    from safetensors.numpy import load_file

    tensors = load_file(model)
    units = x.astype(np.float64)
    names = sorted({int(name.split(".")[0]) for name in tensors})
    for name in names:
        units = units @ tensors[f"{name}.weight"].T.astype(np.float64) + tensors[f"{name}.bias"]
        if name != names[-1]:
            units = np.maximum(units, 0)
    e = np.exp(units - units.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


learner, model, columns, classes = sys.argv[1:]
x = np.fromfile("x", "<f4").reshape(-1, int(columns))
p = np.fromfile("p", "<f8").reshape(-1, int(classes))
theirs = {"xgboost": xgboost, "lightgbm": lightgbm, "mlp": mlp}[learner](model, x)
assert theirs.shape == p.shape, (theirs.shape, p.shape)
print(np.abs(theirs - p).max())
