"""Trains face emotion: python train.py --data DATA --cache CACHE --out OUT --minutes 60 [--resume CKPT]

Cross-entropy against the raters' shares. Writes OUT/checkpoint.pt every few minutes and at the end, then
OUT/weights.safetensors (f16, the temperature folded into the head) and a line of OUT/log.jsonl. The rate falls with
the CPU time used along a cosine, and faces grow from 32 to 48 pixels over the first 60 % of the time (not from shipped
weights). Filters are updated with orthogonalised momentum (Muon, K. Jordan 2024), everything else with AdamW.

--resume OUT/checkpoint.pt, with the other options as they were, goes on where that run stopped, towards its --minutes;
--resume weights.safetensors starts a new schedule from shipped weights, the temperature taken out of the head again.
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
from safetensors import safe_open
from safetensors.torch import save_file

sys.path.append(str(Path(__file__).resolve().parents[1]))
import votes as packs  # noqa: E402
from evaluate import calibrated, figures, logits  # noqa: E402
from face_cnn import SIZE, FaceCnn, standardised  # noqa: E402
from muon import Muon  # noqa: E402
from spoil import spoiled  # noqa: E402

RARE = (5, 6, 7)  # disgust, fear, contempt: drawn twice as often
FOLDED = 0.65  # the temperature in the weights of 1.2.0, by their card; weights made since say theirs


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


def shipped(model, path):
    """Puts shipped weights into the network, the head as it was before its temperature."""
    with safe_open(path, "pt") as file:
        weights = {k: file.get_tensor(k).float() for k in file.keys()}
        temperature = float((file.metadata() or {}).get("temperature", FOLDED))
    missing, extra = model.load_state_dict(weights, strict=False)
    if extra or any(not k.endswith("num_batches_tracked") for k in missing):
        raise SystemExit(f"{path} is no checkpoint of this network")
    with torch.no_grad():
        model.head.weight *= temperature
        model.head.bias *= temperature


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--minutes", type=float, default=60, help="of CPU")
    parser.add_argument("--resume", help="a checkpoint.pt, or shipped weights.safetensors")
    parser.add_argument("--rate", type=float, help="share of a filter's norm moved in a step: 0.12, shipped weights 0.02")
    parser.add_argument("--average", type=float, default=0.998, help="decay of the averaged weights, a step")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--save-every", type=float, default=5, help="minutes")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    state = torch.load(args.resume) if args.resume and not args.resume.endswith(".safetensors") else {}
    scratch = state.get("scratch", not args.resume)  # began from random weights
    if args.rate is None:  # at 0.12 a trained network begins by unlearning
        args.rate = 0.12 if scratch else 0.02
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    faces, votes = packs.load(Path(args.data) / "ferplus/train.npz")
    train, held = packs.split(args.data, args.cache)
    model = FaceCnn().to(memory_format=torch.channels_last).train()
    if args.resume and not state:
        shipped(model, args.resume)
    average = copy.deepcopy(model).eval()
    filters = [p for p in model.parameters() if p.ndim == 4]
    rest = [p for p in model.parameters() if p.ndim != 4]
    optimisers = [(Muon(filters, args.rate), args.rate), (torch.optim.AdamW(rest, weight_decay=1e-4), 2e-3)]
    things = dict(model=model, average=average, muon=optimisers[0][0], adamw=optimisers[1][0])
    for name in things if state else ():
        things[name].load_state_dict(state[name])
    before, step, mean = state.get("seconds", 0.0), state.get("step", 0), state.get("loss", 0.0)
    drawn = batches(faces[train], packs.shares(votes[train]), packs.top(votes[train]), args.batch, args.seed + step)
    start, total, saved, said = time.process_time() - before, args.minutes * 60, before, before

    def save(spent):
        states = {name: thing.state_dict() for name, thing in things.items()}
        torch.save(dict(states, seconds=spent, step=step, scratch=scratch, loss=mean), out / "checkpoint.new")
        (out / "checkpoint.new").rename(out / "checkpoint.pt")  # whole or not at all

    while (spent := time.process_time() - start) < total:
        done = spent / total
        for optimiser, top in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = top * rate(done, step)
        x, wanted = next(drawn)
        x, pixels = standardised(x), side(done) if scratch else SIZE
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
        decay = min(args.average, 1 - 1 / (1 + step / 10)) if scratch else args.average
        with torch.no_grad():
            for a, b in zip(average.state_dict().values(), model.state_dict().values()):
                a.lerp_(b, 1 - decay) if a.dtype.is_floating_point else a.copy_(b)
        if spent - said > 60:
            said = spent
            print(json.dumps(dict(minutes=round(spent / 60, 1), step=step,
                                  epochs=round(step * args.batch / len(train), 1), loss=round(mean, 4))), flush=True)
        if spent - saved > args.save_every * 60:
            saved = spent
            save(spent)
            y = logits(average, faces[held])
            print(json.dumps(dict(minutes=round(spent / 60, 1), **figures(y, votes[held])["metrics"])), flush=True)
    save(spent)
    temperature = calibrated(average, faces[held], votes[held])
    state = {k: v for k, v in average.state_dict().items() if not k.endswith("num_batches_tracked")}
    save_file({k: v.half().contiguous() for k, v in state.items()}, out / "weights.safetensors",
              metadata=dict(temperature=f"{temperature:.4f}"))
    line = dict(minutes=args.minutes, steps=step, faces=step * args.batch,
                temperature=round(temperature, 3), **figures(logits(average, faces[held]), votes[held])["metrics"])
    with open(out / "log.jsonl", "a") as f:
        f.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
