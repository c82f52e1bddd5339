"""Renames a checkpoint of the first experiment to official names: python convert.py first.safetensors OUT.safetensors"""
import re
import sys

import torch
from safetensors.torch import load_file, save_file

from yolox import YOLOX

PARTS = {"stem.c": "backbone.backbone.stem.conv", "d2": "backbone.backbone.dark2", "d3": "backbone.backbone.dark3",
         "d4": "backbone.backbone.dark4", "d5": "backbone.backbone.dark5", "l0": "backbone.lateral_conv0",
         "p4": "backbone.C3_p4", "r1": "backbone.reduce_conv1", "p3": "backbone.C3_p3", "u2": "backbone.bu_conv2",
         "n3": "backbone.C3_n3", "u1": "backbone.bu_conv1", "n4": "backbone.C3_n4",
         "st": "head.stems", "cc": "head.cls_convs", "rc": "head.reg_convs", "cp": "head.cls_preds"}


def renamed(name):
    """`d3.1.m.0.a.c.weight` -> `backbone.backbone.dark3.1.m.0.conv1.conv.weight`"""
    part = next(p for p in PARTS if name.startswith(p + "."))
    rest = name[len(part):]
    if part != "cp":
        rest = re.sub(r"\.c\.weight$", ".conv.weight", rest)
        rest = re.sub(r"\.b\.(weight|bias|running_mean|running_var)$", r".bn.\1", rest)
        rest = re.sub(r"(?<=\.)([abc])(?=\.(conv|bn)\.)", lambda m: f"conv{'abc'.index(m[1]) + 1}", rest)
    return PARTS[part] + rest


def convert(state):
    out = {}
    for name, value in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.startswith("rp."):  # box and objectness in one convolution
            _, level, kind = name.split(".")
            out[f"head.reg_preds.{level}.{kind}"] = value[:4]
            out[f"head.obj_preds.{level}.{kind}"] = value[4:]
        else:
            out[renamed(name)] = value
    return out


def main():
    source, target = sys.argv[1:]
    state = convert(load_file(source) if source.endswith(".safetensors") else torch.load(source)["ema"])
    wanted = {k: v.shape for k, v in YOLOX(6).state_dict().items() if not k.endswith("num_batches_tracked")}
    if {k: v.shape for k, v in state.items()} != wanted:
        raise SystemExit("names or shapes do not fit: " + ", ".join(sorted(set(state) ^ set(wanted))[:8]))
    save_file({k: v.half().contiguous() for k, v in state.items()}, target)


if __name__ == "__main__":
    main()
