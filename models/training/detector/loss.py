"""SimOTA (Ge et al. 2021) and the loss: GIoU for boxes, cross-entropy for objectness and class.

`targets` [n, 8] on a batch: picture, class, x1, y1, x2, y2, objectness wanted, 1 = ignore.
"""
import functools

import torch
from torch.nn import functional as F

from yolox import STRIDES, boxes, grid

NEAR = torch.stack(torch.meshgrid(torch.arange(-2, 3), torch.arange(-2, 3), indexing="ij"), -1).view(-1, 2)
CANDIDATES = 10


@functools.cache
def centres(size):
    cells, strides = grid(size)
    return (cells + 0.5) * strides


def overlap(a, b):
    """(IoU, GIoU) of boxes side by side."""
    both = (torch.min(a[..., 2:], b[..., 2:]) - torch.max(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - both
    hull = (torch.max(a[..., 2:], b[..., 2:]) - torch.min(a[..., :2], b[..., :2])).prod(-1)
    iou = both / (union + 1e-7)
    return iou, iou - (hull - union) / (hull + 1e-7)


@torch.no_grad()
def assign(box, obj, cls, wanted, size):
    """Which anchors learn which object: (anchors, as indices into the flattened batch; rows of `wanted`)."""
    centre = (wanted[:, 2:4] + wanted[:, 4:6]) / 2
    anchors, inside_grid, inside_box, offset = [], [], [], 0
    for stride in STRIDES:  # the 5x5 cells around the centre, on each level
        n = size // stride
        cell = (centre / stride).floor().long()[:, None] + NEAR
        inside_grid.append(((cell >= 0) & (cell < n)).all(-1))
        cell = cell.clamp(0, n - 1)
        anchors.append(offset + cell[..., 1] * n + cell[..., 0])
        at = (cell.float() + 0.5) * stride
        inside_box.append(((at > wanted[:, None, 2:4]) & (at < wanted[:, None, 4:6])).all(-1))
        offset += n * n
    anchors, valid, within = (torch.cat(v, 1) for v in (anchors, inside_grid, inside_box))
    picture, kind = wanted[:, 0].long()[:, None], wanted[:, 1].long()
    iou = overlap(box[picture, anchors], wanted[:, None, 2:6])[0]
    p = (obj[picture, anchors].sigmoid()[..., None] * cls[picture, anchors].sigmoid()).clamp(1e-9).sqrt()
    p = p.clamp(1e-6, 1 - 1e-6)
    absent = -torch.log1p(-p)
    pk = p.gather(2, kind[:, None, None].expand(-1, p.shape[1], 1))[..., 0]
    cost = absent.sum(-1) + torch.log1p(-pk) - pk.log() - 3 * torch.log(iou + 1e-8) + 1e4 * ~within + 1e7 * ~valid
    many = torch.where(valid, iou, 0.0).topk(CANDIDATES, 1)[0].sum(1).int().clamp(1, CANDIDATES)
    best, at = cost.topk(CANDIDATES, 1, largest=False)
    row, j = ((torch.arange(CANDIDATES) < many[:, None]) & (best < 1e6)).nonzero(as_tuple=True)
    flat, price = picture[row, 0] * box.shape[1] + anchors[row, at[row, j]], best[row, j]
    order = price.argsort()  # an anchor that two objects want goes to the cheaper one
    flat, row = flat[order], row[order]
    flat, order = flat.sort(stable=True)
    first = torch.ones_like(flat, dtype=torch.bool)
    first[1:] = flat[1:] != flat[:-1]
    return flat[first], row[order][first]


def ignored(rows, n, size):
    """Mask [n, anchors] of the cells whose centre lies in an ignore box, and the nearest fine cell of each."""
    mask, at = torch.zeros(n, len(centres(size)), dtype=torch.bool), centres(size)
    hit = ((at > rows[:, None, 2:4]) & (at < rows[:, None, 4:6])).all(-1)
    row, anchor = hit.nonzero(as_tuple=True)
    mask[rows[row, 0].long(), anchor] = True
    cell = ((rows[:, 2:4] + rows[:, 4:6]) / 16).floor().long().clamp(0, size // 8 - 1)
    mask[rows[:, 0].long(), cell[:, 1] * (size // 8) + cell[:, 0]] = True
    return mask


def loss(raw, targets, size):
    """(loss, {part: value}, mask [N, A]) of raw output [N, A, 5 + classes]; in the mask are cells with a sure object."""
    box, obj, cls = boxes(raw, size), raw[..., 4], raw[..., 5:]
    wanted = targets[targets[:, 7] == 0]
    weight = (~ignored(targets[targets[:, 7] > 0], len(raw), size)).float().view(-1)
    want_obj = torch.zeros_like(weight)
    box_loss = cls_loss = raw.sum() * 0
    n = 1
    if len(wanted):
        at, row = assign(box, obj, cls, wanted, size)
        iou, giou = overlap(box.view(-1, 4)[at], wanted[row, 2:6])
        box_loss = (1 - giou).sum()
        kind = F.one_hot(wanted[row, 1].long(), cls.shape[-1]) * iou.detach().clamp(0, 1)[:, None]
        cls_loss = F.binary_cross_entropy_with_logits(cls.reshape(-1, cls.shape[-1])[at], kind, reduction="sum")
        want_obj[at], weight[at] = wanted[row, 6], 1.0
        n = max(1, len(at))
    obj_loss = (F.binary_cross_entropy_with_logits(obj.reshape(-1), want_obj, reduction="none") * weight).sum()
    parts = {"box": box_loss.item() / n, "objectness": obj_loss.item() / n, "class": cls_loss.item() / n}
    return (2.5 * box_loss + obj_loss + cls_loss) / n, parts, (want_obj == 1).view(obj.shape)


def distilled(raw, teacher, sure, size):
    """(loss, {part: value}) against the teacher's output for the same pictures [N, A, 5 + classes], as Teacher.raw has it.

    Cells in `sure` keep the objectness of their label: the teacher overlooks what people have marked.
    """
    there = teacher[..., 4]
    n = there.sum().clamp(min=1)
    obj_loss = F.binary_cross_entropy_with_logits(raw[..., 4], there, reduction="none")
    obj_loss = (obj_loss * ~sure).sum()
    at = there > 0.02
    weight, ours, its = there[at], raw[at], teacher[at]
    box_loss = ((1 - overlap(boxes(raw, size)[at], boxes(teacher, size)[at])[1]) * weight).sum()
    cls_loss = (F.binary_cross_entropy_with_logits(ours[:, 5:], its[:, 5:], reduction="none") * weight[:, None]).sum()
    named = {"its_box": box_loss, "its_objectness": obj_loss, "its_class": cls_loss}
    return (2.5 * box_loss + obj_loss + cls_loss) / n, {name: (value / n).item() for name, value in named.items()}
