"""onnxruntime beside Watchfire: python onnxruntime_peer.py MODEL SHAPE THREADS CACHE INPUT OUTPUT

Exports the network of a model's folder to ONNX (kept in CACHE under the weights' sha256), runs it once on INPUT (raw
f32) and writes OUTPUT, says "ready", and from then on runs it once for every line on stdin and prints the milliseconds on the clock and of CPU time.
Its threads spin within a run only: those that spun on after one would take cores from whoever is timed in turns with it.
Anything else on the first line says why there is no comparison. Needs models/training/requirements.txt.
"""
import sys
import time
import tomllib
from pathlib import Path

# The exporter talks on stdout, whose lines are ours.
OUT, sys.stdout = sys.stdout, sys.stderr


def say(words):
    print(words, file=OUT, flush=True)


def network(manifest, weights):
    """The PyTorch network of a manifest, answering what Watchfire's answers."""
    from safetensors.torch import load_file
    from torch import nn

    arch, labels = manifest["arch_config"], len(manifest["label"])
    if manifest["arch"] == "yolox":
        from yolox import YOLOX, exported as answer

        net = YOLOX(labels, arch["width"], arch["depth"], arch["depthwise"])
    elif manifest["arch"] == "mel_cnn":
        from model import MelCnn

        def answer(logits):
            return logits.sigmoid()

        net = MelCnn(arch["channels"], arch["pool_after"], labels, arch.get("time", "mean"))
    else:
        raise SystemExit(f"no export for the architecture {manifest['arch']}")

    class Answer(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return answer(self.net(x))

    net.load_state_dict({k: v.float() for k, v in load_file(weights).items()}, strict=False)
    return Answer().eval()


def export(folder, manifest, shape, path):
    import torch

    torch.set_num_threads(1)
    training = Path(__file__).resolve().parents[1] / "models/training"
    sys.path[:0] = [str(training / "detector"), str(training / "sound")]
    net = network(manifest, folder / manifest["weights"]["file"])
    part = path.with_suffix(".part")
    torch.onnx.export(net, (torch.zeros(1, *shape),), str(part), dynamo=True, external_data=False, verbose=False)
    part.rename(path)


def main():
    folder, cache, given, answered = (Path(sys.argv[i]) for i in (1, 4, 5, 6))
    shape, threads = [int(n) for n in sys.argv[2].split(",")], int(sys.argv[3])
    try:
        import numpy as np
        import onnxruntime
    except ImportError as error:
        raise SystemExit(f"{error.name} is not installed") from None
    manifest = tomllib.loads((folder / "model.toml").read_text())
    path = cache / f"{manifest['weights']['sha256'][:16]}-{'x'.join(map(str, shape))}.onnx"
    if not path.exists():
        try:
            export(folder, manifest, shape, path)
        except ImportError as error:
            raise SystemExit(f"{error.name} is not installed") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Spinning on is onnxruntime's default; with `allow_spinning` at 0 its own runs on all threads would be slower.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: np.fromfile(given, np.float32).reshape(1, *shape)}
    session.run(None, feed)[0].astype(np.float32).tofile(answered)
    say("ready")
    for _ in sys.stdin:
        clock, cpu = time.perf_counter(), time.process_time()
        session.run(None, feed)
        say(f"{(time.perf_counter() - clock) * 1e3} {(time.process_time() - cpu) * 1e3}")


if __name__ == "__main__":
    try:
        main()
    except SystemExit as why:
        say(why)
