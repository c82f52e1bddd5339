"""Figures of speech emotion: python evaluate.py --data DATA --cache CACHE --weights FILE [--held NPZ] [--plot SVG] [--out JSON]

Of the test speakers: UAR, accuracy and calibration, with intervals by resampling clips; recall by label, with Wilson's;
UAR in noise, rooms and over a telephone. `--held` (train.py's held_out.npz) gives the same of the train speakers, each answered by a
network that never heard that speaker. `--plot` draws how often the decision is right over how sure it is.
"""
import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

sys.path.append(str(Path(__file__).resolve().parents[1]))
from intervals import wilson  # noqa: E402
from reliability import ece  # noqa: E402
from train import LABELS, TEST, floats, logits, rows, samples, temperature, uar  # noqa: E402
from mel_rnn import MelRnn  # noqa: E402
from spoil import ints, one  # noqa: E402

TIMES, BINS = 2000, 10


def network(weights):
    model = MelRnn()
    model.load_state_dict({k: v.float() for k, v in load_file(weights).items()}, strict=False)
    return model.eval()


def by_bin(truth, p):
    """[(mean probability of the decision, share that is right, clips)] by ten bins of that probability."""
    sure, right = p.max(1), p.argmax(1) == truth
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    return [(float(sure[bins == b].mean()), float(right[bins == b].mean()), int((bins == b).sum())) for b in np.unique(bins)]


def drawn(n):
    """The clips drawn anew, TIMES times."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, n, n) for _ in range(TIMES)]


def interval(values):
    return [round(float(v), 3) for v in np.percentile(values, [2.5, 97.5])]


def recall(truth, decided, k):
    """[right, clips, share, its interval] of a label."""
    right, n = int((decided[truth == k] == k).sum()), int((truth == k).sum())
    return [right, n, round(right / n, 3), *wilson(right, n)]


def figures(truth, p):
    decided = p.argmax(1)
    measures = dict(uar=lambda d: uar(truth[d], decided[d]), accuracy=lambda d: float((decided[d] == truth[d]).mean()),
                    ece=lambda d: ece(p[d].max(1), decided[d] == truth[d], BINS))
    draws, everything = drawn(len(truth)), np.arange(len(truth))
    return dict(
        clips=len(truth),
        metrics={name: round(measure(everything), 4) for name, measure in measures.items()},
        interval95={name: interval([m(d) for d in draws]) for name, m in measures.items()},
        sure=round(float(p.max(1).mean()), 3),
        recall={label: recall(truth, decided, k) for k, label in enumerate(LABELS) if (truth == k).any()},
        truth_by_decision=[[int(((truth == t) & (decided == d)).sum()) for d in range(len(LABELS))] for t in range(len(LABELS))])


def heard(clips, kind, rng):
    """The clips in noise so many dB below, or as audio/spoil.py's `one` would have them."""
    def spoilt(x):
        if isinstance(kind, str):
            return one(x, kind, rng)
        return x + rng.standard_normal(len(x)) * np.sqrt((x ** 2).mean()) * 10 ** (-kind / 20)
    return [dict(c, samples=ints(spoilt(floats(c["samples"])))) for c in clips]


def plot(curves):
    """SVG of right over sure; the circles' areas are clips."""
    x, y = (lambda v: 50 + v * 300), (lambda v: 330 - v * 300)
    parts = [f'<line x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}" stroke="#888" stroke-dasharray="4 3"/>']
    parts += [f'<text x="{x(v):.0f}" y="346" text-anchor="middle">{v}</text><text x="44" y="{y(v) + 4:.0f}" text-anchor="end">{v}</text>'
              for v in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    for i, (name, points, colour) in enumerate(curves):
        total = sum(n for *_, n in points)
        parts += [f'<circle cx="{x(s):.1f}" cy="{y(r):.1f}" r="{3 + 20 * (n / total) ** 0.5:.1f}" fill="{colour}" fill-opacity="0.45"/>'
                  for s, r, n in points]
        parts.append(f'<text x="60" y="{48 + 16 * i}" fill="{colour}">{name}, {total} clips</text>')
    return ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 380 380" font-family="sans-serif" font-size="12">'
            '<rect width="380" height="380" fill="white"/><rect x="50" y="30" width="300" height="300" fill="none" stroke="#bbb"/>'
            + "".join(parts) + '<text x="200" y="366" text-anchor="middle">mean probability of the decision</text>'
            '<text x="50" y="20">share of decisions that are right</text></svg>\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "cache", "weights"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("held", "plot", "out"):
        parser.add_argument(f"--{name}")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = network(args.weights)
    clips = [dict(label=LABELS.index(r["emotion"]), speaker=r["speaker"], samples=samples(args.data, args.cache, f"emodb/{r['file']}"))
             for r in rows(Path(args.data) / "emodb") if r["speaker"] in TEST]
    truth, speakers = np.array([c["label"] for c in clips]), np.array([c["speaker"] for c in clips])
    p = logits(model, clips).softmax(1).numpy()
    result = dict(parameters=sum(v.numel() for v in model.parameters()), test=figures(truth, p),
                  by_speaker={s: round(uar(truth[speakers == s], p[speakers == s].argmax(1)), 3) for s in sorted(TEST)}, spoilt={})
    curves = [("test speakers", by_bin(truth, p), "#1f5fa8")]
    if args.held:
        held = np.load(args.held)
        kept = torch.from_numpy(held["logits"]) / temperature(held["truth"], held["logits"])
        answers = kept.softmax(1).numpy()
        result["cross_validation"] = figures(held["truth"], answers)
        curves.append(("cross-validation", by_bin(held["truth"], answers), "#b5452c"))
    for kind in (30, 20, 10, 5, "room", "afar", "telephone"):
        decided = logits(model, heard(clips, kind, np.random.default_rng(0))).argmax(1).numpy()
        result["spoilt"][str(kind)] = [round(uar(truth, decided), 3),
                                       *interval([uar(truth[d], decided[d]) for d in drawn(len(truth))])]
    if args.plot:
        Path(args.plot).write_text(plot(curves))
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        Path(args.out).write_text(text)


if __name__ == "__main__":
    main()
