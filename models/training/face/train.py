"""Trains the face detector: python train.py --data DATA --cache CACHE --out OUT --minutes 45 [--resume CKPT]

Writes OUT/checkpoint.pt every few minutes and at the end, with OUT/weights.safetensors (f16) and a line of
OUT/log.jsonl. The rate falls with the CPU time used along a cosine. Filters are updated by Muon, the rest by AdamW.
--resume OUT/checkpoint.pt, with the other options as they were, goes on where that run stopped, towards its --minutes;
--resume weights.safetensors starts a new schedule from shipped weights.
"""
import argparse
import copy
import json
import math
import random
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file

sys.path.append(str(Path(__file__).resolve().parents[1]))
import face_fpn  # noqa: E402
import face_pictures  # noqa: E402
from evaluate import compared, detect, figures, threshold_of  # noqa: E402
from face_augment import Crops  # noqa: E402
from face_fpn import CHANNELS, FaceFpn, cells, pictures  # noqa: E402
from face_loss import loss  # noqa: E402
from muon import Muon  # noqa: E402


def rate(done, step):
    return min(1, (step + 1) / 100) * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * min(1, done))))


def brief(model, held):
    parts = [compared(detect(model.eval(), p["img"]), p) for p in held]
    f = figures(parts, threshold_of(parts), 0)
    return {k: round(f[k], 4) for k in ("threshold", "recall", "false_per_picture", "point_error") if f[k] is not None}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--minutes", type=float, default=45, help="of CPU")
    parser.add_argument("--resume", help="a checkpoint.pt, or shipped weights.safetensors")
    parser.add_argument("--channels", type=int, nargs=3, default=CHANNELS, help="of a network from scratch")
    parser.add_argument("--rate", type=float, help="share of a filter's norm moved in a step: 0.08, shipped weights 0.02")
    parser.add_argument("--average", type=float, default=0.998, help="decay of the averaged weights, a step")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=224, help="of a crop, pixels")
    parser.add_argument("--save-every", type=float, default=8, help="minutes")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    state = torch.load(args.resume) if args.resume and not args.resume.endswith(".safetensors") else {}
    scratch = state.get("scratch", not args.resume)  # began from random weights
    if args.rate is None:  # at 0.08 a trained network begins by unlearning
        args.rate = 0.08 if scratch else 0.02
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    items = face_pictures.load(args.data, args.cache)
    held = [p for p in items if p["val"]]
    before, step = state.get("seconds", 0.0), state.get("step", 0)
    crops = Crops([p for p in items if not p["val"] and not p["twin"]], random.Random(args.seed + step))
    weights = state.get("model") or (load_file(args.resume) if args.resume else None)
    model = face_fpn.of(weights) if weights else FaceFpn(args.channels)
    model = model.to(memory_format=torch.channels_last).train()
    average = copy.deepcopy(model).eval()
    filters = [p for name, p in model.named_parameters() if p.ndim == 4 and not name.startswith("preds")]
    rest = [p for name, p in model.named_parameters() if p.ndim != 4 or name.startswith("preds")]
    optimisers = [(Muon(filters, args.rate), args.rate), (torch.optim.AdamW(rest, weight_decay=1e-4), 2e-3)]
    things = dict(model=model, average=average, muon=optimisers[0][0], adamw=optimisers[1][0])
    for name in things if state else ():
        things[name].load_state_dict(state[name])
    at = cells(args.size, args.size)
    start, total, saved, said = time.process_time() - before, args.minutes * 60, before, before
    mean = {}

    def save(spent):
        states = {name: thing.state_dict() for name, thing in things.items()}
        torch.save(dict(states, seconds=spent, step=step, scratch=scratch), out / "checkpoint.new")
        (out / "checkpoint.new").rename(out / "checkpoint.pt")  # whole or not at all
        kept = {k: v for k, v in states["average"].items() if not k.endswith("num_batches_tracked")}
        save_file({k: v.half().contiguous() for k, v in kept.items()}, out / "weights.safetensors")

    while (spent := time.process_time() - start) < total:
        for optimiser, top in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = top * rate(spent / total, step)
        drawn = [crops.draw(args.size) for _ in range(args.batch)]
        x = torch.from_numpy(np.stack([c for c, _ in drawn]))
        with torch.autocast("cpu", torch.bfloat16):
            raw = model(pictures(x))
        value, parts = loss(raw.float(), at, [torch.from_numpy(rows) for _, rows in drawn])
        model.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(rest, 10.0)
        for optimiser, _ in optimisers:
            optimiser.step()
        step += 1
        mean = {k: mean.get(k, v) * 0.98 + v * 0.02 for k, v in parts.items()}
        decay = min(args.average, 1 - 1 / (1 + step / 10)) if scratch else args.average
        with torch.no_grad():
            for a, b in zip(average.state_dict().values(), model.state_dict().values()):
                a.lerp_(b, 1 - decay) if a.dtype.is_floating_point else a.copy_(b)
        if spent - said > 60:
            said = spent
            print(json.dumps(dict(minutes=round(spent / 60, 1), step=step,
                                  **{k: round(v, 3) for k, v in mean.items()})), flush=True)
        if spent - saved > args.save_every * 60:
            saved = spent
            save(spent)
            print(json.dumps(dict(minutes=round(spent / 60, 1), **brief(average, held))), flush=True)
    save(spent)
    line = dict(minutes=args.minutes, steps=step,
                crops=step * args.batch, **brief(average, held))
    with open(out / "log.jsonl", "a") as f:
        f.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
