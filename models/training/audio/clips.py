"""Clips of the packs, decoded once: a file of 16-bit samples each below CACHE/pcm."""
import csv
import subprocess
from pathlib import Path

import numpy as np

RATE_HZ = 16_000


def decode(path, to):
    """16 kHz mono, 16 bits, by GStreamer (gst-launch-1.0), as the daemon does."""
    to.parent.mkdir(parents=True, exist_ok=True)
    half = to.with_suffix(".part")
    subprocess.run(["gst-launch-1.0", "-q", "filesrc", f"location={path}", "!", "oggdemux", "!", "opusdec", "!",
                    "audioconvert", "!", "audioresample", "!", f"audio/x-raw,format=S16LE,channels=1,rate={RATE_HZ}", "!",
                    "filesink", f"location={half}"], check=True)
    half.rename(to)


def samples(data, cache, inside):
    """[n] int16 of the clip DATA/inside."""
    kept = Path(cache) / "pcm" / Path(inside).with_suffix(".s16")
    if not kept.exists():
        decode(Path(data) / inside, kept)
    return np.fromfile(kept, np.int16)


def rows(folder):
    with open(Path(folder) / "labels.csv") as f:
        return list(csv.DictReader(f))


def floats(x):
    return np.asarray(x, np.float32) / 32_768


def ints(x):
    return np.round(np.clip(x, -1, 1) * 32_767).astype(np.int16)
