"""face_fpn: a small one-stage face detector of plain 3x3 convolutions; strides 8, 16, 32 with a top-down path."""
import torch
from torch import nn

STRIDES = (8, 16, 32)
CHANNELS = (24, 48, 96)
OUTS = 15  # score, centre x and y, ln of width and height, five points; all but the score in strides from the cell's middle
MEAN, SCALE = 114.0, 1 / 64


class Block(nn.Module):
    def __init__(self, ins, outs, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(ins, outs, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(outs, eps=1e-3)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x)))


class FaceFpn(nn.Module):
    """[N, 3, H, W] BGR, (x - 114) / 64, sides multiples of 32 -> [N, cells, 15], strides 8, 16, 32, row by row."""

    def __init__(self, channels=CHANNELS):
        super().__init__()
        a, b, c = channels
        self.stem = nn.ModuleList([Block(3, a, 2), Block(a, b, 2)])
        self.down = nn.ModuleList([Block(b, c, 2), Block(c, c, 2), Block(c, c, 2)])
        self.refine = nn.ModuleList(Block(c, c) for _ in STRIDES)
        self.heads = nn.ModuleList(Block(c, c) for _ in STRIDES)
        self.preds = nn.ModuleList(nn.Conv2d(c, OUTS, 1) for _ in STRIDES)
        for pred in self.preds:
            nn.init.constant_(pred.bias, 0)
            nn.init.constant_(pred.bias[:1], -4.0)

    def forward(self, x):
        for block in self.stem:
            x = block(x)
        levels = []
        for down, refine in zip(self.down, self.refine):
            x = down(x)
            x = x + refine(x)
            levels.append(x)
        for i in (1, 0):
            levels[i] = levels[i] + nn.functional.interpolate(levels[i + 1], scale_factor=2, mode="nearest")
        out = [pred(head(x)).flatten(2) for pred, head, x in zip(self.preds, self.heads, levels)]
        return torch.cat(out, 2).transpose(1, 2)


def of(state):
    """The network that these weights belong to, holding them in f32."""
    model = FaceFpn([len(state[f"{block}.conv.weight"]) for block in ("stem.0", "stem.1", "down.0")])
    missing, extra = model.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    if extra or any(not k.endswith("num_batches_tracked") for k in missing):
        raise SystemExit("these are no weights of this network")
    return model


def cells(height, width):
    """[cells, 3]: middle x and y in pixels, stride."""
    parts = []
    for s in STRIDES:
        y, x = torch.meshgrid(torch.arange(height // s), torch.arange(width // s), indexing="ij")
        parts.append(torch.stack([(x + 0.5) * s, (y + 0.5) * s, torch.full_like(x, s, dtype=torch.float32)], -1).view(-1, 3))
    return torch.cat(parts)


def decode(raw, at):
    """(boxes [.., 4], points [.., 10]) in pixels."""
    middle, stride = at[:, :2], at[:, 2:]
    centre = middle + raw[..., 1:3] * stride
    half = torch.exp(raw[..., 3:5].clamp(-4, 6)) * stride / 2
    points = middle.repeat(1, 5) + raw[..., 5:] * stride
    return torch.cat([centre - half, centre + half], -1), points


def pictures(u8):
    """[N, H, W, 3] BGR bytes -> the network's input."""
    return ((u8.permute(0, 3, 1, 2).float() - MEAN) * SCALE).contiguous(memory_format=torch.channels_last)
