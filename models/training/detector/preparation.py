"""What preparing night pictures does for the detector: python preparation.py --data DIR --cache DIR --weights FILE --out FILE

Every fourth held-out street picture and all others, as they are and by night (night.py), under each preparation: people's
AP50, and recall and precision at the threshold of models/detector/model.toml. Truth is that of the picture by day
(finds.py's). Intervals are 95 % over resampled pictures; "gain" is the difference to "none" over the same pictures.
The mean of several frames has two rows: everybody stands still, or everybody moves, so that the motion guard leaves the
newest frame where people are.
"""
import argparse
import json
import tomllib
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

import data as packs
import night
from evaluate import MANIFEST
from finds import CLASSES, average_precision, matches, precision_recall, truth_of
from teacher import letterbox, suppress
from yolox import YOLOX, boxes, pictures

# A stream: so many frames at 15 a second, of which every third is looked at; people move by so many pixels a frame.
FRAMES, STEP, PACE_PX = 13, 3, 2
STREAMS = {", H.264 at 300 kbit/s": 300, ", H.264 at 1500 kbit/s": 1500}
SIZE, GRAIN, FLOOR, LIMIT = 416, 32, 0.05, 0.45


@torch.no_grad()
def people(model, picture):
    """Rows [0, x1, y1, x2, y2, score]; the input is cut to the picture's shape as the daemon does."""
    square, r = letterbox(picture, SIZE)
    h, w = (min(SIZE, -(-int(side * r) // GRAIN) * GRAIN) for side in picture.shape[:2])
    raw = model(pictures(torch.from_numpy(square[None, :h, :w])).bfloat16()).float()[0]
    score = (raw[:, 4].sigmoid() * raw[:, 5].sigmoid()).numpy()
    k = np.where(score >= FLOOR)[0]
    box, score = boxes(raw, h, w).numpy()[k] / r, score[k]
    box[:, 0::2], box[:, 1::2] = box[:, 0::2].clip(0, picture.shape[1]), box[:, 1::2].clip(0, picture.shape[0])
    k = suppress(box, score, LIMIT) if len(score) else np.zeros(0, int)
    return np.column_stack([np.zeros(len(k)), box[k], score[k]])


def moved(picture, boxes, px):
    """The picture with what is in each box turned sideways by so many pixels."""
    out = picture.copy()
    for x1, y1, x2, y2 in boxes.astype(int):
        out[y1: y2 + 1, x1: x2 + 1] = np.roll(picture[y1: y2 + 1, x1: x2 + 1], px, axis=1)
    return out


def seen(picture, boxes, look, n):
    """`n` pictures of one scene, the newest last: that one shows it as it was."""
    if look == "day":
        return [picture["img"]] * n
    if look == "day, shaken":  # the whole picture moves by some pixels between frames
        return [np.roll(picture["img"], 4 * i, axis=1) for i in reversed(range(n))]
    rng = np.random.default_rng(zlib.crc32(f"{picture['name']} {look}".encode()))
    for stream, kbit_s in STREAMS.items():
        if look.endswith(stream):
            scene = [moved(picture["img"], boxes, -PACE_PX * i) for i in reversed(range(FRAMES))]
            if not look.startswith("day"):
                scene = [night.at_night(s, look.removesuffix(stream), rng, jpeg=False) for s in scene]
            return night.through_h264(scene, kbit_s)[::-STEP][:n][::-1]
    return [night.at_night(picture["img"], look, rng) for _ in range(n)]


def prepared(frames, boxes, names):
    """(name, picture) of every preparation; those over time twice."""
    for name in names:
        prepare = night.PREPARATIONS[name]
        if name not in night.OVER_TIME:
            yield name, prepare(frames)
            continue
        still = prepare(frames)
        moving = night.mean(frames)
        for x1, y1, x2, y2 in boxes.astype(int):
            moving[y1: y2 + 1, x1: x2 + 1] = frames[-1][y1: y2 + 1, x1: x2 + 1]
        yield f"{name}, all still", still
        yield f"{name}, all moving", prepare([moving])


def figures(parts, counts, threshold, draws):
    def of(k):
        rows, n = [parts[i] for i in k], counts[k].sum()
        score, precision, recall = precision_recall(rows, n)
        at = (score >= threshold).sum() - 1
        return average_precision(rows, n), recall[at] if at >= 0 else 0.0, precision[at] if at >= 0 else 1.0
    return np.array(of(np.arange(len(parts)))), np.array([of(k) for k in draws])


def interval(values):
    return [round(float(v), 3) for v in np.percentile(values, [2.5, 97.5])]


def table(found, counts, threshold, resamples=300):
    """{look: {preparation: figures}} of {look: {preparation: matches of each picture}}."""
    rng, out = np.random.default_rng(0), {}
    draws = rng.integers(0, len(counts), (resamples, len(counts)))
    for look, by_name in found.items():
        base = figures(next(iter(by_name.values())), counts, threshold, draws)
        for name, parts in by_name.items():
            value, drawn = figures(parts, counts, threshold, draws)
            out.setdefault(look, {})[name] = dict(
                ap50=round(float(value[0]), 3), interval95=interval(drawn[:, 0]),
                gain=round(float(value[0] - base[0][0]), 3), gain_interval95=interval(drawn[:, 0] - base[1][:, 0]),
                recall=round(float(value[1]), 3), recall_gain_interval95=interval(drawn[:, 1] - base[1][:, 1]),
                precision=round(float(value[2]), 3))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "weights", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--dark", type=float, help="instead: fights and capston2 below this mean luma, trained on or not")
    parser.add_argument("--thin", type=int, default=1, help="every so many of these pictures only")
    streams = [f"{look}{stream}" for look in ("day", "night", "infra-red") for stream in STREAMS]
    parser.add_argument("--looks", nargs="*", default=["day", "day, shaken", *night.LOOKS, *streams])
    parser.add_argument("--preparations", nargs="*", default=list(night.PREPARATIONS),
                        help="the first is the one compared with")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = YOLOX(len(CLASSES))
    model.load_state_dict({k: v.float() for k, v in load_file(args.weights).items()}, strict=False)
    model = model.eval().bfloat16()  # half the time; the same for every row
    held = packs.load(args.data, args.cache)
    if args.dark:
        held = [p for p in held if p["src"] in ("fight", "cap") and night.luma(p["img"]).mean() < args.dark]
    else:
        held = [p for p in held if p["val"]]
        held = [p for p in held if p["src"] == "street"][::4] + [p for p in held if p["src"] != "street"]
    held = held[:: args.thin]
    threshold = tomllib.loads(MANIFEST.read_text())["label"][0]["threshold"]
    truth = [truth_of(p, 0) for p in held]
    counts, found, result = np.array([len(t) for t in truth]), {}, dict(pictures=len(held), people=sum(map(len, truth)))
    for look in args.looks:
        lumas, noises, n = [], [], 4 if set(args.preparations) & set(night.OVER_TIME) else 2
        for p, true in zip(held, truth):
            frames = seen(p, true, look, n)
            lumas.append(float(night.luma(frames[-1]).mean()))
            noises.append(night.noise_over_time(*frames[-2:]))
            for name, picture in prepared(frames, true, args.preparations):
                found.setdefault(look, {}).setdefault(name, []).append(matches(people(model, picture), true))
        for name, values in (("luma", lumas), ("noise", noises)):
            result.setdefault(name, {})[look] = [round(float(v), 1) for v in np.percentile(values, [5, 50, 95])]
        result.setdefault("looks", {}).update(table({look: found[look]}, counts, threshold))
        for name, f in result["looks"][look].items():
            print(f"{look:11s} {name:28s} AP50 {f['ap50']:.3f} {f['interval95']} gain {f['gain']:+.3f} {f['gain_interval95']} "
                  f"recall {f['recall']:.2f} {f['recall_gain_interval95']} precision {f['precision']:.2f}", flush=True)
        Path(args.out).write_text(json.dumps(result, indent=1))
        capst = [i for i, p in enumerate(held) if p["src"] == "cap"]
        hand = table({look: {n: [v[i] for i in capst] for n, v in found[look].items()}}, counts[capst], threshold)
        result.setdefault("hand-drawn truth", {}).update(hand)
        print(look, "capston2 alone:", {n: (f["ap50"], f["gain_interval95"]) for n, f in hand[look].items()}, flush=True)
        Path(args.out).write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
