"""Draws what a threshold costs: python plot.py --data DATA (--run OUT | --predictions FILE) --plot thresholds.svg

From the out-of-fold scores that train.py left in OUT/cv.json, or from what `watchfire models eval MODEL DATA/fights --where
split=val --predictions FILE` wrote: the share of fights found and of other clips that fire, over the threshold on the
calibrated score, as an SVG; the same as a table of Markdown on standard output.
"""
import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))
from curves import draw  # noqa: E402

SHOWN = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def curve(fights, others, at):
    """[(threshold, fights found, others that fire)]"""
    return [(t, float((fights >= t).mean()), float((others >= t).mean())) for t in at]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "plot"):
        parser.add_argument(f"--{name}", required=True)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run")
    source.add_argument("--predictions")
    parser.add_argument("--threshold", type=float, default=0.5)
    args = parser.parse_args()
    with open(Path(args.data) / "fights/labels.csv", newline="") as f:
        label = {row["file"]: row["label"] for row in csv.DictReader(f)}
    if args.run:
        run = json.loads((Path(args.run) / "cv.json").read_text())
        files, scores = run["files"], 1 / (1 + np.exp(-np.array(run["logits"]) / run["temperature"]))
    else:
        lines = [json.loads(line) for line in Path(args.predictions).read_text().splitlines()]
        files, scores = [line["file"] for line in lines], np.array([line["scores"]["fight"] for line in lines])
    fight = np.array([label[f] == "fight" for f in files])
    fights, others = scores[fight], scores[~fight]
    drawn = curve(fights, others, np.linspace(0, 1, 101))
    svg = draw("fights found", "others that fire", 1, {"fight": ([drawn], args.threshold)},
               f"{len(fights)} fights, {len(others)} others")
    Path(args.plot).write_text(svg)
    print("| threshold | fights found | others that fire |\n|---|---|---|")
    for t, found, false in curve(fights, others, SHOWN):
        print(f"| {t} | {found:.2f} | {false:.2f} |")


if __name__ == "__main__":
    main()
