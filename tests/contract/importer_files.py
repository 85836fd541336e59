"""Files of RAPL, the label-distribution system, IEFP and the guide, with random weights.

Each maker writes the architecture down from its public layout, in plain torch, h5py or ONNX and
by its authors' names, and gives the file beside a plain forward pass. Networks are as small as
their layout allows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torchvision.models import (
    ResNet,
    alexnet,
    efficientnet_b0,
    resnet18,
    resnet50,
    resnet101,
    resnet152,
)
from torchvision.models.resnet import Bottleneck

IMAGENET = (torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225]))
HALF = (torch.tensor([0.5] * 3), torch.tensor([0.5] * 3))
PLAIN = (torch.tensor([0.0] * 3), torch.tensor([1.0] * 3))

Chips = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass
class Made:
    """A file, what has to be said of it, and what its own network answers.

    `years` gives ages [N] of chips uint8 [N, S, S, 3], `told` probabilities by column.
    """

    path: Path
    size: int
    years: Callable[[Chips], Tensor]
    said: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Callable[[Chips], Tensor]] = field(default_factory=dict)
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    exported: bool = True  # whether the test goes by way of the written bundle, which is slow
    normal: tuple[Tensor, Tensor] = IMAGENET


def pixels(chips: Chips, normal: tuple[Tensor, Tensor]) -> Tensor:
    """As the authors' loaders normalise them."""
    images = torch.from_numpy(chips).permute(0, 3, 1, 2).float() / 255
    return (images - normal[0][:, None, None]) / normal[1][:, None, None]


def shaken(net: nn.Module, seed: int = 0) -> nn.Module:
    """Weights that let a signal pass and differ in every place, in evaluation."""
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if not value.is_floating_point():
                continue
            if name.endswith("running_var"):
                value.uniform_(0.5, 1.5, generator=chance)
            elif value.ndim >= 2:
                fan = value[0].numel()
                value.normal_(0, (2 / fan) ** 0.5, generator=chance)
            elif name.endswith("weight"):
                value.uniform_(0.5, 1.5, generator=chance)
            else:
                value.normal_(0, 0.1, generator=chance)
    return net.eval()


def coarse_chips(size: int, count: int = 3, seed: int = 1) -> Chips:
    """Chips of 4 by 4 colours, which differ more than noise does; uint8 [N, size, size, 3]."""
    colours = torch.randint(0, 256, (count, 3, 4, 4), generator=torch.Generator().manual_seed(seed))
    chips = nn.functional.interpolate(colours.float(), (size, size), mode="bicubic")
    return chips.clamp(0, 255).byte().permute(0, 2, 3, 1).numpy().copy()


def settled(
    net: nn.Module, forward: Callable[[Tensor], object], size: int, passes: int = 20
) -> None:
    """Let batch norms measure a few chips, as training leaves them; otherwise signals explode."""
    net.train()
    with torch.no_grad():
        for _ in range(passes):
            forward(pixels(coarse_chips(size, 8, seed=2), IMAGENET))
    net.eval()


def mean_age(logits: Tensor, years: list[float]) -> Tensor:
    return logits.softmax(1) @ torch.tensor(years)


def _unit(inputs: int, width: int, stride: int) -> nn.Module:
    unit = nn.Module()
    unit.shortcut_layer = (
        nn.MaxPool2d(1, stride)
        if inputs == width
        else nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))
    )
    unit.res_layer = nn.Sequential(
        nn.BatchNorm2d(inputs),
        nn.Conv2d(inputs, width, 3, 1, 1, bias=False),
        nn.PReLU(width),
        nn.Conv2d(width, width, 3, stride, 1, bias=False),
        nn.BatchNorm2d(width),
    )
    unit.forward = lambda x: unit.res_layer(x) + unit.shortcut_layer(x)
    return unit


def rapl(folder: Path) -> Made:
    years = [15.0, 16.0, 18.0, 30.0, 72.0]
    net, body = nn.Module(), nn.Module()
    body.input_layer = nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
    )
    body.output_layer = nn.Sequential(nn.BatchNorm2d(512))  # there, and never used
    for number, (inputs, width, units) in enumerate(((64, 64, 3), (64, 128, 4), (128, 256, 14)), 1):
        rest = (_unit(width, width, 1) for _ in range(units - 1))
        setattr(body, f"body{number}", nn.Sequential(_unit(inputs, width, 2), *rest))
    net.backbone = body
    net.fc_gender, net.fc_age = nn.Linear(256, 2), nn.Linear(256, len(years))
    net.fc_feature, net.fc_pos = nn.Linear(len(years), 1), nn.Linear(256, len(years))
    net.parameter = nn.Parameter(torch.randn(len(years)))
    shaken(net)

    def maps(images: Tensor) -> Tensor:
        return body.body3(body.body2(body.body1(body.input_layer(images))))

    settled(net, maps, 32)
    torch.save(net.state_dict(), folder / "afad.pt")
    listed = folder / "afad.csv"
    rows = [f"{age:g}.jpg,{age:g},0,train" for age in (*years, 18.0)]
    listed.write_text("\n".join(["filename,age,gender,fold", *rows]), encoding="utf-8")

    def features(chips: Chips) -> Tensor:
        return maps(pixels(chips, IMAGENET)).mean((2, 3))

    return Made(
        folder / "afad.pt",
        32,
        lambda chips: mean_age(net.fc_age(features(chips)), years),
        {"ages": str(listed), "size": 32},
        {"gender": lambda chips: net.fc_gender(features(chips)).softmax(1)},
        {"gender": ("male", "female")},
    )


def _thin(widths: list[int], groups: list[int], head: str) -> nn.Module:
    net, inputs, number = nn.Module(), 3, 1
    layers: list[nn.Module] = []
    for width, count in zip(widths, groups, strict=True):
        for _ in range(count):
            conv = nn.Conv2d(inputs, width, 3, 1, 1, bias=False)
            layer = nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())
            setattr(net, f"conv{number}", layer)
            layers.append(layer)
            inputs, number = width, number + 1
        layers.append(nn.MaxPool2d(2, 2))
    setattr(net, head, nn.Sequential(nn.Linear(inputs, 101)))
    shaken(net)

    def forward(images: Tensor) -> Tensor:
        for layer in layers:
            images = layer(images)
        side = images.shape[-1]
        images = nn.functional.avg_pool2d(images, side, 1).flatten(1)
        return getattr(net, head)(images)

    net.forward = forward
    return net


def _ldl_saved(net: nn.Module, path: Path, arch: str) -> None:
    optimiser = torch.optim.Adam(net.parameters())
    torch.save(
        {
            "epoch": 17,
            "arch": arch,
            "state_dict": net.state_dict(),
            "optimizer_state_dict": optimiser.state_dict(),
        },
        path,
    )


def thin_age(folder: Path) -> Made:
    net = _thin([32, 64, 128, 256, 256], [2, 2, 3, 3, 3], "fc")
    _ldl_saved(net, folder / "thinage.pth", "thinage")
    return Made(
        folder / "thinage.pth",
        32,
        lambda chips: mean_age(
            net.forward(pixels(chips, IMAGENET)), [float(a) for a in range(101)]
        ),
        {"size": 32},
        exported=False,
    )


def tiny_age(folder: Path) -> Made:
    net = _thin([16, 32, 64, 128, 128], [2, 2, 2, 3, 3], "fc1")
    _ldl_saved(net, folder / "tinyage.pth", "tinyage")
    return Made(
        folder / "tinyage.pth",
        32,
        lambda chips: mean_age(
            net.forward(pixels(chips, IMAGENET)), [float(a) for a in range(101)]
        ),
        {"size": 32},
    )


def ldl_resnet18(folder: Path) -> Made:
    """A network by its name; pretrainedmodels calls the last layer of all of them alike."""
    net = resnet18(weights=None)
    net.fc = nn.Linear(512, 101)
    settled(shaken(net), net, 64)
    state = {key.replace("fc.", "last_linear."): value for key, value in net.state_dict().items()}
    path = folder / "resnet18.pth"
    torch.save({"epoch": 3, "arch": "resnet18", "state_dict": state}, path)
    return Made(
        path,
        64,
        lambda chips: mean_age(net(pixels(chips, IMAGENET)), [float(a) for a in range(101)]),
        {"size": 64},
        exported=False,
    )


def _biased_resnet152() -> nn.Module:
    net = resnet152(weights=None)
    for module in [*net.modules()]:
        for name, part in [*module.named_children()]:
            if isinstance(part, nn.Conv2d):
                sides = (part.kernel_size, part.stride, part.padding)
                setattr(module, name, nn.Conv2d(part.in_channels, part.out_channels, *sides))
    return net


def _caffe_resnet101() -> nn.Module:
    net = resnet101(weights=None)
    net.maxpool = nn.MaxPool2d(3, 2, padding=0, ceil_mode=True)
    for block in (net.layer2[0], net.layer3[0], net.layer4[0]):
        block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
    return net


_LUA_BLOCK = {
    **{"conv1": "0.0.0", "bn1": "0.0.1", "conv2": "0.0.3", "bn2": "0.0.4"},
    **{"conv3": "0.1", "bn3": "0.2", "downsample.0": "1.0", "downsample.1": "1.1"},
}


def _lua_key(key: str) -> str:
    if not key.startswith("layer"):
        return key.replace("conv1.", "features.0.").replace("bn1.", "features.1.")
    stage, block, layer = key.removeprefix("layer").split(".", 2)
    layer, _, weight = layer.rpartition(".")
    return f"features.{int(stage) + 3}.{block}.0.{_LUA_BLOCK[layer]}.{weight}"


def _alex_key(key: str) -> str:
    dense = {"classifier.1": "linear0", "classifier.4": "linear1", "classifier.6": "last_linear"}
    layer, _, weight = key.rpartition(".")
    return f"{dense.get(layer, f'_{layer}')}.{weight}"


# By pretrainedmodels' names: the network, its last layer here, other keys than here, and a size.
PRETRAINED: dict[str, tuple[Callable[[], nn.Module], str, Callable[[str], str], int]] = {
    "alexnet": (lambda: alexnet(weights=None), "", _alex_key, 224),
    "cafferesnet101": (_caffe_resnet101, "fc.", str, 64),
    "dpn68": (lambda: timm.create_model("dpn68"), "classifier.", str, 64),
    "fbresnet152": (_biased_resnet152, "fc.", str, 64),
    "inceptionresnetv2": (lambda: timm.create_model("inception_resnet_v2"), "classif.", str, 96),
    "resnext101_32x4d": (
        lambda: ResNet(Bottleneck, [3, 4, 23, 3], groups=32, width_per_group=4),
        *("fc.", _lua_key, 64),
    ),
}


def pretrained(folder: Path, name: str) -> Made:
    """A network of pretrainedmodels whose last layer answers ages."""
    make, head, key_there, size = PRETRAINED[name]
    net = shaken(make())
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    settled(net, net, size, passes=1)
    state = {
        key.replace(head, "last_linear.")
        if head and key.startswith(head)
        else key_there(key): value
        for key, value in net.state_dict().items()
    }
    for part in ("last_linear.weight", "last_linear.bias"):
        state[part] = state[part][:101]
    path = folder / f"{name}.pth"
    torch.save({"epoch": 3, "arch": name, "state_dict": state}, path)
    return Made(
        path,
        size,
        lambda chips: mean_age(
            net(pixels(chips, IMAGENET))[:, :101], [float(age) for age in range(101)]
        ),
        {"size": size},
        exported=False,
    )


class _Block(nn.Module):
    """iResNet's, by the names of insightface."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, 1, 1, bias=False)
        self.bn2, self.prelu = nn.BatchNorm2d(width), nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        if stride != 1:
            conv = nn.Conv2d(inputs, width, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))
        return out + (self.downsample(x) if hasattr(self, "downsample") else x)


class _Purification(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x - self.seq(x)


class IEFPBranch(nn.Module):
    """iResNet with the purification unit; 2, 2, 2, 2 blocks and narrow, for 32-pixel chips."""

    def __init__(self, width: int = 8, embedding: int = 16) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1, self.prelu = nn.BatchNorm2d(width), nn.PReLU(width)
        for number in (1, 2, 3, 4):
            blocks = (_Block(width, width, 2), _Block(width, width, 1))
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
        self.bn2 = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width * 4, embedding)
        self.features = nn.BatchNorm1d(embedding)
        self.spu = _Purification(embedding)

    def forward(self, x: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(x)))
        for number in (1, 2, 3, 4):
            x = getattr(self, f"layer{number}")(x)
        return self.spu(self.features(self.fc(self.bn2(x).flatten(1))))


_GROUPS = ((0, 12), (13, 18), (19, 25), (26, 35), (36, 45), (46, 55), (56, 65), (66, 75))
_GROUP_MEANS = [(first + last) / 2 for first, last in _GROUPS]


def iefp_age(folder: Path) -> Made:
    net = nn.Module()
    net.backbone, net.age_estimator = IEFPBranch(), nn.Linear(16, 8)
    settled(shaken(net), net.backbone, 32)
    path = folder / "ms1mv3_AgeDB_iresnet50_ae_1.pth"
    torch.save(net.state_dict(), path)
    return Made(
        path,
        32,
        lambda chips: mean_age(net.age_estimator(net.backbone(pixels(chips, HALF))), _GROUP_MEANS),
    )


def _predictor(tanh: bool) -> nn.Sequential:
    ends = [nn.Tanh()] if tanh else []
    return nn.Sequential(
        *(nn.BatchNorm1d(16), nn.Linear(16, 16), nn.ReLU(), nn.BatchNorm1d(16)),
        *(nn.Linear(16, 16), *ends),
    )


def iefp_network() -> nn.Module:
    net = nn.Module()
    net.backbone_id, net.backbone_ae = IEFPBranch(), IEFPBranch()
    net.margin_fc = nn.Module()
    net.margin_fc.weight = nn.Parameter(torch.randn(9, 16))
    net.clubmi = nn.Module()
    net.clubmi.p_mu, net.clubmi.p_logvar = _predictor(False), _predictor(True)
    net.age_estimator = nn.Linear(16, 8)
    shaken(net)
    settled(net, net.backbone_ae, 32)
    settled(net, net.backbone_id, 32)
    return net


def iefp(folder: Path) -> Made:
    net = iefp_network()
    path = folder / "ms1mv3_iresnet50_IEFP.pth"
    # Trained on several GPUs, as the authors' script does it.
    torch.save({f"module.{key}": value for key, value in net.state_dict().items()}, path)
    return Made(
        path,
        32,
        lambda chips: mean_age(
            net.age_estimator(net.backbone_ae(pixels(chips, HALF))), _GROUP_MEANS
        ),
        exported=False,  # the identity branch is, in a test of its own
        normal=HALF,
    )


def _guided(folder: Path, net: nn.Module, size: int, name: str) -> Made:
    whole = nn.Module()
    whole.model = shaken(net)
    if name != "vit":
        settled(net, net, size)
    with torch.no_grad():
        last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]
        last.weight.mul_(20.0 if name == "efficientnet_b0" else 1.0)
        last.bias.fill_(35.0)
    torch.save(whole.state_dict(), folder / f"{name}.pt")
    return Made(
        folder / f"{name}.pt",
        size,
        lambda chips: net(pixels(chips, IMAGENET))[:, 0],
        {"size": size} if name != "vit" else {},
        exported=name == "vit",
    )


def guide_resnet50(folder: Path) -> Made:
    net = resnet50(weights=None)
    net.fc = nn.Sequential(nn.Dropout(0.2), nn.Linear(2048, 256), nn.Linear(256, 1))
    return _guided(folder, net, 32, "resnet50")


def guide_efficientnet(folder: Path) -> Made:
    net = efficientnet_b0(weights=None)
    net.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 256), nn.Linear(256, 1))
    return _guided(folder, net, 32, "efficientnet_b0")


def guide_vit(folder: Path) -> Made:
    net = timm.create_model("vit_small_patch14_dinov2", img_size=28, num_classes=0)
    net.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(384, 256), nn.ReLU(), nn.Linear(256, 1))
    return _guided(folder, net, 28, "vit")


class _SEBottleneck(nn.Module):
    """Of SE-ResNeXt, by the names of pretrainedmodels."""

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        width, outputs = planes * 2, planes * 4  # base width 4, 32 groups
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=32, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.se_module = nn.Module()
        self.se_module.fc1 = nn.Conv2d(outputs, outputs // 16, 1)
        self.se_module.fc2 = nn.Conv2d(outputs // 16, outputs, 1)
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn1(self.conv1(x)).relu()
        out = self.bn3(self.conv3(self.bn2(self.conv2(out)).relu()))
        seen = out.mean((2, 3), keepdim=True)
        out = out * self.se_module.fc2(self.se_module.fc1(seen).relu()).sigmoid()
        return (out + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()


def ldl_multi_task(folder: Path) -> Made:
    net = nn.Module()
    net.layer0 = nn.Module()
    net.layer0.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    net.layer0.bn1 = nn.BatchNorm2d(64)
    inputs = 64
    for number, (planes, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        blocks = []
        for place in range(count):
            blocks.append(_SEBottleneck(inputs, planes, 2 if number > 1 and place == 0 else 1))
            inputs = planes * 4
        setattr(net, f"layer{number}", nn.Sequential(*blocks))
    net.last_linear = nn.Linear(2048 + 7, 101)
    net.gen_fc, net.eth_fc = nn.Linear(512, 2), nn.Linear(512, 5)
    shaken(net)

    def outputs(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = net.layer0.bn1(net.layer0.conv1(images)).relu()
        x = net.layer1(nn.functional.max_pool2d(x, 3, 2, ceil_mode=True))
        early = net.layer2(x)
        x = net.layer4(net.layer3(early)).mean((2, 3))
        gender, race = net.gen_fc(early.mean((2, 3))), net.eth_fc(early.mean((2, 3)))
        return net.last_linear(torch.cat((x, gender, race), 1)), gender, race

    def of(place: int) -> Callable[[Chips], Tensor]:
        return lambda chips: outputs(pixels(chips, IMAGENET))[place]

    settled(net, outputs, 64)
    _ldl_saved(net, folder / "multi-task.pth", "se_resnext50_32x4d")
    return Made(
        folder / "multi-task.pth",
        64,
        lambda chips: mean_age(of(0)(chips), [float(age) for age in range(101)]),
        {"size": 64},
        {
            "gender": lambda chips: of(1)(chips).softmax(1),
            "ethnicity": lambda chips: of(2)(chips).softmax(1),
        },
        exported=False,
    )
