"""YOLOX (Ge et al. 2021) with the module names of the official implementation, so that its checkpoints fit.

Input [N, 3, H, W], sides multiples of 32. Output [N, A, 5 + classes], the levels of stride 8, 16 and 32 one after
another, row by row: cx, cy, w, h as the network gives them (see `boxes`), objectness and classes as logits.
"""
import torch
from torch import nn
from torch.nn import functional as F

STRIDES = (8, 16, 32)


class BaseConv(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(self, ins, outs, kernel=1, stride=1, groups=1):
        super().__init__()
        self.conv = nn.Conv2d(ins, outs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outs, eps=1e-3, momentum=0.03)

    def forward(self, x):
        return F.silu(self.bn(self.conv(x)))


class DWConv(nn.Module):
    """A depthwise convolution, then a pointwise one."""

    def __init__(self, ins, outs, kernel=3, stride=1):
        super().__init__()
        self.dconv = BaseConv(ins, ins, kernel, stride, groups=ins)
        self.pconv = BaseConv(ins, outs)

    def forward(self, x):
        return self.pconv(self.dconv(x))


class Bottleneck(nn.Module):
    def __init__(self, width, shortcut, conv):
        super().__init__()
        self.conv1, self.conv2, self.shortcut = BaseConv(width, width), conv(width, width, 3), shortcut

    def forward(self, x):
        y = self.conv2(self.conv1(x))
        return x + y if self.shortcut else y


class CSPLayer(nn.Module):
    def __init__(self, ins, outs, n, conv, shortcut=True):
        super().__init__()
        hidden = outs // 2
        self.conv1, self.conv2, self.conv3 = BaseConv(ins, hidden), BaseConv(ins, hidden), BaseConv(2 * hidden, outs)
        self.m = nn.Sequential(*(Bottleneck(hidden, shortcut, conv) for _ in range(n)))

    def forward(self, x):
        return self.conv3(torch.cat([self.m(self.conv1(x)), self.conv2(x)], 1))


class SPPBottleneck(nn.Module):
    """Max pools of 5, 9 and 13; two chained pools of 5 are one of 9, three are one of 13."""

    def __init__(self, width):
        super().__init__()
        self.conv1, self.conv2 = BaseConv(width, width // 2), BaseConv(width * 2, width)

    def forward(self, x):
        pools = [self.conv1(x)]
        for _ in range(3):
            pools.append(F.max_pool2d(pools[-1], 5, 1, 2))
        return self.conv2(torch.cat(pools, 1))


class Focus(nn.Module):
    """2x2 neighbours become channels: top left, bottom left, top right, bottom right."""

    def __init__(self, outs):
        super().__init__()
        self.conv = BaseConv(12, outs, 3)

    def forward(self, x):
        corners = [x[..., 0::2, 0::2], x[..., 1::2, 0::2], x[..., 0::2, 1::2], x[..., 1::2, 1::2]]
        return self.conv(torch.cat(corners, 1))


class CSPDarknet(nn.Module):
    def __init__(self, base, n, conv):
        super().__init__()
        c2, c3, c4, c5 = (base * 2**i for i in range(1, 5))
        self.stem = Focus(base)
        self.dark2 = nn.Sequential(conv(base, c2, 3, 2), CSPLayer(c2, c2, n, conv))
        self.dark3 = nn.Sequential(conv(c2, c3, 3, 2), CSPLayer(c3, c3, 3 * n, conv))
        self.dark4 = nn.Sequential(conv(c3, c4, 3, 2), CSPLayer(c4, c4, 3 * n, conv))
        self.dark5 = nn.Sequential(conv(c4, c5, 3, 2), SPPBottleneck(c5), CSPLayer(c5, c5, n, conv, False))

    def forward(self, x):
        c3 = self.dark3(self.dark2(self.stem(x)))
        c4 = self.dark4(c3)
        return c3, c4, self.dark5(c4)


class YOLOPAFPN(nn.Module):
    def __init__(self, base, n, conv):
        super().__init__()
        c3, c4, c5 = base * 4, base * 8, base * 16
        self.backbone = CSPDarknet(base, n, conv)
        self.lateral_conv0 = BaseConv(c5, c4)
        self.C3_p4 = CSPLayer(2 * c4, c4, n, conv, False)
        self.reduce_conv1 = BaseConv(c4, c3)
        self.C3_p3 = CSPLayer(2 * c3, c3, n, conv, False)
        self.bu_conv2 = conv(c3, c3, 3, 2)
        self.C3_n3 = CSPLayer(2 * c3, c4, n, conv, False)
        self.bu_conv1 = conv(c4, c4, 3, 2)
        self.C3_n4 = CSPLayer(2 * c4, c5, n, conv, False)

    def forward(self, x):
        def up(y):
            return F.interpolate(y, scale_factor=2.0, mode="nearest")

        c3, c4, c5 = self.backbone(x)
        f0 = self.lateral_conv0(c5)
        f1 = self.reduce_conv1(self.C3_p4(torch.cat([up(f0), c4], 1)))
        p3 = self.C3_p3(torch.cat([up(f1), c3], 1))
        p4 = self.C3_n3(torch.cat([self.bu_conv2(p3), f1], 1))
        return p3, p4, self.C3_n4(torch.cat([self.bu_conv1(p4), f0], 1))


class YOLOXHead(nn.Module):
    def __init__(self, base, classes, conv):
        super().__init__()
        h = base * 4

        def each(build):
            return nn.ModuleList(build(c) for c in (base * 4, base * 8, base * 16))

        self.stems = each(lambda c: BaseConv(c, h))
        self.cls_convs = each(lambda _: nn.Sequential(conv(h, h, 3), conv(h, h, 3)))
        self.reg_convs = each(lambda _: nn.Sequential(conv(h, h, 3), conv(h, h, 3)))
        self.cls_preds = each(lambda _: nn.Conv2d(h, classes, 1))
        self.reg_preds = each(lambda _: nn.Conv2d(h, 4, 1))
        self.obj_preds = each(lambda _: nn.Conv2d(h, 1, 1))
        for pred in (*self.cls_preds, *self.obj_preds):
            nn.init.constant_(pred.bias, -4.6)  # a prior of 0.01

    def forward(self, levels):
        outs = []
        for i, x in enumerate(levels):
            x = self.stems[i](x)
            reg = self.reg_convs[i](x)
            out = torch.cat([self.reg_preds[i](reg), self.obj_preds[i](reg), self.cls_preds[i](self.cls_convs[i](x))], 1)
            outs.append(out.flatten(2).transpose(1, 2))
        return torch.cat(outs, 1)


class YOLOX(nn.Module):
    def __init__(self, classes, width=0.25, depth=0.33, depthwise=False):
        super().__init__()
        conv = DWConv if depthwise else BaseConv
        base, n = int(width * 64), max(1, round(depth * 3))
        self.backbone = YOLOPAFPN(base, n, conv)
        self.head = YOLOXHead(base, classes, conv)

    def forward(self, x):
        return self.head(self.backbone(x))


def grid(height, width=None):
    """Cells [A, 2] (x, y) and strides [A, 1] for a picture of so many pixels, square by default."""
    cells, strides = [], []
    for s in STRIDES:
        rows, columns = height // s, (width or height) // s
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        cells.append(torch.stack([x, y], -1).view(-1, 2).float())
        strides.append(torch.full((rows * columns, 1), float(s)))
    return torch.cat(cells), torch.cat(strides)


def boxes(raw, height, width=None):
    """Raw output -> x1, y1, x2, y2 in pixels of the letterboxed picture, square by default."""
    cells, strides = grid(height, width)
    centre = (raw[..., :2] + cells) * strides
    half = torch.exp(raw[..., 2:4].clamp(-4, 6)) * strides / 2
    return torch.cat([centre - half, centre + half], -1)


def exported(raw):
    """What the official export gives: the boxes as they are, sigmoid of the rest."""
    return torch.cat([raw[..., :4], raw[..., 4:].sigmoid()], -1)


def pictures(u8):
    """[N, S, S, 3] BGR bytes -> the network's input."""
    return ((u8.permute(0, 3, 1, 2).float() - 114) / 64).contiguous(memory_format=torch.channels_last)


def count(model, size=416):
    """(parameters, floating-point operations of the convolutions for one picture; a multiply-add is two)."""
    total, hooks = [0], []
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            def add(m, _, out):
                total[0] += 2 * out.numel() * m.weight[0].numel()
            hooks.append(m.register_forward_hook(add))
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, size, size))
    for h in hooks:
        h.remove()
    return sum(p.numel() for p in model.parameters()), total[0]
