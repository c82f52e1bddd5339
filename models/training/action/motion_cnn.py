"""Fight or not on a clip: the detector's backbone on each frame, motion as differences of its features.

A frame's features come from the first four stages of CSP darknet (as in YOLOX) with the weights of our detector 1.1.0,
which has learned what persons look like. Motion is the absolute difference of features one, two and four frames apart: a
walk moves much farther in four frames than in one, blows come and go. Mean and spread of the motion over the clip,
and the mean picture, are maps that plain convolutions read.

Input [N, T, 3, H, W] BGR, (x - 114) / 64. Output: logit [N] and embedding [N, embedding].
"""
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.append(str(Path(__file__).resolve().parents[1] / "detector"))
from yolox import BaseConv, CSPLayer, Focus  # noqa: E402

LAGS = (1, 2, 4)


class Trunk(nn.Module):
    """[N, 3, H, W] -> [N, base * 8, H / 16, W / 16]"""

    def __init__(self, base=16, n=1):
        super().__init__()
        c2, c3, c4 = (base * 2**i for i in range(1, 4))
        self.stem = Focus(base)
        self.dark2 = nn.Sequential(BaseConv(base, c2, 3, 2), CSPLayer(c2, c2, n, BaseConv))
        self.dark3 = nn.Sequential(BaseConv(c2, c3, 3, 2), CSPLayer(c3, c3, 3 * n, BaseConv))
        self.dark4 = nn.Sequential(BaseConv(c3, c4, 3, 2), CSPLayer(c4, c4, 3 * n, BaseConv))

    def forward(self, x):
        return self.dark4(self.dark3(self.dark2(self.stem(x))))


def motion(f):
    """[N, T, C, H, W] -> [N, C * (1 + 2 * lags), H, W]: the mean picture, then mean and standard deviation over time
    of the motion at each lag."""
    maps = [f.mean(1)]
    for k in LAGS:
        d = (f[:, k:] - f[:, :-k]).abs()
        mean = d.mean(1)
        maps += [mean, ((d - mean[:, None]) ** 2).mean(1).sqrt()]
    return torch.cat(maps, 1)


class Head(nn.Module):
    """Motion maps [N, C, h, w] -> logit [N]; `embed` gives the pooled vector [N, 2 * width]."""

    def __init__(self, ins=128, reduce=48, width=64, drop=0.4, labels=1):
        super().__init__()
        self.reduce = BaseConv(ins * (1 + 2 * len(LAGS)), reduce)
        self.mix = BaseConv(reduce, width, 3)
        self.fc = nn.Linear(2 * width, labels)
        self.drop = drop

    def embed(self, maps):
        x = self.mix(self.reduce(maps))
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)

    def forward(self, maps):
        maps = nn.functional.dropout2d(maps, self.drop / 2, self.training)
        return self.fc(nn.functional.dropout(self.embed(maps), self.drop, self.training)).squeeze(-1)


class ActionNet(nn.Module):
    """The whole network, as it ships."""

    def __init__(self, base=16, **head):
        super().__init__()
        self.trunk, self.head = Trunk(base), Head(ins=8 * base, **{"labels": 2, **head})

    def forward(self, clip):
        """[N, T, 3, H, W] -> logits [N, labels] (their softmax is the answer), embedding [N, 2 * width]"""
        n, t = clip.shape[:2]
        embedding = self.head.embed(motion(self.trunk(clip.flatten(0, 1)).unflatten(0, (n, t))))
        return self.head.fc(embedding), embedding
