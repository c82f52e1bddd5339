"""Training pictures: mosaics or single pictures, pasted vehicles, and what cameras do to them."""
import math

import cv2
import numpy as np

from data import targets

# how often a picture of a pack is drawn
WEIGHTS = {"coco": 3.0, "cap": 2.2, "fight": 0.8, "street": 0.6, "clip": 0.12}
LEANING = 0.4  # share of pictures that are turned and sheared a little
CUT = 0.2  # share of pieces whose edge runs through a person: who walks into a picture is seen in part at first


class Mixer:
    """Draws training pictures from the cached ones; `rng` is a random.Random."""

    def __init__(self, pictures, rng):
        self.pictures, self.rng = pictures, rng
        self.noise = np.random.default_rng(rng.randint(0, 1 << 30))
        for p in pictures:
            p["lab"] = targets(p)
        share = np.cumsum([WEIGHTS[p["src"]] for p in pictures])
        self.share = share / share[-1]
        self.objects = [(p, row) for p in pictures for row in p["lab"]
                        if row[0] > 0 and not row[6] and row[5] > 0.8 and min(row[3] - row[1], row[4] - row[2]) > 24]

    def pick(self):
        return self.pictures[int(np.searchsorted(self.share, self.rng.random()))]

    def draw(self, size, mosaic):
        """(picture [size, size, 3] BGR, rows [n, 7] as in data.targets), before `lean` and `spoil`."""
        x, rows = np.full((size, size, 3), 114, np.uint8), [np.zeros((0, 7), np.float32)]
        for left, top, width, height, scale in self.places(size, mosaic):
            piece, lab = self.piece(self.pick(), width, height, scale)
            h, w = piece.shape[:2]
            # a mosaic's pieces meet in the middle; a single picture lies at the top left or anywhere
            if mosaic:
                px, py = left + (width - w if left == 0 else 0), top + (height - h if top == 0 else 0)
            else:
                px, py = (self.rng.choice((0, 0, n, self.rng.randint(0, n))) for n in (size - w, size - h))
            x[py: py + h, px: px + w] = piece
            lab[:, [1, 3]] += px
            lab[:, [2, 4]] += py
            rows.append(lab)
        rows = np.concatenate(rows)
        for _ in range(self.rng.choice((0, 0, 1, 2))):
            rows = self.paste(x, rows)
        return x, rows

    def places(self, size, mosaic):
        r = self.rng
        if not mosaic:
            return [(0, 0, size, size, size / 416 * math.exp(r.uniform(math.log(0.7), math.log(1.35))))]
        cx, cy = int(r.uniform(0.3, 0.7) * size), int(r.uniform(0.3, 0.7) * size)
        base = 0.8 * math.exp(r.uniform(math.log(0.45), math.log(2.2)))
        quarters = (0, 0, cx, cy), (cx, 0, size - cx, cy), (0, cy, cx, size - cy), (cx, cy, size - cx, size - cy)
        return [(*q, min(2.0, max(0.3, base * math.exp(r.uniform(-0.25, 0.25))))) for q in quarters]

    def piece(self, picture, width, height, scale):
        """A random part of a picture, scaled, mirrored half of the time, at most width x height."""
        r, img = self.rng, picture["img"]
        h, w = img.shape[:2]
        fx = fy = scale
        if picture["src"] == "cap":  # undo the stretch to a square: landscape more often than portrait
            k = r.random()
            fx, fy = (fx, fy * 0.75) if k < 0.55 else (fx * 0.75, fy) if k < 0.75 else (fx, fy)
        fx *= r.uniform(0.85, 1.18)
        cw, ch = max(8, int(min(w, width / fx))), max(8, int(min(h, height / fy)))
        x0, y0 = r.randint(0, max(0, w - cw)), r.randint(0, max(0, h - ch))
        people = picture["lab"][(picture["lab"][:, 0] == 0) & (picture["lab"][:, 6] == 0)]
        if len(people) and r.random() < CUT:
            x0, y0, cw, ch = self.cut(people[r.randrange(len(people)), 1:5], cw, ch)
        part = img[y0: y0 + ch, x0: x0 + cw]
        ow = min(width, max(4, round(part.shape[1] * fx)))
        oh = min(height, max(4, round(part.shape[0] * fy)))
        out = cv2.resize(part, (ow, oh), interpolation=cv2.INTER_AREA if fx < 0.7 else cv2.INTER_LINEAR)
        lab = picture["lab"].copy()
        lab[:, [1, 3]] = (lab[:, [1, 3]] - x0) * (ow / part.shape[1])
        lab[:, [2, 4]] = (lab[:, [2, 4]] - y0) * (oh / part.shape[0])
        whole = (lab[:, 3] - lab[:, 1]) * (lab[:, 4] - lab[:, 2])
        lab[:, [1, 3]], lab[:, [2, 4]] = lab[:, [1, 3]].clip(0, ow), lab[:, [2, 4]].clip(0, oh)
        bw, bh = lab[:, 3] - lab[:, 1], lab[:, 4] - lab[:, 2]
        seen = bw * bh / (whole + 1e-6)
        lab[(seen < 0.25) | (bw < 3) | (bh < 4), 6] = 1  # hardly visible: ignore
        lab = lab[((seen > 0.05) | (lab[:, 6] > 0)) & (bw > 1) & (bh > 1)]
        if r.random() < 0.5:
            out = out[:, ::-1]
            lab[:, [1, 3]] = ow - lab[:, [3, 1]]
        return out, lab

    def cut(self, person, width, height):
        """(x0, y0, width, height) of a part whose left, right or lower edge leaves 30 to 80 % of a person in it."""
        (x1, y1, x2, y2), seen, edge = person, self.rng.uniform(0.3, 0.8), self.rng.choice("llrrb")
        x0, y0 = (max(0, int(start + end - length) // 2) for start, end, length in ((x1, x2, width), (y1, y2, height)))
        if edge == "l":
            return int(x2 - seen * (x2 - x1)), y0, width, height
        if edge == "r":
            end = max(8, int(x1 + seen * (x2 - x1)))
            return max(0, end - width), y0, min(end, width), height
        end = max(8, int(y1 + seen * (y2 - y1)))
        return x0, max(0, end - height), width, min(end, height)

    def paste(self, x, rows):
        """A vehicle's box, cut out with soft edges, where it covers little of what is labelled."""
        if not self.objects:
            return rows
        r, size = self.rng, x.shape[0]
        picture, row = r.choice(self.objects)
        x1, y1, x2, y2 = (int(v) for v in row[1:5])
        cut = picture["img"][max(0, y1): y2, max(0, x1): x2]
        k = r.uniform(0.5, 1.4)
        w, h = int(cut.shape[1] * k), int(cut.shape[0] * k)
        if min(w, h) < 12 or max(w, h) > size * 0.6:
            return rows
        cut = cv2.resize(cut, (w, h), interpolation=cv2.INTER_LINEAR)
        cut = cut[:, ::-1] if r.random() < 0.5 else cut
        px, py = r.randint(0, size - w), r.randint(0, size - h)
        if len(rows):
            iw = np.minimum(rows[:, 3], px + w) - np.maximum(rows[:, 1], px)
            ih = np.minimum(rows[:, 4], py + h) - np.maximum(rows[:, 2], py)
            covered = iw.clip(0) * ih.clip(0) / ((rows[:, 3] - rows[:, 1]) * (rows[:, 4] - rows[:, 2]) + 1e-6)
            if covered.max() > 0.2:
                return rows
        alpha = np.zeros((h, w, 1), np.float32)
        alpha[2:-2, 2:-2] = 1
        alpha = cv2.GaussianBlur(alpha, (0, 0), 1.5)[..., None]
        x[py: py + h, px: px + w] = cut * alpha + x[py: py + h, px: px + w] * (1 - alpha)
        return np.concatenate([rows, [[row[0], px, py, px + w, py + h, 1, 0]]]).astype(np.float32)

    def lean(self, x, rows):
        """A camera that hangs askew, or a wide lens's edge: the picture turned and sheared about its middle.

        A box becomes that of the ellipse it held: a person fills no corners.
        """
        r, middle = self.rng, x.shape[0] / 2
        if r.random() >= LEANING:
            return x, rows
        turn, shear = math.radians(r.uniform(-20, 20)), r.uniform(-0.3, 0.3)
        move = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) @ [[1, shear], [0, 1]]
        move *= r.uniform(0.85, 1.1)
        fit = np.column_stack([move, [middle, middle] - move @ [middle, middle]])
        x = cv2.warpAffine(x, fit, x.shape[:2], flags=cv2.INTER_LINEAR, borderValue=(114, 114, 114))
        rows = rows.copy()
        centre = (rows[:, 1:3] + rows[:, 3:5]) / 2 @ move.T + fit[:, 2]
        half = np.sqrt(((rows[:, 3:5] - rows[:, 1:3]) / 2) ** 2 @ (move ** 2).T)
        half[rows[:, 5] == 0] *= 1.2  # what is ignored is ignored with its corners
        rows[:, 1:3], rows[:, 3:5] = (centre - half).clip(0, len(x)), (centre + half).clip(0, len(x))
        left = (rows[:, 3:5] - rows[:, 1:3]).prod(1) / (4 * half.prod(1) + 1e-6)
        rows[left < 0.3, 6] = 1
        return x, rows[left > 0.02]

    def spoil(self, x):
        """Colour and light; infra-red at night; blur, noise, compression."""
        r = self.rng
        if r.random() < 0.9:
            hue, sat, val = cv2.split(cv2.cvtColor(x, cv2.COLOR_BGR2HSV))
            i = np.arange(256)
            hue = cv2.LUT(hue, ((i + r.randint(-8, 8)) % 180).astype(np.uint8))
            sat = cv2.LUT(sat, np.clip(i * (1 + r.uniform(-0.6, 0.6)), 0, 255).astype(np.uint8))
            val = cv2.LUT(val, np.clip(i * (1 + r.uniform(-0.45, 0.45)) + r.uniform(-15, 15), 0, 255).astype(np.uint8))
            x = cv2.cvtColor(cv2.merge([hue, sat, val]), cv2.COLOR_HSV2BGR)
        if r.random() < 0.15:  # infra-red: grey, flat, noisy
            y = cv2.cvtColor(x, cv2.COLOR_BGR2GRAY).astype(np.float32) * r.uniform(0.4, 1.1) + r.uniform(-10, 20)
            if r.random() < 0.5:
                y += self.noise.standard_normal(y.shape, np.float32) * r.uniform(1, 9)
            x = cv2.cvtColor(y.clip(0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)
        if r.random() < 0.1:
            x = cv2.GaussianBlur(x, (0, 0), r.uniform(0.5, 1.4))
        if r.random() < 0.08:
            grain = self.noise.integers(-14, 15, x.shape, np.int16)
            x = np.clip(x.astype(np.int16) + grain, 0, 255).astype(np.uint8)
        if r.random() < 0.12:
            x = cv2.imdecode(cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, r.randint(25, 70)])[1], 1)
        return x
