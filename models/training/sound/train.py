"""Trains the sound model: python train.py --data DATA --cache CACHE --out DIR --minutes 50 [--resume FILE]

The rate falls with the CPU time used, and --minutes are of it. Writes DIR/checkpoint.pt every two minutes, and at the end
DIR/weights.safetensors (f16) and DIR/trained.json. --resume DIR/checkpoint.pt goes on where that run stopped, with other
batches, towards its --minutes; --resume weights.safetensors starts a new schedule from shipped weights. Calibration,
thresholds and figures are calibrate.py's and evaluate.py's. --without LABEL trains on made-up sounds of that label only;
evaluate.py takes the same switch and measures on the real clips.
"""
import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import data as packs
from batches import MADE_UP, Sounds
from model import CHANNELS, MelCnn

BATCH, RATE = 64, 3e-3


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "cache", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--minutes", type=float, default=50, help="of CPU")
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--resume", help="a checkpoint, or shipped weights.safetensors")
    parser.add_argument("--head", type=float, default=1.0, help="times the head's weights, when the pooling is another now")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", choices=sorted({*MADE_UP} - {"background"}), help="a label whose real clips are kept out")
    return parser.parse_args()


def main():
    args = parsed()
    shipped = bool(args.resume) and args.resume.endswith(".safetensors")
    state = torch.load(args.resume) if args.resume and not shipped else {}
    before, step = state.get("seconds", 0.0), state.get("step", 0)
    seed = args.seed + step  # what goes on draws other batches than at its start
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    if args.without and shipped:
        raise SystemExit("--without is for training from scratch: shipped weights know the clips that it keeps out")
    clips = packs.load(args.data, args.cache, args.without)
    sounds = Sounds(packs.part(clips, "train"), args.cache, seed)
    model, out = MelCnn().to(memory_format=torch.channels_last), Path(args.out)
    words = torch.nn.Linear(CHANNELS[-1], len(sounds.words))  # ESC's 50 words, learned beside and thrown away
    out.mkdir(parents=True, exist_ok=True)
    parameters = [*model.parameters(), *words.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=args.rate, weight_decay=0.02)
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998), use_buffers=True)
    if shipped:
        weights = {k: v.float() for k, v in load_file(args.resume).items()}
        weights["head.weight"] = weights["head.weight"] * args.head
        for net in (model, average.module):
            net.load_state_dict(weights, strict=False)
    things = dict(model=model, words=words, average=average, optimiser=optimiser)
    for name in things if state else ():
        things[name].load_state_dict(state[name])

    def save(spent):
        states = {name: thing.state_dict() for name, thing in things.items()}
        torch.save(dict(states, seconds=spent, step=step), out / "checkpoint.new")
        (out / "checkpoint.new").rename(out / "checkpoint.pt")

    start, total, saved, seen = time.process_time() - before, args.minutes * 60, before, []
    while (spent := time.process_time() - start) < total:
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1, (step + 1) / 100) * (0.01 + 0.99 * (1 + math.cos(math.pi * spent / total)) / 2)
        x, target, weight, word = sounds.batch(BATCH)
        with torch.autocast("cpu", torch.bfloat16):
            pooled = model.embed(x.to(memory_format=torch.channels_last)).float()
        pooled = torch.nn.functional.dropout(pooled, 0.3)
        bce = torch.nn.functional.binary_cross_entropy_with_logits
        loss = bce(model.head(pooled), target * 0.98 + 0.01, weight)
        loss = loss + 0.05 * torch.nn.functional.cross_entropy(words(pooled), word, ignore_index=-1)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 5)
        optimiser.step()
        average.update_parameters(model)
        step += 1
        seen.append(loss.item())
        if step % 100 == 0:
            print(f"{spent / 60:.1f} min, step {step}, loss {np.mean(seen[-300:]):.4f}", flush=True)
        if spent - saved > 120:
            save(spent)
            saved = spent
    save(spent)
    best = average.module.eval()
    save_file({k: v.half().contiguous() for k, v in best.state_dict().items() if "num_batches" not in k},
              out / "weights.safetensors")
    (out / "trained.json").write_text(json.dumps(dict(minutes=args.minutes, steps=step, patches=step * BATCH,
                                                     without=args.without)))


if __name__ == "__main__":
    main()
