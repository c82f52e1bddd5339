"""Trains the sound model: python train.py --data DATA --cache CACHE --out DIR --minutes 15 [--resume CKPT]

Writes DIR/checkpoint.pt as it goes, and at the end DIR/weights.safetensors (f16) and DIR/trained.json. Thresholds and
figures are evaluate.py's.
"""
import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import data as packs
from augment import hum, shattering, spoil
from mel import HOP, PATCH, log_mel
from model import LABELS, MEAN, SCALE, MelCnn

BACKGROUND = LABELS.index("background")


def patches(samples):
    """Every 0.48 s a patch of 0.96 s; a short clip is repeated on silence."""
    if len(samples) < PATCH:
        samples = np.pad(samples, (0, PATCH - len(samples)))
    return np.stack([samples[i: i + PATCH] for i in range(0, len(samples) - PATCH + 1, HOP)])


def loud(patch_list):
    """Which patches carry the clip's sound: within 25 dB of the loudest one and over -65 dBFS."""
    db = 10 * np.log10((patch_list ** 2).mean(1) + 1e-12)
    return db > max(db.max() - 25, -65)


def pool(clips):
    """By label: the loud patches' source clips; and a list of quiet patches."""
    by_label = {label: [] for label in LABELS}
    for clip in clips:
        if len(clip["samples"]) > 1600 and np.abs(clip["samples"]).max() > 1e-4:
            by_label[clip["label"]].append(clip)
    return by_label


def excerpt(clip, rng):
    """A random patch where the clip is loud."""
    x = clip["samples"]
    if len(x) < PATCH:
        x = np.pad(x, (rng.integers(0, PATCH - len(x) + 1), PATCH))[:PATCH]
        return x
    if "energy" not in clip:  # by tenths of a second
        clip["energy"] = (x[: len(x) // 1600 * 1600].reshape(-1, 1600) ** 2).mean(1)
    for _ in range(6):
        start = rng.integers(0, len(x) - PATCH + 1)
        if clip["energy"][start // 1600 + 1: (start + PATCH) // 1600].max(initial=0) > clip["energy"].max() * 0.01:
            break
    return x[start: start + PATCH]


def sample(by_label, rng, weights):
    label = rng.choice(len(LABELS), p=weights)
    target = np.zeros(len(LABELS), np.float32)
    if LABELS[label] == "glass_break" and rng.random() < 0.5:
        x = shattering(rng)
    elif label == BACKGROUND and rng.random() < 0.15:
        x = hum(rng) if rng.random() < 0.7 else rng.standard_normal(PATCH) * rng.uniform(0.001, 0.3)
    else:
        x = excerpt(by_label[LABELS[label]][rng.integers(len(by_label[LABELS[label]]))], rng)
    target[label] = 1
    x = spoil(np.asarray(x, np.float32), rng)
    if rng.random() < 0.45:  # something else beside it, at -5 to 30 dB below; heard too when it is nearly as loud
        other = BACKGROUND if rng.random() < 0.7 else rng.choice(len(LABELS), p=weights)
        y = spoil(excerpt(by_label[LABELS[other]][rng.integers(len(by_label[LABELS[other]]))], rng), rng)
        db = rng.uniform(-5, 30)
        rms = lambda v: np.sqrt((v ** 2).mean()) + 1e-6
        x = np.clip(x + y * rms(x) / rms(y) * 10 ** (-db / 20), -1, 1)
        if db < 8 and other != BACKGROUND:
            target[other] = 1
            target[BACKGROUND] = 0
    return x, target


class Stream(torch.utils.data.IterableDataset):
    def __init__(self, clips, batch, seed):
        self.by_label, self.batch, self.seed = pool(clips), batch, seed
        weights = np.array([1.0, 1.1, 0.8, 1.1, 0.9, 0.9, 1.2, 3.2])
        self.weights = weights / weights.sum()

    def __iter__(self):
        torch.set_num_threads(1)
        rng = np.random.default_rng(self.seed)
        while True:
            xs, ts = zip(*(sample(self.by_label, rng, self.weights) for _ in range(self.batch)))
            mel = (log_mel(np.stack(xs)) - MEAN) * SCALE
            for m in mel:  # SpecAugment: one band and one stretch of time
                if rng.random() < 0.5:
                    a, b = rng.integers(0, 56), rng.integers(0, 84)
                    m[:, a: a + rng.integers(1, 9)] = 0
                    m[b: b + rng.integers(1, 13)] = 0
            yield torch.from_numpy(mel[:, None]), torch.from_numpy(np.stack(ts))


@torch.no_grad()
def clip_scores(model, clip):
    """[patches, labels] probabilities."""
    mel = (log_mel(patches(clip["samples"])) - MEAN) * SCALE
    return torch.sigmoid(model(torch.from_numpy(mel[:, None]))).numpy()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--resume", help="a checkpoint, or shipped weights.safetensors")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    clips = packs.load(args.data, args.cache)
    train = [c for c in clips if c["part"] == "train"]
    model, out = MelCnn(), Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    if args.resume:
        state = load_file(args.resume) if args.resume.endswith(".safetensors") else torch.load(args.resume)
        model.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    batches = iter(torch.utils.data.DataLoader(Stream(train, 64, args.seed), batch_size=None, num_workers=1))
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998), use_buffers=True)
    start, step, total = time.time(), 0, args.minutes * 60
    while (spent := time.time() - start) < total:
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * spent / total)))
        x, target = next(batches)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update_parameters(model)
        step += 1
        if step % 200 == 0:
            print(f"{spent / 60:.1f} min, step {step}, loss {loss.item():.4f}", flush=True)
            torch.save(average.module.state_dict(), out / "checkpoint.pt")
    best = average.module.eval()
    save_file({k: v.half().contiguous() for k, v in best.state_dict().items() if "num_batches" not in k},
              out / "weights.safetensors")
    (out / "trained.json").write_text(json.dumps(dict(minutes=args.minutes, steps=step, patches=step * 64)))


if __name__ == "__main__":
    main()
