#!/usr/bin/env python3
"""Writes a CLIP checkpoint of random weights, with the features that PyTorch computes from it.

    python random_clip.py OUT [--arch ViT-B-16] [--seed 0] [--threads N]

OUT/hf/                      Hugging Face folder: config.json and model.safetensors
OUT/openai.safetensors       the same values under OpenAI's names
OUT/openai.pt                the same again, as torch.save of a flat state dict
OUT/reference.safetensors    pixels [4,3,S,S], ids [3,77], image_features [4,E], text_features [3,E]
                             (not normalised), logit_scale []
OUT/reference.json           the texts, their token ids, the architecture, versions and times

The features come from transformers' model in float32 and are compared with open_clip's model.
Needs torch, transformers, safetensors and open_clip_torch. Nothing is downloaded.
"""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import open_clip
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel

# patch, vision width, vision layers, text width, embedding; all with 64 channels per head
ARCHS = {
    "ViT-B-32": (32, 768, 12, 512, 512),
    "ViT-B-16": (16, 768, 12, 512, 512),
    "ViT-L-14": (14, 1024, 24, 768, 768),
}
TEXTS = [
    "a video of a person riding a bike",
    "Unloading trucks, slowly & carefully (it's 9:30)!",
    "café: naïve Zürich dancers, 12345 ☃",
]
TOLERANCE = 1e-4


def config_of(arch):
    patch, width, layers, text_width, embed = ARCHS[arch]
    return CLIPConfig(
        projection_dim=embed,
        vision_config=dict(
            hidden_size=width,
            intermediate_size=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
            image_size=224,
            patch_size=patch,
            projection_dim=embed,
            hidden_act="quick_gelu",
        ),
        text_config=dict(
            hidden_size=text_width,
            intermediate_size=4 * text_width,
            num_hidden_layers=12,
            num_attention_heads=text_width // 64,
            max_position_embeddings=77,
            vocab_size=49408,
            projection_dim=embed,
            hidden_act="quick_gelu",
            bos_token_id=49406,
            eos_token_id=49407,
            pad_token_id=49407,
        ),
    )


def liven(model):
    """Draws what transformers starts too tame for a comparison: with its zero biases, unit norms,
    near-uniform attention and faint positions, a mix-up of names would hardly show."""
    for name, p in model.named_parameters():
        width = p.shape[-1] if p.dim() else 1
        if name.endswith(".bias"):
            p.normal_(0.0, 0.05)
        elif re.search(r"(layer_?norm\d?|layrnorm)\.weight$", name):
            p.normal_(1.0, 0.1)
        elif re.search(r"[qk]_proj\.weight$", name):
            p.normal_(0.0, 1.5 * width**-0.5)
        elif re.search(r"v_proj\.weight$", name):
            p.normal_(0.0, width**-0.5)
        elif re.search(r"(position_embedding\.weight|class_embedding)$", name):
            p.normal_(0.0, 0.3 if name.startswith("vision") else 0.02)


# Hugging Face's names and OpenAI's; a star stands for weight and bias.
TOWERS = {"vision_model": "visual.", "text_model": ""}
PLAIN = {
    "logit_scale": "logit_scale",
    "visual_projection.weight": "visual.proj",
    "text_projection.weight": "text_projection",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.*": "visual.ln_pre.*",
    "vision_model.post_layernorm.*": "visual.ln_post.*",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.*": "ln_final.*",
}
BLOCK = {
    "self_attn.q_proj": "attn.in_proj_",
    "self_attn.k_proj": "attn.in_proj_",
    "self_attn.v_proj": "attn.in_proj_",
    "self_attn.out_proj": "attn.out_proj.",
    "layer_norm1": "ln_1.",
    "layer_norm2": "ln_2.",
    "mlp.fc1": "mlp.c_fc.",
    "mlp.fc2": "mlp.c_proj.",
}
STACK = {"self_attn.q_proj": 0, "self_attn.k_proj": 1, "self_attn.v_proj": 2}
BLOCK_NAME = re.compile(r"(vision_model|text_model)\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")


def openai_name(name):
    """Where a Hugging Face tensor goes: (OpenAI name, its place in a stack of q, k, v or None)."""
    if match := BLOCK_NAME.fullmatch(name):
        tower, layer, part, kind = match.groups()
        return f"{TOWERS[tower]}transformer.resblocks.{layer}.{BLOCK[part]}{kind}", STACK.get(part)
    stem, _, kind = name.rpartition(".")
    if name in PLAIN:
        return PLAIN[name], None
    return PLAIN[f"{stem}.*"].replace("*", kind), None


def to_openai(state):
    out, stacks = {}, {}
    for name, value in state.items():
        if name.endswith("position_ids"):
            continue
        target, place = openai_name(name)
        if place is not None:
            stacks.setdefault(target, {})[place] = value
            continue
        if target in ("visual.proj", "text_projection"):
            value = value.T  # a Linear's weight there, a plain matrix here
        assert target not in out, target
        out[target] = value.contiguous().clone()
    for target, parts in stacks.items():
        assert sorted(parts) == [0, 1, 2], target
        out[target] = torch.cat([parts[i] for i in range(3)])
    return out


def timed(what, times, fn, repeats=1):
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        value = fn()
        best = min(best, time.perf_counter() - start)
    times[what] = round(best, 4)
    print(f"{what:44s} {best:8.3f} s", flush=True)
    return value


def compare(what, ours, theirs):
    gap = (ours - theirs).abs().max().item()
    unit = torch.nn.functional.normalize(ours, dim=-1)
    alike = (unit @ unit.T - 2 * torch.eye(len(unit))).max().item()
    rms = ours.square().mean().sqrt().item()
    print(f"{what:44s} max |difference| {gap:.2e} (rms {rms:.3f}, greatest cosine of two {alike:.3f})")
    if gap > TOLERANCE:
        sys.exit(f"{what}: open_clip differs from transformers by {gap:.2e}, more than {TOLERANCE:.0e}")
    return gap


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--arch", choices=sorted(ARCHS), default="ViT-B-16")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="torch's threads; 0: torch's own choice")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    args.out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(args.seed)
    model = CLIPModel(config_of(args.arch)).float().eval()
    liven(model)
    hf = args.out / "hf"
    model.save_pretrained(hf)
    state = load_file(hf / "model.safetensors")  # the names as written, not as held in memory
    openai = to_openai(state)
    save_file(openai, args.out / "openai.safetensors")
    torch.save(openai, args.out / "openai.pt")
    count = sum(v.numel() for v in openai.values())
    print(f"{args.arch}: {count} parameters, {len(state)} tensors under Hugging Face's names, {len(openai)} under OpenAI's")

    draw = torch.Generator().manual_seed(args.seed + 1)
    size = model.config.vision_config.image_size
    # Coarse colours with noise upon them: images of noise alone look all the same to a network.
    coarse = torch.randn(4, 3, 7, 7, generator=draw)
    pixels = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")
    pixels = pixels + 0.5 * torch.randn(4, 3, size, size, generator=draw)
    tokenizer = open_clip.get_tokenizer(args.arch)
    ids = tokenizer(TEXTS).to(torch.int64)

    times = {}
    # Read everything back from the files, so that the reference is of what was written.
    model = timed("load hf folder (from_pretrained)", times, lambda: CLIPModel.from_pretrained(hf).float().eval())
    image = lambda n: model.visual_projection(model.vision_model(pixel_values=pixels[:n]).pooler_output)
    text = lambda: model.text_projection(model.text_model(input_ids=ids).pooler_output)
    image(1)
    timed("transformers, 1 image", times, lambda: image(1), 3)
    image_features = timed("transformers, 4 images", times, lambda: image(4), 3)
    text_features = timed("transformers, 3 texts", times, text, 3)

    clip = open_clip.create_model(f"{args.arch}-quickgelu", pretrained=None, load_weights=False).float().eval()
    flat = timed("load openai.safetensors (load_file)", times, lambda: load_file(args.out / "openai.safetensors"))
    timed("load openai.safetensors into open_clip", times, lambda: clip.load_state_dict(flat, strict=True))
    theirs_image = timed("open_clip, 4 images", times, lambda: clip.encode_image(pixels), 3)
    theirs_text = timed("open_clip, 3 texts", times, lambda: clip.encode_text(ids), 3)
    gaps = {
        "image": compare("image features", image_features, theirs_image),
        "text": compare("text features", text_features, theirs_text),
    }
    pt = timed("load openai.pt (torch.load)", times, lambda: torch.load(args.out / "openai.pt", weights_only=True))
    if sorted(pt) != sorted(flat) or not all(torch.equal(pt[k], flat[k]) for k in flat):
        sys.exit("openai.pt and openai.safetensors differ")

    save_file(
        {
            "pixels": pixels,
            "ids": ids,
            "image_features": image_features.contiguous(),
            "text_features": text_features.contiguous(),
            "logit_scale": flat["logit_scale"],
        },
        args.out / "reference.safetensors",
    )
    for path in args.out.rglob("*.safetensors"):
        path.chmod(0o644)  # written for the owner alone
    lengths = ids.argmax(1) + 1
    about = {
        "arch": args.arch,
        "seed": args.seed,
        "parameters": count,
        "texts": TEXTS,
        "ids": [row[:n].tolist() for row, n in zip(ids, lengths)],
        "gap_to_open_clip": gaps,
        "seconds": times,
        "threads": torch.get_num_threads(),
        "versions": {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "open_clip": open_clip.__version__,
        },
    }
    (args.out / "reference.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
