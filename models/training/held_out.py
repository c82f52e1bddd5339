"""Held-out pictures: their halves, and those with a teacher's boxes as a data set that `watchfire models eval` reads.

Such truth is in no data pack: it is made from the packs and the reference models, and stays outside the repository.
"""
from pathlib import Path

import cv2


def halves(pictures):
    """(validation, test): neighbours stay together in the streets and fights, whose names are in the order of the scene."""
    parts = [], []
    for src in sorted({p["src"] for p in pictures}):
        own = sorted((p for p in pictures if p["src"] == src), key=lambda p: p["name"])
        for i, p in enumerate(own):
            parts[i % 2 if src == "cap" else i >= len(own) // 2].append(p)
    return parts


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
