"""What preparing sound does for its model: python preparation.py --data DATA --cache CACHE --weights FILE --out FILE

The validation and test clips (every fourth of background, every sixteenth of speech) as they are, in steady noise
(steady.py) so many dB below the loudest 0.96 s of a clip, and at so many dBFS there without noise but that of 16 bits,
under each preparation. Three seconds of noise alone come before every clip, as a microphone in a yard has heard it for
hours. Told are means over the five labels of events: AUC, and the share found at the thresholds of
models/sound/model.toml, and false alarms there, summed. Intervals are 95 % over resampled clips; "gain" is the
difference to the first preparation over the same clips.
"""
import argparse
import json
import tomllib
import zlib
from pathlib import Path

import numpy as np
import torch

import data as packs
import steady
from clips import floats, ints
from evaluate import MANIFEST, network, patches, runs
from mel import HOP, PATCH, RATE_HZ, log_mel
from model import LABELS, MEAN, SCALE

EVENTS = ["gunshot", "explosion", "siren", "baby_cry", "dog_bark"]
BEFORE = 3 * RATE_HZ
CONDITIONS = {"as it is": {}, **{f"noise at {db} dB": dict(snr_db=db) for db in (20, 10, 5, 0)},
              **{f"level {db} dBFS": dict(level_db=db) for db in (-50, -70)}}


def loudest(x):
    """Root mean square of the loudest patch."""
    return max(np.sqrt((p ** 2).mean()) for p in patches(x)) + 1e-9


def heard(clip, number, snr_db=None, level_db=None):
    """The clip after BEFORE samples of what is there without it."""
    rng = np.random.default_rng(zlib.crc32(f"{clip['part']} {clip['file']}".encode()))
    x = floats(clip["samples"])
    if level_db is not None:
        x = x / loudest(x) * 10 ** (level_db / 20)
    x = np.pad(x, (BEFORE, max(0, PATCH - len(x))))
    if snr_db is not None:
        noise = steady.NOISES[number % len(steady.NOISES)](len(x), rng)
        x = x + noise / np.sqrt((noise ** 2).mean()) * loudest(x[BEFORE:]) * 10 ** (-snr_db / 20)
        x = x / max(1.0, np.abs(x).max())
    return floats(ints(x + rng.uniform(-0.5, 0.5, len(x)) / 32_768))


@torch.no_grad()
def scores(model, x, by_patch):
    """[patches, labels] of what comes after BEFORE."""
    mel = (log_mel(by_patch(patches(x[BEFORE:].astype(np.float32)))) - MEAN) * SCALE
    return torch.sigmoid(model(torch.from_numpy(mel[:, None]))).numpy()


def same(x):
    return x


def auc(own, other):
    return (own[:, None] > other).mean() + (own[:, None] == other).mean() / 2


def figures(best, alarms, seconds, labels, thresholds, k):
    """(AUC, share found, false alarms an hour), each the mean over EVENTS; the latter the sum."""
    aucs, found, false = [], [], 0.0
    for label in EVENTS:
        i, own = LABELS.index(label), labels[k] == label
        aucs.append(auc(best[k][own, i], best[k][~own, i]))
        found.append((best[k][own, i] >= thresholds[i]).mean())
        false += alarms[k][~own, i].sum() / seconds[k][~own].sum() * 3600
    return np.array([np.mean(aucs), np.mean(found), false])


def interval(values, digits):
    return [round(float(v), digits) for v in np.nanpercentile(values, [2.5, 97.5])]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "weights", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--conditions", nargs="*", default=list(CONDITIONS))
    parser.add_argument("--preparations", nargs="*", default=[*steady.PREPARATIONS, *steady.BY_PATCH],
                        help="the first is the one compared with")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, clips = network(args.weights), packs.load(args.data, args.cache)
    clips = packs.part(clips, "valid") + packs.part(clips, "test")
    thin = {"background": 4, "speech": 16}
    clips = [c for label in LABELS for c in [c for c in clips if c["label"] == label][::thin.get(label, 1)]]
    labels = np.array([c["label"] for c in clips])
    known = {l["name"]: l["threshold"] for l in tomllib.loads(MANIFEST.read_text())["label"]}
    thresholds = np.array([known[l] for l in LABELS])
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(clips), (200, len(clips)))
    result = dict(clips={l: int((labels == l).sum()) for l in LABELS}, conditions={})
    for condition in args.conditions:
        sounds = [heard(c, i, **CONDITIONS[condition]) for i, c in enumerate(clips)]
        base = None
        for name in args.preparations:
            prepare, by_patch = steady.PREPARATIONS.get(name, same), steady.BY_PATCH.get(name, same)
            of = [scores(model, prepare(x), by_patch) for x in sounds]
            best = np.stack([s.max(0) for s in of])
            alarms = np.stack([[runs(s[:, i] >= thresholds[i]) for i in range(len(LABELS))] for s in of])
            seconds = np.array([len(s) * HOP / RATE_HZ for s in of])
            rest = best, alarms, seconds, labels, thresholds
            value = figures(*rest, np.arange(len(clips)))
            drawn = np.stack([figures(*rest, k) for k in draws])
            base = (value, drawn) if base is None else base
            f = dict(auc=round(value[0], 3), found=round(value[1], 3), false_alarms_per_hour=round(value[2], 1),
                     auc_gain=round(value[0] - base[0][0], 3), auc_gain_interval95=interval(drawn[:, 0] - base[1][:, 0], 3),
                     found_gain_interval95=interval(drawn[:, 1] - base[1][:, 1], 3),
                     false_alarms_gain_interval95=interval(drawn[:, 2] - base[1][:, 2], 1),
                     by_label={l: round(float((best[labels == l, LABELS.index(l)] >= known[l]).mean()), 2) for l in EVENTS})
            result["conditions"].setdefault(condition, {})[name] = f
            print(f"{condition:16s} {name:12s} AUC {f['auc']:.3f} gain {f['auc_gain']:+.3f} {f['auc_gain_interval95']} "
                  f"found {f['found']:.2f} {f['found_gain_interval95']} false {f['false_alarms_per_hour']:.0f}/h "
                  f"{f['false_alarms_gain_interval95']} {f['by_label']}", flush=True)
            Path(args.out).write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
