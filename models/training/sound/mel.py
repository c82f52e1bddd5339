"""Log-mel features, the same as src/mel.rs.

16 kHz mono; a patch of 15,360 samples (0.96 s) gives 96 frames of 64 bands. Frame i covers the samples
[160 i - 120, 160 i + 280), zero outside the patch; periodic Hann window of 400, FFT of 512, magnitudes,
triangles (peak 1) evenly spaced on Slaney's mel scale from 125 to 7500 Hz, ln(mel + 1e-3).
"""
import numpy as np

RATE_HZ, PATCH, HOP, FRAMES, BANDS = 16_000, 15_360, 7_680, 96, 64


def slaney_mel(hz):
    """Slaney's Auditory Toolbox scale: linear below 1 kHz, logarithmic above."""
    hz = np.asarray(hz, np.float64)
    return np.where(hz < 1000, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1e-9) / 1000) / (np.log(6.4) / 27))


def slaney_hz(mel):
    mel = np.asarray(mel, np.float64)
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def filterbank():
    """[257, 64]: weight of each FFT bin in each band."""
    edges = slaney_hz(np.linspace(slaney_mel(125.0), slaney_mel(7500.0), BANDS + 2))
    bins = np.arange(257) * RATE_HZ / 512
    up = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(up, down))


BANK = filterbank().astype(np.float32)
HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)).astype(np.float32)
INDEX = np.arange(FRAMES)[:, None] * 160 + np.arange(400)


def log_mel(patches):
    """[N, 15360] -> [N, 96, 64]"""
    padded = np.pad(np.asarray(patches, np.float32), ((0, 0), (120, 280)))
    return np.log(np.abs(np.fft.rfft(padded[:, INDEX] * HANN, 512)).astype(np.float32) @ BANK + 1e-3).astype(np.float32)
