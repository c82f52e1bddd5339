"""Other looks at a clip: [frames, h, w, 3] uint8 -> [T, height, width, 3] uint8."""
import cv2
import numpy as np


def grid(n, fps, t, rate_hz, rng=None):
    """Which of `n` frames make the clip: `t` of them, `rate_hz` apart around the middle, or somewhere and at another tempo."""
    step, centre = fps / rate_hz, n / 2
    if rng is not None:
        step *= np.exp(rng.uniform(-0.25, 0.25))
        spare = max(0.0, n - step * t)
        centre += rng.uniform(-0.5, 0.5) * spare
    at = centre + (np.arange(t) + 0.5 - t / 2) * step - 0.5
    return np.clip(np.round(at), 0, n - 1).astype(int)


# The grid of cells in which motion is looked for; 90 % of it and some room around it make the region.
CELLS_X, CELLS_Y, ROOM, LEAST, NOISE = 32, 24, 1.3, 0.35, 1.0


def moving(frames):
    """Where the clip moves: x1, y1, x2, y2 in fractions around 90 % of the motion. Sides are multiples of the grid's,
    what is left over counts for nothing."""
    t, h, w = frames.shape[:3]
    ch, cw = h // CELLS_Y, w // CELLS_X
    grey = frames[:, : ch * CELLS_Y, : cw * CELLS_X].astype(np.float64)
    grey = grey.reshape(t, CELLS_Y, ch, CELLS_X, cw * 3).mean((2, 4))
    energy = np.maximum(np.abs(np.diff(grey, axis=0)).mean(0) - NOISE, 0) + 1e-6
    edges = []
    for axis in (0, 1):
        share = np.cumsum(energy.sum(axis)) / energy.sum()
        edges.append(((share < 0.05).sum() / len(share), ((share < 0.95).sum() + 1) / len(share)))
    (x1, x2), (y1, y2) = edges
    return x1, y1, x2, y2


def region(frames):
    """In pixels x1, y1, x2, y2: the part of the picture, of its shape, that holds the motion."""
    h, w = frames.shape[1:3]
    x1, y1, x2, y2 = moving(frames)
    side = min(1.0, max((x2 - x1) * ROOM, (y2 - y1) * ROOM, LEAST))
    left = min(max((x1 + x2) / 2 - side / 2, 0.0), 1 - side)
    top = min(max((y1 + y2) / 2 - side / 2, 0.0), 1 - side)
    return int(left * w), int(top * h), int((left + side) * w), int((top + side) * h)


def crop(frames, rng):
    """A part of the picture that holds most of what moves."""
    h, w = frames.shape[1:3]
    scale = rng.uniform(0.55, 1.0)
    ch, cw = scale * np.exp(rng.uniform(-0.12, 0.12)), scale * np.exp(rng.uniform(-0.12, 0.12))
    ch, cw = min(ch, 1), min(cw, 1)
    x1, y1, x2, y2 = moving(frames)
    x = np.clip((x1 + x2) / 2 + rng.normal(0, 0.1) - cw / 2, 0, 1 - cw)
    y = np.clip((y1 + y2) / 2 + rng.normal(0, 0.1) - ch / 2, 0, 1 - ch)
    return frames[:, int(y * h): max(int((y + ch) * h), int(y * h) + 16), int(x * w): max(int((x + cw) * w), int(x * w) + 16)]


def colour(x, rng):
    """Exposure, contrast, tint, grey; the same for each frame."""
    x = x.astype(np.float32)
    if rng.random() < 0.3:
        x = np.repeat(x @ np.array([0.299, 0.587, 0.114], np.float32)[:, None], 3, 1).reshape(x.shape) if x.ndim == 2 else \
            np.repeat((x * np.array([0.299, 0.587, 0.114], np.float32)).sum(-1, keepdims=True), 3, -1)
    x = 255 * (x / 255) ** np.exp(rng.uniform(-0.4, 0.4))
    x = (x - 114) * np.exp(rng.uniform(-0.4, 0.3)) + 114 + rng.uniform(-30, 30)
    return np.clip(x * (1 + rng.uniform(-0.12, 0.12, 3)), 0, 255).astype(np.uint8)


def spoil(frames, rng):
    """Blur, noise, coarse JPEG."""
    out = frames
    if rng.random() < 0.3:
        sigma = rng.uniform(0.4, 1.1)
        out = np.stack([cv2.GaussianBlur(f, (0, 0), sigma) for f in out])
    if rng.random() < 0.3:
        out = np.clip(out + rng.normal(0, rng.uniform(1, 7), out.shape), 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = int(rng.integers(20, 70))
        out = np.stack([cv2.imdecode(cv2.imencode(".jpg", f, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1) for f in out])
    return out


def view(frames, fps, t, rate_hz, size, rng):
    """One made-up look."""
    x = np.asarray(frames[grid(len(frames), fps, t, rate_hz, rng)])
    if rng.random() < 0.75:
        x = crop(x, rng)
    x = np.stack([cv2.resize(np.ascontiguousarray(f), size, interpolation=cv2.INTER_AREA) for f in x])
    if rng.random() < 0.5:
        x = x[:, :, ::-1]
    if rng.random() < 0.5:
        x = x[::-1]
    return spoil(colour(x, rng), rng)
