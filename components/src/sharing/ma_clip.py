"""Features and distances of an exported few-shot model in plain PyTorch; needs torch and safetensors, nothing else.

    model = load("FOLDER")               # with its backbone in the folder, or load("FOLDER", backbone="ViT-B-16.pt")
    text = model.text(tokens)            # token ids of each sentence of one class -> [E]; config.json has some
    support = model.support(clips, texts)                # [B, T, 3, H, W] in 0..1 less mean, divided by std; [B, E]
    query = model.query(clips)                           # -> [B, T, E], ready to be compared
    distances = model.distances(query, support, shots)   # supports by class, `shots` of each -> [Q, classes]

`python ma_clip.py FOLDER [BACKBONE]` compares it with the features that were written when the model was exported.
"""
import ctypes, hashlib, json, sys
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class Adapter(nn.Module):
    """A bottleneck; D the width, h the inner one."""

    def __init__(self, d, h, skip):
        super().__init__()
        self.D_fc1, self.D_fc2, self.skip = nn.Linear(d, h), nn.Linear(h, d), skip

    def forward(self, x):
        y = self.D_fc2(F.gelu(self.D_fc1(x)))
        return x + y if self.skip else y


class Block(nn.Module):
    """A pre-norm block of a tower, with OpenAI's names; `adapter` has the options of its adapters, if it has some."""

    def __init__(self, d, heads, c, state, at, adapter=None):
        super().__init__()
        act = QuickGELU() if c["activation"] == "quick_gelu" else nn.GELU()
        eps, hidden = c.get("epsilon", 1e-5), len(state[at + "mlp.c_fc.bias"])
        self.attn, self.o = nn.MultiheadAttention(d, heads, batch_first=True), adapter
        self.ln_1, self.ln_2 = nn.LayerNorm(d, eps), nn.LayerNorm(d, eps)
        parts = [("c_fc", nn.Linear(d, hidden)), ("act", act), ("c_proj", nn.Linear(hidden, d))]
        self.mlp = nn.Sequential(OrderedDict(parts))
        skips = {"T_Adapter_in": None, "T_Adapter": "temporal_skip", "M_Adapter": "multimodal_skip"}
        skips["MLP_Adapter"] = "joint_skip"
        for name, skip in skips.items():
            inner = state.get(f"{at}{name}.D_fc1.bias")
            setattr(self, name, None if inner is None else Adapter(d, len(inner), adapter.get(skip, True)))
        self.TextFC = nn.Linear(c["embed_dim"], d) if at + "TextFC.bias" in state else None

    def attend(self, x, mask=None):
        return self.attn(x, x, x, need_weights=False, attn_mask=mask)[0]

    def forward(self, x, mask=None):
        x = x + self.attend(self.ln_1(x), mask)
        return x + self.mlp(self.ln_2(x))

    def frames(self, x, text, text_fc=None):
        """Tokens [B, T, N, D] of clips; `text` [B, E] in the support branch, else None."""
        b, t, n, d = x.shape
        if self.o is None:
            return self(x.flatten(0, 1)).view(b, t, n, d)
        tokens = [x]
        if self.T_Adapter:  # the class tokens over time
            z = x[:, :, 0]
            u = self.T_Adapter_in(self.ln_1(z)) if self.T_Adapter_in else self.ln_1(z)
            moved = self.T_Adapter(self.attend(u))
            tokens.append((z + moved if self.o["temporal_residual"] else moved).unsqueeze(2))
        if text is not None:
            text = F.normalize(text, dim=-1) if self.o["normalize_text"] else text
            tokens.append((self.TextFC or text_fc)(text)[:, None, None].expand(b, t, 1, d))
        mixed = self.attend(self.ln_1(torch.cat(tokens, 2).flatten(0, 1)))[:, :n]
        y = x.flatten(0, 1) + (self.M_Adapter(mixed) if self.M_Adapter else mixed)
        v = self.ln_2(y)
        out = y + self.mlp(v) + (self.o["joint_scale"] * self.MLP_Adapter(v) if self.MLP_Adapter else 0)
        return out.view(b, t, n, d)


class Prototype(nn.Module):
    """TPCM: frames [B, T, E] with their class text, or alone."""

    def __init__(self, e, hidden, o):
        super().__init__()
        self.attention = nn.MultiheadAttention(e, o["heads"], batch_first=True)
        self.fc1, self.fc2, self.o = nn.Linear(e, hidden), nn.Linear(hidden, e), o
        self.norms = nn.ModuleList(nn.LayerNorm(e) for _ in range(2 if o["norm"] == "post" else 0))

    def forward(self, x, text=None):
        q = kv = x
        if text is not None:
            text = (F.normalize(text, dim=-1) if self.o["normalize_text"] else text).unsqueeze(1)
            q, kv = x + text, torch.cat([text, x], 1)
        u = q + self.attention(q, kv, kv, need_weights=False)[0]
        u = self.norms[0](u) if self.norms else u
        u = u + self.fc2(F.gelu(self.fc1(u)))
        return self.norms[1](u) if self.norms else u


class Visual(nn.Module):
    def __init__(self, c, state, adapter):
        super().__init__()
        d, p, grid, layers = c["vision_width"], c["patch_size"], c["image_size"] // c["patch_size"], c["vision_layers"]
        self.conv1 = nn.Conv2d(3, d, p, p, bias=False)
        self.class_embedding, self.proj = nn.Parameter(torch.zeros(d)), nn.Parameter(torch.zeros(d, c["embed_dim"]))
        self.positional_embedding = nn.Parameter(torch.zeros(grid * grid + 1, d))
        self.ln_pre, self.ln_post = (nn.LayerNorm(d, c.get("epsilon", 1e-5)) for _ in range(2))
        at = adapter.get("at", "all") if adapter["type"] == "multimodal" else {"list": []}
        adapted = range(layers) if at == "all" else at.get("list", range(layers - at.get("last", 0), layers))
        block = lambda i, at, own: Block(d, c["vision_heads"], c, state, f"{at}transformer.resblocks.{i}.", own)
        blocks = [block(i, "visual.", adapter if i in adapted else None) for i in range(layers)]
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(blocks)})
        self.TextFC = nn.Linear(c["embed_dim"], d) if "visual.TextFC.bias" in state else None

    def forward(self, clips, text=None):
        b, t = clips.shape[:2]
        x = self.conv1(clips.flatten(0, 1)).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], 1) + self.positional_embedding
        x = self.ln_pre(x).view(b, t, *x.shape[1:])
        for block in self.transformer["resblocks"]:
            x = block.frames(x, text, self.TextFC)
        return self.ln_post(x[:, :, 0]) @ self.proj


class Model(nn.Module):
    """B clips of T frames; E the width of the joint embedding. Names of the tower's parameters are OpenAI's."""

    def __init__(self, config, state):
        super().__init__()
        c, slots = config["backbone"]["architecture"], config["slots"]
        self.config, self.metric = config, slots["alignment"]
        self.visual = Visual(c, state, slots["adapter"])
        name = "transformer.resblocks.{}.".format
        text = [Block(c["text_width"], c["text_heads"], c, state, name(i)) for i in range(c["text_layers"])]
        self.transformer = nn.ModuleDict({"resblocks": nn.ModuleList(text)})
        self.token_embedding = nn.Embedding(*state["token_embedding.weight"].shape)
        self.positional_embedding = nn.Parameter(torch.zeros(c["context_length"], c["text_width"]))
        self.ln_final = nn.LayerNorm(c["text_width"], c.get("epsilon", 1e-5))
        self.text_projection = nn.Parameter(torch.zeros(c["text_width"], c["embed_dim"]))
        self.logit_scale = nn.Parameter(torch.zeros(1))
        options, hidden = slots["prototype"], len(state.get("prototype.fc1.bias", []))
        self.prototype = Prototype(c["embed_dim"], hidden, options) if hidden else None

    def text(self, sentences):
        """Token ids of each sentence of one class -> [E]: several are normalised, then averaged."""
        features = []
        for ids in sentences:
            x = self.token_embedding(torch.tensor(ids)) + self.positional_embedding[: len(ids)]
            mask = torch.full((len(ids), len(ids)), float("-inf")).triu(1)
            for block in self.transformer["resblocks"]:
                x = block(x[None], mask)[0]
            features.append(self.ln_final(x[-1]) @ self.text_projection)
        return features[0] if len(features) == 1 else F.normalize(torch.stack(features), dim=-1).mean(0)

    def frames(self, clips, text=None):
        """Frame features [B, T, E] before the prototype module, not normalised; `text` [B, E] for support clips."""
        return self.visual(clips, text if self.config["slots"]["adapter"].get("use_text") else None)

    def support(self, clips, texts):
        features = self.frames(clips, texts)
        return self.prototype(features, texts) if self.prototype else features

    def query(self, clips):
        features = self.frames(clips)
        return self.prototype(features) if self.prototype else features

    def distances(self, query, support, shots=1):
        """OTAM of queries [Q, T, E] and supports [classes * shots, T, E], ordered by class -> [Q, classes]."""
        o = self.metric
        if o["type"] != "otam" or o["shots"] == "joint" or o["cosine"] not in ("plus_epsilon", "normalized"):
            raise NotImplementedError(f"distances are of OTAM; this model was trained with {o}")
        support = support.unflatten(0, (-1, shots))
        support = support.mean(1, keepdim=True) if o["shots"] == "mean_features" else support
        s, q = support.flatten(0, 1), query
        dots, norms = torch.einsum("qie,sje->qsij", q, s), torch.einsum("qi,sj->qsij", q.norm(dim=2), s.norm(dim=2))
        costs = 1 - dots / (norms + 0.01 if o["cosine"] == "plus_epsilon" else norms.clamp_min(1e-12))
        ways = {"query_to_support": [costs], "support_to_query": [costs.mT], "both": [costs, costs.mT]}
        total = sum(otam(way, o["lambda"]) for way in ways[o["direction"]])
        return total.unflatten(1, (-1, support.shape[1])).mean(2)


def otam(costs, l):
    """Soft cost of passing every column of [..., rows, columns]; a path may begin and end at any row."""
    costs = F.pad(costs, (1, 1))
    soft = lambda *values: -l * torch.logsumexp(torch.stack(values) / -l, 0)
    rows, columns = costs.shape[-2:]
    row = list(costs[..., 0, :].cumsum(-1).unbind(-1))
    for i in range(1, rows):
        above, row = row, [costs[..., i, 0] * 0]
        for j in range(1, columns):
            edge = [above[j]] if j in (1, columns - 1) else []
            row.append(costs[..., i, j] + soft(above[j - 1], row[j - 1], *edge))
    return row[-1]


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
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text())
    file = backbone or config["backbone"]["file"] and folder / config["backbone"]["file"]
    if not file:
        raise ValueError(f"give the backbone's file, load(FOLDER, backbone=FILE): {config['backbone']['weights']}")
    state = {**backbone_tensors(file, config), **load_file(folder / "model.safetensors")}
    adapter = config["slots"]["adapter"]
    for name in [name for name in state if name.endswith("lora_A.weight")]:  # merged into the packed projection
        at, part = name.split("attn.")[0], "qkv".index(name.split("attn.")[1][0])
        change = adapter["alpha"] / adapter["rank"] * state.pop(name.replace("lora_A", "lora_B")) @ state.pop(name)
        state[at + "attn.in_proj_weight"][part * len(change):(part + 1) * len(change)] += change
    model = Model(config, state)
    heads = [name for name in state if name.split(".")[0] in ("objective", "alignment")]
    model.load_state_dict({name: value for name, value in state.items() if name not in heads})
    return model.eval()


@torch.no_grad()
def check(folder, backbone=None):
    """The largest difference from the exported features, each as a part of the largest feature."""
    model, want = load(folder, backbone), load_file(Path(folder) / "check.safetensors")
    size, frames = model.config["image"]["size"], model.config["frames"]
    clips = (torch.arange(4 * frames * 3 * size * size) * 7919 % 2003).float().view(4, frames, 3, size, size) / 1000 - 1
    names = list(model.config["classes"])[:2]
    texts = want["texts"]
    if names:
        texts = torch.stack([model.text(model.config["classes"][name]["tokens"]) for name in names])
    got = {"texts": texts, "support_frames": model.frames(clips[:2], texts), "query_frames": model.frames(clips[2:])}
    got["support"], got["query"] = model.support(clips[:2], texts), model.query(clips[2:])
    if model.metric["type"] == "otam":
        got["distances"] = model.distances(got["query"], got["support"])
    part = lambda got, want: ((got - want).abs().max() / want.abs().max().clamp_min(1e-6)).item()
    return {name: part(value, want[name]) for name, value in got.items()}


if __name__ == "__main__":
    found = check(*sys.argv[1:3])
    print(json.dumps(found))
    sys.exit(max(found.values()) > 1e-5)
