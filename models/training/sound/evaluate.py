"""Thresholds and figures: python evaluate.py --data DATA --cache CACHE --weights FILE [--calibrate] --out figures.json

`--calibrate` chooses the thresholds on the validation clips, so that each label gives at most `--alarms` false alarms
an hour there; else those of models/sound/model.toml hold. Figures are of the test clips. A clip's score is the highest
over its patches; a false alarm is a run of patches over the threshold in a clip that is something else.
"""
import argparse
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

import data as packs
from mel import HOP, RATE_HZ
from model import LABELS, MelCnn
from train import clip_scores

MANIFEST = Path(__file__).resolve().parents[2] / "sound/model.toml"
ALARMS = LABELS[:-1]
LOWEST, HIGHEST = 0.5, 0.97


def recording(clip):
    """Freesound's number of an ESC clip."""
    return clip["file"].split("-")[1] if clip["source"].startswith("esc") else clip["file"]


def score(model, clips):
    for clip in clips:
        clip["scores"] = clip_scores(model, clip)
    return clips


def hours(clips):
    return sum(len(c["scores"]) for c in clips) * HOP / RATE_HZ / 3600


def runs(over):
    """How many times a row of booleans becomes true."""
    return int(over[0]) + int((over[1:] & ~over[:-1]).sum())


def false_alarms(clips, label, threshold):
    """(number, hours) over the clips that are something else."""
    k, others = LABELS.index(label), [c for c in clips if c["label"] != label]
    return sum(runs(c["scores"][:, k] >= threshold) for c in others), hours(others)


def calibrated(clips, per_hour):
    """The lowest thresholds that keep to the rate, in steps of 0.01."""
    chosen = {}
    for label in ALARMS:
        for threshold in np.arange(LOWEST, HIGHEST, 0.01):
            n, h = false_alarms(clips, label, threshold)
            if n <= per_hour * h:
                break
        chosen[label] = round(float(threshold), 2)
    return {**chosen, "background": 0.5}


def interval(values, figure, times=2000):
    """95 % of `figure` over resampled values."""
    rng, n = np.random.default_rng(0), len(values)
    drawn = [figure([values[i] for i in rng.integers(0, n, n)]) for _ in range(times)]
    return [round(float(v), 3) for v in np.nanpercentile(drawn, [2.5, 97.5])]


def wilson(hits):
    """95 % interval of a share (Wilson 1927)."""
    n, p, z = len(hits), float(np.mean(hits)), 1.96
    centre, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return [round((centre - half) / (1 + z * z / n), 3), round((centre + half) / (1 + z * z / n), 3)]


def decide(clip, labels, thresholds, otherwise):
    """The label furthest over its threshold, or `otherwise`."""
    best = max(labels, key=lambda l: clip["scores"][:, LABELS.index(l)].max() / thresholds[l])
    return best if clip["scores"][:, LABELS.index(best)].max() >= thresholds[best] else otherwise


def macro_f1(pairs):
    f = []
    for label in sorted({t for t, _ in pairs}):
        hit = sum(t == p == label for t, p in pairs)
        f.append(2 * hit / (sum(t == label for t, _ in pairs) + sum(p == label for _, p in pairs)))
    return float(np.mean(f))


def choice(clips, labels, thresholds, figure):
    """A single-label task: truth and decision of each clip, all other labels being `background`."""
    pairs = [(c["label"] if c["label"] in labels else "background", decide(c, labels, thresholds, "background"))
             for c in clips]
    table = {t: {p: sum(x == (t, p) for x in pairs) for p in [*labels, "background"]} for t in [*labels, "background"]}
    return dict(n=len(pairs), value=round(figure(pairs), 3), interval95=interval(pairs, figure), truth_by_decision=table)


def accuracy(pairs):
    return float(np.mean([t == p for t, p in pairs]))


def area(clips, label):
    """Probability that a clip of the label scores above one that is something else."""
    k = LABELS.index(label)
    a = np.array([c["scores"][:, k].max() for c in clips if c["label"] == label])
    b = np.array([c["scores"][:, k].max() for c in clips if c["label"] != label])
    return float(((a[:, None] > b).mean() + (a[:, None] == b).mean() / 2)) if len(a) and len(b) else None


def by_label(clips, thresholds):
    out = {}
    for label in ALARMS:
        k, t = LABELS.index(label), thresholds[label]
        hits = [float(c["scores"][:, k].max() >= t) for c in clips if c["label"] == label]
        n, h = false_alarms(clips, label, t)
        auc = area(clips, label)
        out[label] = dict(threshold=t, clips=len(hits), recall=round(float(np.mean(hits)), 3) if hits else None,
                          interval95=wilson(hits) if hits else None,
                          auc=None if auc is None else round(auc, 3), false_alarms=n, hours=round(h, 3),
                          false_alarms_per_hour=round(n / h, 1))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "weights"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--calibrate", action="store_true", help="and write the thresholds into the manifest")
    parser.add_argument("--alarms", type=float, default=20.0, help="false alarms an hour allowed on the validation clips")
    parser.add_argument("--out")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = MelCnn()
    weights = load_file(args.weights) if args.weights.endswith(".safetensors") else torch.load(args.weights)
    model.load_state_dict({k: v.float() for k, v in weights.items()}, strict=False)
    model.eval()
    clips = packs.load(args.data, args.cache)
    known = {recording(c) for c in clips if c["part"] == "train"}
    valid = score(model, [c for c in clips if c["part"] == "valid" and recording(c) not in known])
    # SESA's names repeat between its parts; ESC's numbers are recordings
    test = score(model, [c for c in clips if c["part"] == "test" and (c["source"] == "sesa" or recording(c) not in known)])
    if args.calibrate:
        thresholds, text = calibrated(valid, args.alarms), MANIFEST.read_text()
        for label, value in thresholds.items():
            text = re.sub(rf'(name = "{label}"\n(?:aliases.*\n)?threshold = )[\d.]+', rf"\g<1>{value}", text)
        MANIFEST.write_text(text)
    else:
        labels = tomllib.loads(MANIFEST.read_text())["label"]
        thresholds = {label["name"]: label["threshold"] for label in labels}
    figures = dict(
        validation=by_label(valid, thresholds), test=by_label(test, thresholds),
        sesa_macro_f1=choice([c for c in test if c["source"] == "sesa"], ["gunshot", "explosion", "siren"], thresholds, macro_f1),
        esc10_fold5_accuracy=choice([c for c in test if c["source"] == "esc10"], ["baby_cry", "dog_bark"], thresholds, accuracy),
        clips={part: sum(c["part"] == part for c in clips) for part in ("train", "valid", "test")})
    print(json.dumps(figures, indent=1))
    if args.out:
        Path(args.out).write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
