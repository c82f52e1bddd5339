"""onnxruntime's raw outputs of the reference detector: python reference.py yolox_nano.onnx

Writes tests/data/golden/yolox_nano_reference.safetensors: every 16th of the 3,549 cells for a picture of slanted
triangle waves that src/nn/golden_tests.rs makes too.
"""
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from safetensors.numpy import save_file

c, y, x = np.ogrid[0:3, 0:416, 0:416]
waves = np.abs((x * 3 + y * 5 + c * 40 + x * y // 37) % 510 - 255).astype(np.float32)[None]
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
output = session.run(None, {session.get_inputs()[0].name: waves})[0][0]
folder = Path(__file__).resolve().parents[2] / "tests/data/golden"
save_file({"golden.output": np.ascontiguousarray(output[::16])}, folder / "yolox_nano_reference.safetensors")
print(output.shape, output[::16].shape)
