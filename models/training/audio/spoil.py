"""What rooms, distance, cheap microphones and codecs do to whole clips. Done once; the copies are cached.

`copies` gives each clip as it would be heard three more times: in a room through Opus, from afar through AAC with
automatic gain, and over a telephone band with mu-law.
"""
import subprocess
from pathlib import Path

import numpy as np
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from clips import RATE_HZ, floats, ints

GAP = RATE_HZ // 2
KINDS = ["room", "afar", "telephone"]
VERSION = 1


def room(x, rng, wet):
    """Image-free room: a direct path, a few early reflections, a tail that dies away faster at high pitch."""
    rt60 = np.exp(rng.uniform(np.log(0.15), np.log(1.6)))
    n = int(RATE_HZ * min(rt60, 1.2))
    t = np.arange(n) / RATE_HZ
    low = rng.standard_normal(n) * np.exp(-6.9 * t / rt60)
    high = rng.standard_normal(n) * np.exp(-6.9 * t / (rt60 * rng.uniform(0.3, 0.8)))
    cut = rng.uniform(800, 3000)
    tail = sosfilt(butter(1, cut, fs=RATE_HZ, output="sos"), low) + sosfilt(butter(1, cut, "high", fs=RATE_HZ, output="sos"), high)
    tail[: int(RATE_HZ * rng.uniform(0.002, 0.03))] = 0
    tail *= wet / np.sqrt((tail ** 2).sum() + 1e-9)
    for _ in range(rng.integers(2, 7)):
        tail[int(rng.uniform(0.001, 0.04) * RATE_HZ) % n] += rng.uniform(-0.6, 0.6) * wet
    tail[0] += 1
    return fftconvolve(x, tail)[: len(x)]


def microphone(x, rng):
    """A band and a resonance."""
    x = sosfilt(butter(1, rng.uniform(40, 250), "high", fs=RATE_HZ, output="sos"), x)
    x = sosfilt(butter(2, rng.uniform(3000, 7600), fs=RATE_HZ, output="sos"), x)
    f = rng.uniform(500, 4000)
    return x + rng.uniform(0, 1) * sosfilt(butter(1, [f * 0.8, f * 1.25], "band", fs=RATE_HZ, output="sos"), x)


def automatic_gain(x, rng):
    """Gain that follows the loudness towards a target, within 30 dB, slowly enough to be heard."""
    block = 160
    e = np.sqrt((x[: len(x) // block * block].reshape(-1, block) ** 2).mean(1) + 1e-10)
    if len(e) < 2:
        return x
    k = np.exp(-block / RATE_HZ / rng.uniform(0.05, 0.6))
    e = lfilter([1 - k], [1, -k], e, zi=[k * e[0]])[0]
    gain = np.clip(10 ** (rng.uniform(-26, -16) / 20) / e, 10 ** -0.5, 10)
    return x * np.interp(np.arange(len(x)), np.arange(len(e)) * block + block, gain)


def mu_law(x):
    """8 bits by ITU-T G.711's curve."""
    y = np.sign(x) * np.log1p(255 * np.minimum(1, np.abs(x))) / np.log(256)
    y = np.round(y * 127) / 127
    return np.sign(y) * np.expm1(np.abs(y) * np.log(256)) / 255


def through(x, encoder):
    """The samples after a codec of GStreamer, moved back by its delay."""
    raw = f"audio/x-raw,format=S16LE,channels=1,rate={RATE_HZ}"
    command = ["gst-launch-1.0", "-q", "fdsrc", "fd=0", "!", "rawaudioparse", "format=pcm", "pcm-format=s16le",
               f"sample-rate={RATE_HZ}", "num-channels=1", "!", "audioconvert", "!", "audioresample", "!", *encoder.split(),
               "!", "audioconvert", "!", "audioresample", "!", raw, "!", "fdsink", "fd=1"]
    run = subprocess.run(command, check=True, input=ints(x).tobytes(), stdout=subprocess.PIPE)
    y = floats(np.frombuffer(run.stdout, np.int16))
    n = min(len(x), len(y), 1 << 20)
    c = np.fft.irfft(np.fft.rfft(y[:n], 2 * n) * np.conj(np.fft.rfft(x[:n], 2 * n)))
    lags = np.concatenate([c[:4000], c[-4000:]])
    lag = int(np.argmax(lags))
    lag = lag if lag < 4000 else lag - 8000
    y = y[lag:] if lag >= 0 else np.pad(y, (-lag, 0))
    return np.pad(y, (0, max(0, len(x) - len(y))))[: len(x)]


def one(x, kind, rng):
    x = x / (np.abs(x).max() + 1e-6) * rng.uniform(0.3, 0.9)
    if kind == "room":
        x = microphone(room(x, rng, rng.uniform(0.2, 0.8)), rng)
    elif kind == "afar":
        x = room(x, rng, rng.uniform(0.8, 2.0))
        x = sosfilt(butter(1, rng.uniform(1200, 5000), fs=RATE_HZ, output="sos"), x)
        x = x / (np.abs(x).max() + 1e-6) * rng.uniform(0.05, 0.7) + rng.standard_normal(len(x)) * 10 ** rng.uniform(-3.6, -2.4)
        x = automatic_gain(x, rng)
    else:
        x = room(x, rng, rng.uniform(0, 0.5)) if rng.random() < 0.5 else x
        x = sosfilt(butter(4, [rng.uniform(150, 350), rng.uniform(3200, 3700)], "band", fs=RATE_HZ, output="sos"), x)
        x = mu_law(x * rng.uniform(0.1, 1))
    return x / max(1.0, np.abs(x).max()) * 0.95


CODECS = {"room": ["opusenc bitrate=12000 ! opusdec", "opusenc bitrate=20000 ! opusdec"],
          "afar": ["avenc_aac bitrate=20000 ! avdec_aac", "avenc_aac bitrate=32000 ! avdec_aac"], "telephone": []}


def copies(sounds, cache, name, seed=0):
    """{kind: [int16 clips]} of a list of int16 clips."""
    out = {}
    for k, kind in enumerate(KINDS):
        kept = Path(cache) / f"{name}-{kind}-{VERSION}.s16"
        total = sum(len(s) + GAP for s in sounds)
        if not kept.exists() or kept.stat().st_size != 2 * total:
            rng = np.random.default_rng(seed * 10 + k)
            parts, ways = [], CODECS[kind] or [None]
            share = -(-len(sounds) // len(ways))
            for w, way in enumerate(ways):
                some = sounds[w * share: (w + 1) * share]
                x = np.concatenate([np.pad(one(floats(s), kind, rng), (0, GAP)) for s in some]).astype(np.float32)
                parts.append(ints(through(x, way) if way else x))
            np.concatenate(parts).tofile(kept)
        joined, at, out[kind] = np.memmap(kept, np.int16, "r"), 0, []
        for s in sounds:
            out[kind].append(joined[at: at + len(s)])
            at += len(s) + GAP
    return out
