"""A Hugging Face ViT that classifies bands of ages: safetensors or a pickle, with config.json."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from agelens.errors import CardError
from agelens.importing.contents import Contents
from agelens.importing.imported_network import AgeBands, ImportedNetwork, band_starts
from agelens.importing.layout import ChipChoice, Choices, Filled, Layout, Move, fill
from agelens.models.methods.dex import DEX

_LAYER: Final = "vit.encoder.layer."
_NAMES: Final = {
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "attention.output.dense": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}
_OUTSIDE: Final = {
    "vit.embeddings.cls_token": "cls_token",
    "vit.embeddings.position_embeddings": "pos_embed",
    "vit.embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "vit.embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "vit.layernorm.weight": "norm.weight",
    "vit.layernorm.bias": "norm.bias",
    "classifier.weight": "head.weight",
    "classifier.bias": "head.bias",
}
_PARTS: Final = ("query", "key", "value")


def _fill(contents: Contents, choices: Choices) -> Filled:  # noqa: ARG001 - config.json says all
    config = _config(contents)
    try:
        labels = [label for _, label in sorted((int(k), v) for k, v in config["id2label"].items())]
        network = VisionTransformer(
            img_size=config["image_size"],
            patch_size=config["patch_size"],
            embed_dim=config["hidden_size"],
            depth=config["num_hidden_layers"],
            num_heads=config["num_attention_heads"],
            mlp_ratio=config["intermediate_size"] / config["hidden_size"],
            qkv_bias=config.get("qkv_bias", True),
            num_classes=len(labels),
            norm_layer=partial(nn.LayerNorm, eps=config["layer_norm_eps"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CardError(f"{contents.path}: config.json beside it is no ViT's ({error})") from error
    starts = band_starts(labels)
    if starts is None:
        raise CardError(
            f"{contents.path}: its classes are no bands of ages in ascending order, but "
            f"{', '.join(map(str, labels))}"
        )
    bands = AgeBands(starts)
    model = ImportedNetwork(network, DEX(str(bands.scale)), bands, slice(None))
    keys = fill(model, contents, _moves(contents), "Hugging Face's ViT")
    pictures = contents.facts.get("preprocessor_config.json", {})
    return Filled(
        network=model,
        keys=keys,
        backbone=f"vit of {config['num_hidden_layers']} layers, {config['hidden_size']} wide",
        method="cross entropy of bands of ages",
        size=config["image_size"],
        mean=pictures.get("image_mean"),
        std=pictures.get("image_std"),
        notes=(bands.note,),
    )


def _config(contents: Contents) -> dict[str, Any]:
    config = contents.facts.get("config.json")
    if not isinstance(config, dict):
        raise CardError(
            f"{contents.path}: config.json is not beside it, and without it nobody knows which "
            "ages its classes are; download both"
        )
    return config


def _moves(contents: Contents) -> Iterator[Move]:
    joined: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for source, tensor in contents.tensors.items():
        if not source.startswith(_LAYER):
            yield Move(source, f"network.{_OUTSIDE.get(source, source)}", tensor)
            continue
        number, _, rest = source.removeprefix(_LAYER).partition(".")
        layer, _, weight = rest.rpartition(".")
        part = layer.removeprefix("attention.attention.")
        if part in _PARTS:
            joined[f"network.blocks.{number}.attn.qkv.{weight}"][part] = tensor
        else:
            yield Move(
                source, f"network.blocks.{number}.{_NAMES.get(layer, layer)}.{weight}", tensor
            )
    for name, parts in joined.items():
        whole = torch.cat([parts[part] for part in _PARTS if part in parts])
        yield Move(f"{'+'.join(parts)} of {name}", name, whole)


LAYOUT: Final = Layout(
    name="vit-age-classifier",
    owner="a ViT of Hugging Face that classifies ages (nateraw/vit-age-classifier)",
    paper="Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021 (the network)",
    chips=ChipChoice(
        size=224,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        template="dlib-64",
        margin=0.0714,  # FairFace's chips
        source="config.json and preprocessor_config.json beside the file (without the latter 0.5 "
        "and 0.5); trained on FairFace's chips, which are dlib's with padding 0.25.",
    ),
    recognises=lambda contents: contents.holds("vit.embeddings.cls_token", "classifier.weight"),
    fill=_fill,
)
