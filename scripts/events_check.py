#!/usr/bin/env python3
"""Reads the event files of a run as TensorBoard does, and prints what it found as one JSON object.

    python3 scripts/events_check.py RUN

Needs the Python package `tensorboard` (`pip install tensorboard`); exit status 1 without. The object has `scalars`
(name to [step, value, time]), `histograms` (name to [step, number of values]), `images` (name to [step, width, height,
first bytes in hex]), `texts` (name to text) and `hparams` (name to value; `session_end` is the status of the run).
"""

import json
import sys

try:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata
    from tensorboard.util import tensor_util
except ImportError as error:
    sys.exit(f"FAILED: {error}; install TensorBoard for this Python: pip install tensorboard")


def option(value):
    kind = value.WhichOneof("kind")
    return getattr(value, kind) if kind else None


def read(folder):
    # 0 keeps every event.
    events = EventAccumulator(folder, size_guidance=dict.fromkeys(["scalars", "histograms", "images", "tensors"], 0))
    events.Reload()
    tags = events.Tags()
    found = {
        "scalars": {tag: [[e.step, e.value, e.wall_time] for e in events.Scalars(tag)] for tag in tags["scalars"]},
        "histograms": {
            tag: [[e.step, e.histogram_value.num] for e in events.Histograms(tag)] for tag in tags["histograms"]
        },
        "images": {
            tag: [[e.step, e.width, e.height, e.encoded_image_string[:4].hex()] for e in events.Images(tag)]
            for tag in tags["images"]
        },
        "texts": {},
        "hparams": {},
    }
    for tag in tags["tensors"]:
        about = events.SummaryMetadata(tag).plugin_data
        if about.plugin_name == "text":
            array = tensor_util.make_ndarray(events.Tensors(tag)[-1].tensor_proto)
            found["texts"][tag] = array.ravel()[0].decode()
        elif tag == metadata.SESSION_START_INFO_TAG:
            start = metadata.parse_session_start_info_plugin_data(about.content)
            found["hparams"].update({name: option(value) for name, value in start.hparams.items()})
            found["group"] = start.group_name
        elif tag == metadata.SESSION_END_INFO_TAG:
            found["hparams"]["session_end"] = metadata.parse_session_end_info_plugin_data(about.content).status
    return found


if len(sys.argv) != 2:
    sys.exit(__doc__)
print(json.dumps(read(sys.argv[1])))
