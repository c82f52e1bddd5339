"""Thresholds and figures: python evaluate.py --data DATA --cache CACHE --weights FILE [--thresholds] --out figures.json

The weights are calibrated ones (calibrate.py). `--thresholds` chooses the thresholds on the validation clips, so that
each label gives at most `--alarms` false alarms an hour there, and writes them into models/sound/model.toml; else those
that stand there hold. Figures are of the test clips. A clip's score is the highest over its patches; a false alarm is a
run of patches over the threshold in a clip that is something else. `--plot` draws the curves. `--without LABEL` is for
weights that train.py made with the same switch: the label's real clips are test clips then, and each one's score is said.
"""
import argparse
import json
import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

sys.path.append(str(Path(__file__).resolve().parents[1]))
import data as packs  # noqa: E402
from clips import floats  # noqa: E402
from curves import draw  # noqa: E402
from intervals import poisson, wilson  # noqa: E402
from mel import HOP, PATCH, RATE_HZ, log_mel  # noqa: E402
from model import LABELS, MEAN, SCALE, MelCnn  # noqa: E402
from reliability import ece  # noqa: E402

MANIFEST = Path(__file__).resolve().parents[2] / "sound/model.toml"
ALARMS = LABELS[:-1]
LOWEST, HIGHEST = 0.5, 0.97


def patches(x):
    """Every 0.48 s a patch of 0.96 s; where 0.1 s or more are left one that ends with the clip: as `src/patches.rs` has it.

    A shorter clip is followed by silence.
    """
    x = np.pad(x, (0, max(0, PATCH - len(x))))
    starts = list(range(0, len(x) - PATCH + 1, HOP))
    if len(x) - PATCH - starts[-1] >= RATE_HZ // 10:
        starts.append(len(x) - PATCH)
    return np.stack([x[i: i + PATCH] for i in starts])


@torch.no_grad()
def logits(model, clip):
    """[patches, labels]"""
    mel = (log_mel(patches(floats(clip["samples"]))) - MEAN) * SCALE
    return model(torch.from_numpy(mel[:, None])).numpy()


def network(weights):
    """The averaged network of a checkpoint, or that of a safetensors file."""
    state = load_file(weights) if weights.endswith(".safetensors") else torch.load(weights)["average"]
    state = {k.removeprefix("module."): v.float() for k, v in state.items() if "num_batches" not in k and k != "n_averaged"}
    model = MelCnn()
    model.load_state_dict(state, strict=False)
    return model.eval()


def score(model, clips):
    for clip in clips:
        clip["scores"] = 1 / (1 + np.exp(-logits(model, clip)))
    return clips


def hours(clips):
    return sum(len(c["samples"]) for c in clips) / RATE_HZ / 3600


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


def calibration_error(clips):
    """Expected calibration error over every label of every clip, as `models eval` has it."""
    p = np.concatenate([c["scores"].max(0) for c in clips])
    true = np.concatenate([[c["label"] == l for l in LABELS] for c in clips]).astype(float)
    return ece(p, true)


def curve(clips, label):
    """[(threshold, recall or None, false alarms an hour)] for the plot."""
    k, own = LABELS.index(label), [c for c in clips if c["label"] == label]
    out = []
    for t in np.arange(0.05, 1.0, 0.05):
        n, h = false_alarms(clips, label, t)
        out.append((float(t), float(np.mean([c["scores"][:, k].max() >= t for c in own])) if own else None, n / h))
    return out


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
                          interval95=wilson(sum(hits), len(hits)) if hits else None,
                          auc=None if auc is None else round(auc, 3), false_alarms=n, hours=round(h, 3),
                          false_alarms_per_hour=round(n / h, 1), false_alarms_interval95=poisson(n, h))
    return out


def left_out(clips, label, thresholds):
    """A label without real clips in training: figures over all held-out clips, and of each of its own the best score and
    how many of the others score as high."""
    k = LABELS.index(label)
    others = np.array([c["scores"][:, k].max() for c in clips if c["label"] != label])
    own = {c["file"]: c["scores"][:, k].max() for c in clips if c["label"] == label}
    return dict(**by_label(clips, thresholds)[label], others=len(others), others_over=int((others >= thresholds[label]).sum()),
                scores={f: dict(best=round(float(s), 3), others_as_high=int((others >= s).sum())) for f, s in own.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "weights"):
        parser.add_argument(f"--{name}", required=True)
    either = parser.add_mutually_exclusive_group()  # the manifest's thresholds are of the shipped weights
    either.add_argument("--thresholds", action="store_true", help="choose them, and write them into the manifest")
    either.add_argument("--without", choices=ALARMS, help="the label whose real clips training left out")
    parser.add_argument("--alarms", type=float, default=20.0, help="false alarms an hour allowed on the validation clips")
    parser.add_argument("--plot", help="an SVG of recall and false alarms over the threshold")
    parser.add_argument("--out")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = network(args.weights)
    clips = packs.load(args.data, args.cache, args.without)
    valid, test = (score(model, packs.part(clips, name)) for name in ("valid", "test"))
    if args.thresholds:
        thresholds, text = calibrated(valid, args.alarms), MANIFEST.read_text()
        for label, value in thresholds.items():
            text = re.sub(rf'(name = "{label}"\n(?:aliases.*\n)?threshold = )[\d.]+', rf"\g<1>{value}", text)
        MANIFEST.write_text(text)
    else:
        labels = tomllib.loads(MANIFEST.read_text())["label"]
        thresholds = {label["name"]: label["threshold"] for label in labels}
    if args.plot:
        panels = {l: ([curve(valid, l), curve(test, l)], thresholds[l]) for l in ALARMS}
        Path(args.plot).write_text(draw("clips found", "false alarms an hour of other clips", 200, panels))
    figures = dict(
        validation=by_label(valid, thresholds), test=by_label(test, thresholds),
        sesa_macro_f1=choice([c for c in test if c["source"] == "sesa"], ["gunshot", "explosion", "siren"], thresholds, macro_f1),
        esc10_fold5_accuracy=choice([c for c in test if c["source"] == "esc10"], ["baby_cry", "dog_bark"], thresholds, accuracy),
        ece={name: [round(calibration_error(part), 4), *interval(part, calibration_error)]
             for name, part in (("validation", valid), ("test", test))},
        clips={part: len(packs.part(clips, part)) for part in ("train", "valid", "test")})
    if args.without:
        figures["left_out"] = left_out([*valid, *test], args.without, thresholds)
    print(json.dumps(figures, indent=1))
    if args.out:
        Path(args.out).write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
