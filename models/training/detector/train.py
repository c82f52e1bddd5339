"""Trains the detector: python train.py --data DATA --cache CACHE --out DIR --minutes 60 [--resume CKPT]

Writes DIR/checkpoint.pt every few minutes and at the end, with DIR/weights.safetensors (f16) and DIR/log.jsonl. The
rate falls with the CPU time used along a cosine; the last `--calm` share of it is single pictures of 416 pixels.
--resume DIR/checkpoint.pt, with the other options as they were, goes on where that run stopped, towards its --minutes;
--resume weights.safetensors starts a new schedule from shipped weights.
"""
import argparse
import copy
import json
import math
import random
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file

import data as packs
from augment import Mixer
from evaluate import measure
from finds import CLASSES, looked
from loss import distilled, loss
from teacher import Teacher
from turn import turned
from yolox import YOLOX, pictures

TURNED = 0.15  # share of pictures turned by a quarter


class Batches(torch.utils.data.IterableDataset):
    """(pictures [N, S, S, 3], targets [n, 8], the teacher's answer [N, A, 11]).

    `calm` is shared with the trainer and switches the mosaics off.
    """

    def __init__(self, items, batch, seed, calm, teacher):
        self.items, self.batch, self.seed, self.calm, self.teacher = items, batch, seed, calm, teacher

    def __iter__(self):
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        mixer = Mixer(self.items, random.Random(self.seed))
        teachers = {size: Teacher(self.teacher, size) for size in (320, 416)}
        while True:
            calm = bool(self.calm[0])
            size = 416 if calm else 320
            drawn = [mixer.lean(*mixer.draw(size, not calm)) for _ in range(self.batch)]
            # The teacher looks at the picture as it was before night and codec spoilt it.
            drawn = [(x, rows, teachers[size].raw(x)) for x, rows in drawn]
            drawn = [(np.ascontiguousarray(mixer.spoil(x)), rows, answer) for x, rows, answer in drawn]
            drawn = [turned(*three, mixer.rng.random() < 0.5) if mixer.rng.random() < TURNED else three for three in drawn]
            rows = [np.column_stack([np.full(len(r), i, np.float32), r]) for i, (_, r, _) in enumerate(drawn)]
            x, answers = np.stack([x for x, _, _ in drawn]), np.stack([a for _, _, a in drawn])
            yield tuple(map(torch.from_numpy, (x, np.concatenate(rows), answers)))


def shipped(model, path):
    """Puts shipped weights into the network."""
    missing, extra = model.load_state_dict({k: v.float() for k, v in load_file(path).items()}, strict=False)
    if extra or any(not k.endswith("num_batches_tracked") for k in missing):
        raise SystemExit(f"{path} is no checkpoint of this network")


def rate(done, step, top):
    """Warm-up over 100 steps, then a cosine from `top` to 2 % of it."""
    return top * min(1, (step + 1) / 100) * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * min(1, done))))


def save(out, things, **progress):
    """`things` by name, and how far the run is; the averaged weights as f16 too."""
    states = {name: thing.state_dict() for name, thing in things.items()}
    torch.save(states | progress, out / "checkpoint.new")
    (out / "checkpoint.new").rename(out / "checkpoint.pt")  # whole or not at all
    weights = {k: v.half().contiguous() for k, v in states["average"].items() if not k.endswith("num_batches_tracked")}
    save_file(weights, out / "weights.safetensors")


def brief(figures):
    return {f"{pack} {c}": round(figures[pack][c]["ap50"], 3) for pack in figures for c in ("person", "car")
            if c in figures[pack]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--minutes", type=float, default=60, help="of CPU a thread, the batches' process apart")
    parser.add_argument("--resume", help="a checkpoint.pt, or shipped weights.safetensors")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--labels", type=float, default=1, help="weight of the loss against boxes")
    parser.add_argument("--teacher", type=float, default=1, help="weight of the loss against the teacher's raw output")
    parser.add_argument("--calm", type=float, default=0.2)
    parser.add_argument("--average", type=float, default=0.999, help="decay of the averaged weights, a step")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-every", type=float, default=4, help="minutes")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    items = packs.load(args.data, args.cache)
    model, state = YOLOX(len(CLASSES)), {}
    if args.resume and args.resume.endswith(".safetensors"):
        shipped(model, args.resume)
    elif args.resume:
        state = torch.load(args.resume)
    model = model.to(memory_format=torch.channels_last).train()
    average = copy.deepcopy(model).eval()
    params = list(model.parameters())
    optimiser = torch.optim.AdamW([dict(params=[p for p in params if p.ndim > 1], weight_decay=0.05),
                                   dict(params=[p for p in params if p.ndim <= 1], weight_decay=0)])
    things = dict(model=model, average=average, optimiser=optimiser)
    for name in things if state else ():
        things[name].load_state_dict(state[name])
    before, step = state.get("seconds", 0.0), state.get("step", 0)
    scratch = state.get("scratch", not args.resume)  # began from random weights
    total = args.minutes * 60
    calm = torch.zeros(1, dtype=torch.int32).share_memory_()
    calm[0] = before / total >= 1 - args.calm
    drawn = [p for p in items if not p["val"] and not p["twin"]] + packs.clips(args.data, args.cache, items)
    stream = Batches(drawn, args.batch, args.seed + step, calm, Path(args.data) / "reference/yolox_nano.onnx")
    batches = iter(torch.utils.data.DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=4))
    start, saved, said = time.process_time(), before, before
    while (spent := before + (time.process_time() - start) / args.threads) < total:
        calm[0] = spent / total >= 1 - args.calm
        for group in optimiser.param_groups:
            group["lr"] = rate(spent / total, step, args.rate)
        x, targets, answers = next(batches)
        with torch.autocast("cpu", torch.bfloat16):
            raw = model(pictures(x))
        raw = raw.float()
        value, parts, sure = loss(raw, targets, x.shape[1])
        follow, more = distilled(raw, answers, sure, x.shape[1])
        value, parts = args.labels * value + args.teacher * follow, parts | more
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(params, 10.0)
        optimiser.step()
        step += 1
        decay = min(args.average, 1 - 1 / (1 + step / 10)) if scratch else args.average
        with torch.no_grad():
            for a, b in zip(average.state_dict().values(), model.state_dict().values()):
                a.lerp_(b, 1 - decay) if a.dtype.is_floating_point else a.copy_(b)
        if spent - said > 30:
            said = spent
            line = dict(minutes=round(spent / 60, 1), step=step, size=x.shape[1], **{k: round(v, 3) for k, v in parts.items()})
            print(json.dumps(line), flush=True)
        if spent - saved > args.save_every * 60:
            saved = spent
            save(out, things, seconds=spent, step=step, scratch=scratch)
    save(out, things, seconds=spent, step=step, scratch=scratch)
    figures = measure(looked(average, [p for p in items if p["val"]]), resamples=0)
    line = dict(minutes=args.minutes, steps=step, pictures=step * args.batch, **brief(figures))
    with open(out / "log.jsonl", "a") as f:
        f.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
