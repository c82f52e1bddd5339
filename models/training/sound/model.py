"""mel_cnn: plain 3x3 convolutions over a log-mel patch, pooled over bands, then over time."""
import torch
from torch import nn

LABELS = ["gunshot", "explosion", "glass_break", "siren", "baby_cry", "dog_bark", "speech", "background"]
CHANNELS = [16, 32, 64, 96, 128]
POOL_AFTER = [0, 1, 2, 3]
TIME = "mean_max"
MEAN, SCALE = -3.0, 0.4


class Block(nn.Module):
    def __init__(self, ins, outs):
        super().__init__()
        self.conv = nn.Conv2d(ins, outs, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(outs, eps=1e-3)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class MelCnn(nn.Module):
    """[N, 1, 96, 64] -> logits [N, labels]; `embed` gives the pooled vector before the head.

    `time` is "mean", or "mean_max": the mean and the maximum over time of what bands give on average, added up (Kong et
    al., PANNs, 2020), so that a short sound isn't drowned in its patch.
    """

    def __init__(self, channels=CHANNELS, pool_after=POOL_AFTER, labels=len(LABELS), time=TIME):
        super().__init__()
        ins = [1, *channels[:-1]]
        self.blocks = nn.ModuleList(Block(i, o) for i, o in zip(ins, channels))
        self.pool_after, self.time = set(pool_after), time
        self.head = nn.Linear(channels[-1], labels)

    def embed(self, x):
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.pool_after:
                x = nn.functional.max_pool2d(x, 2)
        x = x.mean(3)
        return x.mean(2) + x.amax(2) if self.time == "mean_max" else x.mean(2)

    def forward(self, x):
        return self.head(self.embed(x))
