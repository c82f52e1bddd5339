"""AP50 on the pictures held out: python evaluate.py --data DIR --cache DIR --weights FILE [--out figures.json]

Precision and recall are at the thresholds of models/detector/model.toml; `--calibrate` first sets each to the score of
the best F1 over all held-out pictures from 0.2 to 0.35, where there are ten objects or more. How much that flatters is told
by the same rule on one half of the pictures, counted on the other; `--plot` draws both halves over the threshold.

How often finds are right over their score is told for people and for vehicles (thresholds.py), apart by whose truth it is
(finds.py). AP of the street pictures is told apart for those with a twin
in the training part. Intervals of AP by resampling pictures 500 times, of precision and recall Wilson's.
`--export` writes streets and fights with the teacher's boxes as data sets for `watchfire models eval`, below a folder outside
the repository.
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
import thresholds  # noqa: E402
from curves import draw  # noqa: E402
from finds import CLASSES, average_precision, by_class, looked, truth_of  # noqa: E402
from intervals import wilson  # noqa: E402
from teacher import COCO  # noqa: E402
from yolox import YOLOX  # noqa: E402

MANIFEST = Path(__file__).resolve().parents[2] / "detector/model.toml"


def shipped():
    return {l["name"]: l["threshold"] for l in tomllib.loads(MANIFEST.read_text())["label"]}


def measure(seen, resamples=500):
    """{pack: {class: figures}} of what `looked` gives; capston2 has people only."""
    figures, at = {}, shipped()
    for src, pack in (("street", "streets"), ("fight", "fights"), ("cap", "capston2")):
        for name, (parts, counts) in by_class([s for s in seen if s["src"] == src]).items():
            rng, drawn = np.random.default_rng(0), []
            for _ in range(resamples):
                k = rng.integers(0, len(parts), len(parts))
                drawn.append(average_precision([parts[i] for i in k], counts[k].sum()))
            rows, objects = np.concatenate(parts), int(counts.sum())
            over = rows[rows[:, 0] >= at[name]]
            hits = int(over[:, 1].sum())
            precise = (hits / len(over), wilson(hits, len(over))) if len(over) else (None, None)
            figures.setdefault(pack, {})[name] = dict(
                pictures=len(parts), objects=objects, threshold=at[name], ap50=average_precision(parts, objects),
                interval95=[float(v) for v in np.percentile(drawn, [2.5, 97.5])] if drawn else None,
                finds=len(over), hits=hits, recall=hits / objects, recall95=wilson(hits, objects),
                precision=precise[0], precision95=precise[1])
    return figures


def between(interval):
    return f"[{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""


def said(figures):
    """The figures as lines to read."""
    for pack, classes in figures["packs"].items():
        for name, f in classes.items():
            precision = f"{f['hits']}/{f['finds']} = {f['precision']:.2f}" if f["finds"] else "of none"
            yield (f"{pack:9s} {name:10s} AP50 {f['ap50']:.3f} {between(f['interval95'])} of {f['pictures']} pictures; "
                   f"at {f['threshold']:.2f}: precision {precision} {between(f['precision95'])} "
                   f"recall {f['hits']}/{f['objects']} = {f['recall']:.2f} {between(f['recall95'])}")
    for name, f in figures["halves"].items():
        yield f"{name}: the validation half chooses {f['chosen']}, shipped is {f['shipped']}"
        for half in ("validation", "test"):
            for c in f[half]:
                yield (f"  {half:10s} at {c['threshold']:.2f}: recall of {c['objects']} {c['recall']:.3f} {between(c['recall95'])}, "
                       f"{c['false_boxes']} false in {c['pictures']} pictures = "
                       f"{c['false_per_picture']:.2f} {between(c['false95'])}")
    for part, classes in figures["twins"].items():
        for name, f in classes.items():
            yield (f"streets {part} a twin that was trained on: {name} AP50 {f['ap50']:.3f} {between(f['interval95'])}, "
                   f"{f['objects']} in {f['pictures']} pictures")
    yield from trust(figures["calibration"], figures["platt"])


def trust(calibration, platt):
    for truth, groups in calibration.items():
        for what, pair in groups.items():
            for name, c in zip((f"from {thresholds.FLOOR}", "over the threshold"), pair):
                yield from bins(f"{truth}, {what}, {name}", c)
    yield f"Platt's numbers for people, from {platt['finds']} finds of the validation half: {platt['numbers']}"
    for truth, pair in platt["test"].items():
        for name, c in zip(("as it is", "by Platt's numbers"), pair):
            yield from bins(f"test half, {truth}, {name}", c)


def bins(name, c):
    yield (f"{name}: {c['finds']} finds, mean score {c['mean']:.2f}, right {c['right']:.2f}, "
           f"ECE {c['ece']:.3f} {between(c['interval95'])}")
    for b in c["bins"]:
        yield f"  {b['score']:.1f}: {b['finds']:4d} finds, mean {b['mean']:.2f}, right {b['right']:.2f} {between(b['right95'])}"


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
    held = [p for p in packs.load(args.data, args.cache) if p["val"]]
    for p in held if args.export else []:
        if p["src"] != "cap":
            rows = [(COCO[c], *box) for c in range(len(CLASSES)) for box in truth_of(p, c)]
            held_out.write(Path(args.export) / f"held_out/{p['src']}", Path(p["name"]).stem, p["img"], rows)
    seen = looked(model, held, args.size)
    if args.calibrate:
        text = MANIFEST.read_text()
        for name, value in thresholds.calibrated(by_class(seen, 10)).items():
            text = re.sub(rf'(name = "{name}"\ncoco = \d+\nthreshold = )[\d.]+', rf"\g<1>{value}", text)
        MANIFEST.write_text(text)
    valid, test = held_out.halves(seen)
    streets = [s for s in seen if s["src"] == "street"]
    twins = {part: measure([s for s in streets if s["twin"] == twin])["streets"]
             for part, twin in (("with", True), ("without", False))}
    figures = dict(packs=measure(seen), twins=twins, halves=thresholds.halves(valid, test, shipped()),
                   calibration=thresholds.reliabilities(seen, shipped()), platt=thresholds.straightened(valid, test))
    print("\n".join(said(figures)))
    if args.plot:
        own, other = by_class(valid), by_class(test)
        curve = lambda half: [(t, *thresholds.at_threshold(*half, t)) for t in np.arange(0.05, 0.96, 0.05)]
        panels = {name: ([curve(own[name]), curve(other[name])], f["shipped"]) for name, f in figures["halves"].items()}
        text = draw("objects found", "false boxes a picture", 2, panels,
                    "of the held-out pictures, solid: test half, dashed: validation half")
        Path(args.plot).write_text(text)
    if args.out:
        Path(args.out).write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
