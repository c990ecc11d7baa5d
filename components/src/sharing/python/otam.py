"""OTAM (arXiv 1906.11415, section 3): the distance of frame features as maclip computes it, in plain PyTorch.

    distances(query, support, model.config["slots"]["alignment"], shots)    # -> [Q, classes], the smallest names one
"""
import torch
from torch.nn import functional as F


def distances(query, support, options, shots=1):
    """OTAM of queries [Q, T, E] and supports [classes * shots, T, E], ordered by class -> [Q, classes]."""
    o, q, cosine = options, query, options.get("cosine")
    if o["type"] != "otam":
        raise NotImplementedError(f"distances are of OTAM; this model was trained with {options}")
    cosine = {"plus": 0.01} if cosine == "plus_epsilon" else {"clamp": 1e-12} if cosine == "normalized" else cosine
    support = support.unflatten(0, (-1, shots))
    if o["shots"] == "joint":  # one sequence of all clips of a class
        support = support.flatten(1, 2).unsqueeze(1)
    support = support.mean(1, keepdim=True) if o["shots"] == "mean_features" else support
    s = support.flatten(0, 1)
    if "clamp" in cosine:
        unit = lambda x: x / x.norm(dim=2, keepdim=True).clamp_min(cosine["clamp"])
        costs = 1 - torch.einsum("qie,sje->qsij", unit(q), unit(s))
    else:
        norms = torch.einsum("qi,sj->qsij", q.norm(dim=2), s.norm(dim=2))
        costs = 1 - torch.einsum("qie,sje->qsij", q, s) / (norms + cosine["plus"])
    ways = {"query_to_support": [costs], "support_to_query": [costs.mT], "both": [costs, costs.mT]}
    total = sum(otam(way, o["lambda"]) for way in ways[o["direction"]])
    return total.unflatten(1, (-1, support.shape[1])).mean(2)


def otam(costs, l):
    """Soft cost of passing every column of [..., rows, columns]; a path may begin and end at any row."""
    costs = F.pad(costs, (1, 1))
    soft = lambda *values: -l * torch.logsumexp(torch.stack(values) / -l, 0)
    row = list(costs[..., 0, :].cumsum(-1).unbind(-1))
    for i in range(1, costs.shape[-2]):
        above, row = row, [costs[..., i, 0] * 0]
        for j in range(1, costs.shape[-1]):
            edge = [above[j]] if j in (1, costs.shape[-1] - 1) else []
            row.append(costs[..., i, j] + soft(above[j - 1], row[j - 1], *edge))
    return row[-1]
