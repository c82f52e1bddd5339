"""Batches of features with targets, made from cached copies of the clips; nothing here loops over samples."""
import numpy as np
import torch

from clips import floats
from mel import BANK, HANN, PATCH, RATE_HZ
from model import LABELS, MEAN, SCALE
from spoil import copies
from synth import bank

BACKGROUND = LABELS.index("background")
SHARES = dict(gunshot=1.2, explosion=1.2, glass_break=0.7, siren=1.3, baby_cry=0.8, dog_bark=0.9, speech=0.9, background=4.0)
MADE_UP = dict(glass_break=0.5, siren=0.35, background=0.08)
BLOCK = 1_600
HEARD_DB, UNHEARD_DB = 6, 15


def features(x, curve=None):
    """[N, 15360] -> [N, 1, 96, 64] as the network takes it; `curve` [N, 257] weighs the spectrum first."""
    frames = torch.nn.functional.pad(x, (120, 280)).unfold(1, 400, 160)[:, :96]
    bins = torch.fft.rfft(frames * torch.from_numpy(HANN), 512).abs()
    if curve is not None:
        bins = bins * curve[:, None]
    return ((torch.log(bins @ torch.from_numpy(BANK) + 1e-3) - MEAN) * SCALE)[:, None]


class Sounds:
    """Every training clip in its four forms, one after another in one array with silence between."""

    def __init__(self, clips, cache, seed):
        self.rng = np.random.default_rng(seed)
        spoilt = copies([c["samples"] for c in clips], cache, f"sound-{len(clips)}")
        gap, parts, at = np.zeros(PATCH, np.int16), [np.zeros(PATCH, np.int16)], PATCH
        self.items = []
        self.words = sorted({c["word"] for c in clips} - {"casual"})
        for i, clip in enumerate(clips):
            x = clip["samples"]
            energy = (floats(x[: len(x) // BLOCK * BLOCK]).reshape(-1, BLOCK) ** 2).mean(1)
            if not len(energy) or energy.max() < 1e-8:
                continue
            starts = []
            for form in [x, *(spoilt[k][i] for k in spoilt)]:
                parts += [form, gap]
                starts.append(at)
                at += len(form) + PATCH
            word = self.words.index(clip["word"]) if clip["word"] in self.words else -1
            self.items.append(dict(starts=starts, n=len(x), label=LABELS.index(clip["label"]), word=word,
                                   loud=np.flatnonzero(energy > energy.max() * 0.01)))
        self.all = np.concatenate(parts)
        self.by_label = {l: {} for l in LABELS}
        for item in self.items:
            groups = self.by_label[LABELS[item["label"]]]
            groups.setdefault(item["word"] if item["label"] == BACKGROUND else 0, []).append(item)
        shares = np.array([SHARES[l] for l in LABELS])
        self.shares = shares / shares.sum()
        kinds = {"siren": ("siren", 1500), "glass_break": ("glass_break", 600), "background": ("tones", 500)}
        self.made_up = {label: bank(kind, n, cache) for label, (kind, n) in kinds.items()}
        self.noise = self.noises(300)

    def noises(self, n):
        """Noise of random colour, RMS 1."""
        slope = self.rng.uniform(0, 2.2, (n, 1)) / 2
        f = np.maximum(1, np.arange(PATCH // 2 + 1))[None] ** -slope
        f[:, :8] = 0
        x = np.fft.irfft(f * np.exp(2j * np.pi * self.rng.random(f.shape)), PATCH).astype(np.float32)
        return x / np.sqrt((x ** 2).mean(1, keepdims=True))

    def draw(self, label):
        """(where in `all` or a made-up patch, label, word)"""
        rng, name = self.rng, LABELS[label]
        if not self.by_label[name] or rng.random() < MADE_UP.get(name, 0):  # `train.py --without`: nothing real is left
            made = self.made_up[name]
            word = self.words.index(name) if name in self.words else -1
            return made[rng.integers(len(made))], label, word
        groups = self.by_label[name]
        keys = list(groups)
        if len(keys) > 1 and rng.random() < 0.3 and -1 in groups:
            group = groups[-1]  # SESA's own `casual`
        else:
            group = groups[keys[rng.integers(len(keys))]]
        item = group[rng.integers(len(group))]
        middle = item["loud"][rng.integers(len(item["loud"]))] * BLOCK + BLOCK // 2
        start = middle - rng.integers(BLOCK, PATCH - BLOCK)
        slack = 2_000 if rng.random() < 0.3 else 0
        low, high = min(0, item["n"] - PATCH) - slack, max(0, item["n"] - PATCH) + slack
        form = rng.choice(4, p=[0.4, 0.24, 0.2, 0.16])
        return item["starts"][form] + int(np.clip(start, low, high)), label, item["word"]

    def cut(self, drawn):
        """[N, PATCH] float at speeds of 0.9 to 1.1, RMS 1."""
        rng, n = self.rng, len(drawn)
        speed = np.where(rng.random(n) < 0.5, 1, rng.uniform(0.9, 1.1, n))
        at = (np.arange(PATCH)[None] - PATCH / 2) * speed[:, None] + PATCH / 2
        at = np.clip(at, -PATCH * 0.06, PATCH * 1.06)
        low = np.floor(at).astype(np.int64)
        part = (at - low).astype(np.float32)
        x = np.empty((n, PATCH), np.float32)
        for i, (where, _, _) in enumerate(drawn):
            if isinstance(where, np.ndarray):
                source, k = where, np.clip(low[i], 0, PATCH - 2)
            else:
                source, k = self.all, np.clip(where + low[i], 0, len(self.all) - 2)
            a = source[k].astype(np.float32)
            x[i] = a + part[i] * (source[k + 1] - a)
        return x / (np.sqrt((x ** 2).mean(1, keepdims=True)) + 1.0)

    def batch(self, n):
        """Features [n, 1, 96, 64], targets [n, labels], their weights (0: not to be judged), words [n] (-1: none)."""
        rng = self.rng
        main = [self.draw(k) for k in rng.choice(len(LABELS), n, p=self.shares)]
        mixed = rng.random(n) < 0.55
        beside = [self.draw(BACKGROUND if rng.random() < 0.65 else rng.choice(len(LABELS), p=self.shares)) for _ in range(n)]
        x, y = self.cut(main), self.cut(beside)
        below_db = rng.uniform(-6, 30, n)
        x += y * np.where(mixed, 10 ** (-below_db / 20), 0).astype(np.float32)[:, None]
        target, weight = np.zeros((n, len(LABELS)), np.float32), np.ones((n, len(LABELS)), np.float32)
        words = np.full(n, -1)
        for i in range(n):
            target[i, main[i][1]] = 1
            if not mixed[i] or below_db[i] > 3:
                words[i] = main[i][2]
            if mixed[i] and beside[i][1] != BACKGROUND:
                if below_db[i] < HEARD_DB:
                    target[i, beside[i][1]], target[i, BACKGROUND] = 1, 0
                elif below_db[i] < UNHEARD_DB and not target[i, beside[i][1]]:
                    weight[i, beside[i][1]] = weight[i, BACKGROUND] = 0
        x *= (10 ** (rng.uniform(-36, -1, n) / 20) / np.abs(x).max(1))[:, None]
        hot = rng.random(n) < 0.12
        x[hot] *= rng.uniform(2, 8, hot.sum())[:, None]
        noise = np.where(rng.random(n) < 0.6, 10 ** (rng.uniform(-80, -38, n) / 20), 0)
        x += self.noise[rng.integers(0, len(self.noise), n)] * noise.astype(np.float32)[:, None]
        x = np.clip(x, -1, 1)
        mel = features(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(self.curves(n)))
        return self.masked(mel), torch.from_numpy(target), torch.from_numpy(weight), torch.from_numpy(words)

    def curves(self, n):
        """[n, 257] gains of a smooth random response, half of them flat; within about 10 dB."""
        rng, octave = self.rng, np.log2(np.maximum(1, np.arange(257)) * RATE_HZ / 512 / 125)
        db = np.zeros((n, 257))
        for k in range(1, 4):
            db += rng.normal(0, 3, (n, 1)) * np.cos(np.pi * k * octave / 6 + rng.uniform(0, 6.28, (n, 1)))
        return (10 ** (db * (rng.random((n, 1)) < 0.6) / 20)).astype(np.float32)

    def masked(self, mel):
        """SpecAugment: a stretch of bands and one of time, set to the middle of the range."""
        rng = self.rng
        for m in mel[:, 0]:
            if rng.random() < 0.5:
                a, b = rng.integers(0, 54), rng.integers(0, 80)
                m[:, a: a + rng.integers(1, 11)] = 0
                m[b: b + rng.integers(1, 17)] = 0
        return mel
