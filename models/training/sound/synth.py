"""Sounds made up where recordings are few: sirens, breaking glass, and tones that are neither."""
from pathlib import Path

import numpy as np
from scipy.signal import butter, sosfilt

RATE_HZ, PATCH = 16_000, 15_360


def _level(x):
    return (x / (np.abs(x).max() + 1e-9)).astype(np.float32)


def pitch_law(rng, t):
    """Hz over time of a siren of some kind: wail, yelp, piercer, two-tone, rising horn, or steady."""
    low = np.exp(rng.uniform(np.log(280), np.log(900)))
    high = min(low * np.exp(rng.uniform(np.log(1.25), np.log(3.2))), 2200)
    kind = rng.choice(["wail", "yelp", "piercer", "two_tone", "sweep", "steady"], p=[0.24, 0.2, 0.06, 0.22, 0.12, 0.16])
    period = {"wail": rng.uniform(2, 12), "yelp": rng.uniform(0.18, 0.7), "piercer": rng.uniform(0.05, 0.13),
              "two_tone": rng.uniform(0.35, 2.2), "sweep": rng.uniform(0.4, 2.5), "steady": 1.0}[kind]
    phase = (t / period + rng.random()) % 1
    if kind == "steady":
        return np.full_like(t, np.exp(rng.uniform(np.log(380), np.log(1500))))
    if kind == "two_tone":
        low, ratio = np.exp(rng.uniform(np.log(350), np.log(950))), rng.uniform(1.12, 1.6)
        law = (phase > rng.uniform(0.4, 0.6)).astype(float)
        k = rng.uniform(0.002, 0.02) * RATE_HZ  # the horn takes a moment to change
        law = np.convolve(np.pad(law, (int(k), 0), "edge"), np.ones(int(k) + 1) / (int(k) + 1), "valid")
        return low * (1 + (ratio - 1) * law)
    if kind == "sweep":
        return low * (high / low) ** (phase if rng.random() < 0.7 else 1 - phase)
    rise = rng.uniform(0.3, 0.7)
    law = np.where(phase < rise, phase / rise, (1 - phase) / (1 - rise))
    law = law ** rng.uniform(0.6, 1.8) if rng.random() < 0.6 else (1 - np.exp(-3 * law)) / 0.95
    return low * (high / low) ** law


def voice(rng, hz, t):
    """A horn, an electronic speaker or a chopped disc at that pitch: harmonics with a slope, some of them odd only."""
    turn = np.cumsum(hz) / RATE_HZ * 2 * np.pi + rng.uniform(0, 6.28)
    slope, odd, x = rng.uniform(0.4, 2.2), rng.random() < 0.35, np.zeros_like(t)
    for k in range(1, rng.integers(2, 14)):
        if (odd and k % 2 == 0) or k * hz.max() > 7800:
            continue
        x += rng.uniform(0.4, 1.2) * np.sin(k * turn + rng.uniform(0, 6.28)) / k ** slope
    if rng.random() < 0.3:
        x = np.tanh(x * rng.uniform(1, 4))
    return x


def siren(rng, n=PATCH):
    """One siren, at times a second one beside it, at times passing by (Doppler and level)."""
    t = np.arange(n) / RATE_HZ
    hz = pitch_law(rng, t)
    if rng.random() < 0.25:
        hz = hz * (1 + 0.06 * np.tanh((rng.uniform(0, t[-1]) - t) * rng.uniform(1, 4)))
    if rng.random() < 0.2:
        hz = hz * (1 + rng.uniform(0.002, 0.012) * np.sin(2 * np.pi * rng.uniform(4, 8) * t))
    x = voice(rng, hz, t)
    if rng.random() < 0.12:  # a mechanical siren's second rotor
        x += rng.uniform(0.4, 1) * voice(rng, hz * rng.choice([6 / 5, 5 / 4, 4 / 3, 3 / 2]), t)
    if rng.random() < 0.25:
        x = x * (1 - rng.uniform(0.1, 0.7) * (0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(1, 12) * t + rng.uniform(0, 6))))
    if rng.random() < 0.3:
        echo = int(rng.uniform(0.05, 0.4) * RATE_HZ)
        x[echo:] += rng.uniform(0.2, 0.7) * x[:-echo]
    return _level(x)


def shattering(rng, n=PATCH):
    """A glass break: an impact, many high modes that die away, pieces falling later."""
    x, t = np.zeros(n), np.arange(n) / RATE_HZ
    at = int(rng.uniform(0, 0.4) * n)
    if rng.random() < 0.7:
        thump = np.exp(-t / rng.uniform(0.01, 0.06)) * np.sin(2 * np.pi * rng.uniform(80, 500) * t)
        x[at:] += rng.uniform(0, 1.2) * thump[: n - at]
    for i in range(rng.integers(3, 28)):
        start = at if i == 0 else min(n - 1, at + int(rng.exponential(0.18) * RATE_HZ))
        tt, level = t[: n - start], 1.0 if i == 0 else rng.uniform(0.05, 0.8)
        burst = rng.uniform(0.2, 1.5) * rng.standard_normal(n - start) * np.exp(-tt / rng.uniform(0.002, 0.05))
        scale = rng.uniform(0.03, 0.25) if rng.random() < 0.5 else rng.uniform(0.008, 0.05)
        for _ in range(rng.integers(4, 24)):
            hz, tau = np.exp(rng.uniform(np.log(1200), np.log(7700))), scale * rng.uniform(0.3, 1.5)
            burst += rng.uniform(0.1, 1) * np.sin(2 * np.pi * hz * tt + rng.uniform(0, 6.28)) * np.exp(-tt / tau)
        x[start:] += level * burst
    return _level(sosfilt(butter(1, rng.uniform(200, 1500), "high", fs=RATE_HZ, output="sos"), x))


def tones(rng, n=PATCH):
    """Tones that are no siren: mains hum, beeps, plucked or struck notes, chords."""
    t, kind = np.arange(n) / RATE_HZ, rng.choice(["hum", "beep", "notes", "chord"])
    if kind == "hum":
        hz = rng.choice([50, 60, 100, 120]) * rng.uniform(0.98, 1.6)
        x = sum(rng.uniform(0, 1) * np.sin(2 * np.pi * hz * k * t + rng.uniform(0, 6.28)) / k for k in range(1, 12))
    elif kind == "beep":  # short, with silence between
        hz = np.exp(rng.uniform(np.log(600), np.log(4200)))
        on = (t * rng.uniform(1, 8) + rng.random()) % 1 < rng.uniform(0.1, 0.5)
        x = np.sin(2 * np.pi * hz * t) * on
    elif kind == "notes":
        x, base = np.zeros(n), np.exp(rng.uniform(np.log(80), np.log(700)))
        for _ in range(rng.integers(2, 10)):
            start, hz = rng.integers(0, n), base * 2 ** (rng.choice([0, 2, 3, 4, 5, 7, 9, 12, 14, 16]) / 12)
            tt = t[: n - start]
            for k in range(1, rng.integers(2, 8)):
                x[start:] += np.sin(2 * np.pi * hz * k * tt) / k ** 1.4 * np.exp(-tt * k / rng.uniform(0.08, 0.6))
    else:
        base, x = np.exp(rng.uniform(np.log(80), np.log(350))), np.zeros(n)
        for step in rng.choice([0, 3, 4, 7, 10, 11, 12, 16, 19], 3, replace=False):
            for k in range(1, 6):
                x += rng.uniform(0.3, 1) * np.sin(2 * np.pi * base * 2 ** (step / 12) * k * t + rng.uniform(0, 6.28)) / k ** 1.5
    return _level(x)


def bank(kind, count, cache, seed=1):
    """[count, PATCH] int16, made once."""
    kept = Path(cache) / f"made-up-{kind}-{count}-{seed}.npy"
    if not kept.exists():
        rng = np.random.default_rng(seed)
        make = {"siren": siren, "glass_break": shattering, "tones": tones}[kind]
        np.save(kept, np.stack([np.round(32_767 * 0.7 * make(rng)).astype(np.int16) for _ in range(count)]))
    return np.load(kept)
