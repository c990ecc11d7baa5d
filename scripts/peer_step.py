#!/usr/bin/env python3
"""Times the peer of `cargo bench --bench engine`: MA-CLIP in PyTorch, eager or with torch.compile.

    python peer_step.py train    --arch tiny --shot 1 --query 5 --count 30
    python peer_step.py evaluate --arch tiny --shot 5 --query 1 --count 50 --compile
    python peer_step.py encode   --arch vit-b-32 --count 20 --threads 1

The model, its random clips and the loss of an episode come from the file that --peer or MACLIP_PEER names; it has
`ARCHS`, `Peer`, `Pool`, `Episode` and `keep_memory`. After a warm-up, which with --compile contains the compilation,
COUNT repetitions are timed one by one:

    train     one optimizer step: drawing the clips, loss, gradients, their norm clipped to 1, AdamW; of several episodes
              one after the other
    evaluate  one episode: drawing the clips, encoding them, distances and probabilities, without gradients
    encode    the frame features of one clip that is in memory, in the query branch, without gradients

With --device cuda the clips are on the card before the time starts. With --precision bf16 torch.autocast chooses what is
computed in bf16.

Prints one JSON object. Needs torch, and with --compile a C++ compiler.
"""

import argparse
import functools
import importlib
import json
import os
import resource
import statistics
import sys
import time
from pathlib import Path

import torch

# An architecture beside the peer's own: as deep as ViT-B and too narrow to compute much.
ARCHS = {"deep": dict(width=48, layers=12, heads=12, image=32, patch=16, embed=48)}


def load(path):
    """The module in the file `path`, under its own name: the compiler looks functions up there."""
    sys.path.insert(0, str(path.parent))
    return importlib.import_module(path.stem)


class OnDevice:
    """A pool of clips whose tensors are on a device; the peer's own draws them on the processor."""

    def __init__(self, pool, device):
        pool.clips, self.pool, self.device = pool.clips.to(device), pool, device

    @property
    def clips(self):
        return self.pool.clips

    def draw(self, way, shot, query):
        with torch.device("cpu"):
            return [tensor.to(self.device) for tensor in self.pool.draw(way, shot, query)]


def training(peer, model, pool, options, compiled):
    """A function that makes one optimizer step."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.05, fused=True)
    episode = peer.Episode()
    loss_of = compiled(lambda *clips: episode(model, *clips))

    def step():
        optimizer.zero_grad(set_to_none=True)
        for _ in range(options.episodes):
            with options.autocast():
                loss = loss_of(*pool.draw(options.way, options.shot, options.query)) / options.episodes
            loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return loss.item()

    return step


def evaluation(peer, model, pool, options, compiled):
    """A function that evaluates one episode, and encodes its clips for that."""
    episode = peer.Episode()
    probabilities = compiled(lambda s, s_labels, q, text: episode(model, s, s_labels, q, None, text))

    def step():
        support, support_labels, queries, labels, text = pool.draw(options.way, options.shot, options.query)
        with torch.inference_mode(), options.autocast():
            found = probabilities(support, support_labels, queries, text).argmax(1)
        return (found == labels).sum().item()

    return step


def encoding(peer, model, pool, options, compiled):
    """A function that encodes the first clip of the pool."""
    clip = pool.clips[:1].clone()
    features = compiled(lambda pixels: model.frames(pixels, None))

    def step():
        with torch.inference_mode(), options.autocast():
            return features(clip).sum().item()

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = {"train": training, "evaluate": evaluation, "encode": encoding}
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("--peer", default=os.environ.get("MACLIP_PEER"), help="the file with the model")
    parser.add_argument("--arch", default="tiny")
    parser.add_argument("--way", type=int, default=5)
    parser.add_argument("--shot", type=int, default=1)
    parser.add_argument("--query", type=int, default=1, help="queries of each class")
    parser.add_argument("--episodes", type=int, default=1, help="episodes whose mean gradient makes one training step")
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--count", type=int, default=10, help="repetitions that are timed")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--compile", action="store_true", help="with torch.compile")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32")
    options = parser.parse_args()
    half = options.precision == "bf16"
    options.autocast = functools.partial(torch.autocast, options.device, torch.bfloat16, enabled=half)
    if not options.peer:
        parser.error("name the file with the model: --peer or MACLIP_PEER")
    peer = load(Path(options.peer).resolve())
    kept = peer.keep_memory()
    torch.set_num_threads(options.threads)
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    sizes = {**ARCHS, **peer.ARCHS}[options.arch]
    # 240 clips of 8 frames in 24 classes; one clip of each class is enough to encode one.
    videos = 24 if options.kind == "encode" else 240
    pool = OnDevice(peer.Pool(videos, 24, 8, sizes["image"], sizes["embed"], torch.float32, 0), options.device)
    torch.set_default_device(options.device)
    model = peer.Peer(**sizes)

    def compiled(function):
        return torch.compile(function, dynamic=False) if options.compile else function

    step = kinds[options.kind](peer, model, pool, options, compiled)
    started = time.perf_counter()
    for _ in range(options.warm_up):
        step()
    warm_up = time.perf_counter() - started
    seconds = []
    for _ in range(options.count):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    found = {
        "seconds_median": statistics.median(seconds),
        "seconds_mean": statistics.mean(seconds),
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "warm_up_seconds": warm_up,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "pool_mib": pool.clips.numel() * pool.clips.element_size() / 2**20,
        "keeps_freed_memory": kept,
        "threads": torch.get_num_threads(),
        "compiled": options.compile,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
