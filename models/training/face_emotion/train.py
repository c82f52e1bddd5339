"""Trains face emotion: python train.py --data DATA --cache CACHE --out OUT --minutes 60 [--resume CKPT]

Cross-entropy against the raters' shares. Writes OUT/checkpoint.pt every few minutes and at the end, then
OUT/weights.safetensors (f16, the temperature folded into the head) and a line of OUT/log.jsonl. The rate falls with
the CPU time used along a cosine, and faces grow from 32 to 48 pixels over the first 60 % of the time (not of a resumed run).
Filters are updated with orthogonalised momentum (Muon, K. Jordan 2024), everything else with AdamW.
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
import votes as packs  # noqa: E402
from evaluate import calibrated, figures, logits  # noqa: E402
from face_cnn import SIZE, FaceCnn, standardised  # noqa: E402
from muon import Muon  # noqa: E402
from spoil import spoiled  # noqa: E402

RARE = (5, 6, 7)  # disgust, fear, contempt: drawn twice as often


def batches(faces, shares, tops, batch, seed):
    """(faces [N, 48, 48] bytes, shares [N, 8]), endlessly."""
    r, rng = random.Random(seed), np.random.default_rng(seed)
    pool = np.concatenate([np.arange(len(faces)), np.where(np.isin(tops, RARE))[0]])
    while True:
        rng.shuffle(pool)
        for start in range(0, len(pool) - batch + 1, batch):
            k = pool[start: start + batch]
            yield torch.from_numpy(np.stack([spoiled(faces[i], r) for i in k])), torch.from_numpy(shares[k])


def rate(done, step):
    return min(1, (step + 1) / 100) * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * min(1, done))))


def side(done):
    """Pixels of a face at this share of the time."""
    return 32 if done < 0.35 else 40 if done < 0.6 else SIZE


def load_state(path):
    state = load_file(path) if str(path).endswith(".safetensors") else torch.load(path)["model"]
    return {k: v.float() for k, v in state.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--minutes", type=float, default=60, help="of CPU")
    parser.add_argument("--resume", help="a checkpoint.pt, or shipped weights.safetensors")
    parser.add_argument("--rate", type=float, help="share of a filter's norm moved in a step: 0.12, resumed 0.02")
    parser.add_argument("--average", type=float, default=0.998, help="decay of the averaged weights, a step")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--save-every", type=float, default=5, help="minutes")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.rate is None:  # at 0.12 a trained network begins by unlearning
        args.rate = 0.02 if args.resume else 0.12
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    faces, votes = packs.load(Path(args.data) / "ferplus/train.npz")
    train, held = packs.split(args.data, args.cache)
    model = FaceCnn().to(memory_format=torch.channels_last).train()
    if args.resume:
        missing, extra = model.load_state_dict(load_state(args.resume), strict=False)
        if extra or any(not k.endswith("num_batches_tracked") for k in missing):
            raise SystemExit(f"{args.resume} is no checkpoint of this network")
    average = copy.deepcopy(model).eval()
    filters = [p for p in model.parameters() if p.ndim == 4]
    rest = [p for p in model.parameters() if p.ndim != 4]
    optimisers = [(Muon(filters, args.rate), args.rate), (torch.optim.AdamW(rest, weight_decay=1e-4), 2e-3)]
    drawn = batches(faces[train], packs.shares(votes[train]), packs.top(votes[train]), args.batch, args.seed)
    start, step, total, saved, said, mean = time.process_time(), 0, args.minutes * 60, 0.0, 0.0, 0.0

    def save():
        torch.save(dict(model={k: v for k, v in average.state_dict().items() if "tracked" not in k}, steps=step),
                   out / "checkpoint.new")
        (out / "checkpoint.new").rename(out / "checkpoint.pt")  # whole or not at all

    while (spent := time.process_time() - start) < total:
        done = spent / total
        for optimiser, top in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = top * rate(done, step)
        x, wanted = next(drawn)
        x, pixels = standardised(x), SIZE if args.resume else side(done)
        if pixels != SIZE:
            x = torch.nn.functional.interpolate(x, pixels, mode="bilinear", antialias=True)
        with torch.autocast("cpu", torch.bfloat16):
            y = model(x)
        loss = -(wanted * y.float().log_softmax(1)).sum(1).mean()
        model.zero_grad(set_to_none=True)
        loss.backward()
        for optimiser, _ in optimisers:
            optimiser.step()
        step += 1
        mean += (loss.item() - mean) * 0.01
        decay = min(args.average, 1 - 1 / (1 + step / 10)) if not args.resume else args.average
        with torch.no_grad():
            for a, b in zip(average.state_dict().values(), model.state_dict().values()):
                a.lerp_(b, 1 - decay) if a.dtype.is_floating_point else a.copy_(b)
        if spent - said > 60:
            said = spent
            print(json.dumps(dict(minutes=round(spent / 60, 1), step=step,
                                  epochs=round(step * args.batch / len(train), 1), loss=round(mean, 4))), flush=True)
        if spent - saved > args.save_every * 60:
            saved = spent
            save()
            y = logits(average, faces[held])
            print(json.dumps(dict(minutes=round(spent / 60, 1), **figures(y, votes[held])["metrics"])), flush=True)
    save()
    temperature = calibrated(average, faces[held], votes[held])
    state = {k: v for k, v in average.state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file({k: v.half().contiguous() for k, v in state.items()}, out / "weights.safetensors")
    line = dict(minutes=args.minutes, steps=step, faces=step * args.batch,
                temperature=round(temperature, 3), **figures(logits(average, faces[held]), votes[held])["metrics"])
    with open(out / "log.jsonl", "a") as f:
        f.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
