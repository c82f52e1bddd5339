"""Trains the speech emotion model: python train.py --data DATA --cache CACHE --out DIR --steps 1200 [--minutes 30]
    [--resume DIR or FILE]

Goes over folds of the train speakers, each held out once (`--folds` takes the first ones only). The first fold's network
then goes on with all train speakers for half as many steps, and the temperature that the held-out answers want is folded
into its head. Writes DIR/folds.json, DIR/held_out.npz, DIR/checkpoint.pt (also of each fold), DIR/weights.safetensors
(f16), DIR/trained.json. A finished fold is not done again, and what was cut off goes on.

--minutes are of CPU, shared out over the networks by their steps. A rate falls with the share of the network's steps or of
its time that is done, whichever is more. `--resume` is the DIR of an earlier run: each fold's network and the last one go
on from that run's own, at half the rate, so that whoever was left out stays left out; what counts is then the mean of the
weights before and after. Or it is shipped weights.safetensors: then only the last network goes on, and the folds' begin
from random weights, as the shipped ones know all the train speakers.
"""
import argparse
import json
import math
import pickle
import sys
import time
from functools import cache as once
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "audio")]
from clips import floats, rows, samples  # noqa: E402
from mel_rnn import LABELS, LONGEST, MEAN, RMS, SCALE, SHORTEST, MelRnn, features, level  # noqa: E402
from spoil import copies  # noqa: E402
from warp import WARPS, matrices, stretched  # noqa: E402

BATCH, RATE, DROP = 32, 3e-3, 0.2
TEST = {"15", "16"}
FOLDS = [("03", "08", "14"), ("09", "10", "13"), ("11", "12")]


SPEEDS = [0.9, 0.95, 1.0, 1.05, 1.1]
HOP = 160
LOUDEST_NOISE_DB, FAINTEST_NOISE_DB = 0, 50  # below the voice


def load(data, cache):
    """EMO-DB's train speakers: dicts of samples, label, speaker, and `forms`: [form x speed] of (mel magnitudes
    [frames, 64], power of each frame). Forms are the clean clip and those of audio/spoil.py; all is cached."""
    clips = [dict(label=LABELS.index(r["emotion"]), speaker=r["speaker"], samples=samples(data, cache, f"emodb/{r['file']}"))
             for r in rows(Path(data) / "emodb") if r["speaker"] not in TEST]
    kept = Path(cache) / f"emotion-{len(clips)}.pkl"
    if not kept.exists():
        spoilt = copies([c["samples"] for c in clips], cache, f"emotion-{len(clips)}", 5)
        forms = []
        for i, clip in enumerate(clips):
            sounds = [clip["samples"], *(spoilt[k][i] for k in spoilt)]
            forms.append([spectrum(floats(x), speed) for x in sounds for speed in SPEEDS])
        kept.write_bytes(pickle.dumps(forms))
    for clip, forms in zip(clips, pickle.loads(kept.read_bytes())):
        clip["forms"] = forms
    return clips


def spectrum(x, speed):
    """Mel magnitudes and frame powers of a clip at another speed and so another pitch."""
    at = np.arange(0, len(x) - 1, speed)
    x = np.interp(at, np.arange(len(x)), x).astype(np.float32)
    x = x[: len(x) // HOP * HOP]
    mel = torch.exp(features(torch.from_numpy(x[None]))[0, 0] / SCALE + MEAN) - 1e-3
    return mel.numpy().astype(np.float16), (x.reshape(-1, HOP) ** 2).mean(1)


@once
def noises(count=40, frames=400):
    """Mel magnitudes [count, frames, 64] of noise of colours from white to brown, its root mean square 1."""
    rng, n = np.random.default_rng(0), frames * HOP
    f = np.maximum(8, np.arange(n // 2 + 1))[None] ** -(np.linspace(0, 2.0, count)[:, None] / 2)
    x = np.fft.irfft(f * np.exp(2j * np.pi * rng.random(f.shape)), n)
    x = torch.from_numpy((x / np.sqrt((x ** 2).mean(1, keepdims=True))).astype(np.float32))
    return (torch.exp(features(x)[:, 0] / SCALE + MEAN) - 1e-3).clamp(min=0).numpy()


def batch(clips, rng):
    """Features and soft targets of random clips, every emotion alike often, all cut to one length of 1.2 to 3 s."""
    by_label = [[c for c in clips if c["label"] == k] for k in range(len(LABELS))]
    n, length = BATCH, int(rng.uniform(120, 300))
    labels = rng.integers(0, len(LABELS), n)
    x, power = np.zeros((n, length, 64), np.float32), np.zeros((n, length), np.float32)
    for i, k in enumerate(labels):
        clip = by_label[k][rng.integers(len(by_label[k]))]
        form, speed, warp = rng.choice(4, p=[0.45, 0.25, 0.15, 0.15]), rng.integers(len(SPEEDS)), rng.integers(len(WARPS))
        mel, loud = clip["forms"][form * len(SPEEDS) + speed]
        mel, loud = stretched((mel, loud), rng.uniform(0.85, 1.2))
        here, there = max(0, length - len(mel)), max(0, len(mel) - length)
        here, there = rng.integers(0, here + 1), rng.integers(0, there + 1)
        m = min(length, len(mel))
        x[i, here: here + m] = mel[there: there + m].astype(np.float32) @ matrices()[warp]
        power[i, here: here + m] = loud[there: there + m]
    bands = np.arange(64) / 64
    db = sum(rng.normal(0, 2.5, (n, 1)) * np.cos(np.pi * k * bands + rng.uniform(0, 6.28, (n, 1))) for k in (1, 2, 3))
    below = 10 ** (-rng.uniform(LOUDEST_NOISE_DB, FAINTEST_NOISE_DB, n) / 20)
    known = noises()
    starts = rng.integers(0, known.shape[1] - length + 1, n)
    hiss = np.stack([known[c, s: s + length] for c, s in zip(rng.integers(0, len(known), n), starts)])
    both = RMS / np.sqrt(1 + below ** 2)  # the level is that of voice and noise together
    x *= (both / np.sqrt(power.mean(1) + 1e-9))[:, None, None].astype(np.float32)
    x *= (10 ** (db / 20))[:, None].astype(np.float32)
    hiss *= (both * below)[:, None, None].astype(np.float32)
    mel = torch.from_numpy((np.log(np.hypot(x, hiss) + 1e-3) - MEAN) * SCALE).float()[:, None]
    for m in mel[:, 0]:
        a, b = rng.integers(0, 56), rng.integers(0, len(m) - 20)
        m[:, a: a + rng.integers(0, 9)] = 0
        m[b: b + rng.integers(0, 20)] = 0
    target = torch.nn.functional.one_hot(torch.from_numpy(labels), len(LABELS)).float()
    if rng.random() < 0.5:  # mixup
        share, other = float(rng.beta(0.3, 0.3)), torch.from_numpy(rng.permutation(n))
        mel, target = share * mel + (1 - share) * mel[other], share * target + (1 - share) * target[other]
    return mel, target * 0.95 + 0.05 / len(LABELS)


def pieces(x):
    """What the daemon is asked: up to 3 s at once, longer clips every 1.5 s, short ones padded."""
    x = floats(x)
    if len(x) <= LONGEST:
        return [np.pad(x, (0, max(0, SHORTEST - len(x))))]
    starts = [*range(0, len(x) - LONGEST, LONGEST // 2), len(x) - LONGEST]
    return [x[s: s + LONGEST] for s in starts]


@torch.no_grad()
def logits(model, clips):
    """[clips, labels]: the log of the mean probability over a clip's pieces."""
    model.eval()
    each = [torch.cat([model(features(level(torch.from_numpy(p[None])))) for p in pieces(c["samples"])]) for c in clips]
    return torch.stack([e.softmax(1).mean(0).clamp(min=1e-6).log() for e in each])


def uar(truth, decided):
    return float(np.mean([(decided[truth == k] == k).mean() for k in np.unique(truth)]))


def fit(clips, steps, limit, seed, kept, start=None):
    """(the averaged network after so many steps or `limit` CPU seconds, CPU seconds); goes on from `kept`. `start`: what it
    begins with, at half the rate."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model, rate = MelRnn(), RATE / 2 if start else RATE
    if start:
        model.load_state_dict(start, strict=False)  # shipped weights do not count the batches
    average = torch.optim.swa_utils.AveragedModel(
        model, avg_fn=lambda old, new, n: old + (new - old) * max(0.01, 9 / (10 + n)), use_buffers=True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.03)
    seconds, step, losses = 0.0, 0, []
    things = dict(model=model, average=average, optimiser=optimiser)
    if kept.exists():
        state = torch.load(kept)
        for name, thing in things.items():
            thing.load_state_dict(state[name])
        seconds, step, rng.bit_generator.state = state["seconds"], state["step"], state["rng"]
    began, saved = time.process_time() - seconds, time.process_time()

    def save():
        state = {name: thing.state_dict() for name, thing in things.items()}
        torch.save(dict(state, rng=rng.bit_generator.state, step=step, seconds=time.process_time() - began),
                   kept.with_suffix(".new"))
        kept.with_suffix(".new").rename(kept)

    while (done := max(step / steps, (time.process_time() - began) / limit)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 30) * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)
        model.train()
        mel, target = batch(clips, rng)
        with torch.autocast("cpu", torch.bfloat16):
            moments = model.moments(mel)
        pooled = model.pool(torch.nn.functional.dropout(moments.float(), DROP))
        loss = torch.nn.functional.cross_entropy(model.head(torch.nn.functional.dropout(pooled, DROP)), target)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2)
        optimiser.step()
        average.update_parameters(model)
        step += 1
        if step % 50 == 0:
            print(f"{kept.stem}: step {step}, loss {np.mean(losses[-50:]):.3f}", flush=True)
        if time.process_time() - saved > 30:
            save()
            saved = time.process_time()
    save()
    return average.module, torch.load(kept)["seconds"]


def reached(folder, name):
    """The averaged network of an earlier run, or None."""
    if folder is None or folder.endswith(".safetensors"):
        return None
    state = torch.load(Path(folder) / name)["average"]
    return {k.removeprefix("module."): v for k, v in state.items() if k.startswith("module.")}


def shipped(weights, temperature):
    """Shipped weights as they were before their temperature."""
    state = {k: v.float() for k, v in load_file(weights).items()}
    return state | {k: state[k] * temperature for k in ("head.weight", "head.bias")}


def between(model, start):
    """The mean of a network's weights and of those that it began with; without such, the network."""
    if start:
        model.load_state_dict({k: (v.float() + start.get(k, v).float()) / 2 for k, v in model.state_dict().items()})
    return model


def held_out(clips, fold, out, steps, limit, resume):
    """A network that never heard a fold's speakers: which clips these are, its logits and UAR on them, and itself."""
    seed, speakers = FOLDS.index(fold), set(fold)
    mine = [j for j, c in enumerate(clips) if c["speaker"] in speakers]
    rest = [c for c in clips if c["speaker"] not in speakers]
    start = reached(resume, f"fold-{seed}.pt")
    model, seconds = fit(rest, steps, limit, seed, out / f"fold-{seed}.pt", start)
    model = between(model, start)
    answers = logits(model, [clips[j] for j in mine]).numpy()
    right = uar(np.array([clips[j]["label"] for j in mine]), answers.argmax(1))
    print(f"{fold}: UAR {right:.3f} of {len(mine)}, {seconds / 60:.1f} CPU minutes", flush=True)
    return mine, answers, right, model


def temperature(truth, held):
    """Divides the logits so that held-out answers are likeliest; found by trying."""
    loss = lambda t: torch.nn.functional.cross_entropy(torch.from_numpy(held) / t, torch.from_numpy(truth)).item()
    return min(np.arange(0.4, 3.0, 0.02), key=loss)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "cache", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--steps", type=int, default=1200, help="of each network, at most")
    parser.add_argument("--minutes", type=float, default=30, help="of CPU, all networks together")
    parser.add_argument("--folds", type=int, default=len(FOLDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", help="an earlier run's DIR, or shipped weights.safetensors")
    args = parser.parse_args()
    torch.set_num_threads(1)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    clips = load(args.data, args.cache)
    truth = np.array([c["label"] for c in clips])
    last = args.steps if args.resume else args.steps // 2
    a_step = args.minutes * 60 / (args.steps * args.folds + last)  # CPU seconds
    folds = [held_out(clips, fold, out, args.steps, args.steps * a_step, args.resume) for fold in FOLDS[:args.folds]]
    truth, held = (np.concatenate(parts) for parts in ([truth[f[0]] for f in folds], [f[1] for f in folds]))
    decided, rng = held.argmax(1), np.random.default_rng(0)
    drawn = [rng.integers(0, len(truth), len(truth)) for _ in range(1000)]
    low, high = np.percentile([uar(truth[d], decided[d]) for d in drawn], [2.5, 97.5])
    table = dict(uar=uar(truth, decided), interval95=[low, high], clips=len(truth), by_fold=[f[2] for f in folds],
                 temperature=float(temperature(truth, held)))
    (out / "folds.json").write_text(json.dumps(table, indent=1))
    np.savez(out / "held_out.npz", truth=truth, logits=held)
    print(json.dumps(table, indent=1), flush=True)
    start = reached(args.resume, "checkpoint.pt")
    if args.resume and not start:
        start = shipped(args.resume, table["temperature"])
    model, seconds = fit(clips, last, last * a_step, args.seed, out / "checkpoint.pt", start or folds[0][3].state_dict())
    model = between(model, start)
    state = {k: v.clone() for k, v in model.state_dict().items() if "num_batches" not in k}
    for part in ("head.weight", "head.bias"):
        state[part] /= table["temperature"]
    save_file({k: v.half().contiguous() for k, v in state.items()}, out / "weights.safetensors")
    (out / "trained.json").write_text(json.dumps(dict(cpu_minutes=seconds / 60, steps=torch.load(out / "checkpoint.pt")["step"])))


if __name__ == "__main__":
    main()
