"""Which key of a weights file is which parameter of a backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from torch import Tensor

from agelens.errors import CardError
from agelens.models.backbones.base import Backbone
from agelens.models.backbones.weights.key_report import KeyFate, KeyLine

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
    lines = [KeyLine("beyond", source=source) for source in others]
    taken: dict[str, Tensor] = {}
    for source in theirs:
        bare = renamed(unwrapped(source))
        name = ours.get(bare)
        if name is None:
            # Buffers that are computed are not saved; older files have them.
            known = bare in derived or bare.startswith(backbone.beyond)
            fate: KeyFate = "beyond" if known else "unexpected"
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
