"""face_cnn: 3x3 convolutions over a grey face, each stage's second one added to the first's output."""
import torch
from torch import nn

LABELS = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"]
SIZE = 48
CHANNELS = [32, 64, 128, 256]
FLOOR = 8.0  # grey levels added to a crop's deviation, so that a flat crop stays flat


class Block(nn.Module):
    def __init__(self, ins, outs):
        super().__init__()
        self.conv = nn.Conv2d(ins, outs, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(outs, eps=1e-3)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class FaceCnn(nn.Module):
    """[N, 1, 48, 48] standardised grey -> logits [N, labels]. A 2x2 max pool stands before each stage but the stem."""

    def __init__(self, channels=CHANNELS, labels=len(LABELS), dropout=0.3):
        super().__init__()
        self.dropout = dropout
        self.stem = Block(1, channels[0])
        self.enter = nn.ModuleList(Block(i, o) for i, o in zip(channels, channels[1:]))
        self.refine = nn.ModuleList(Block(o, o) for o in channels[1:])
        self.head = nn.Linear(channels[-1], labels)

    def embed(self, x):
        x = self.stem(x)
        for enter, refine in zip(self.enter, self.refine):
            x = enter(nn.functional.max_pool2d(x, 2))
            x = x + refine(x)
        return x.mean((2, 3))

    def forward(self, x):
        return self.head(nn.functional.dropout(self.embed(x), self.dropout, self.training))


def standardised(grey):
    """[N, H, W] grey levels -> [N, 1, H, W]: each crop less its mean, over its deviation + FLOOR."""
    x = grey.float()
    mean = x.mean((1, 2), keepdim=True)
    deviation = x.var((1, 2), keepdim=True, unbiased=False).sqrt()
    return ((x - mean) / (deviation + FLOOR))[:, None].contiguous(memory_format=torch.channels_last)
