"""Temporal heads beside the shipped one: python temporal.py --data DATA --cache CACHE --out OUT [--seeds 2]

The same looks, folds, training rule and frozen trunk as train.py, but the heads read the trunk's features picture by
picture instead of their mean and spread over time: `shift` moves an eighth of the channels one picture on and an eighth
one back before each convolution (TSM; Lin, Gan, Han 2019), `apart` has a convolution over the picture, then one over
time ((2+1)D; Tran et al. 2018). The shipped head is trained again on the same features, as the control.

Prints a table of Markdown; finished folds are kept in OUT. Ships nothing. Somewhat over an hour of a core.
"""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import features
import train
from figures import auc, by_group, summary
from motion_cnn import BaseConv, Head, motion

T, C = features.FRAMES, 128


class Pictures(nn.Module):
    """[N, T * C, h, w] -> [N, T * C', h, w]: how each picture's features differ from those `lags` pictures before, and the
    features themselves if `own`, in units of their spread."""

    def __init__(self, lags, own):
        super().__init__()
        self.lags, self.own = lags, own
        for name in ("mean", "std"):
            self.register_buffer(name, torch.zeros(C * (own + len(lags)), 1, 1))

    def raw(self, x):
        x = x.unflatten(1, (T, C))
        y = x.new_empty(len(x), T, len(self.mean), *x.shape[3:])
        if self.own:
            y[:, :, :C] = x
        for i, k in enumerate(self.lags, self.own):
            part = y[:, :, i * C: (i + 1) * C]
            torch.sub(x[:, k:], x[:, :-k], out=part[:, k:]).abs_()
            part[:, :k] = part[:, k: k + 1]  # the first pictures have none before them: the first difference again
        return y

    def learn(self, clips):
        x = torch.cat([self.raw(torch.from_numpy(c["clean"].astype(np.float32))).flatten(0, 1) for c in clips])
        self.mean.copy_(x.mean((0, 2, 3))[:, None, None])
        self.std.copy_(x.std((0, 2, 3))[:, None, None] + 1e-3)

    def forward(self, x):
        return self.raw(x).sub_(self.mean).div_(self.std).flatten(1, 2)


class Shift(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = BaseConv(width, width, 3)

    def forward(self, x):
        k = x.shape[2] // 8
        y = torch.zeros_like(x)
        y[:, 1:, :k] = x[:, :-1, :k]
        y[:, :-1, k: 2 * k] = x[:, 1:, k: 2 * k]
        y[:, :, 2 * k:] = x[:, :, 2 * k:]
        return x + self.conv(y.flatten(0, 1)).unflatten(0, x.shape[:2])


class Apart(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = BaseConv(width, width, 3)
        self.time = nn.Conv2d(width, width, (3, 1), padding=(1, 0), bias=False)
        self.bn = nn.BatchNorm2d(width, eps=1e-3, momentum=0.03)

    def forward(self, x):
        n, t, c, h, w = x.shape
        y = self.conv(x.flatten(0, 1)).view(n, t, c, h * w).transpose(1, 2)
        y = F.silu(self.bn(self.time(y)))
        return x + y.transpose(1, 2).reshape(x.shape)


class Temporal(nn.Module):
    """What Pictures gives -> logit [N]"""

    def __init__(self, ins, block, width, blocks=2, drop=0.4):
        super().__init__()
        self.reduce = BaseConv(ins, width)
        self.blocks = nn.Sequential(*(block(width) for _ in range(blocks)))
        self.fc = nn.Linear(2 * width, 1)
        self.drop = drop

    def forward(self, x):
        x = x.unflatten(1, (T, -1))
        x = x * F.dropout(torch.ones(len(x), 1, x.shape[2], 1, 1), self.drop / 2, self.training)
        x = self.blocks(self.reduce(x.flatten(0, 1)).unflatten(0, x.shape[:2]))
        pooled = torch.cat([x.mean((1, 3, 4)), x.amax((1, 3, 4))], 1)
        return self.fc(F.dropout(pooled, self.drop, self.training)).squeeze(-1)


# (lags, whether the pictures' own features are read too, width), for each kind on seed 0; the best there, by accuracy and
# AUC together, is trained on the other seeds too.
TRIED = {
    "one lag": ((1,), True, 32),
    "three lags": ((1, 2, 4), True, 48),
    "three lags, no pictures": ((1, 2, 4), False, 32),
}
KINDS = {"shift": Shift, "apart": Apart}


def untrained(kind, name):
    lags, own, width = TRIED[name]
    return nn.Sequential(Pictures(lags, own), Temporal(C * (own + len(lags)), KINDS[kind], width))


def fit(clips, seed, kind, name):
    torch.manual_seed(seed)
    pictures, head = untrained(kind, name)
    pictures.learn(clips)
    ready = torch.no_grad()(pictures.forward)
    return nn.Sequential(pictures, train.trained(head, clips, np.random.default_rng(seed), train.RATE, np.inf, ready))


def out_of_fold(clips, seed, kind, name, out):
    """Log-odds of every clip by heads that have not seen its group."""
    at = out / f"{kind} {name} {seed}.json"
    if not at.exists():
        scores = np.zeros(len(clips))
        for k, part in enumerate(train.folds(np.array([c["group"] for c in clips]), seed)):
            rest = [c for c, held in zip(clips, part) if not held]
            head = train.kept(out / f"heads/{kind} {name} {seed} {k}.pt", untrained(kind, name),
                              lambda: fit(rest, seed, kind, name))
            scores[part] = train.logits(head, [c for c, held in zip(clips, part) if held])
        at.write_text(json.dumps(scores.tolist()))
    return np.array(json.loads(at.read_text()))


def load(data, cache, views):
    """(clips with their pictures as [·, T * C, h, w], the same with the shipped head's maps)"""
    clips = features.compute(data, cache, views, made=features.planes, name="pictures")
    control = [dict(c) for c in clips]
    for clip, same in zip(clips, control):
        for part in ("clean", "looks"):
            x = clip[part]
            same[part] = motion(torch.from_numpy(x.astype(np.float32))).numpy().astype(np.float16)
            x = np.pad(x, ((0, 0), (0, T - x.shape[1]), *[(0, 0)] * 3), "reflect")  # few clips are short: and back
            clip[part] = x.reshape(len(x), T * C, *x.shape[3:])
    return clips, control


def difference(clips, scores, control):
    """Accuracy and AUC less the control's, each with its interval over groups."""
    y = np.array([c["target"] for c in clips])
    gain = dict(accuracy=lambda i: ((scores[i] > 0) == y[i]).mean() - ((control[i] > 0) == y[i]).mean(),
                auc=lambda i: auc(y[i], scores[i]) - auc(y[i], control[i]))
    return {k: [round(float(f(np.arange(len(y)))), 3), *by_group(clips, f)] for k, f in gain.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    clips, same = load(args.data, args.cache, args.views)
    seeds = range(args.seeds)
    control = [train.out_of_fold(same, seed, out / "control", np.inf) for seed in seeds]
    table = [("shipped head", s, f, f) for s, f in zip(seeds, control)]
    value = lambda scores: sum(summary(clips, scores)[k][0] for k in ("accuracy", "auc"))
    best = []
    for kind in KINDS:
        first = {name: out_of_fold(clips, 0, kind, name, out) for name in TRIED}
        name = max(first, key=lambda n: value(first[n]))
        best.append((f"{kind}, {name}", [out_of_fold(clips, s, kind, name, out) for s in seeds]))
        table += [(f"{kind}, {n}", 0, f, control[0]) for n, f in first.items()]
        table += [(best[-1][0], s, best[-1][1][s], control[s]) for s in seeds[1:]]
    best.sort(key=lambda b: value(b[1][0]))
    name, scores = best[-1]
    table += [(f"shipped head and {name}", s, (scores[s] + control[s]) / 2, control[s]) for s in seeds]
    mean = np.mean(control, 0)
    table += [("shipped head", "mean", mean, mean)] + [(name, "mean", np.mean(f, 0), mean) for name, f in best]
    table.append((f"shipped head and {name}", "mean", (np.mean(scores, 0) + mean) / 2, mean))
    print("| head | seed | accuracy | 95 % | less the shipped head's | AUC | 95 % | less the shipped head's |")
    print("|---|---|---|---|---|---|---|---|")
    for name, seed, scores, beside in table:
        cells, less = summary(clips, scores), difference(clips, scores, beside)
        print(f"| {name} | {seed} |", " ".join(
            f"{v:.3f} | {a:.3f} to {b:.3f} | {f'{d:+.3f} ({e:+.3f} to {f:+.3f})' if scores is not beside else ''} |"
            for v, a, b, d, e, f in (cells[k] + less[k] for k in less)))


if __name__ == "__main__":
    main()
