"""What the network finds in the held-out pictures, and what of it is true: IoU 0.5, greedy by score.

Street and fight pictures are measured against the teacher's boxes from 0.4 on, capston2 against human ones (people only).
"""
import numpy as np
import torch

from teacher import letterbox, overlap, suppress
from yolox import boxes, pictures

CLASSES = ("person", "bicycle", "car", "motorcycle", "bus", "truck")


@torch.no_grad()
def detect(model, images, size=416, floor=0.05, limit=0.45):
    """For each picture rows [class, x1, y1, x2, y2, score] in its own pixels."""
    found = []
    for start in range(0, len(images), 8):
        part = [letterbox(i, size) for i in images[start: start + 8]]
        raw = model(pictures(torch.from_numpy(np.stack([x for x, _ in part])))).float()
        box, score = boxes(raw, size).numpy(), (raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()).numpy()
        for j, (_, r) in enumerate(part):
            h, w = images[start + j].shape[:2]
            b, rows = box[j] / r, [np.zeros((0, 6))]
            b[:, 0::2], b[:, 1::2] = b[:, 0::2].clip(0, w), b[:, 1::2].clip(0, h)
            for c in range(score.shape[-1]):
                k = np.where(score[j][:, c] >= floor)[0]
                k = k[np.argsort(-score[j][k, c])[:300]]
                k = k[suppress(b[k], score[j][k, c], limit)] if len(k) else k
                rows.append(np.column_stack([np.full(len(k), c), b[k], score[j][k, c]]))
            found.append(np.concatenate(rows))
    return found


def matches(found, truth):
    """(scores, hit or not) of one picture's boxes of one class."""
    used, out = np.zeros(len(truth), bool), []
    for row in sorted(found, key=lambda r: -r[5]):
        hit = False
        if len(truth):
            iou = np.where(used, -1, overlap(row[None, 1:5], truth)[0][0])
            hit = iou.max() >= 0.5
            used[iou.argmax()] |= hit
        out.append((row[5], hit))
    return np.array(out, float).reshape(-1, 2)


def truth_of(picture, c):
    rows = picture["human"] if picture["src"] == "cap" else picture["plain"][picture["plain"][:, 5] >= 0.4]
    return rows[rows[:, 0] == c][:, 1:5]


def looked(model, held, size=416):
    """One look at each picture: dicts of src, name, twin, and `of`: {class: (its matches, how many there are)}."""
    model.eval()
    out = []
    for p, found in zip(held, detect(model, [p["img"] for p in held], size)):
        truths = {c: truth_of(p, c) for c in range(1 if p["src"] == "cap" else len(CLASSES))}
        of = {CLASSES[c]: (matches(found[found[:, 0] == c], truth), len(truth)) for c, truth in truths.items()}
        out.append(dict(src=p["src"], name=p["name"], twin=p["twin"], of=of))
    return out


def by_class(seen, least=1):
    """{class: (the matches of each picture, objects in each)} of the classes with so many objects or more."""
    out = {}
    for name in CLASSES:
        pairs = [s["of"][name] for s in seen if name in s["of"]]
        if sum(n for _, n in pairs) >= least:
            out[name] = [rows for rows, _ in pairs], np.array([n for _, n in pairs])
    return out


def precision_recall(parts, truths):
    rows = np.concatenate(parts) if parts else np.zeros((0, 2))
    rows = rows[np.argsort(-rows[:, 0], kind="stable")]
    hits = rows[:, 1].cumsum()
    return rows[:, 0], hits / np.arange(1, len(rows) + 1), hits / max(1, truths)


def average_precision(parts, truths):
    """Over 101 recall points, as COCO."""
    _, precision, recall = precision_recall(parts, truths)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.append(best, 0)[np.minimum(at, len(best))].mean())
