"""Figures of face emotion: python evaluate.py --data DATA --cache CACHE --weights FILE [--spoiled] [--plot SVG] [--out JSON]

`metrics` count faces whose most frequent vote is one of the eight classes (the first of equals), against that class;
`majority` only those that the FER+ paper counts, where one class has more than half of the votes.
ECE: 15 bins of equal width by the highest probability. Intervals: 2,000 resamplings of the faces. `--spoiled` adds the
figures of FER+ valid with each face blurred, covered, turned, compressed or dark, one after another (`SPOILED`).
"""
import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file

sys.path.append(str(Path(__file__).resolve().parents[1]))
import votes as packs  # noqa: E402
from face_cnn import LABELS, SIZE, FaceCnn, standardised  # noqa: E402
from reliability import ece  # noqa: E402
from spoil import compressed, shrunk  # noqa: E402

SIDES = (16, 20, 24, 32, 40, 48)
HALF = SIZE // 2


def covered(face, rng, top, left, width):
    """A rectangle as high as half the face, of some grey."""
    face = face.copy()
    face[top: top + HALF, left: left + width] = rng.integers(256)
    return face


def turned(face, degrees):
    matrix = cv2.getRotationMatrix2D(((SIZE - 1) / 2, (SIZE - 1) / 2), degrees, 1)
    return cv2.warpAffine(face, matrix, (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def dark(face, rng, light, noise):
    return (face * light + noise * rng.standard_normal(face.shape)).round().clip(0, 255).astype(np.uint8)


SPOILED = {
    "as they are": lambda face, rng: face,
    "blurred, sigma 1": lambda face, rng: cv2.GaussianBlur(face, (0, 0), 1),
    "blurred, sigma 2": lambda face, rng: cv2.GaussianBlur(face, (0, 0), 2),
    "a quarter covered": lambda face, rng: covered(face, rng, *rng.integers(0, HALF + 1, 2), HALF),
    "lower half covered": lambda face, rng: covered(face, rng, HALF, 0, SIZE),
    "turned by 20 degrees": lambda face, rng: turned(face, rng.choice([-20, 20])),
    "JPEG of quality 15": lambda face, rng: compressed(face, 15),
    "0.3 of the light, noise 8": lambda face, rng: dark(face, rng, 0.3, 8),
}


@torch.no_grad()
def logits(model, faces):
    model.eval()
    return torch.cat([model(standardised(torch.from_numpy(faces[i: i + 256]))) for i in range(0, len(faces), 256)])


def metrics_of(p, truth):
    right = p.argmax(1) == truth
    recall = [right[truth == c].mean() for c in range(p.shape[1]) if (truth == c).any()]
    return dict(accuracy=right.mean(), macro_recall=np.mean(recall), ece=ece(p.max(1), right))


def figures(y, votes, resamples=0):
    truth = packs.top(votes)
    kept = truth < packs.NAMED
    p, truth, shares = y.softmax(1).numpy()[kept], truth[kept], packs.shares(votes)[kept]
    out = dict(n=int(kept.sum()), metrics={k: round(float(v), 4) for k, v in metrics_of(p, truth).items()})
    out["metrics"]["cross_entropy_to_votes"] = round(float(-(shares * np.log(p + 1e-9)).sum(1).mean()), 4)
    clear = packs.majority(votes)[kept]
    out["majority"] = dict(n=int(clear.sum()), **{k: round(float(v), 4) for k, v in metrics_of(p[clear], truth[clear]).items()})
    if resamples:
        rng = np.random.default_rng(0)
        drawn = [metrics_of(p[k], truth[k]) for k in rng.integers(0, len(p), (resamples, len(p)))]
        alike = [float((p[k].argmax(1) == truth[k]).mean()) for k in rng.choice(np.where(clear)[0], (resamples, clear.sum()))]
        out["majority"]["interval95"] = [round(float(v), 4) for v in np.percentile(alike, [2.5, 97.5])]
        out["interval95"] = {m: [round(float(v), 4) for v in np.percentile([d[m] for d in drawn], [2.5, 97.5])]
                             for m in drawn[0]}
    out["per_class"] = {}
    for c, name in enumerate(LABELS):
        is_it, said = truth == c, p.argmax(1) == c
        hits = int((is_it & said).sum())
        out["per_class"][name] = dict(n=int(is_it.sum()), recall=round(hits / max(1, is_it.sum()), 4),
                                      precision=round(hits / max(1, said.sum()), 4))
    return out


def spoiled(model, faces, votes):
    """{what was done to every face: figures of the majority}; no training face is in it, and no seed of the training."""
    out = {}
    for k, (name, spoil) in enumerate(SPOILED.items()):
        rng = np.random.default_rng([48, k])
        out[name] = figures(logits(model, np.stack([spoil(face, rng) for face in faces])), votes, 2000)["majority"]
    return out


def calibrated(model, faces, votes):
    """Divides the head by the temperature of the best log-likelihood of the top votes; gives it."""
    truth = packs.top(votes)
    kept = truth < packs.NAMED
    y, truth = logits(model, faces)[torch.from_numpy(kept)], torch.from_numpy(truth[kept])
    steps = np.exp(np.linspace(np.log(0.3), np.log(3), 200))
    best = float(min(steps, key=lambda t: torch.nn.functional.cross_entropy(y / t, truth).item()))
    with torch.no_grad():
        model.head.weight /= best
        model.head.bias /= best
    return best


def plot(curve):
    """SVG of accuracy over the face's height, with 95 % intervals."""
    x, y = (lambda s: 60 + (s - 14) * 9.5), (lambda a: 220 - (a - 0.5) * 400)
    dots = "".join(f'<line x1="{x(s):.0f}" x2="{x(s):.0f}" y1="{y(lo):.1f}" y2="{y(hi):.1f}"/>'
                   f'<circle cx="{x(s):.0f}" cy="{y(a):.1f}" r="3"/>' for s, a, lo, hi in curve)
    line = " ".join(f"{x(s):.0f},{y(a):.1f}" for s, a, _, _ in curve)
    grid = "".join(f'<text x="52" y="{y(a) + 4:.0f}" text-anchor="end">{a:.1f}</text>'
                   f'<line x1="56" x2="400" y1="{y(a):.0f}" y2="{y(a):.0f}" stroke="#ccc"/>' for a in (0.5, 0.6, 0.7, 0.8, 0.9))
    ticks = "".join(f'<text x="{x(s):.0f}" y="238" text-anchor="middle">{s}</text>' for s, *_ in curve)
    return ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 420 270" font-family="sans-serif" font-size="12">'
            '<rect width="420" height="270" fill="white"/>'
            f'{grid}<g stroke="#1f5fa8" fill="#1f5fa8">{dots}</g><polyline points="{line}" fill="none" stroke="#1f5fa8"/>'
            f'{ticks}<text x="230" y="258" text-anchor="middle">height of the face before it is enlarged to 48, pixels</text>'
            '<text x="60" y="16">accuracy (FER+ valid), 95 % intervals</text></svg>\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "weights"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--spoiled", action="store_true")
    parser.add_argument("--plot")
    parser.add_argument("--out")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    model = FaceCnn()
    model.load_state_dict({k: v.float() for k, v in load_file(args.weights).items()}, strict=False)
    faces, votes = packs.load(Path(args.data) / "ferplus/valid.npz")
    all_faces, all_votes = packs.load(Path(args.data) / "ferplus/train.npz")
    held = packs.split(args.data, args.cache)[1]
    result = dict(parameters=sum(p.numel() for p in model.parameters()),
                  held=figures(logits(model, all_faces[held]), all_votes[held], 2000),
                  valid=figures(logits(model, faces), votes, 2000), by_height={})
    if args.spoiled:
        result["spoiled"] = spoiled(model, faces, votes)
    curve = []
    for side in SIDES:
        f = figures(logits(model, np.stack([shrunk(x, side) for x in faces]) if side != SIZE else faces), votes, 1000)
        result["by_height"][side] = dict(**f["metrics"], interval95=f["interval95"])
        curve.append((side, f["metrics"]["accuracy"], *f["interval95"]["accuracy"]))
    if args.plot:
        Path(args.plot).write_text(plot(curve))
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        Path(args.out).write_text(text)


if __name__ == "__main__":
    main()
