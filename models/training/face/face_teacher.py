"""Faces of the reference YuNet, for pictures in which nobody has marked them.

Rows are [x1, y1, x2, y2, score, five points as x, y]: right eye, left eye, nose, right and left corner of the mouth,
as the person has them (the right eye is on the left of the picture).
"""
import cv2
import numpy as np

MIRRORED = (1, 0, 2, 4, 3)  # which point becomes which in a mirror


def overlap(a, b):
    """IoU of boxes [n, 4] and [m, 4]."""
    lt, rb = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    both = np.clip(rb - lt, 0, None).prod(2)
    area_a, area_b = (a[:, 2:4] - a[:, :2]).prod(1)[:, None], (b[:, 2:4] - b[:, :2]).prod(1)[None]
    return both / (area_a + area_b - both + 1e-9)


def mirrored(rows, width):
    """The same faces in the mirrored picture."""
    out = rows.copy()
    out[:, [0, 2]] = width - rows[:, [2, 0]]
    points = rows[:, 5:].reshape(-1, 5, 2)[:, MIRRORED].copy()
    points[..., 0] = width - points[..., 0]
    out[:, 5:] = points.reshape(-1, 10)
    return out


class FaceTeacher:
    def __init__(self, path):
        self.net = cv2.FaceDetectorYN.create(str(path), "", (320, 320), 0.25, 0.4, 2000)

    def look(self, picture):
        h, w = picture.shape[:2]
        self.net.setInputSize((w, h))
        found = self.net.detect(picture)[1]
        rows = np.zeros((0, 15), np.float32) if found is None else np.asarray(found, np.float32)
        box = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1)
        return np.concatenate([box, rows[:, 14:15], rows[:, 4:14]], 1)

    def both_ways(self, picture):
        """Plain and mirrored looks averaged; what one of them missed counts half."""
        a, b = self.look(picture), mirrored(self.look(np.ascontiguousarray(picture[:, ::-1])), picture.shape[1])
        iou, out, used = overlap(a, b), [], set()
        for i, row in enumerate(a):
            j = int(iou[i].argmax()) if len(b) else -1
            if j >= 0 and iou[i, j] > 0.4 and j not in used:
                used.add(j)
                out.append((row + b[j]) / 2)
            else:
                out.append(row * np.r_[np.ones(4), 0.5, np.ones(10)])
        out += [row * np.r_[np.ones(4), 0.5, np.ones(10)] for j, row in enumerate(b) if j not in used]
        return np.array(out, np.float32).reshape(-1, 15)

    def label(self, picture):
        """(faces over two scales for training, faces of one plain look for measuring)"""
        h, w = picture.shape[:2]
        rows = self.both_ways(picture)
        large = self.both_ways(cv2.resize(picture, (2 * w, 2 * h), interpolation=cv2.INTER_CUBIC))
        large[:, :4] /= 2
        large[:, 5:] /= 2
        every = np.concatenate([rows, large])
        every, kept = every[np.argsort(-every[:, 4], kind="stable")], []
        for row in every:
            if not kept or overlap(row[None], np.array(kept))[0].max() < 0.4:
                kept.append(row)
        return np.array(kept, np.float32).reshape(-1, 15), self.look(picture)
