#!/usr/bin/env python3
"""Reads clips with PyAV and with decord, as `cargo bench --workspace --bench decode` does with maclip, and prints clips per second as JSON.

    python decode_peers.py FOLDER [--clips 100] [--workers 2] [--repetitions 1]

Of each clip 8 frames are picked, the middles of 8 equal parts, converted to RGB, resized with Pillow's bicubic filter to a shorter
side of 224, and the centre is cut out. Every worker is a process with one decoding thread; workers are started, and have their
modules, before the clock runs. Needs av, decord, numpy and Pillow; a reader whose module is missing is left out.
"""

import argparse
import importlib.util
import json
import multiprocessing
import time
from pathlib import Path

FRAMES, SIDE = 8, 224


def middles(count):
    return [(2 * part + 1) * count // (2 * FRAMES) for part in range(FRAMES)]


def prepare(pixels):
    from PIL import Image

    image = Image.fromarray(pixels)
    width, height = image.size
    scale = SIDE / min(width, height)
    image = image.resize((max(SIDE, int(width * scale)), max(SIDE, int(height * scale))), Image.BICUBIC)
    left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
    return image.crop((left, top, left + SIDE, top + SIDE)).tobytes()


def pyav(path):
    import av

    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        count = stream.frames
        if count == 0:
            raise SystemExit(f"{path} does not say how many frames it has")
        wanted = set(middles(count))
        frames = (frame for number, frame in enumerate(container.decode(stream)) if number in wanted)
        return [prepare(frame.to_ndarray(format="rgb24")) for frame in frames]


def decord(path):
    import decord

    reader = decord.VideoReader(path, num_threads=1)
    return [prepare(pixels) for pixels in reader.get_batch(middles(len(reader))).asnumpy()]


READERS = {"pyav": (pyav, "av"), "decord": (decord, "decord")}


def read(job):
    name, path = job
    frames = READERS[name][0](path)
    assert len(frames) == FRAMES, f"{path}: {len(frames)} frames"
    return sum(map(len, frames))


def load(_):
    for _, module in READERS.values():
        if importlib.util.find_spec(module):
            __import__(module)
    time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=1)
    options = parser.parse_args()
    paths = sorted(str(path) for path in options.folder.rglob("*.mp4"))
    step = max(1, len(paths) // options.clips)
    paths = paths[::step][: options.clips]
    result = {"clips": len(paths)}
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        pool.map(load, range(options.workers), chunksize=1)
        for name, (_, module) in READERS.items():
            if not importlib.util.find_spec(module):
                continue
            rates = []
            for _ in range(options.repetitions):
                started = time.perf_counter()
                pool.map(read, [(name, path) for path in paths], chunksize=1)
                rates.append(len(paths) / (time.perf_counter() - started))
            result[name] = sorted(rates)[len(rates) // 2]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
