"""A quarter turn of a training picture: people lie down in it, with their boxes and what the teacher said of them upright.

Neither the packs nor the teacher know many people on the ground, and a fall is seen by nothing else.
"""
import numpy as np

from yolox import STRIDES


def turned(picture, rows, answer, left):
    """Of a square picture [S, S, 3]: it, its rows [n, 7] and the teacher's raw answer [A, 5 + classes], a quarter turn to
    the left or to the right."""
    size = picture.shape[0]
    times = 1 if left else 3
    x1, y1, x2, y2 = rows[:, 1:5].T
    box = (y1, size - x2, y2, size - x1) if left else (size - y2, x1, size - y1, x2)
    rows = np.column_stack([rows[:, 0], *box, rows[:, 5:]]).astype(np.float32)
    levels, start = [], 0
    for n in (size // s for s in STRIDES):
        grid = np.rot90(answer[start: start + n * n].reshape(n, n, -1), times).copy()
        dx, dy, w, h = np.moveaxis(grid[..., :4], -1, 0).copy()
        grid[..., :4] = np.stack([dy, 1 - dx, h, w] if left else [1 - dy, dx, h, w], -1)
        levels.append(grid.reshape(n * n, -1))
        start += n * n
    return np.ascontiguousarray(np.rot90(picture, times)), rows, np.concatenate(levels)
