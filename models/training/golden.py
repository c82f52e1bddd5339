"""Small reference results for the Rust tests: python golden.py [seeded|shipped ...] --out tests/data/golden

`seeded` writes tiny networks with random weights beside their inputs and outputs, and features of a signal; `shipped`
writes inputs and outputs of the weights under models/ beside these, as `golden.safetensors`, where `watchfire models
verify` reads them. Weights are f16; inputs and results are computed in f32 from
the rounded weights.
"""
import argparse
import sys
import tomllib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / name) for name in ("detector", "sound", "speech_emotion", "action", "av_fight", "face", "face_emotion")]

import face_fpn  # noqa: E402
import mel_rnn  # noqa: E402
import steady  # noqa: E402
from features import seen  # noqa: E402
from heads import METHODS, Fusion  # noqa: E402
from face_cnn import FaceCnn, standardised  # noqa: E402
from face_fpn import FaceFpn  # noqa: E402
from mel import PATCH, log_mel  # noqa: E402
from model import MEAN, SCALE, MelCnn  # noqa: E402
from motion_cnn import ActionNet  # noqa: E402
from yolox import YOLOX, exported  # noqa: E402


def seeded(model, seed):
    """Random weights that keep activations near 1, norms with statistics of their own, all rounded to f16."""
    g = torch.Generator().manual_seed(seed)
    state = {}
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        noise = torch.randn(value.shape, generator=g)
        if value.ndim > 1:
            value = noise / value[0].numel() ** 0.5 * 1.2
        elif name.endswith("running_var"):
            value = 0.5 + torch.rand(value.shape, generator=g)
        elif name.endswith("bn.weight"):
            value = 1 + 0.2 * noise
        else:
            value = 0.2 * noise
        state[name] = value.half()
    return fitted(model, state), state


def fitted(model, state):
    model.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    return model.eval()


def signal(seed, n=PATCH):
    """Chirps, tones, clicks and noise in [-1, 1]."""
    rng, t = np.random.default_rng(seed), np.arange(n) / 16_000
    x = 0.3 * np.sin(2 * np.pi * (200 + 1500 * t) * t) + 0.1 * np.sin(2 * np.pi * 3100 * t) * (t > 0.4)
    x += 0.05 * rng.standard_normal(n) * np.exp(-3 * t)
    x[rng.integers(0, n, 12)] += 0.5
    return np.clip(x, -1, 1).astype(np.float32)


def picture(seed, size=(160, 160)):
    """[1, 3, *size] whole values of 0 to 255: rectangles, a gradient and noise."""
    rng = np.random.default_rng(seed)
    x = np.add.outer(np.linspace(40, 160, size[0]), np.linspace(0, 60, size[1]))[..., None] + rng.normal(0, 6, (*size, 3))
    for _ in range(9):
        a, b = (int(rng.integers(0, side - 20)) for side in size)
        h, w = rng.integers(8, 70, 2)
        x[a: a + h, b: b + w] = rng.integers(0, 256, 3) + rng.normal(0, 8, x[a: a + h, b: b + w].shape)
    return torch.from_numpy(np.clip(np.round(x), 0, 255).astype(np.float32).transpose(2, 0, 1)[None].copy())


def save(folder, name, tensors):
    path = folder / f"{name}.safetensors"
    save_file({k: v.contiguous() for k, v in tensors.items()}, path)
    print(path, path.stat().st_size)


@torch.no_grad()
def write_seeded(folder):
    for name, depthwise, seed in (("yolox_tiny_seeded", False, 1), ("yolox_nano_seeded", True, 2)):
        model, state = seeded(YOLOX(3, 0.0625, 0.33, depthwise), seed)
        x = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(seed)).half().float()
        save(folder, name, {**state, "golden.input": x.half(), "golden.output": exported(model(x))})
    model, state = seeded(MelCnn([8, 12, 16], [0, 1], 4), 3)
    x = torch.randn(2, 1, 96, 64, generator=torch.Generator().manual_seed(3))
    save(folder, "mel_cnn_seeded", {**state, "golden.input": x, "golden.output": model(x).sigmoid(),
                                    "golden.embedding": model.embed(x)})
    model, state = seeded(ActionNet(4, reduce=6, width=8), 8)
    x = torch.randn(1, 6, 3, 32, 48, generator=torch.Generator().manual_seed(8)).half().float()
    logits, embedding = model(x)
    save(folder, "motion_cnn_seeded", {**state, "golden.input": x.half(), "golden.output": logits, "golden.embedding": embedding})
    v, a = (torch.randn(1, n, generator=torch.Generator().manual_seed(9)) for n in (10, 7))
    tensors = {"golden.video": v, "golden.audio": a}
    for method in METHODS:
        model, state = seeded(Fusion(method, 10, 7, 6), 9)
        tensors |= {f"{method}.{k}": t for k, t in state.items()}
        masks = [torch.tensor([has]) for has in (True, False)]
        tensors[f"golden.{method}"] = torch.cat([model(v, a, has_v, has_a)[0] for has_v in masks for has_a in masks])
    save(folder, "av_fusion_seeded", tensors)
    for time in ("gru", "attention"):
        model, state = seeded(mel_rnn.MelRnn(time, [6, 8], [2, 2], 7, 5), 8)
        x = torch.randn(2, 1, 75, 64, generator=torch.Generator().manual_seed(8))
        save(folder, f"mel_rnn_{time}_seeded", {**state, "golden.input": x, "golden.output": model(x)})
    model, state = seeded(FaceCnn([8, 12, 16], 4), 8)
    x = torch.randn(2, 1, 24, 24, generator=torch.Generator().manual_seed(8))
    save(folder, "face_cnn_seeded", {**state, "golden.input": x, "golden.output": model(x)})
    model, state = seeded(FaceFpn([4, 8, 12]), 9)
    x = torch.randn(1, 3, 96, 64, generator=torch.Generator().manual_seed(9)).half().float()
    save(folder, "face_fpn_seeded", {**state, "golden.input": x.half(), "golden.output": face_answers(model, x)})
    x = signal(13, 28_000) + 0.05 * np.random.default_rng(13).standard_normal(28_000).astype(np.float32)
    save(folder, "wiener", {"golden.input": torch.from_numpy(x), "golden.output": torch.from_numpy(steady.wiener(x).astype(np.float32))})
    x = signal(4)
    save(folder, "mel", {"golden.input": torch.from_numpy(x), "golden.output": torch.from_numpy(log_mel(x[None])[0])})


def face_answers(model, x):
    """What the façade reads: the score as a probability, the rest as it is."""
    raw = model(x)
    return torch.cat([raw[..., :1].sigmoid(), raw[..., 1:]], -1)


def grey_faces(seed, side=48):
    """[2, side, side] bytes: a bright oval with dark eyes and mouth, and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:side * 1j, -1:1:side * 1j]
    face = 70 + 110 * (x ** 2 / 0.6 + y ** 2 < 0.9)
    for cx, cy, rx, ry in ((-0.35, -0.25, 0.14, 0.08), (0.35, -0.25, 0.14, 0.08), (0, 0.5, 0.3, 0.1)):
        face = np.where(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1, 40, face)
    faces = face + rng.normal(0, 10, (2, side, side))
    return torch.from_numpy(faces.clip(0, 255).astype(np.uint8))


@torch.no_grad()
def write_shipped(_):
    models = HERE.parent
    net = fitted(YOLOX(6), load_file(models / "detector/weights.safetensors"))
    x = picture(5)
    save(models / "detector", "golden", {"golden.input": x.half(), "golden.output": exported(net((x - 114) / 64))})
    weights = models / "sound/weights.safetensors"
    if weights.exists():
        net = fitted(MelCnn(), load_file(weights))
        x = np.stack([signal(6), 0.1 * signal(7)[::-1]])
        mel = torch.from_numpy(((log_mel(x) - MEAN) * SCALE)[:, None])
        save(models / "sound", "golden", {"golden.input": torch.from_numpy(x), "golden.output": net(mel).sigmoid(),
                                          "golden.embedding": net.embed(mel)})
    weights = models / "action/weights.safetensors"
    if weights.exists():
        net = fitted(ActionNet(), load_file(weights))
        x = np.stack([picture(10 + t // 3, (50, 170))[0].numpy() for t in range(6)]).transpose(0, 2, 3, 1)  # [6, 50, 170, 3] RGB
        small = torch.from_numpy(np.ascontiguousarray(seen(x.astype(np.uint8))[..., ::-1])).permute(0, 3, 1, 2)
        logits, embedding = net(((small - 114) / 64)[None])
        save(models / "action", "golden", {"golden.input": torch.from_numpy(x).half(), "golden.output": logits.softmax(1),
                                           "golden.embedding": embedding})
    folder = models / "av_fight"
    if (folder / "weights.safetensors").exists():
        state = load_file(folder / "weights.safetensors")
        x = torch.rand(1, 256, generator=torch.Generator().manual_seed(12))
        tensors, masks = {"golden.input": x}, [torch.tensor([has]) for has in (True, False)]
        for method in METHODS:
            net = fitted(Fusion(method), {k[len(method) + 1:]: v for k, v in state.items() if k.startswith(method + ".")})
            tensors[f"golden.{method}"] = torch.cat(
                [net(x[:, :128], x[:, 128:], has_v, has_a)[0] for has_v in masks for has_a in masks])
        save(folder, "golden", tensors)
    folder = models / "speech_emotion"
    if (folder / "weights.safetensors").exists():
        wide = tomllib.loads((folder / "model.toml").read_text())["arch_config"]
        net = fitted(mel_rnn.MelRnn(wide["time"], wide["channels"], wide["strides"], wide["hidden"]),
                     load_file(folder / "weights.safetensors"))
        x = torch.from_numpy(signal(9, 30_000))
        answer = net(mel_rnn.features(mel_rnn.level(x[None]))).softmax(1)[0]
        save(folder, "golden", {"golden.input": x, "golden.output": answer})
    net = fitted(FaceCnn(), load_file(models / "face_emotion/weights.safetensors"))
    x = grey_faces(10)
    save(models / "face_emotion", "golden", {"golden.input": x.float(), "golden.output": net(standardised(x)).softmax(1)})
    net = face_fpn.of(load_file(models / "face/weights.safetensors")).eval()
    x = picture(11)
    save(models / "face", "golden", {"golden.input": x.half(), "golden.output": face_answers(net, (x - 114) / 64)})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["seeded", "shipped"])
    parser.add_argument("--out", default=str(HERE.parents[1] / "tests/data/golden"))
    args = parser.parse_args()
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for what in args.what:
        {"seeded": write_seeded, "shipped": write_shipped}[what](folder)


if __name__ == "__main__":
    main()
