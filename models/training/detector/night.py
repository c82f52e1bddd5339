"""Pictures by night, made of pictures by day, and what could be done to them before the detector looks.

`at_night` works in linear light: fewer electrons a pixel (Poisson), read noise, the camera's gain, smoothing by its own
noise reduction, 8 bits with the sRGB curve, compression. Its figures are those of one pixel at the detector's size, which
stands for several of the sensor's.
"""
import subprocess

import cv2
import numpy as np

# electrons of a white pixel; brightness that is left after all gain; colour that is left; blur in pixels before the noise
LOOKS = {
    "dusk": dict(electrons=250, brightness=0.6, colour=0.8, blur=0.0),
    "night": dict(electrons=60, brightness=0.25, colour=0.6, blur=0.4),
    "deep night": dict(electrons=20, brightness=0.08, colour=0.4, blur=0.6),
    "infra-red": dict(electrons=60, brightness=0.5, colour=0.0, blur=0.4, lamp=0.45),
}
READ_NOISE = 2.0
QUALITY = 70


def at_night(picture, look, rng, jpeg=True):
    """BGR bytes as a camera would send them. Another `rng` gives the same scene with other noise."""
    k = LOOKS[look]
    light = ((np.arange(256) / 255) ** 2.2).astype(np.float32)[picture]
    grey = (light @ np.float32([0.0722, 0.7152, 0.2126]))[..., None]
    light = grey + (light - grey) * np.float32(k["colour"])
    if "lamp" in k:  # its light falls off from the middle outwards; what is near it is not modelled
        h, w = picture.shape[:2]
        y, x = np.mgrid[:h, :w]
        away = ((x / w - 0.5) ** 2 + (y / h - 0.5) ** 2) / k["lamp"] ** 2
        light = light[..., :1] / (1 + away[..., None])
    if k["blur"]:
        light = cv2.GaussianBlur(light, (0, 0), k["blur"]).reshape(light.shape)
    seen = rng.poisson(light.clip(0, None) * k["electrons"]) + rng.normal(0, READ_NOISE, light.shape)
    seen = cv2.GaussianBlur(seen, (0, 0), 0.5).reshape(light.shape)
    bytes_ = 255 * (seen / k["electrons"] * k["brightness"]).clip(0, 1) ** (1 / 2.2)
    bytes_ = np.broadcast_to(bytes_, picture.shape).astype(np.uint8)
    if not jpeg:
        return bytes_
    return cv2.imdecode(cv2.imencode(".jpg", bytes_, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1], cv2.IMREAD_COLOR)


def through_h264(frames, kbit_s, fps=15):
    """The frames as they come out of a camera's H.264 stream: x264 with one reference and no look-ahead."""
    h, w = frames[0].shape[:2]
    even = [np.ascontiguousarray(f[: h // 2 * 2, : w // 2 * 2]) for f in frames]
    h, w = even[0].shape[:2]
    command = ["gst-launch-1.0", "-q", "fdsrc", "fd=0", f"blocksize={h * w * 3}", "!", "rawvideoparse", "format=bgr",
               f"width={w}", f"height={h}", f"framerate={fps}/1", "!", "videoconvert", "!", "video/x-raw,format=I420", "!",
               "x264enc", f"bitrate={kbit_s}", "speed-preset=veryfast", "tune=zerolatency", "ref=1", "threads=1", "!",
               "avdec_h264", "max-threads=1", "!", "videoconvert", "!", "video/x-raw,format=BGR", "!", "fdsink", "fd=1"]
    out = subprocess.run(command, check=True, input=b"".join(f.tobytes() for f in even), stdout=subprocess.PIPE).stdout
    stride = -(-w * 3 // 4) * 4
    rows = np.frombuffer(out, np.uint8).reshape(-1, h, stride)[:, :, : w * 3]
    return [r.reshape(h, w, 3) for r in rows]


def luma(picture):
    return picture @ np.array([0.114, 0.587, 0.299])


def curve(picture, values):
    return cv2.LUT(picture, np.clip(values, 0, 255).astype(np.uint8))


def gamma(picture, wanted=110.0, least=0.4):
    """Raised to the power that would bring the mean to `wanted`."""
    mean = max(1.0, luma(picture).mean())
    power = np.clip(np.log(wanted / 255) / np.log(min(mean, 250) / 255), least, 1)
    return curve(picture, 255 * (np.arange(256) / 255) ** power)


def levels(picture, share=1.0, most=8.0):
    """Stretched so that all but `share` % of the pixels at either end fill the range; gain `most` at most."""
    low, high = np.percentile(luma(picture), [share, 100 - share])
    return curve(picture, (np.arange(256) - low) * min(most, 255 / max(1, high - low)))


def clahe(picture, clip=2.0):
    y, cr, cb = cv2.split(cv2.cvtColor(picture, cv2.COLOR_BGR2YCrCb))
    y = cv2.createCLAHE(clip, (8, 8)).apply(y)
    return cv2.cvtColor(cv2.merge([y, cr, cb]), cv2.COLOR_YCrCb2BGR)


def noise_over_time(before, now):
    """Standard deviation of a pixel's luma where nothing moves: robust, from the median of what changed between frames.

    What is black in both (a privacy mask, a bar) says nothing.
    """
    a, b = luma(before), luma(now)
    changed = np.abs(b - a)[(a > 0) | (b > 0)]
    return float(np.median(changed) / 0.6745 / np.sqrt(2)) if len(changed) else 0.0


DISC = {(dx, dy): np.exp(-0.5 * (dx * dx + dy * dy) / 2.0 ** 2)
        for dy in range(-2, 3) for dx in range(-2, 3) if dx * dx + dy * dy <= 4}


def bilateral(picture, reach):
    """Mean over a disc of 13 pixels, each weighted by how near it is and how like in luma (after Tomasi and Manduchi, 1998).

    What differs by `reach` or more has no weight; the weight falls by the square of the difference.
    """
    y = cv2.copyMakeBorder(luma(picture).astype(np.float32), 2, 2, 2, 2, cv2.BORDER_REPLICATE)
    x = cv2.copyMakeBorder(picture, 2, 2, 2, 2, cv2.BORDER_REPLICATE).astype(np.float32)
    h, w = picture.shape[:2]
    here, total, weights = y[2: 2 + h, 2: 2 + w], 0, 0
    for (dx, dy), near in DISC.items():
        there = (slice(2 + dy, 2 + dy + h), slice(2 + dx, 2 + dx + w))
        weight = np.float32(near) * np.maximum(0, 1 - ((y[there] - here) / np.float32(reach)) ** 2)
        total, weights = total + weight[..., None] * x[there], weights + weight
    return (total / weights[..., None]).round().astype(np.uint8)


def mean(frames):
    return np.mean(frames, 0).round().astype(np.uint8)


def blur(sigma):
    return lambda x: cv2.GaussianBlur(x, (0, 0), sigma)


def nlm(x):
    return cv2.fastNlMeansDenoisingColored(x, None, 10, 10, 3, 11)


def by_noise(frames, times=6.0, least=1.5, greatest=12.0):
    """The bilateral filter with a reach of so many times the noise that two frames show; nothing where there is little."""
    noise = noise_over_time(*frames[-2:])
    return frames[-1] if noise < least else bilateral(frames[-1], times * min(noise, greatest))


def averaged(then):
    return lambda f: then(mean(f))


def newest(prepare):
    return lambda f: prepare(f[-1])


# Names of the table; each takes several frames, the newest last.
PREPARATIONS = {
    "none": newest(lambda x: x),
    "gamma": newest(gamma),
    "levels": newest(levels),
    "CLAHE": newest(clahe),
    "blur 0.8": newest(blur(0.8)),
    "blur 1.2": newest(blur(1.2)),
    "median 3x3": newest(lambda x: cv2.medianBlur(x, 3)),
    "bilateral": newest(lambda x: cv2.bilateralFilter(x, 5, 40, 2)),
    "bilateral by noise": by_noise,
    "bilateral by noise, gamma": lambda f: gamma(by_noise(f)),
    "NLM": newest(nlm),
    "blur 0.8, gamma": newest(lambda x: gamma(blur(0.8)(x))),
    "mean of 4": averaged(lambda x: x),
    "mean of 4, gamma": averaged(gamma),
}
OVER_TIME = ("mean of 4", "mean of 4, gamma")
