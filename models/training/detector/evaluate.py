"""AP50 on the pictures held out: python evaluate.py --data DIR --cache DIR --weights FILE [--out figures.json]

Precision and recall are at the thresholds of models/detector/model.toml; `--calibrate` first sets each to the score of
the best F1 over all held-out pictures from 0.2 to 0.35, where there are ten objects or more. How much that flatters is told
by the same rule on one half of the pictures, counted on the other; `--plot` draws both halves over the threshold.

AP at IoU 0.5, 101 recall points as COCO, greedy matching by score; intervals by resampling pictures 500 times.
Street and fight pictures are measured against the teacher's boxes from 0.4 on, capston2 against human ones.
`--export` writes the former two as data sets for `watchfire models eval`, below a folder outside the repository.
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
import held_out  # noqa: E402
from curves import draw  # noqa: E402
from teacher import COCO, letterbox, overlap, suppress  # noqa: E402
from yolox import YOLOX, boxes, pictures  # noqa: E402

MANIFEST = Path(__file__).resolve().parents[2] / "detector/model.toml"
CLASSES = ("person", "bicycle", "car", "motorcycle", "bus", "truck")


@torch.no_grad()
def detect(model, images, size=416, floor=0.05, limit=0.45):
    """For each picture rows [class, x1, y1, x2, y2, score] in its own pixels."""
    found = []
    for start in range(0, len(images), 8):
        part = [letterbox(i, size) for i in images[start: start + 8]]
        raw = model(pictures(torch.from_numpy(np.stack([x for x, _ in part])))).float()
        box, score = boxes(raw, size).numpy(), (raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()).numpy()
        for j, (_, r) in enumerate(part):
            h, w = images[start + j].shape[:2]
            b, rows = box[j] / r, [np.zeros((0, 6))]
            b[:, 0::2], b[:, 1::2] = b[:, 0::2].clip(0, w), b[:, 1::2].clip(0, h)
            for c in range(score.shape[-1]):
                k = np.where(score[j][:, c] >= floor)[0]
                k = k[np.argsort(-score[j][k, c])[:300]]
                k = k[suppress(b[k], score[j][k, c], limit)] if len(k) else k
                rows.append(np.column_stack([np.full(len(k), c), b[k], score[j][k, c]]))
            found.append(np.concatenate(rows))
    return found


def matches(found, truth):
    """(scores, hit or not) of one picture's boxes of one class."""
    used, out = np.zeros(len(truth), bool), []
    for row in sorted(found, key=lambda r: -r[5]):
        hit = False
        if len(truth):
            iou = np.where(used, -1, overlap(row[None, 1:5], truth)[0][0])
            hit = iou.max() >= 0.5
            used[iou.argmax()] |= hit
        out.append((row[5], hit))
    return np.array(out, float).reshape(-1, 2)


def precision_recall(parts, truths):
    rows = np.concatenate(parts) if parts else np.zeros((0, 2))
    rows = rows[np.argsort(-rows[:, 0], kind="stable")]
    hits = rows[:, 1].cumsum()
    return rows[:, 0], hits / np.arange(1, len(rows) + 1), hits / max(1, truths)


def average_precision(parts, truths):
    _, precision, recall = precision_recall(parts, truths)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    return float(np.append(best, 0)[np.minimum(at, len(best))].mean())


def truth_of(picture, c):
    rows = picture["human"] if picture["src"] == "cap" else picture["plain"][picture["plain"][:, 5] >= 0.4]
    return rows[rows[:, 0] == c][:, 1:5]


def compared(model, held, size=416, least=10):
    """{class: (the matches of each picture, objects)} of the classes with so many objects or more."""
    found, out = detect(model, [p["img"] for p in held], size), {}
    for c, name in enumerate(CLASSES):
        pairs = [(f, truth_of(p, c)) for f, p in zip(found, held) if c == 0 or p["src"] != "cap"]
        truths = sum(len(t) for _, t in pairs)
        if truths >= least:
            out[name] = [matches(f[f[:, 0] == c], t) for f, t in pairs], truths
    return out


def at_threshold(parts, truths, threshold):
    """(recall, false boxes a picture)"""
    over = np.concatenate(parts)
    over = over[over[:, 0] >= threshold]
    return float(over[:, 1].sum() / truths), float((over[:, 1] == 0).sum() / len(parts))


def calibrated(by_class):
    """{class: threshold} of the best F1, of what `compared` gives."""
    out = {}
    for name, (parts, truths) in by_class.items():
        score, precision, recall = precision_recall(parts, truths)
        steps = np.arange(0.2, 0.36, 0.05)
        at = [(score >= s).sum() - 1 for s in steps]
        f1 = [2 * precision[k] * recall[k] / (precision[k] + recall[k] + 1e-9) if k >= 0 else 0 for k in at]
        out[name] = round(float(steps[int(np.argmax(f1))]), 2)
    return out


def measure(model, held, resamples=500, size=416):
    """{pack: {class: figures}}; capston2 has people only."""
    model.eval()
    figures, thresholds = {}, {l["name"]: l["threshold"] for l in tomllib.loads(MANIFEST.read_text())["label"]}
    for src, name in (("street", "streets"), ("fight", "fights"), ("cap", "capston2")):
        chosen = [p for p in held if p["src"] == src]
        found = detect(model, [p["img"] for p in chosen], size)
        for c in range(1 if src == "cap" else len(CLASSES)):
            truth = [truth_of(p, c) for p in chosen]
            parts = [matches(f[f[:, 0] == c], t) for f, t in zip(found, truth)]
            counts = np.array([len(t) for t in truth])
            if not counts.sum():
                continue
            rng, drawn = np.random.default_rng(0), []
            for _ in range(resamples):
                k = rng.integers(0, len(parts), len(parts))
                drawn.append(average_precision([parts[i] for i in k], counts[k].sum()))
            score, precision, recall = precision_recall(parts, counts.sum())
            at = (score >= thresholds[CLASSES[c]]).sum() - 1
            figures.setdefault(name, {})[CLASSES[c]] = dict(
                pictures=len(chosen), objects=int(counts.sum()), threshold=thresholds[CLASSES[c]],
                ap50=average_precision(parts, counts.sum()),
                interval95=[float(v) for v in np.percentile(drawn, [2.5, 97.5])] if drawn else None,
                precision=float(precision[at]) if at >= 0 else None, recall=float(recall[at]) if at >= 0 else 0.0)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "weights"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--out")
    parser.add_argument("--calibrate", action="store_true", help="set the manifest's thresholds")
    parser.add_argument("--size", type=int, default=416)
    parser.add_argument("--export", help="a folder")
    parser.add_argument("--plot", help="an SVG of what is found and what is false over the threshold")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = YOLOX(len(CLASSES))
    model.load_state_dict({k: v.float() for k, v in load_file(args.weights).items()}, strict=False)
    model.eval()
    held = [p for p in packs.load(args.data, args.cache) if p["val"]]
    for p in held if args.export else []:
        if p["src"] != "cap":
            rows = [(COCO[c], *box) for c in range(len(CLASSES)) for box in truth_of(p, c)]
            held_out.write(Path(args.export) / f"held_out/{p['src']}", Path(p["name"]).stem, p["img"], rows)
    if args.calibrate:
        text = MANIFEST.read_text()
        for name, value in calibrated(compared(model, held, args.size)).items():
            text = re.sub(rf'(name = "{name}"\ncoco = \d+\nthreshold = )[\d.]+', rf"\g<1>{value}", text)
        MANIFEST.write_text(text)
    figures = measure(model, held, size=args.size)
    for name, by_class in figures.items():
        for c, f in by_class.items():
            print(f"{name:9s} {c:10s} AP50 {f['ap50']:.3f} [{f['interval95'][0]:.3f}, {f['interval95'][1]:.3f}] "
                  f"{f['objects']} objects in {f['pictures']} pictures; at {f['threshold']:.2f}: "
                  f"precision {f['precision'] or 0:.2f} recall {f['recall']:.2f}")
    own, other = (compared(model, half, args.size, least=5) for half in held_out.halves(held))
    shipped = {l["name"]: l["threshold"] for l in tomllib.loads(MANIFEST.read_text())["label"]}
    both = [name for name in own if name in other]
    figures["halves"] = {name: dict(
        objects=other[name][1], chosen_on_the_first=t, then_on_the_second=at_threshold(*other[name], t),
        shipped=shipped[name], shipped_on_the_second=at_threshold(*other[name], shipped[name]))
        for name, t in calibrated(own).items() if name in both}
    for name, f in figures["halves"].items():
        print(f"{name:10s} {f}")
    if args.plot:
        curve = lambda half: [(t, *at_threshold(*half, t)) for t in np.arange(0.05, 0.96, 0.05)]
        panels = {name: ([curve(own[name]), curve(other[name])], shipped[name]) for name in both}
        text = draw("objects found", "false boxes a picture", 2, panels, "of the held-out pictures, solid: one half, dashed: the other")
        Path(args.plot).write_text(text)
    if args.out:
        Path(args.out).write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
