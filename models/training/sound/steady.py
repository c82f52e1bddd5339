"""Steady noise as it stands in yards and cellars, and what could be done about it before the sound model listens.

Every preparation takes samples [n] (16 kHz, [-1, 1]) and gives as many back; it looks at nothing that comes later than the
frame it works on.
"""
import numpy as np
from scipy.signal import butter, istft, lfilter, sosfilt, stft

RATE_HZ = 16_000


def coloured(n, rng, slope):
    """Noise whose power falls by `slope` dB an octave from 40 Hz on."""
    f = np.fft.rfftfreq(n, 1 / RATE_HZ)
    x = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * (np.maximum(f, 40) / 40) ** (-slope / 6.02), n)
    return x / x.std()


def fan(n, rng):
    """Air, and the blades' tone with its harmonics."""
    t, f = np.arange(n) / RATE_HZ, rng.uniform(90, 260)
    tones = sum(np.sin(2 * np.pi * f * k * t + rng.uniform(0, 6.28)) / k for k in range(1, 6))
    return coloured(n, rng, 4) + 0.5 * tones


def hum(n, rng):
    """Mains and its harmonics up to 2 kHz."""
    t = np.arange(n) / RATE_HZ
    return sum(np.sin(2 * np.pi * 50 * k * t + rng.uniform(0, 6.28)) / k ** 0.8 * rng.uniform(0.3, 1)
               for k in range(1, 41)) + 0.05 * rng.standard_normal(n)


def rain(n, rng):
    """A hiss, and drops: short bursts, some 60 a second."""
    drops = (rng.random(n) < 60 / RATE_HZ) * rng.exponential(1, n) * 25
    drops = lfilter([1], [1, -1.6 * 0.9, 0.81], drops * rng.standard_normal(n))
    return sosfilt(butter(1, 800, "high", fs=RATE_HZ, output="sos"), rng.standard_normal(n) + 0.4 * drops)


def rumble(n, rng):
    """A road or a machine hall far away."""
    return sosfilt(butter(2, 400, fs=RATE_HZ, output="sos"), coloured(n, rng, 3))


NOISES = [fan, hum, rain, rumble]


def high_pass(x):
    return sosfilt(butter(2, 90, "high", fs=RATE_HZ, output="sos"), x)


def automatic_gain(x, target_db=-26.0, most_db=30.0, tau_s=3.0):
    """Raised towards the target by how loud the last seconds were; never lowered."""
    block = 160
    power = (x[: len(x) // block * block].reshape(-1, block) ** 2).mean(1)
    k = np.exp(-block / RATE_HZ / tau_s)
    power = lfilter([1 - k], [1, -k], power, zi=[k * power[0]])[0]
    gain = np.clip(10 ** (target_db / 20) / np.sqrt(power + 1e-12), 1, 10 ** (most_db / 20))
    return np.clip(x * np.repeat(gain, block)[np.minimum(np.arange(len(x)), len(gain) * block - 1)], -1, 1)


def patch_gain(patches, target_db=-42.0, most_db=30.0):
    """[n, samples]: each patch raised to the target by itself; never lowered."""
    level = np.sqrt((patches ** 2).mean(1, keepdims=True) + 1e-12)
    return np.clip(patches * np.clip(10 ** (target_db / 20) / level, 1, 10 ** (most_db / 20)), -1, 1).astype(np.float32)


def floor_of(power, smooth=0.85, span=94, bias=1.6):
    """The noise's power [bins, frames]: the least of the smoothed power over the last 1.5 s (after Martin, 2001)."""
    smoothed = lfilter([1 - smooth], [1, -smooth], power, axis=1, zi=smooth * power[:, :1])[0]
    padded = np.concatenate([np.repeat(smoothed[:, :1], span - 1, 1), smoothed], 1)
    return bias * np.lib.stride_tricks.sliding_window_view(padded, span, axis=1).min(-1)


def spectrum(x):
    return stft(x, RATE_HZ, nperseg=512, noverlap=256)[2]


def samples(z, n):
    x = istft(z, RATE_HZ, nperseg=512, noverlap=256)[1]
    return np.pad(x, (0, max(0, n - len(x))))[:n]


def subtraction(x, over=1.5, least=0.1):
    """Spectral subtraction in power, with a floor against musical noise (Berouti et al., 1979)."""
    z = spectrum(x)
    power = np.abs(z) ** 2
    gain = np.sqrt(np.maximum(1 - over * floor_of(power) / (power + 1e-14), least ** 2))
    return samples(z * gain, len(x))


def wiener(x, alpha=0.96, least=0.18):
    """Wiener's gain with the decision-directed estimate of the signal (Ephraim and Malah, 1984); -15 dB at most."""
    z = spectrum(x)
    power = np.abs(z) ** 2
    noise = floor_of(power) + 1e-14
    gain, before = np.empty_like(power), np.zeros(len(power))
    for i in range(power.shape[1]):
        snr = power[:, i] / noise[:, i]
        prior = alpha * before + (1 - alpha) * np.maximum(snr - 1, 0)
        gain[:, i] = np.maximum(prior / (1 + prior), least)
        before = gain[:, i] ** 2 * snr
    return samples(z * gain, len(x))


PREPARATIONS = {
    "none": lambda x: x,
    "high-pass": high_pass,
    "gain to -26": automatic_gain,
    "gain to -42": lambda x: automatic_gain(x, -42.0),
    "subtraction": subtraction,
    "Wiener": wiener,
}
# These see patches and no more.
BY_PATCH = {"patch to -42": patch_gain}
