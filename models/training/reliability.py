"""How often finds are right, over how sure they say they are: a table, the expected calibration error, Platt's two numbers.

`parts` are the finds of each picture, rows [score, right or not, ...]. Intervals are 95 %: of an error over pictures drawn
again, of a share Wilson's.
"""
import numpy as np

from intervals import wilson


def ece(sure, right, bins=15):
    """Expected calibration error, over bins of equal width."""
    k = np.minimum((sure * bins).astype(int), bins - 1)
    return float(sum(abs(sure[k == b].sum() - right[k == b].sum()) for b in range(bins)) / max(1, len(sure)))


def calibration(parts, floor=0.0, resamples=1000):
    """Of the finds from score `floor` on."""
    kept = [r[r[:, 0] >= floor] for r in parts]
    rows, rng = np.concatenate(kept), np.random.default_rng(0)
    of = lambda rows: ece(rows[:, 0], rows[:, 1])
    drawn = [of(np.concatenate([kept[i] for i in rng.integers(0, len(kept), len(kept))])) for _ in range(resamples)]
    tenth = np.minimum((rows[:, 0] * 10).astype(int), 9)
    bins = [(k, rows[tenth == k]) for k in np.unique(tenth)]
    return dict(finds=len(rows), mean=float(rows[:, 0].mean()), right=float(rows[:, 1].mean()), ece=of(rows),
                interval95=[float(v) for v in np.percentile(drawn, [2.5, 97.5])],
                bins=[dict(score=int(k) / 10, finds=len(b), mean=float(b[:, 0].mean()), right=float(b[:, 1].mean()),
                           right95=wilson(int(b[:, 1].sum()), len(b))) for k, b in bins])


def logit(score):
    s = np.clip(score, 1e-6, 1 - 1e-6)
    return np.log(s / (1 - s))


def platt(rows, steps=50):
    """(a, b) so that 1 / (1 + exp(-(a logit(score) + b))) makes what is right likeliest (after Platt, 1999); Newton's steps."""
    x, y, w = np.column_stack([logit(rows[:, 0]), np.ones(len(rows))]), rows[:, 1], np.array([1.0, 0.0])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-x @ w))
        w += np.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]) + 1e-9 * np.eye(2), x.T @ (y - p))
    return float(w[0]), float(w[1])


def mapped(rows, numbers):
    """The same finds with the scores that `platt`'s two numbers make of theirs."""
    out = rows.copy()
    out[:, 0] = 1 / (1 + np.exp(-(numbers[0] * logit(rows[:, 0]) + numbers[1])))
    return out
