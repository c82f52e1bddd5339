"""Other voices of the same words: the bands moved as by a longer or shorter throat, and faster or slower speech."""
import sys
from functools import cache
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "sound"))
from mel import BANDS, slaney_hz, slaney_mel  # noqa: E402

WARPS = [0.88, 0.92, 0.96, 1.0, 1.04, 1.08, 1.13]


@cache
def matrices():
    """[BANDS, BANDS] of each warp: band by frequency warped, read between two bands; the ends repeat themselves."""
    mel = np.linspace(slaney_mel(125.0), slaney_mel(7500.0), BANDS + 2)[1:-1]
    out = []
    for warp in WARPS:
        at = np.interp(slaney_mel(slaney_hz(mel) / warp), mel, np.arange(BANDS))
        low = np.minimum(at.astype(int), BANDS - 2)
        matrix = np.zeros((BANDS, BANDS), np.float32)
        matrix[low, np.arange(BANDS)] = 1 - (at - low)
        matrix[low + 1, np.arange(BANDS)] += at - low
        out.append(matrix)
    return out


def stretched(tracks, rate):
    """Each [frames, …] at another pace; the nearest frame is taken."""
    frames = len(tracks[0])
    at = np.minimum(np.round(np.arange(0, frames, rate)).astype(int), frames - 1)
    return [track[at] for track in tracks]
