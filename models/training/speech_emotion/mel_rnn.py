"""mel_rnn: strided 3x3 convolutions over log-mel features of any length, then a GRU or attention over time."""
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.append(str(Path(__file__).resolve().parents[1] / "sound"))
from mel import BANK, HANN  # noqa: E402

LABELS = ["anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness"]
CHANNELS, STRIDES, HIDDEN = [24, 48, 64, 64], [2, 2, 2, 1], 96
MEAN, SCALE, BANDS = -3.0, 0.4, 64
RATE_HZ, SHORTEST, LONGEST = 16_000, 15_360, 48_000
RMS = 0.05


def level(x):
    """[N, n] at a root mean square of 0.05, silence as it is."""
    rms = x.square().mean(-1, keepdim=True).sqrt()
    return (x * torch.where(rms > 1e-4, RMS / rms.clamp(min=1e-4), 1.0)).clamp(-1, 1)


def features(x, curve=None):
    """[N, n] -> [N, 1, n // 160, 64], the same as src/mel.rs; `curve` [N, 257] weighs the spectrum first."""
    frames = nn.functional.pad(x, (120, 280)).unfold(1, 400, 160)[:, : x.shape[1] // 160]
    bins = torch.fft.rfft(frames * torch.from_numpy(HANN), 512).abs()
    if curve is not None:
        bins = bins * curve[:, None]
    return ((torch.log(bins @ torch.from_numpy(BANK) + 1e-3) - MEAN) * SCALE)[:, None]


class Block(nn.Module):
    def __init__(self, ins, outs, stride):
        super().__init__()
        self.conv = nn.Conv2d(ins, outs, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(outs, eps=1e-3)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class MelRnn(nn.Module):
    """[N, 1, frames, 64] -> logits [N, labels].

    `time`: "gru", whose states are averaged; or "attention": a weight for each moment, softmax over time, of the same
    moments after a linear layer.
    """

    def __init__(self, time="gru", channels=CHANNELS, strides=STRIDES, hidden=HIDDEN, labels=len(LABELS)):
        super().__init__()
        ins = [1, *channels[:-1]]
        self.blocks = nn.ModuleList(Block(i, o, s) for i, o, s in zip(ins, channels, strides))
        bands = BANDS
        for s in strides:
            bands = (bands - 1) // s + 1
        wide, self.time = channels[-1] * bands, time
        if time == "gru":
            self.gru = nn.GRU(wide, hidden, batch_first=True)
        else:
            self.project = nn.Linear(wide, hidden)
            self.attend = nn.Linear(hidden, 1)
        self.head = nn.Linear(hidden, labels)

    def moments(self, x):
        """[N, moments, channels x bands]"""
        for block in self.blocks:
            x = block(x)
        return x.permute(0, 2, 1, 3).flatten(2)

    def pool(self, x):
        """[N, moments, channels x bands] -> [N, hidden]"""
        if self.time == "gru":
            return self.gru(x)[0].mean(1)
        x = torch.relu(self.project(x))
        return (self.attend(x).softmax(1) * x).sum(1)

    def forward(self, x):
        return self.head(self.pool(self.moments(x)))
