"""Figures of a yes-or-no task on clips that come in groups."""
import numpy as np
from scipy.optimize import minimize_scalar


def auc(y, s):
    a, b = s[y == 1][:, None], s[y == 0][None]
    return float(((a > b).mean() + (a == b).mean() / 2)) if a.size and b.size else float("nan")


def by_group(clips, figure, times=2000):
    """95 % interval of `figure(indices)`, whole groups drawn: clips of one scene are not independent."""
    names = sorted({c["group"] for c in clips})
    members = [np.array([i for i, c in enumerate(clips) if c["group"] == g]) for g in names]
    rng = np.random.default_rng(0)
    drawn = [figure(np.concatenate([members[k] for k in rng.integers(0, len(names), len(names))])) for _ in range(times)]
    return [round(float(v), 3) for v in np.nanpercentile(drawn, [2.5, 97.5])]


def summary(clips, logits, threshold=0.0):
    """Accuracy at `threshold` (a logit), AUC and F1 of `fight`, each with its interval over groups."""
    y, s = np.array([c["target"] for c in clips]), np.asarray(logits)

    def f1(i):
        hit = ((s[i] > threshold) & (y[i] == 1)).sum()
        return 2 * hit / max(1, (s[i] > threshold).sum() + (y[i] == 1).sum())

    every = np.arange(len(y))
    figures = dict(accuracy=lambda i: ((s[i] > threshold) == y[i]).mean(), auc=lambda i: auc(y[i], s[i]), f1=f1)
    return dict(n=len(y)) | {k: [round(float(f(every)), 3), *by_group(clips, f)] for k, f in figures.items()}


def tempered(clips, logits):
    """(temperature, threshold as a probability): the least log loss; the best balanced accuracy, in the middle of the
    thresholds that reach it."""
    y, s = np.array([c["target"] for c in clips]), np.asarray(logits)
    loss = lambda t: np.logaddexp(0, s / t).mean() - (y * s / t).mean()
    t = minimize_scalar(loss, bounds=(0.2, 10), method="bounded").x
    p = 1 / (1 + np.exp(-s / t))
    grid = np.arange(0.2, 0.81, 0.01)
    balanced = np.array([((p[y == 1] >= g).mean() + (p[y == 0] < g).mean()) / 2 for g in grid])
    best = grid[balanced >= balanced.max() - 0.005]
    return round(float(t), 3), round(float(np.median(best)), 2)
