"""Training crops of the face detector."""
import math

import cv2
import numpy as np

from face_pictures import MAYBE, SURE
from face_teacher import mirrored

SMALL = 9.0  # a lower face is ignored


class Crops:
    """Draws crops; `rng` is a random.Random."""

    def __init__(self, pictures, rng):
        self.pictures, self.rng = pictures, rng
        self.noise = np.random.default_rng(rng.getrandbits(32))
        share = np.cumsum([self.weight(p) for p in pictures])
        self.share = share / share[-1]

    @staticmethod
    def weight(p):
        n = int((p["faces"][:, 4] >= SURE).sum())
        return 0.35 + min(n, 6) ** 0.7

    def draw(self, size):
        """(picture [size, size, 3] BGR, faces [m, 15]; a score of -1 means: ignore)"""
        r = self.rng
        p = self.pictures[int(np.searchsorted(self.share, r.random()))]
        img, rows = p["img"], p["faces"][p["faces"][:, 4] >= MAYBE]
        h, w = img.shape[:2]
        sure = rows[rows[:, 4] >= SURE]
        if len(sure) and r.random() < 0.75:  # a face of a chosen size, somewhere in the crop
            f = sure[r.randrange(len(sure))]
            have = max(4.0, f[3] - f[1])
            want = math.exp(r.uniform(math.log(10), math.log(size * 0.6)))
            scale = min(max(want / have, 0.25), 4.0)
            cx, cy = (f[0] + f[2]) / 2 * scale, (f[1] + f[3]) / 2 * scale
            x0, y0 = cx - r.uniform(0.15, 0.85) * size, cy - r.uniform(0.15, 0.85) * size
        else:
            scale = math.exp(r.uniform(math.log(0.4), math.log(2)))
            x0, y0 = r.uniform(-0.1, 1) * max(1, w * scale - size), r.uniform(-0.1, 1) * max(1, h * scale - size)
        aspect = math.exp(r.uniform(-0.1, 0.1))
        sx, sy = scale * aspect, scale / aspect
        x0, y0 = x0 * aspect, y0 / aspect
        source = img
        if scale < 0.6:  # averaged first, so that nothing flickers
            source = cv2.resize(img, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        kx, ky = sx * w / source.shape[1], sy * h / source.shape[0]
        m = np.array([[kx, 0, -x0], [0, ky, -y0]], np.float32)
        grey = r.choice((0, 114, 114, 255)) if r.random() < 0.5 else 114
        out = cv2.warpAffine(source, m, (size, size), flags=cv2.INTER_LINEAR, borderValue=(grey,) * 3)
        rows = rows.copy()
        whole = (rows[:, 2] - rows[:, 0]) * (rows[:, 3] - rows[:, 1]) * sx * sy
        rows[:, [0, 2]], rows[:, [1, 3]] = rows[:, [0, 2]] * sx - x0, rows[:, [1, 3]] * sy - y0
        rows[:, 5::2], rows[:, 6::2] = rows[:, 5::2] * sx - x0, rows[:, 6::2] * sy - y0
        seen = (rows[:, [2, 3]].clip(0, size) - rows[:, [0, 1]].clip(0, size)).prod(1) / (whole + 1e-6)
        bad = (rows[:, 4] < SURE) | (rows[:, 3] - rows[:, 1] < SMALL) | (seen < 0.6)
        rows[bad, 4] = -1
        rows = rows[seen > 0.02]
        if r.random() < 0.5:
            out, rows = out[:, ::-1], mirrored(rows, size)
        return np.ascontiguousarray(self.spoil(np.ascontiguousarray(out))), rows.astype(np.float32)

    def spoil(self, x):
        """Light, colour, darkness with noise, grey, blur, compression."""
        r = self.rng
        if r.random() < 0.6:
            light = r.uniform(-0.35, 0.35)
            gain = np.exp([light + r.uniform(-0.08, 0.08) for _ in range(3)])
            ramp = np.arange(256)[:, None]
            gamma = math.exp(r.uniform(-0.4, 0.4))
            table = np.clip(255 * (ramp / 255) ** gamma * gain + r.uniform(-15, 15), 0, 255).astype(np.uint8)
            x = cv2.merge([cv2.LUT(x[..., c], np.ascontiguousarray(table[:, c])) for c in range(3)])
        if r.random() < 0.15:
            x = cv2.cvtColor(cv2.cvtColor(x, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        if r.random() < 0.12:
            x = cv2.GaussianBlur(x, (0, 0), r.uniform(0.5, 1.6))
        if r.random() < 0.12:  # dark and noisy
            y = x.astype(np.float32) * r.uniform(0.2, 0.7)
            y += self.noise.standard_normal(x.shape, np.float32) * r.uniform(2, 9)
            x = y.clip(0, 255).astype(np.uint8)
        if r.random() < 0.15:
            x = cv2.imdecode(cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, r.randint(25, 75)])[1], 1)
        return x
