"""Draws what a threshold costs: python plot.py --data DATA --run OUT --plot thresholds.svg

From the out-of-fold scores that train.py left in OUT/cv.json: the share of fights found and of other clips that fire,
over the threshold on the calibrated score, as an SVG; the same as a table of Markdown on standard output.
"""
import argparse
import csv
import json
from pathlib import Path

import numpy as np

WIDTH, HEIGHT, LEFT, TOP = 420, 200, 40, 34
SHOWN = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def shares(scores, at):
    return [(t, float((scores >= t).mean())) for t in at]


def draw(fights, others, threshold):
    grid = np.linspace(0, 1, 101)
    x, y = (lambda t: LEFT + t * WIDTH), (lambda s: TOP + (1 - s) * HEIGHT)
    line = lambda scores, colour: (f'<polyline fill="none" stroke="{colour}" points="'
                                   + " ".join(f"{x(t):.1f},{y(s):.1f}" for t, s in shares(scores, grid)) + '"/>')
    ticks = "".join(f'<text x="{x(t):.0f}" y="{TOP + HEIGHT + 14}" text-anchor="middle">{t}</text>'
                    f'<text x="{LEFT - 6}" y="{y(t) + 3:.0f}" text-anchor="end">{t}</text>' for t in (0, 0.25, 0.5, 0.75, 1))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 20}" height="{TOP + HEIGHT + 24}" '
            f'font-family="sans-serif" font-size="10">\n<rect width="100%" height="100%" fill="white"/>\n'
            f'<text x="{LEFT}" y="20" font-size="11">Over the threshold: fights found (blue, n = {len(fights)}), '
            f'others that fire (red, n = {len(others)})</text>\n'
            f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>\n'
            f'<line x1="{x(threshold)}" x2="{x(threshold)}" y1="{TOP}" y2="{TOP + HEIGHT}" stroke="#888" stroke-dasharray="2 2"/>\n'
            f'{line(fights, "#1f5fa8")}\n{line(others, "#b5452c")}\n{ticks}\n</svg>\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "run", "plot"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--threshold", type=float, default=0.5)
    args = parser.parse_args()
    run = json.loads((Path(args.run) / "cv.json").read_text())
    with open(Path(args.data) / "fights/labels.csv", newline="") as f:
        label = {row["file"]: row["label"] for row in csv.DictReader(f)}
    scores = 1 / (1 + np.exp(-np.array(run["logits"]) / run["temperature"]))
    fight = np.array([label[f] == "fight" for f in run["files"]])
    fights, others = scores[fight], scores[~fight]
    Path(args.plot).write_text(draw(fights, others, args.threshold))
    print("| threshold | fights found | others that fire |\n|---|---|---|")
    for (t, found), (_, false) in zip(shares(fights, SHOWN), shares(others, SHOWN)):
        print(f"| {t} | {found:.2f} | {false:.2f} |")


if __name__ == "__main__":
    main()
