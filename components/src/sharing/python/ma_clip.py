"""Features of an exported few-shot model in plain PyTorch; needs torch and safetensors, nothing else.

    model = load("FOLDER")                   # with its backbone in the folder, or load("FOLDER", "ViT-B-16.pt")
    text = model.text(tokens)                # token ids of each sentence of one class -> [E]; config.json has some
    support = model.support(clips, texts)    # [B, T, 3, H, W] in 0..1 less mean, divided by std; [B, E]
    query = model.query(clips)               # -> [B, T, E], ready to be compared: see otam.py
"""
import ctypes
import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn import functional as F


class Model:
    """B clips of T frames; E the width of the joint embedding. `weights` are tensors by name, CLIP's as OpenAI's."""

    def __init__(self, config, weights):
        self.config, self.clip, self.weights = config, config["backbone"]["architecture"], weights
        self.adapter, self.prototype = config["slots"]["adapter"], config["slots"]["prototype"]

    def has(self, name):
        return name + ".weight" in self.weights

    def linear(self, name, x):
        return F.linear(x, self.weights[name + ".weight"], self.weights[name + ".bias"])

    def norm(self, name, x):
        weight, bias = self.weights[name + ".weight"], self.weights[name + ".bias"]
        return F.layer_norm(x, weight.shape, weight, bias, self.clip.get("epsilon", 1e-5))

    def attend(self, name, x, heads, others=None, mask=None):
        """Multi-head attention of tokens [..., N, D] over others [..., M, D] or themselves, plus LoRA."""
        weights, biases = (self.weights[f"{name}.in_proj_{kind}"].chunk(3) for kind in ("weight", "bias"))
        projected, others = [], x if others is None else others
        for part, tokens, weight, bias in zip("qkv", (x, others, others), weights, biases):
            if self.has(lora := f"{name}.{part}_proj.lora_A"):
                up, down = self.weights[f"{name}.{part}_proj.lora_B.weight"], self.weights[lora + ".weight"]
                weight = weight + self.adapter["alpha"] / self.adapter["rank"] * up @ down
            projected.append(F.linear(tokens, weight, bias).unflatten(-1, (heads, -1)).transpose(-2, -3))
        q, k, v = projected
        scores = q @ k.mT / q.shape[-1] ** 0.5
        scores = scores if mask is None else scores + mask
        return self.linear(name + ".out_proj", (scores.softmax(-1) @ v).transpose(-2, -3).flatten(-2))

    def mlp(self, block, x):
        x = self.linear(block + "mlp.c_fc", x)
        x = x * torch.sigmoid(1.702 * x) if self.clip["activation"] == "quick_gelu" else F.gelu(x)
        return self.linear(block + "mlp.c_proj", x)

    def bottleneck(self, name, x, skip=True):
        """The adapter of this name; x itself where the block has none."""
        if not self.has(name + ".D_fc1"):
            return x
        y = self.linear(name + ".D_fc2", F.gelu(self.linear(name + ".D_fc1", x)))
        return x + y if skip else y

    def visual_block(self, block, x, text):
        """Tokens [B, T, N, D] of clips through a block with its adapters; `text` [B, E] in the support branch."""
        o, heads, tokens = self.adapter, self.clip["vision_heads"], [x]
        if self.has(block + "T_Adapter.D_fc1"):  # the class tokens over time
            z = x[:, :, 0]
            u = self.bottleneck(block + "T_Adapter_in", self.norm(block + "ln_1", z))
            moved = self.bottleneck(block + "T_Adapter", self.attend(block + "attn", u, heads), o["temporal_skip"])
            tokens.append((z + moved if o["temporal_residual"] else moved).unsqueeze(2))
        if text is not None:
            text = self.linear(block + "TextFC" if self.has(block + "TextFC") else "visual.TextFC", text)
            tokens.append(text[:, None, None].expand(-1, x.shape[1], 1, -1))
        mixed = self.attend(block + "attn", self.norm(block + "ln_1", torch.cat(tokens, 2)), heads)[:, :, : x.shape[2]]
        y = x + self.bottleneck(block + "M_Adapter", mixed, o.get("multimodal_skip"))
        v = self.norm(block + "ln_2", y)
        y = y + self.mlp(block, v)
        if self.has(block + "MLP_Adapter.D_fc1"):
            y = y + o["joint_scale"] * self.bottleneck(block + "MLP_Adapter", v, o["joint_skip"])
        return y

    def frames(self, clips, texts=None):
        """Frame features [B, T, E] before the prototype module, not normalised; `texts` [B, E] for support clips."""
        w, layers, o = self.weights, self.clip["vision_layers"], self.adapter
        x = F.conv2d(clips.flatten(0, 1), w["visual.conv1.weight"], stride=self.clip["patch_size"])
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([w["visual.class_embedding"].expand(len(x), 1, -1), x], 1) + w["visual.positional_embedding"]
        x = self.norm("visual.ln_pre", x).unflatten(0, clips.shape[:2])
        at = o.get("at", "all") if o.get("use_text") and texts is not None else {"list": []}
        with_text = range(layers) if at == "all" else at.get("list", range(layers - at.get("last", 0), layers))
        texts = F.normalize(texts, dim=-1) if o.get("normalize_text") and texts is not None else texts
        for i in range(layers):
            x = self.visual_block(f"visual.transformer.resblocks.{i}.", x, texts if i in with_text else None)
        return self.norm("visual.ln_post", x[:, :, 0]) @ w["visual.proj"]

    def text(self, sentences):
        """Token ids of each sentence of one class -> [E]: several are normalised, then averaged."""
        w, features = self.weights, []
        for ids in sentences:
            x = w["token_embedding.weight"][ids] + w["positional_embedding"][: len(ids)]
            mask = x.new_full((len(ids), len(ids)), float("-inf")).triu(1)
            for block in (f"transformer.resblocks.{i}." for i in range(self.clip["text_layers"])):
                x = x + self.attend(block + "attn", self.norm(block + "ln_1", x), self.clip["text_heads"], mask=mask)
                x = x + self.mlp(block, self.norm(block + "ln_2", x))
            features.append(self.norm("ln_final", x[-1]) @ w["text_projection"])
        return features[0] if len(features) == 1 else F.normalize(torch.stack(features), dim=-1).mean(0)

    def prototypes(self, x, texts=None):
        """The prototype module on frame features [B, T, E]: with their class texts [B, E], or alone."""
        if not self.has("prototype.fc1"):
            return x
        o, q, kv = self.prototype, x, x
        if texts is not None:
            texts = (F.normalize(texts, dim=-1) if o["normalize_text"] else texts).unsqueeze(1)
            q, kv = x + texts, torch.cat([texts, x], 1)
        norm = lambda i, x: self.norm(f"prototype.norms.{i}", x) if o["norm"] == "post" else x
        u = norm(0, q + self.attend("prototype.attention", q, o["heads"], kv))
        return norm(1, u + self.linear("prototype.fc2", F.gelu(self.linear("prototype.fc1", u))))

    def support(self, clips, texts=None):
        return self.prototypes(self.frames(clips, texts), texts)

    def query(self, clips):
        return self.prototypes(self.frames(clips))

def backbone_tensors(file, config):
    """A safetensors file with OpenAI's names (`maclip weights convert` makes one) or an archive of OpenAI's."""
    safe = str(file).endswith(".safetensors")
    state = load_file(file) if safe else torch.jit.load(file, map_location="cpu").state_dict()
    no_weights = ("input_resolution", "context_length", "vocab_size")
    state = {name: value.float().contiguous() for name, value in state.items() if name not in no_weights}
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name] = state[name].reshape(1) if name == "logit_scale" else state[name]
        digest.update(f"{name}\0{','.join(map(str, value.shape))}\0".encode())
        digest.update(ctypes.string_at(value.data_ptr(), value.numel() * 4))
    if digest.hexdigest() != config["backbone"]["tensors_sha256"]:
        raise ValueError(f"{file} is not the backbone of this model: {config['backbone']['weights']}")
    return state


def load(folder, backbone=None):
    config = json.loads((Path(folder) / "config.json").read_text())
    file = backbone or config["backbone"]["file"] and Path(folder) / config["backbone"]["file"]
    if not file:
        raise ValueError(f"give the backbone's file, load(FOLDER, backbone=FILE): {config['backbone']['weights']}")
    return Model(config, {**backbone_tensors(file, config), **load_file(Path(folder) / "model.safetensors")})
