"""Makes shap_exact.json: exact Shapley values by the `shap` package's exact explainer.

A small model over four discrete features, given by a formula, is explained for some patients over a
weighted background; the weights are whole numbers, and the background is expanded to that many rows
because shap's masker averages rows alike. Written with shap 0.51.0, numpy 2.4.6, Python 3.11:

    python shap_exact.py > shap_exact.json
"""
import json
import numpy as np
import shap

dims = [7, 2, 3, 5]
cells = np.stack([a.ravel() for a in np.indices(dims)], 1)


def model(x):
    """Two outputs with interactions of every order and a jump, n x 2."""
    a, b, c, d = (x[:, i].astype(float) for i in range(4))
    p = 1 / (1 + np.exp(-(0.4 * a - 1.3 * b + 0.5 * c * d - 0.2 * a * b * c + np.where((a > 3) & (d < 2), 1.5, 0) - 1)))
    q = 1 / (1 + np.exp(-(np.sin(a * d) + b - 0.7 * c)))
    return np.stack([p, q], 1)


rng = np.random.default_rng(20261122)
weight = rng.poisson(0.4 + 0.8 * (cells[:, 0] + cells[:, 3] < 6), len(cells))      # correlated features, many zeros
background = np.repeat(cells, weight, axis=0)
patients = cells[rng.choice(len(cells), 20, replace=False)]
masker = shap.maskers.Independent(background, max_samples=len(background))
out = shap.explainers.ExactExplainer(model, masker)(patients)
json.dump({
    "made_by": f"shap {shap.__version__} ExactExplainer, numpy {np.__version__}; see shap_exact.py",
    "dims": dims,
    "model": model(cells).tolist(),
    "weights": weight.tolist(),
    "patients": patients.tolist(),
    "base_values": out.base_values.tolist(),
    "values": out.values.tolist(),
}, __import__("sys").stdout)
