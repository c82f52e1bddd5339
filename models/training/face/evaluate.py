"""Figures of the face detector: python evaluate.py --data DATA --cache CACHE --weights FILE [--calibrate] [--out JSON] [--draw DIR]

Truth: YuNet's finds from score 0.6 on in one plain look, 12 pixels high or more. A find of ours is a hit at IoU 0.4
(small boxes of two networks differ by a pixel or two), and false when it meets no find of the teacher from 0.3 on, at
either of its scales. `--calibrate` sets the manifest's threshold to the lowest with at most 0.1 false a picture on one half
of the held-out pictures (`held_out.halves`); `test` is the other half, which had no part in that. Intervals: 1,000
resamplings of the pictures. `--plot` draws both halves over the threshold. `--export` writes pictures and truth as a data
set for `watchfire models eval`, below a folder outside the repository.
"""
import argparse
import json
import re
import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file

sys.path.append(str(Path(__file__).resolve().parents[1]))
import face_fpn  # noqa: E402
import face_pictures  # noqa: E402
import held_out  # noqa: E402
from curves import draw as svg  # noqa: E402
from face_fpn import cells, decode, pictures  # noqa: E402
from face_teacher import overlap  # noqa: E402
from reliability import calibration  # noqa: E402

MANIFEST = Path(__file__).resolve().parents[2] / "face/model.toml"
HIT, FALSE_A_PICTURE, SMALLEST = 0.4, 0.1, 12


def suppress(box, score, limit=0.4):
    order, keep = np.argsort(-score, kind="stable"), []
    while len(order):
        keep.append(order[0])
        order = order[1:][overlap(box[order[:1]], box[order[1:]])[0] <= limit]
    return np.array(keep, int)


@torch.no_grad()
def detect(model, img, floor=0.02, longest=640):
    """Rows as in face_teacher.py; a picture with a longer side than `longest` is shrunk."""
    h, w = img.shape[:2]
    r = min(1.0, longest / max(h, w))
    small = cv2.resize(img, (round(w * r), round(h * r)), interpolation=cv2.INTER_LINEAR) if r < 1 else img
    sh, sw = small.shape[:2]
    x = np.full((-(-sh // 32) * 32, -(-sw // 32) * 32, 3), 114, np.uint8)
    x[:sh, :sw] = small
    raw = model(pictures(torch.from_numpy(x[None])))[0]
    score = raw[:, 0].sigmoid().numpy()
    box, points = (v.numpy() / r for v in decode(raw, cells(*x.shape[:2])))
    k = np.where(score >= floor)[0]
    k = k[np.argsort(-score[k])[:500]]
    k = k[suppress(box[k], score[k])] if len(k) else k
    box[:, 0::2], box[:, 1::2] = box[:, 0::2].clip(0, w), box[:, 1::2].clip(0, h)
    return np.concatenate([box[k], score[k, None], points[k]], 1)


def truth_of(p):
    tall = p["plain"][:, 3] - p["plain"][:, 1]
    return p["plain"][(p["plain"][:, 4] >= 0.6) & (tall >= SMALLEST)]


def compared(found, p):
    """(rows [score, hit, false, side of the true face], true faces' heights) of one picture."""
    truth = truth_of(p)
    soft = np.concatenate([p["plain"], p["faces"]])
    soft = soft[soft[:, 4] >= 0.3]
    used, rows = np.zeros(len(truth), bool), []
    for f in found:
        iou = np.where(used, -1, overlap(f[None], truth)[0]) if len(truth) else np.zeros(0)
        hit = len(iou) > 0 and iou.max() >= HIT
        height = off = 0.0
        if hit:
            t = truth[iou.argmax()]
            used[iou.argmax()] = True
            height = t[3] - t[1]
            off = np.hypot(*(f[5:] - t[5:]).reshape(5, 2).T).mean() / np.sqrt((t[2] - t[0]) * height)
        met = hit or (len(soft) > 0 and overlap(f[None], soft)[0].max() >= 0.3)
        rows.append((f[4], hit, not met, height, off))
    return np.array(rows, float).reshape(-1, 5), truth[:, 3] - truth[:, 1]


def measured(parts, threshold):
    rows = np.concatenate([r for r, _ in parts]) if parts else np.zeros((0, 5))
    truths = sum(len(t) for _, t in parts)
    over = rows[rows[:, 0] >= threshold]
    return dict(recall=over[:, 1].sum() / max(1, truths), false_per_picture=over[:, 2].sum() / max(1, len(parts)),
                point_error=over[over[:, 1] > 0, 4].mean() if over[:, 1].any() else None)


def threshold_of(parts):
    steps = np.arange(0.05, 0.951, 0.01)
    good = [s for s in steps if measured(parts, s)["false_per_picture"] <= FALSE_A_PICTURE]
    return float(round(good[0] if good else steps[-1], 2))


def figures(parts, threshold, resamples=1000):
    out = dict(pictures=len(parts), faces=sum(len(t) for _, t in parts), threshold=threshold, **measured(parts, threshold))
    rng, drawn = np.random.default_rng(0), []
    for _ in range(resamples):
        drawn.append(measured([parts[i] for i in rng.integers(0, len(parts), len(parts))], threshold))
    if resamples:
        out["interval95"] = {m: [float(v) for v in np.percentile([d[m] for d in drawn], [2.5, 97.5])]
                             for m in ("recall", "false_per_picture")}
    out["by_height"] = {}
    for low, high in ((12, 16), (16, 24), (24, 32), (32, 64), (64, 1000)):
        n = sum(((t >= low) & (t < high)).sum() for _, t in parts)
        hits = sum(((r[:, 0] >= threshold) & (r[:, 1] > 0) & (r[:, 3] >= low) & (r[:, 3] < high)).sum() for r, _ in parts)
        out["by_height"][f"{low}-{high}"] = dict(n=int(n), recall=float(hits / n) if n else None)
    return out


def sure_or_not(parts):
    """The finds [score, is a face] of each picture; those that only meet a face of which the teacher is unsure are left out."""
    return [r[(r[:, 1] > 0) | (r[:, 2] > 0)][:, :2] for r, _ in parts]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "weights"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--out")
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--draw", help="a folder for annotated pictures")
    parser.add_argument("--export", help="a folder")
    parser.add_argument("--plot", help="an SVG of what is found and what is false over the threshold")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = face_fpn.of(load_file(args.weights)).eval()
    items = face_pictures.load(args.data, args.cache)
    held = [p for p in items if p["val"]]
    for p in held if args.export else []:
        rows = [(0, *f[:4]) for f in truth_of(p)]
        held_out.write(Path(args.export) / "held_out/face", f"{p['src']}_{Path(p['name']).stem}", p["img"], rows)
    found = [detect(model, p["img"]) for p in held]
    parts = [compared(f, p) for f, p in zip(found, held)]
    of = {id(p): part for p, part in zip(held, parts)}
    valid, test = ([of[id(p)] for p in half] for half in held_out.halves(held))
    if args.calibrate:
        text = re.sub(r"threshold = [\d.]+", f"threshold = {threshold_of(valid)}", MANIFEST.read_text())
        MANIFEST.write_text(text)
    threshold = tomllib.loads(MANIFEST.read_text())["label"][0]["threshold"]
    result = dict(test=figures(test, threshold), validation=figures(valid, threshold), all=figures(parts, threshold))
    for src in ("street", "fight", "cap"):
        result[src] = figures([x for x, p in zip(parts, held) if p["src"] == src], threshold)
    for name, twin in (("street_with_twin", True), ("street_without_twin", False)):
        result[name] = figures([x for x, p in zip(parts, held) if p["src"] == "street" and p["twin"] == twin], threshold)
    result["curve"] = [dict(threshold=round(float(s), 2), **measured(parts, s)) for s in np.arange(0.1, 0.91, 0.1)]
    result["calibration"] = [calibration(sure_or_not(parts), floor) for floor in (0.3, threshold)]
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        Path(args.out).write_text(text)
    if args.plot:
        curve = lambda half: [(s, *[measured(half, s)[k] for k in ("recall", "false_per_picture")])
                              for s in np.arange(0.05, 0.96, 0.05)]
        text = svg("faces found", "false finds a picture", 2, {"face": ([curve(valid), curve(test)], threshold)})
        Path(args.plot).write_text(text)
    if args.draw:
        draw(Path(args.draw), held, found, threshold)


def draw(folder, held, found, threshold):
    """Ours green with points, the teacher's red."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, (p, f) in enumerate(zip(held, found)):
        x = cv2.resize(p["img"], None, fx=2, fy=2)
        for t in p["plain"][p["plain"][:, 4] >= 0.6]:
            cv2.rectangle(x, *(tuple(int(2 * v) for v in t[k: k + 2]) for k in (0, 2)), (0, 0, 255), 1)
        for row in f[f[:, 4] >= threshold]:
            cv2.rectangle(x, *(tuple(int(2 * v) for v in row[k: k + 2]) for k in (0, 2)), (0, 255, 0), 1)
            for k in range(5, 15, 2):
                cv2.circle(x, (int(2 * row[k]), int(2 * row[k + 1])), 1, (255, 255, 0), -1)
        cv2.imwrite(str(folder / f"{p['src']}_{i:03d}.jpg"), x)


if __name__ == "__main__":
    main()
