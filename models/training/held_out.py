"""Held-out pictures: their halves, and those with a teacher's boxes as a data set that `watchfire models eval` reads.

Such truth is in no data pack: it is made from the packs and the reference models, and stays outside the repository.
"""
from pathlib import Path

import cv2
import numpy as np

ALIKE = 0.9  # correlation of two pictures from which on they are one scene a moment later


def halves(pictures):
    """(validation, test): neighbours stay together in the streets and fights, whose names are in the order of the scene."""
    parts = [], []
    for src in sorted({p["src"] for p in pictures}):
        own = sorted((p for p in pictures if p["src"] == src), key=lambda p: p["name"])
        for i, p in enumerate(own):
            parts[i % 2 if src == "cap" else i >= len(own) // 2].append(p)
    return parts


def mark_twins(pictures):
    """Sets `twin` of each: a picture much like it (24 x 24, grey) is on the other side of the split.

    Names in the order of a sequence are cut once, and the same few people sit on both sides of the cut.
    """
    small = np.stack([grey(p["img"]) for p in pictures])
    held = np.array([bool(p["val"]) for p in pictures])
    alike = small @ small.T > ALIKE
    for p, own, others in zip(pictures, held, alike):
        p["twin"] = bool((others & (held != own)).any())


def grey(picture):
    row = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (24, 24), interpolation=cv2.INTER_AREA)
    row = row.astype(np.float32).ravel()
    row -= row.mean()
    return row / (np.linalg.norm(row) + 1e-6)


def write(folder, name, picture, rows):
    """`images/NAME.jpg` (BGR, quality 98) and `labels/NAME.txt` of rows (COCO class, x1, y1, x2, y2 in pixels)."""
    folder = Path(folder)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "labels").mkdir(exist_ok=True)
    h, w = picture.shape[:2]
    if not cv2.imwrite(str(folder / f"images/{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 98]):
        raise OSError(f"{folder}/images/{name}.jpg cannot be written")
    lines = (f"{int(c)} {(x1 + x2) / 2 / w:.6f} {(y1 + y2) / 2 / h:.6f} {(x2 - x1) / w:.6f} {(y2 - y1) / h:.6f}\n"
             for c, x1, y1, x2, y2 in rows)
    (folder / f"labels/{name}.txt").write_text("".join(lines))
