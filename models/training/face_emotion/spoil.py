"""What distance, cameras and crops do to a face; all on [48, 48] grey bytes."""
import cv2
import numpy as np

SIZE = 48


def shrunk(face, side):
    """Down to side x side and back, as a face of that height looks once it is cut out."""
    small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)


def compressed(face, quality):
    return cv2.imdecode(cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)


def spoiled(face, r):
    """A training face; `r` is a random.Random."""
    if r.random() < 0.5:
        face = face[:, ::-1]
    angle, scale = np.radians(r.gauss(0, 9)), np.exp(r.uniform(-0.16, 0.16))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    cx, cy = SIZE / 2 + r.gauss(0, 2), SIZE / 2 + r.gauss(0, 2)
    stretch = np.exp(r.uniform(-0.08, 0.08))
    m = np.array([[c * stretch, -s, cx - (c * stretch - s) * SIZE / 2], [s, c, cy - (s + c) * SIZE / 2]], np.float32)
    face = cv2.warpAffine(np.ascontiguousarray(face), m, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if r.random() < 0.25:
        side = r.randint(14, 34)
        quality = r.randint(30, 90)
        if r.random() < 0.5:  # the camera compresses the small face, not the crop
            small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
            face = cv2.resize(compressed(small, quality), (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        else:
            face = shrunk(face, side)
    elif r.random() < 0.12:
        face = cv2.GaussianBlur(face, (0, 0), r.uniform(0.5, 1.8))
    if r.random() < 0.1:
        face = compressed(face, r.randint(20, 70))
    x = face.astype(np.float32)
    if r.random() < 0.4:  # exposure and one-sided light
        x = 255 * (x / 255) ** np.exp(r.uniform(-0.6, 0.6))
        if r.random() < 0.4:
            y0, x0 = np.mgrid[-1:1:48j, -1:1:48j].astype(np.float32)
            turn = r.uniform(0, 6.2832)
            x = x * (1 + r.uniform(0, 0.6) * (np.cos(turn) * x0 + np.sin(turn) * y0))
    if r.random() < 0.25:
        noise = np.random.default_rng(r.getrandbits(32)).standard_normal(x.shape, np.float32)
        x = x + noise * r.uniform(1, 14)
    if r.random() < 0.25:  # a hand, a mask, a pole
        h, w = r.randint(6, 20), r.randint(6, 20)
        top, left = r.randint(0, SIZE - h), r.randint(0, SIZE - w)
        x[top: top + h, left: left + w] = r.uniform(0, 255) if r.random() < 0.5 else x.mean()
    return x.clip(0, 255).astype(np.uint8)
