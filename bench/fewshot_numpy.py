"""The few-shot training in numpy: the same network, episodes and optimiser, backward pass by hand, one thread.

usage:  fewshot_numpy.py FOLDER EPISODES SEED       FOLDER as fewshot.py writes it; prints CPU seconds and mean loss
"""
import json
import sys
import time
from pathlib import Path

import numpy as np

WAYS, SHOTS, QUERIES, RATE = 8, 5, 10, 2e-3
EACH, DIMS = SHOTS + QUERIES, [13, 64, 64, 16]


def views(flat):
    """Weight (inputs x outputs) and bias of every layer, inside one run of numbers: Adam then takes one pass."""
    layers, at = [], 0
    for inputs, outputs in zip(DIMS, DIMS[1:]):
        layers.append((flat[at:at + inputs * outputs].reshape(inputs, outputs), flat[at + inputs * outputs:at + (inputs + 1) * outputs]))
        at += (inputs + 1) * outputs
    return layers


def train(x, pools, episodes, seed):
    rng = np.random.default_rng(seed)
    size = sum((inputs + 1) * outputs for inputs, outputs in zip(DIMS, DIMS[1:]))
    flat, gradient, first, second = (np.zeros(size, np.float32) for _ in range(4))
    layers, by = views(flat), views(gradient)
    for weight, _ in layers:
        weight[...] = rng.normal(0, np.sqrt(2 / len(weight)), weight.shape)
    (w1, b1), (w2, b2), (w3, b3) = layers
    row, truth = np.arange(WAYS * QUERIES), np.repeat(np.arange(WAYS), QUERIES)
    by_z = np.empty((WAYS, EACH, DIMS[-1]), np.float32)
    losses = np.empty(episodes)
    for episode in range(episodes):
        drawn = []
        for disease in rng.permutation(len(pools))[:WAYS]:
            pool = pools[disease]
            # Without replacement where there are few; where there are many it makes no difference and is dearer.
            drawn.append(pool[rng.integers(0, len(pool), EACH)] if len(pool) >= 500 else rng.permutation(pool)[np.arange(EACH) % len(pool)])
        batch = x[np.concatenate(drawn)]
        h1 = batch @ w1; h1 += b1; np.maximum(h1, 0, out=h1)
        h2 = h1 @ w2; h2 += b2; np.maximum(h2, 0, out=h2)
        z = h2 @ w3; z += b3
        z = z.reshape(WAYS, EACH, -1)
        c, q = z[:, :SHOTS].mean(1), z[:, SHOTS:].reshape(WAYS * QUERIES, -1)
        p = 2 * (q @ c.T) - (c * c).sum(1)               # minus the squared distance, but for a term that all classes share
        p -= p.max(1, keepdims=True); np.exp(p, out=p); p /= p.sum(1, keepdims=True)
        losses[episode] = -np.log(p[row, truth]).mean()
        p[row, truth] -= 1; p /= WAYS * QUERIES
        by_z[:, SHOTS:] = (2 * (p @ c)).reshape(WAYS, QUERIES, -1)
        by_z[:, :SHOTS] = ((2 * (p.T @ q) - 2 * p.sum(0)[:, None] * c) / SHOTS)[:, None]
        g = by_z.reshape(WAYS * EACH, -1)
        np.matmul(h2.T, g, out=by[2][0]); g.sum(0, out=by[2][1])
        g = g @ w3.T; g *= h2 > 0
        np.matmul(h1.T, g, out=by[1][0]); g.sum(0, out=by[1][1])
        g = g @ w2.T; g *= h1 > 0
        np.matmul(batch.T, g, out=by[0][0]); g.sum(0, out=by[0][1])
        first *= 0.9; first += 0.1 * gradient
        second *= 0.999; second += 0.001 * gradient * gradient
        step, rate = episode + 1, RATE * (1 - episode / episodes)
        flat -= (rate / (1 - 0.9 ** step)) * first / (np.sqrt(second / (1 - 0.999 ** step)) + 1e-8)
    return losses


def main():
    folder, episodes, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    shape = json.loads((folder / "shape.json").read_text())
    x = np.fromfile(folder / "x.f32", np.float32).reshape(shape)
    cases = np.fromfile(folder / "cases.u32", np.uint32).reshape(-1, 4)
    pools = [np.repeat(of[:, 2], of[:, 3]) for d in np.unique(cases[:, 1]) if (of := cases[cases[:, 1] == d])[:, 3].sum() >= 2]
    train(x, pools, 20, seed)                             # libraries and caches warm
    begin = time.process_time()
    losses = train(x, pools, episodes, seed)
    print(json.dumps({"cpu_s": time.process_time() - begin, "loss": losses[-(episodes // 5):].mean()}))


if __name__ == "__main__":
    main()
