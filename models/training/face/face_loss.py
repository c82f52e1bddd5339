"""What a cell should say: which faces it stands for, and the loss of one batch.

A face belongs to the level whose range holds the geometric mean of its sides (ranges overlap), and there to the cells
near its middle. The score learns the IoU of the box (varifocal loss, Zhang et al. 2021), the box GIoU, the points L1.
"""
import torch

from face_fpn import decode

RANGES = {8: (0, 40), 16: (32, 96), 32: (80, 1e9)}  # pixels


def assign(at, rows):
    """For faces [m, 15] of one picture (score column < 0: ignore): (index of the face or -1 a cell, ignored cells)."""
    face = torch.full((len(at),), -1)
    ignored = torch.zeros(len(at), dtype=torch.bool)
    if not len(rows):
        return face, ignored
    box = rows[:, :4]
    centre, size = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
    away = (at[:, None, :2] - centre[None]).abs()
    inside = (away < size[None] * 0.6).all(2)
    ignored |= (inside & (rows[:, 4] < 0)[None]).any(1)
    side = size.prod(1).sqrt()
    low, high = (torch.tensor([RANGES[int(s)][k] for s in (8, 16, 32)]) for k in (0, 1))
    level = (at[:, 2] / 8).log2().long()
    fits = (side[None] >= low[level][:, None]) & (side[None] < high[level][:, None])
    near = (away < torch.maximum(0.6 * at[:, None, 2:], 0.22 * size[None])).all(2)
    wanted = fits & near & (rows[:, 4] >= 0)[None]
    # of several faces the smallest, which has the fewest cells
    cost = torch.where(wanted, side[None].expand(len(at), -1), torch.inf)
    best = cost.min(1)
    face = torch.where(best.values < torch.inf, best.indices, -1)
    # between the middle, where a cell has to answer, and the edge it may say what it likes
    ignored |= (away < size[None] * 0.35).all(2).any(1) & (face < 0) & ~near.any(1)
    return face, ignored & (face < 0)


def giou(a, b):
    lt, rb = torch.minimum(a[:, :2], b[:, :2]), torch.maximum(a[:, 2:], b[:, 2:])
    both = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - both + 1e-6
    hull = (rb - lt).prod(1) + 1e-6
    return both / union, both / union - (hull - union) / hull


def loss(raw, at, batch):
    """`raw` [N, cells, 15]; `batch`: faces [m, 15] a picture. Gives (loss, parts)."""
    score = raw[..., 0]
    box, points = decode(raw, at)
    wanted, keep = torch.zeros_like(score), torch.ones_like(score)
    box_loss = point_loss = score.new_zeros(())
    count = 1.0
    for i, rows in enumerate(batch):
        face, ignored = assign(at, rows)
        keep[i, ignored] = 0
        k = torch.where(face >= 0)[0]
        if len(k):
            true = rows[face[k]]
            iou, g = giou(box[i, k], true[:, :4])
            wanted[i, k] = iou.detach().clamp(0.05, 1)
            side = (true[:, 2:4] - true[:, :2]).prod(1).sqrt()
            box_loss = box_loss + (1 - g).sum()
            point_loss = point_loss + ((points[i, k] - true[:, 5:]).abs().mean(1) / side).sum()
            count += len(k)
    p = score.sigmoid()
    weight = torch.where(wanted > 0, wanted, 0.75 * p.detach() ** 2) * keep
    score_loss = torch.nn.functional.binary_cross_entropy_with_logits(score, wanted, weight=weight, reduction="sum")
    parts = dict(score=score_loss / count, box=box_loss / count, points=point_loss / count)
    total = parts["score"] + 1.5 * parts["box"] + 3 * parts["points"]
    return total, {k: v.item() for k, v in parts.items()}
