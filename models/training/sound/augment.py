"""What distance, rooms, telephones and cheap microphones do to a sound."""
import numpy as np
from scipy.signal import butter, fftconvolve, sosfilt


def room(x, rng):
    """Exponentially decaying noise as an impulse response, RT60 from 0.1 to 0.9 s, with a direct path."""
    n = int(16_000 * rng.uniform(0.1, 0.6))
    tail = rng.standard_normal(n) * np.exp(-6.9 * np.arange(n) / n) * rng.uniform(0.02, 0.15)
    tail[0] = 1.0
    return fftconvolve(x, tail.astype(np.float32))[: len(x)]


def telephone(x, rng):
    """300 to 3400 Hz and mu-law in 8 bits (ITU-T G.711's curve)."""
    x = sosfilt(butter(4, [300, 3400], "band", fs=16_000, output="sos"), x)
    y = np.sign(x) * np.log1p(255 * np.minimum(1, np.abs(x))) / np.log(256)
    y = np.round(y * 127) / 127
    return np.sign(y) * np.expm1(np.abs(y) * np.log(256)) / 255


def shattering(rng, n=15_360):
    """A made-up glass break: an impact, then many high modes that die away, with pieces falling later."""
    x, t = np.zeros(n), np.arange(n) / 16_000
    for _ in range(rng.integers(2, 7)):
        start = 0 if not x.any() else int(rng.uniform(0, 0.5) * n)
        tt, level = t[: n - start], rng.uniform(0.3, 1)
        burst = rng.standard_normal(n - start) * np.exp(-tt / rng.uniform(0.003, 0.02))
        for _ in range(rng.integers(12, 30)):
            hz, tau = rng.uniform(1800, 7600), rng.uniform(0.01, 0.15)
            burst += rng.uniform(0.1, 1) * np.sin(2 * np.pi * hz * tt + rng.uniform(0, 6.28)) * np.exp(-tt / tau)
        x[start:] += level * burst
    return (x / np.abs(x).max()).astype(np.float32)


def hum(rng, n=15_360):
    """Tones, beeps and chords that are no siren: steady pitch, or short notes."""
    t, x = np.arange(n) / 16_000, np.zeros(n)
    for _ in range(rng.integers(1, 5)):
        hz = np.exp(rng.uniform(np.log(60), np.log(4000)))
        for k in range(1, rng.integers(2, 7)):
            x += np.sin(2 * np.pi * hz * k * t + rng.uniform(0, 6.28)) / k ** rng.uniform(0.7, 2)
    if rng.random() < 0.4:
        x *= (np.sin(2 * np.pi * rng.uniform(1, 6) * t) > 0)
    return (x / (np.abs(x).max() + 1e-9)).astype(np.float32)


def spoil(x, rng):
    """One patch as a camera's microphone may hear it."""
    if rng.random() < 0.35:
        x = room(x, rng)
    if rng.random() < 0.2:
        x = telephone(x / (np.abs(x).max() + 1e-6) * rng.uniform(0.1, 1), rng)
    if rng.random() < 0.25:
        x = sosfilt(butter(2, rng.uniform(2500, 7500), fs=16_000, output="sos"), x)
    x = x / (np.abs(x).max() + 1e-6) * 10 ** (rng.uniform(-32, 0) / 20)
    if rng.random() < 0.12:
        x = np.clip(x * rng.uniform(2, 8), -1, 1)
    if rng.random() < 0.5:
        x = x + rng.standard_normal(len(x)) * 10 ** (rng.uniform(-75, -38) / 20)
    return np.clip(x, -1, 1).astype(np.float32)
