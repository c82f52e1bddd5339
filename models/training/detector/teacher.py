"""Boxes of the reference YOLOX-nano, for pictures that nobody has labelled."""
import cv2
import numpy as np
import onnx
import onnxruntime

COCO = (0, 1, 2, 3, 5, 7)  # person, bicycle, car, motorcycle, bus, truck
SIZE = 416


def cells(size=SIZE):
    parts = []
    for s in (8, 16, 32):
        y, x = np.mgrid[: size // s, : size // s]
        parts.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, s)], 1))
    return np.concatenate(parts).astype(np.float32)


def overlap(a, b):
    """For boxes [n,4] and [m,4]: IoU, share of a inside b, share of b inside a; each [n,m]."""
    lt, rb = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.clip(rb - lt, 0, None).prod(2)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(1)[:, None], (b[:, 2:] - b[:, :2]).prod(1)[None]
    return both / (area_a + area_b - both + 1e-9), both / (area_a + 1e-9), both / (area_b + 1e-9)


def suppress(box, score, limit):
    """Indices that greedy non-maximum suppression keeps, best first."""
    order, keep = np.argsort(-score, kind="stable"), []
    while len(order):
        keep.append(order[0])
        order = order[1:][overlap(box[order[:1]], box[order[1:]])[0][0] <= limit]
    return np.array(keep, int)


def letterbox(picture, size):
    """The picture at the top left of a grey square, and the factor it was scaled by."""
    h, w = picture.shape[:2]
    r = min(size / h, size / w)
    out = np.full((size, size, 3), 114, np.uint8)
    small = cv2.resize(picture, (max(1, int(w * r)), max(1, int(h * r))), interpolation=cv2.INTER_LINEAR)
    out[: small.shape[0], : small.shape[1]] = small
    return out, r


class Teacher:
    """Rows of boxes are [class, x1, y1, x2, y2, score]."""

    def __init__(self, path, size=SIZE):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        network = onnx.load(path)  # written down for one size, though nothing in it depends on that
        for side in network.graph.input[0].type.tensor_type.shape.dim[2:]:
            side.dim_value = size
        del network.graph.value_info[:]
        network.graph.output[0].type.tensor_type.ClearField("shape")
        self.session = onnxruntime.InferenceSession(network.SerializeToString(), options,
                                                    providers=["CPUExecutionProvider"])
        self.cells = cells()

    def raw(self, square):
        """Of a square picture [S, S, 3], in the layout of the student: box as coded, objectness, six classes.

        Objectness is that of our classes: what looks more like one of the teacher's other 74 is taken off.
        """
        out = self.session.run(None, {"images": square.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
        ours = out[:, 5:][:, COCO]
        objectness = out[:, 4] * ours.max(1) / (out[:, 5:].max(1) + 1e-9)
        return np.column_stack([out[:, :4], objectness, ours])

    def look(self, picture, floor=0.1):
        """Once over the picture."""
        h, w = picture.shape[:2]
        x, r = letterbox(picture, SIZE)
        out = self.session.run(None, {"images": x.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
        stride = self.cells[:, 2:]
        centre, half = (out[:, :2] + self.cells[:, :2]) * stride, np.exp(out[:, 2:4]) * stride / 2
        box = np.concatenate([centre - half, centre + half], 1) / r
        box[:, 0::2], box[:, 1::2] = box[:, 0::2].clip(0, w), box[:, 1::2].clip(0, h)
        rows = [np.zeros((0, 6))]
        for c, coco in enumerate(COCO):
            score = out[:, 4] * out[:, 5 + coco]
            k = np.where(score >= floor)[0]
            k = k[suppress(box[k], score[k], 0.5)] if len(k) else k
            rows.append(np.column_stack([np.full(len(k), c), box[k], score[k]]))
        return np.concatenate(rows)

    def label(self, picture, tiles=True):
        """(rows for training, rows of the plain look): plain and mirrored averaged, small objects from tiles added."""
        plain = self.look(picture)
        mirrored = self.look(picture[:, ::-1].copy())
        mirrored[:, [1, 3]] = picture.shape[1] - mirrored[:, [3, 1]]
        rows = average(plain, mirrored)
        return (self.add_tiles(picture, rows) if tiles else rows), plain

    def add_tiles(self, picture, rows):
        """Four tiles of 60 % of each side, each upscaled to 416: what is small and whole in one of them is added."""
        h, w = picture.shape[:2]
        tw, th, found = int(w * 0.6), int(h * 0.6), []
        for ty in (0, h - th):
            for tx in (0, w - tw):
                d = self.look(picture[ty: ty + th, tx: tx + tw], 0.15)
                whole = (d[:, 1] > 4 if tx else d[:, 3] < tw - 4) & (d[:, 2] > 4 if ty else d[:, 4] < th - 4)
                d = d[whole] + np.array([0, tx, ty, tx, ty, 0])
                found.append(d[np.maximum((d[:, 3] - d[:, 1]) / w, (d[:, 4] - d[:, 2]) / h) < 0.35])
        found = np.concatenate(found)
        for x in found[np.argsort(-found[:, 5])]:
            same = np.where(rows[:, 0] == x[0])[0]
            if len(same):
                iou, inside, holds = (v[0] for v in overlap(x[None, 1:5], rows[same, 1:5]))
                if iou.max() > 0.45:
                    j = same[iou.argmax()]
                    if x[5] > rows[j, 5]:
                        rows[j] = x
                    continue
                if ((np.maximum(inside, holds) > 0.7) & (rows[same, 5] >= 0.35)).any():
                    continue  # part of an object that is known already
            rows = np.concatenate([rows, x[None] * np.array([1, 1, 1, 1, 1, 0.95])])
        return rows


def average(a, b):
    """Boxes that both looks found, by mean score; those that one found count little over a half."""
    out, used = [], np.zeros(len(b), bool)
    for x in a[np.argsort(-a[:, 5])]:
        match = np.where((b[:, 0] == x[0]) & ~used)[0]
        iou = overlap(x[None, 1:5], b[match, 1:5])[0][0] if len(match) else np.zeros(0)
        if len(match) and iou.max() > 0.5:
            y = b[match[iou.argmax()]]
            used[match[iou.argmax()]] = True
            out.append([x[0], *((x[1:5] * x[5] + y[1:5] * y[5]) / (x[5] + y[5])), (x[5] + y[5]) / 2])
        else:
            out.append([*x[:5], x[5] / 2 + 0.03])
    out += [[*y[:5], y[5] / 2 + 0.03] for y in b[~used]]
    return np.array(out).reshape(-1, 6)
