#!/usr/bin/env python3
"""Writes the small fixtures that unit tests compare with: weights under their native names, inputs and
outputs of independent implementations (open_clip, timm, transformers, torch, numpy).

    python scripts/component_fixtures.py [OUT]

Every file is one safetensors file; its metadata key "config" holds the shape of the model as JSON.
The same versions write the same bytes. Nothing is downloaded. Needs torch, timm, transformers, open_clip_torch,
safetensors and numpy; the transport costs are checked against POT where it is installed.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import open_clip
import timm
import torch
import transformers
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, resize_pos_embed
from open_clip.modified_resnet import ModifiedResNet
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer
from transformers import ViTConfig, ViTModel

LIMIT = 150 * 1024
MADE_WITH = ", ".join(
    f"{m.__name__} {m.__version__}" for m in (torch, open_clip, timm, transformers, np)
)
OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)


def rms(x):
    return x.double().square().mean().sqrt().item()


def write(name, tensors, config, limit=LIMIT):
    path = OUT / f"{name}.safetensors"
    tensors = {k: v.detach().contiguous().clone() for k, v in tensors.items()}
    for key, value in tensors.items():
        assert value.is_floating_point() is False or torch.isfinite(value).all(), key
    save_file(tensors, path, metadata={"config": json.dumps(config)})
    path.chmod(0o644)
    size = path.stat().st_size
    assert size < limit, f"{path} has {size} bytes"
    print(f"{path.name:32s} {size:7d} bytes, {len(tensors)} tensors")


def draw_(model, gain=1.0):
    """Random values for every parameter: matrices keep the scale of what they carry, nothing is 0 or 1."""
    for name, p in model.named_parameters():
        if p.dim() >= 2 and "pos" not in name and "token" not in name and "embedding" not in name:
            fan_in = p.shape[0] if name.endswith(("proj", "projection")) else p[0].numel()
            p.normal_(0.0, gain * fan_in**-0.5)
        elif "norm" in name or "ln_" in name or "bn" in name:
            p.normal_(1.0 if name.endswith("weight") else 0.0, 0.2)
        elif name == "logit_scale":
            p.fill_(2.5)
        else:
            p.normal_(0.0, 0.3)


def rn50():
    config = dict(layers=(1, 2, 1, 1), output_dim=16, heads=4, image_size=64, width=2)
    torch.manual_seed(388)  # of many draws, one whose two outputs differ well
    model = ModifiedResNet(**config).eval()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d):  # He: a ReLU follows
            module.weight.normal_(0.0, (2 / module.weight[0].numel()) ** 0.5)
        elif isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            # The blocks add up, so their last norm is kept lower.
            low, high = (0.6, 1.2) if name.endswith(("bn3", "downsample.1")) and "layer" in name else (0.8, 1.5)
            module.weight.uniform_(low, high)
            module.bias.normal_(0.0, 0.15)
    pool = model.attnpool
    width = pool.q_proj.in_features
    pool.positional_embedding.normal_(0.0, 0.3)
    for name in ("q_proj", "k_proj", "v_proj", "c_proj"):
        linear = getattr(pool, name)
        linear.weight.normal_(0.0, (1.5 if name in ("q_proj", "k_proj") else 1.0) * width**-0.5)
        linear.bias.normal_(0.0, 0.1)

    # Steps of 1/32 in 8 bits, so that the small file can hold the same input as bytes.
    coarse = torch.nn.functional.interpolate(1.5 * torch.randn(2, 3, 4, 4), size=(64, 64), mode="nearest")
    steps = ((coarse + 0.5 * torch.randn(2, 3, 64, 64)) * 32 + 128).round().clamp(0, 255)
    pixels = (steps - 128) / 32

    def run(x):
        seen = {}
        hooks = [
            model.avgpool.register_forward_hook(lambda m, i, o: seen.update(stem=o)),
            model.layer4.register_forward_hook(lambda m, i, o: seen.update(layer4=o)),
        ]
        seen["expected"] = model(x)
        for hook in hooks:
            hook.remove()
        return seen

    both = run(pixels)
    unit = torch.nn.functional.normalize(both["expected"], dim=-1)
    alone = run(pixels[:1])["expected"]
    assert torch.allclose(alone, both["expected"][:1], rtol=1e-4, atol=1e-4)
    print(
        f"  rn50: rms stem {rms(both['stem']):.2f}, layer4 {rms(both['layer4']):.2f}, out {rms(both['expected']):.2f};"
        f" nonzero stem {(both['stem'] > 0).float().mean():.2f} layer4 {(both['layer4'] > 0).float().mean():.2f};"
        f" cosine of the two {float(unit[0] @ unit[1]):.2f}"
    )
    weights = {f"visual.{k}": v for k, v in model.state_dict().items()}
    # Two float32 images of 64x64, the least that this network takes, are two thirds of the limit by themselves.
    write("rn50_tiny", weights | {"input": pixels} | both, config, limit=240 * 1024)
    # The same within the limit: input = (input_u8 - 128) / 32.
    write("rn50_tiny_u8", weights | {"input_u8": steps.to(torch.uint8)} | both, config)


def vit_timm():
    config = dict(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=5)
    torch.manual_seed(12)
    model = VisionTransformer(**config).eval()
    draw_(model, 1.3)
    pixels = torch.randn(2, 3, 32, 32)
    tokens = model.forward_features(pixels)
    print(f"  vit_timm: rms {rms(tokens):.2f}")
    write(
        "vit_timm_tiny",
        model.state_dict() | {"input": pixels, "expected": tokens[:, 0]},
        config | {"layer_norm_eps": model.norm.eps, "act": "gelu"},
    )


def vit_hf():
    torch.manual_seed(13)
    model = ViTModel(
        ViTConfig(
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=96,
            image_size=32,
            patch_size=8,
        ),
        add_pooling_layer=True,
    ).eval()
    draw_(model, 1.3)
    pixels = torch.randn(2, 3, 32, 32)
    hidden = model(pixel_values=pixels).last_hidden_state
    print(f"  vit_hf: rms {rms(hidden):.2f}")
    with tempfile.TemporaryDirectory() as folder:  # the names of files differ from those in memory
        model.save_pretrained(folder)
        weights = load_file(Path(folder, "model.safetensors"))
        config = json.loads(Path(folder, "config.json").read_text())
    assert "encoder.layer.0.attention.attention.query.weight" in weights
    write("vit_hf_tiny", weights | {"input": pixels, "expected": hidden[:, 0]}, config)


def clip_gelu():
    vision = dict(layers=2, width=24, head_width=8, patch_size=8, image_size=32)
    text = dict(context_length=8, vocab_size=64, width=12, heads=4, layers=2)
    torch.manual_seed(14)
    model = CLIP(16, CLIPVisionCfg(**vision), CLIPTextCfg(**text), quick_gelu=False).eval()
    draw_(model, 1.3)
    model.token_embedding.weight.normal_(0.0, 0.7)
    pixels = torch.randn(2, 3, 32, 32)
    # 62 opens, 63 (the greatest, which is looked for) closes, 0 fills up.
    ids = torch.tensor([[62, 5, 17, 63, 0, 0, 0, 0], [62, 8, 63, 0, 0, 0, 0, 0], [62, 1, 2, 3, 40, 50, 60, 63]])
    image, words = model.encode_image(pixels), model.encode_text(ids)
    quick = CLIP(16, CLIPVisionCfg(**vision), CLIPTextCfg(**text), quick_gelu=True).eval()
    quick.load_state_dict(model.state_dict())
    print(
        f"  clip_gelu: rms image {rms(image):.2f}, text {rms(words):.2f};"
        f" quick_gelu would differ by {(quick.encode_image(pixels) - image).abs().max():.3f}"
        f" and {(quick.encode_text(ids) - words).abs().max():.3f}"
    )
    write(
        "clip_gelu_tiny",
        model.state_dict() | {"input": pixels, "ids": ids, "image_features": image, "text_features": words},
        {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text, "quick_gelu": False},
    )


def positions():
    torch.manual_seed(15)
    start = torch.randn(1 + 7 * 7, 8)
    tensors = {"from": start}
    for grid in (12, 4):
        visual = type("Visual", (), {"grid_size": (grid, grid)})()
        state = {"visual.positional_embedding": start.clone()}
        resize_pos_embed(state, type("Model", (), {"visual": visual})())
        tensors[f"to_{grid}"] = state["visual.positional_embedding"]
        assert torch.equal(state["visual.positional_embedding"][0], start[0])
    plain = torch.nn.functional.interpolate(
        start[1:].T.reshape(1, 8, 7, 7), size=(4, 4), mode="bicubic", align_corners=False
    )
    gap = (plain.reshape(8, 16).T - tensors["to_4"][1:]).abs().max()
    print(f"  positions: without antialias to_4 would differ by {gap:.3f}")
    write("positions", tensors, {"mode": "bicubic", "antialias": True, "align_corners": False, "class_positions": 1})


def logsumexp(x, axis):
    top = x.max(axis=axis, keepdims=True)
    return (top + np.log(np.exp(x - top).sum(axis=axis, keepdims=True))).squeeze(axis)


def plan_of(cost, eps, rho=None, iterations=5000):
    """The entropic plan with P = a b exp((f + g - C) / eps), that is, with KL(P | a b) as the regulariser."""
    n, m = cost.shape
    a, b = np.full(n, 1 / n), np.full(m, 1 / m)
    damp = 1.0 if rho is None else rho / (rho + eps)
    f, g = np.zeros(n), np.zeros(m)
    for _ in range(iterations):
        f_old = f
        f = -damp * eps * logsumexp((g - cost) / eps + np.log(b), 1)
        g = -damp * eps * logsumexp((f[:, None] - cost) / eps + np.log(a)[:, None], 0)
    assert np.abs(f - f_old).max() < 1e-12, "not converged"
    return np.exp((f[:, None] + g - cost) / eps) * a[:, None] * b, a, b


def divergence(x, y):
    return float((x * np.log(x / y) - x + y).sum())


def transport():
    costs = np.random.default_rng(16).random((3, 6, 5)).astype(np.float32)
    tensors = {"costs": torch.from_numpy(costs)}
    exact = costs.astype(np.float64)
    for eps in (0.05, 0.1):
        plans = [plan_of(c, eps) for c in exact]
        for p, a, b in plans:
            assert np.abs(p.sum(1) - a).max() < 1e-12 and np.abs(p.sum(0) - b).max() < 1e-12
        tensors[f"balanced.{eps}"] = torch.tensor([(p * c).sum() for (p, _, _), c in zip(plans, exact)])
    eps, rho = 0.1, 1.0
    plans = [plan_of(c, eps, rho) for c in exact]
    values = [
        (p * c).sum() + rho * divergence(p.sum(1), a) + rho * divergence(p.sum(0), b)
        for (p, a, b), c in zip(plans, exact)
    ]
    tensors["unbalanced"] = torch.tensor(values)
    tensors["unbalanced.plan"] = torch.tensor(np.stack([p for p, _, _ in plans]))
    for key in tensors:
        if key != "costs":
            assert tensors[key].dtype == torch.float64
    print("  sinkhorn:", {k: v.numpy().round(6).tolist() for k, v in tensors.items() if v.shape == (3,)})
    try:
        import ot
    except ImportError:
        print("  sinkhorn: POT is not installed, no second opinion")
    else:
        worst = 0.0
        a, b = np.full(6, 1 / 6), np.full(5, 1 / 5)
        for i, c in enumerate(exact):
            for e in (0.05, 0.1):
                theirs = ot.sinkhorn(a, b, c, e, method="sinkhorn_log", numItermax=5000, stopThr=1e-15, warn=False)
                worst = max(worst, abs((theirs * c).sum() - tensors[f"balanced.{e}"][i].item()))
            theirs = ot.unbalanced.sinkhorn_unbalanced(
                a, b, c, eps, rho, method="sinkhorn", reg_type="kl", numItermax=5000, stopThr=1e-15
            )
            worst = max(worst, np.abs(theirs - plans[i][0]).max())
        print(f"  sinkhorn: POT {ot.__version__} differs by {worst:.1e} at most")
        assert worst < 1e-9
    write("sinkhorn", tensors, {"a": 1 / 6, "b": 1 / 5, "unbalanced": {"eps": eps, "rho": rho, "reference": "KL(P | a b)"}})


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for make in (rn50, vit_timm, vit_hf, clip_gelu, positions, transport):
        make()
    print(MADE_WITH)
