"""Files of systems beyond the four in `importer_files`, made as their authors save them."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import onnx
import timm
import torch
from onnx import helper, numpy_helper
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import resnet18, resnet34

from .importer_files import HALF, IMAGENET, PLAIN, Chips, Made, mean_age, pixels, settled, shaken


def fairface(folder: Path) -> Made:
    net = resnet34(weights=None)
    net.fc = nn.Linear(512, 18)
    settled(shaken(net), net, 64)
    path = folder / "res34_fair_align_multi_7_20190809.pt"
    torch.save(net.state_dict(), path)
    ends = ((0, 2), (3, 9), *((ten, ten + 9) for ten in range(10, 80, 10)))

    def answer(chips: Chips, columns: slice) -> Tensor:
        return net(pixels(chips, IMAGENET))[:, columns]

    races = ("white", "black", "latino hispanic", "east asian", "southeast asian", "indian")
    return Made(
        path,
        64,
        lambda chips: mean_age(answer(chips, slice(9, 18)), [(a + b) / 2 for a, b in ends]),
        {"size": 64},
        {
            "gender": lambda chips: answer(chips, slice(7, 9)).softmax(1),
            "ethnicity": lambda chips: answer(chips, slice(7)).softmax(1),
        },
        {"gender": ("male", "female"), "ethnicity": (*races, "middle eastern")},
    )


def timm_classes(folder: Path) -> Made:
    net = shaken(timm.create_model("resnet10t", num_classes=7))
    settled(net, net, 32)
    save_file(net.state_dict(), folder / "resnet10t.safetensors")
    return Made(
        folder / "resnet10t.safetensors",
        32,
        lambda chips: mean_age(net(pixels(chips, HALF)), [float(a) for a in range(20, 27)]),
        {
            **{"layout": "timm", "arch": "resnet10t", "ages": "20-26", "size": 32},
            **{"mean": [0.5] * 3, "std": [0.5] * 3},
        },
    )


def torchvision_number(folder: Path) -> Made:
    net = shaken(resnet18(weights=None, num_classes=1))
    settled(net, net, 64)
    with torch.no_grad():
        net.fc.bias.fill_(40.0)
    state = {f"backbone.{key}": value for key, value in net.state_dict().items()}
    torch.save({"model_state_dict": state}, folder / "mine.ckpt")
    return Made(
        folder / "mine.ckpt",
        64,
        lambda chips: net(pixels(chips, IMAGENET))[:, 0],
        {"layout": "torchvision", "arch": "resnet18", "size": 64},
    )


class KerasFile:
    """Weights as Keras names and shapes them: rows, columns, inputs, outputs."""

    def __init__(self) -> None:
        self.weights: dict[str, dict[str, Tensor]] = {}
        self.chance = torch.Generator().manual_seed(0)

    def conv(self, name: str, side: int, inputs: int, outputs: int) -> None:
        scale = (2 / (inputs * side * side)) ** 0.5
        kernel = torch.randn(side, side, inputs, outputs, generator=self.chance) * scale
        bias = torch.randn(outputs, generator=self.chance) * 0.1
        self.weights[name] = {"kernel": kernel, "bias": bias}

    def norm(self, name: str, width: int) -> None:
        drawn = torch.rand(4, width, generator=self.chance)
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        self.weights[name] = {key: row + 0.5 for key, row in zip(names, drawn, strict=True)}

    def dense(self, name: str, inputs: int, outputs: int) -> None:
        kernel = torch.randn(inputs, outputs, generator=self.chance) * (2 / inputs) ** 0.5
        self.weights[name] = {"kernel": kernel, "bias": torch.randn(outputs) * 0.1}

    def save(self, path: Path, size: int) -> None:
        described = {
            "config": {"layers": [{"config": {"batch_input_shape": [None, size, size, 3]}}]}
        }
        with h5py.File(path, "w") as file:
            file.attrs["keras_version"] = "2.2.4-tf"
            file.attrs["model_config"] = json.dumps(described)
            group = file.create_group("model_weights")
            group.attrs["layer_names"] = [name.encode() for name in self.weights]
            group.create_group("activation")  # layers without weights are there too
            for layer, weights in self.weights.items():
                for name, value in weights.items():
                    group[f"{layer}/{layer}/{name}:0"] = value.numpy()
            file["optimizer_weights/Adam/iter:0"] = 7

    def apply_conv(self, x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        kernel = self.weights[name]["kernel"].permute(3, 2, 0, 1)
        return nn.functional.conv2d(x, kernel, self.weights[name]["bias"], stride, padding)

    def apply_norm(self, x: Tensor, name: str) -> Tensor:
        gamma, beta, mean, variance = self.weights[name].values()
        return nn.functional.batch_norm(x, mean, variance, gamma, beta, eps=1e-3)

    def apply_dense(self, x: Tensor, name: str) -> Tensor:
        return x @ self.weights[name]["kernel"] + self.weights[name]["bias"]


def _ranked(logits: Tensor) -> Tensor:
    return 16.0 + (logits.sigmoid() > 0.4).sum(1)


def _coral_head(keras: KerasFile, name: str, features: int) -> None:
    keras.dense(name, features, 1)
    keras.weights["logits"] = {"bias": torch.linspace(3, -3, 54)}


def coral_resnet(folder: Path) -> Made:
    """Bottlenecks as of its ResNet-50, four stages of one or two, narrow."""
    keras, size, depths = KerasFile(), 197, (2, 1, 1, 1)
    keras.conv("conv1", 7, 3, 4)
    keras.norm("bn_conv1", 4)
    inputs = 4
    for stage, depth in enumerate(depths, start=2):
        narrow = 4 * 2 ** (stage - 2)
        for block in range(depth):
            stem = f"{stage}{block}_branch"
            for branch, side, into, out in (
                ("2a", 1, inputs, narrow),
                ("2b", 3, narrow, narrow),
                ("2c", 1, narrow, 4 * narrow),
                *([("1", 1, inputs, 4 * narrow)] if block == 0 else []),
            ):
                keras.conv(f"res{stem}{branch}", side, into, out)
                keras.norm(f"bn{stem}{branch}", out)
            inputs = 4 * narrow
    _coral_head(keras, "dense", inputs)
    keras.save(folder / "age_estimator_resnet.h5", size)

    def step(x: Tensor, stem: str, branch: str, stride: int = 1) -> Tensor:
        convolved = keras.apply_conv(x, f"res{stem}{branch}", stride, int(branch == "2b"))
        return keras.apply_norm(convolved, f"bn{stem}{branch}")

    def logits(chips: Chips) -> Tensor:
        # 'same' of an odd side: 3 pixels on every side, as 99 steps of 2 and a filter of 7 need.
        x = keras.apply_conv(pixels(chips, PLAIN), "conv1", 2, 3)
        x = nn.functional.max_pool2d(keras.apply_norm(x, "bn_conv1").relu(), 3, 2)
        for stage, depth in enumerate(depths, start=2):
            for block in range(depth):
                stem, stride = f"{stage}{block}_branch", 2 if stage > 2 and block == 0 else 1
                out = step(x, stem, "2a", stride).relu()
                out = step(step(out, stem, "2b").relu(), stem, "2c")
                x = (out + (step(x, stem, "1", stride) if block == 0 else x)).relu()
        features = nn.functional.avg_pool2d(x, 7).mean((2, 3))
        return keras.apply_dense(features, "dense") + keras.weights["logits"]["bias"]

    return Made(folder / "age_estimator_resnet.h5", size, lambda chips: _ranked(logits(chips)))


def coral_vgg(folder: Path) -> Made:
    keras, size, inputs = KerasFile(), 64, 3
    names = [f"block{g}_conv{n}" for g in range(1, 6) for n in range(1, 3 if g < 3 else 4)]
    for name in names:
        width = 4 * int(name[5])
        keras.conv(name, 3, inputs, width)
        inputs = width
    keras.dense("dense", 2 * 2 * inputs, 12)
    keras.dense("dense_1", 12, 10)
    _coral_head(keras, "dense_2", 10)
    keras.save(folder / "age_estimator_vgg.h5", size)

    def logits(chips: Chips) -> Tensor:
        x = pixels(chips, PLAIN)
        for name, following in zip(names, [*names[1:], ""], strict=True):
            x = keras.apply_conv(x, name, padding=1).relu()
            if following[:6] != name[:6]:
                x = nn.functional.max_pool2d(x, 2)
        flat = torch.stack([one.permute(1, 2, 0).reshape(-1) for one in x])
        hidden = keras.apply_dense(keras.apply_dense(flat, "dense").relu(), "dense_1").relu()
        return keras.apply_dense(hidden, "dense_2") + keras.weights["logits"]["bias"]

    return Made(
        folder / "age_estimator_vgg.h5",
        size,
        lambda chips: _ranked(logits(chips)),
        exported=False,
        normal=PLAIN,
    )


def _volo(channels: int = 3) -> nn.Module:
    return timm.models.volo.VOLO(
        layers=(1, 1, 1, 1),
        img_size=64,
        embed_dims=(32, 64, 64, 64),
        num_heads=(1, 2, 2, 2),
        num_classes=3,
        stem_hidden_dim=8,
    )


def _mivolo(folder: Path, net: nn.Module, with_body: bool) -> Made:
    with torch.no_grad():
        net.head.weight.mul_(0.1)
        net.aux_head.weight.mul_(0.1)
    path = folder / "model_imdb.pth.tar"
    range_ = {"min_age": 1, "max_age": 95, "avg_age": np.float64(48.0), "no_gender": False}
    torch.save({"state_dict": net.state_dict(), "with_persons_model": with_body, **range_}, path)

    def outputs(chips: Chips) -> Tensor:
        return net(pixels(chips, IMAGENET))

    return Made(
        path,
        64,
        lambda chips: outputs(chips)[:, 2] * 94 + 48,
        {},
        {"gender": lambda chips: outputs(chips)[:, :2].softmax(1)},
        {"gender": ("male", "female")},
        exported=with_body,
    )


def mivolo(folder: Path) -> Made:
    return _mivolo(folder, shaken(_volo()), with_body=False)


class _CrossPatches(nn.Module):
    """Face and body, as MiVOLO's patch embedding fuses them; the body is absent."""

    def __init__(self, one: nn.Module, two: nn.Module) -> None:
        super().__init__()
        self.conv1, self.conv2, self.proj1, self.proj2 = one.conv, two.conv, one.proj, two.proj
        self.map = nn.Module()
        self.map.qkv_f = nn.Conv2d(32, 96, 1, bias=False)
        self.map.qkv_p = nn.Conv2d(32, 96, 1, bias=False)
        self.map.pos_embed = timm.layers.bottleneck_attn.PosEmbedRel((8, 8), 32, 32**-0.5)
        self.map.norm = nn.LayerNorm([64, 8, 8])
        self.map.mlp = timm.layers.mlp.Mlp(64, 128, 32, use_conv=True)

    def forward(self, face: Tensor) -> Tensor:
        black = np.zeros((len(face), 64, 64, 3), dtype=np.uint8)
        body = self.proj2(self.conv2(pixels(black, IMAGENET)))
        face = self.proj1(self.conv1(face))
        fq, fk, fv = self.map.qkv_f(face).flatten(2).transpose(1, 2).split(32, dim=2)
        bq, bk, bv = self.map.qkv_p(body).flatten(2).transpose(1, 2).split(32, dim=2)
        both = []
        for q, k, v in ((fq, bk, bv), (bq, fk, fv)):
            scores = torch.einsum("nid,njd->nij", q, k) * 32**-0.5 + self.map.pos_embed(q)
            seen = torch.einsum("nij,njd->nid", scores.softmax(2), v)
            both.append(seen.transpose(1, 2).reshape(len(face), 32, 8, 8))
        return self.map.mlp(self.map.norm(torch.cat(both, dim=1)))


def mivolo_body(folder: Path) -> Made:
    net = _volo()
    net.patch_embed = _CrossPatches(_volo().patch_embed, _volo().patch_embed)
    return _mivolo(folder, shaken(net), with_body=True)


_VIT = {
    "image_size": 32,
    "patch_size": 16,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "layer_norm_eps": 1e-12,
    "qkv_bias": True,
}
_VIT_LABELS = ("0-2", "3-9", "10-19", "20-29", "more than 30")


def vit_age_classifier(folder: Path) -> Made:
    state: dict[str, Tensor] = {}

    def linear(name: str, inputs: int, outputs: int) -> None:
        state[f"{name}.weight"] = torch.randn(outputs, inputs) * inputs**-0.5
        state[f"{name}.bias"] = torch.randn(outputs) * 0.1

    def norm(name: str) -> None:
        state[f"{name}.weight"], state[f"{name}.bias"] = torch.rand(16) + 0.5, torch.randn(16) * 0.1

    projection = "vit.embeddings.patch_embeddings.projection"
    state["vit.embeddings.cls_token"] = torch.randn(1, 1, 16)
    state["vit.embeddings.position_embeddings"] = torch.randn(1, 5, 16)
    state[f"{projection}.weight"] = torch.randn(16, 3, 16, 16) * 768**-0.5
    state[f"{projection}.bias"] = torch.randn(16) * 0.1
    layers = [f"vit.encoder.layer.{number}" for number in range(2)]
    for layer in layers:
        norm(f"{layer}.layernorm_before")
        norm(f"{layer}.layernorm_after")
        for part in ("query", "key", "value"):
            linear(f"{layer}.attention.attention.{part}", 16, 16)
        linear(f"{layer}.attention.output.dense", 16, 16)
        linear(f"{layer}.intermediate.dense", 16, 24)
        linear(f"{layer}.output.dense", 24, 16)
    norm("vit.layernorm")
    linear("classifier", 16, len(_VIT_LABELS))
    save_file(state, folder / "model.safetensors")
    labels = {str(place): label for place, label in enumerate(_VIT_LABELS)}
    (folder / "config.json").write_text(json.dumps({**_VIT, "id2label": labels}))
    pictures = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.6, 0.7]}
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures))

    def apply(name: str, x: Tensor) -> Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def normal(name: str, x: Tensor) -> Tensor:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return nn.functional.layer_norm(x, (16,), weight, bias, 1e-12)

    def heads(x: Tensor) -> Tensor:
        return x.unflatten(2, (2, 8)).transpose(1, 2)

    def logits(chips: Chips) -> Tensor:
        scaled = pixels(chips, (torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.5, 0.6, 0.7])))
        weight, bias = state[f"{projection}.weight"], state[f"{projection}.bias"]
        x = nn.functional.conv2d(scaled, weight, bias, 16).flatten(2).transpose(1, 2)
        x = torch.cat([state["vit.embeddings.cls_token"].expand(len(x), 1, 16), x], 1)
        x = x + state["vit.embeddings.position_embeddings"]
        for layer in layers:
            seen, attention = normal(f"{layer}.layernorm_before", x), f"{layer}.attention.attention"
            q, k, v = (heads(apply(f"{attention}.{p}", seen)) for p in ("query", "key", "value"))
            weights = (q @ k.transpose(2, 3) * 8**-0.5).softmax(3)
            mixed = (weights @ v).transpose(1, 2).flatten(2)
            x = x + apply(f"{layer}.attention.output.dense", mixed)
            hidden = apply(f"{layer}.intermediate.dense", normal(f"{layer}.layernorm_after", x))
            x = x + apply(f"{layer}.output.dense", nn.functional.gelu(hidden))
        return apply("classifier", normal("vit.layernorm", x)[:, 0])

    means = [1.0, 6.0, 14.5, 24.5, 34.5]
    return Made(folder / "model.safetensors", 32, lambda chips: mean_age(logits(chips), means))


def insightface_genderage(folder: Path) -> Made:
    """Its first two steps, called as MXNet's export calls them, do the normalisation."""
    chance = np.random.default_rng(0)
    weights = {
        "centre": np.array([127.5], np.float32),
        "scale": np.array([1 / 128], np.float32),
        "filters": chance.normal(0, 0.2, (6, 3, 7, 7)).astype(np.float32),
        "matrix": chance.normal(0, 0.3, (3, 6)).astype(np.float32),
        "offsets": np.array([0.1, 0.2, 0.3], np.float32),
    }
    nodes = [
        helper.make_node("Sub", ["data", "centre"], ["a"], name="_minusscalar0"),
        helper.make_node("Mul", ["a", "scale"], ["b"], name="_mulscalar0"),
        helper.make_node("Conv", ["b", "filters"], ["c"], name="conv_1", strides=[4, 4]),
        helper.make_node("Relu", ["c"], ["d"], name="relu_1"),
        helper.make_node("GlobalAveragePool", ["d"], ["e"], name="pool"),
        helper.make_node("Flatten", ["e"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "matrix", "offsets"], ["fc1"], name="fc1", transB=1),
    ]
    port = helper.make_tensor_value_info
    kind = onnx.TensorProto.FLOAT
    kept = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(
        nodes,
        "genderage",
        # As older exporters do, with the weights among the inputs.
        [port("data", kind, ["None", 3, 96, 96]), *(port(t.name, kind, t.dims) for t in kept)],
        [port("fc1", kind, [1, 3])],
        kept,
    )
    model = helper.make_model(graph, ir_version=6, opset_imports=[helper.make_opsetid("", 11)])
    onnx.save(model, folder / "genderage.onnx")

    def outputs(chips: Chips) -> Tensor:
        images = (torch.from_numpy(chips).permute(0, 3, 1, 2).float() - 127.5) / 128
        maps = nn.functional.conv2d(images, torch.from_numpy(weights["filters"]), stride=4).relu()
        features = maps.mean((2, 3))
        matrix, offsets = torch.from_numpy(weights["matrix"]), torch.from_numpy(weights["offsets"])
        return features @ matrix.T + offsets

    return Made(
        folder / "genderage.onnx",
        96,
        lambda chips: outputs(chips)[:, 2] * 100,
        {},
        {"gender": lambda chips: outputs(chips)[:, :2].softmax(1)},
        {"gender": ("female", "male")},
    )
