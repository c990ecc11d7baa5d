"""Compares ma_clip.py with the features that maclip wrote when it exported the model: python check.py FOLDER [BACKBONE]

Prints the largest difference of each, as a part of the largest feature. Exits with 1 where one is above 1e-5.
"""
import json
import sys
from pathlib import Path

import torch
from ma_clip import load
from otam import distances
from safetensors.torch import load_file


@torch.no_grad()
def check(folder, backbone=None):
    model, want = load(folder, backbone), load_file(Path(folder) / "check.safetensors")
    size, frames, classes = model.config["image"]["size"], model.config["frames"], model.config["classes"]
    clips = (torch.arange(4 * frames * 3 * size * size) * 7919 % 2003).float().view(4, frames, 3, size, size) / 1000 - 1
    own = [model.text(classes[name]["tokens"]) for name in list(classes)[:2]]
    texts = torch.stack(own) if own else want["texts"]
    got = {"texts": texts, "support_frames": model.frames(clips[:2], texts), "query_frames": model.frames(clips[2:])}
    got["support"], got["query"] = model.support(clips[:2], texts), model.query(clips[2:])
    alignment = model.config["slots"]["alignment"]
    if alignment["type"] == "otam":
        got["distances"] = distances(got["query"], got["support"], alignment)
    part = lambda got, want: ((got - want).abs().max() / want.abs().max().clamp_min(1e-6)).item()
    return {name: part(value, want[name]) for name, value in got.items()}


if __name__ == "__main__":
    found = check(*sys.argv[1:3])
    print(json.dumps(found))
    sys.exit(max(found.values()) > 1e-5)
