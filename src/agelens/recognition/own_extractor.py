"""A card for somebody's own embedding network: ArcFace, AdaFace, MobileFaceNet and their like.

What the network takes is recognised by its shape; how its pixels are scaled, and in which order
their colours come, by what drawn faces look like to it, or by labelled faces where there are some.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import onnx
from onnx import helper
from PIL import Image

from agelens.atomic import atomic_folder, write_json
from agelens.data.drawn_sample import draw_sample
from agelens.errors import CardError, TableError, UnknownNameError, UsageError
from agelens.foreign_files import content_of, decoding
from agelens.imaging.align import SimilarityAligner, template_named
from agelens.imaging.detectors.retinaface import RetinaFace
from agelens.inference.cards import CARD_FILE, LARGEST_WEIGHTS
from agelens.recognition.embed_faces import embed
from agelens.recognition.embedding_table import EmbeddingModel, EmbeddingTable
from agelens.recognition.extractors import open_extractor
from agelens.recognition.extractors.network import (
    TASK,
    NetworkExtractor,
    PurifiedExtractor,
    read_embedding_card,
)
from agelens.recognition.measuring_rates import measure_rates, pairs_of_rows, subject_codes
from agelens.recognition.purifier import FORMAT as PURIFIER
from agelens.recognition.purifier import NETWORK
from agelens.recognition.rates_by_age import rates_by_age
from agelens.records import RGB
from agelens.sessions import read_onnx
from agelens.version import __version__

SCALES: Final[dict[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    "arcface": ((127.5,) * 3, (127.5,) * 3),
    "bytes": ((0.0,) * 3, (1.0,) * 3),
    "unit": ((0.0,) * 3, (255.0,) * 3),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}
"""Mean and deviation by which networks have their pixels: -1 to 1, 0 to 255, 0 to 1, ImageNet's."""
ORDERS: Final = ("RGB", "BGR")
_LEAST_DIMENSION: Final = 16
_DRAWN: Final = 24
_CLEARLY: Final = 1.5
"""Times better than the usual way another one must tell drawn faces apart to be believed."""
_ALIKE: Final = 0.98
_FREE: Final = "N"


@dataclass(frozen=True, slots=True)
class AddedExtractor:
    """Where the card is, and what was recognised and measured."""

    folder: Path
    document: Mapping[str, Any]
    recognised: str

    def sentences(self) -> list[str]:
        """What the network takes, how that is known, and what was measured."""
        lines, verification = [self._taken()], self.document["verification"]
        if verification is None:
            return [
                *lines,
                "no rates were measured, without which verify and search refuse it: name labelled "
                "faces (--measure TABLE)",
            ]
        found = verification["single"]
        lines += [
            f"false match rate {rate['false_match_rate']:g}: threshold {rate['threshold']:.4f}, of "
            f"pairs of one person {rate['true_match_rate']:.1%} are called the same"
            for rate in found["rates"]
        ]
        by_age = len(found["by_age"])
        measured = f"{found['different_pairs']:,} pairs of {found['people']:,} people"
        return [*lines, f"measured on {measured} of {found['dataset']}; {by_age} cells of ages"]

    def _taken(self) -> str:
        if self.document.get("format") == PURIFIER:
            return f"purifies embeddings of {EmbeddingModel(**self.document['base'])}"
        taken = self.document["input"]
        return (
            f"takes {taken['size']} pixels of {taken['template']}, {taken['color_order']}, mean "
            f"{taken['mean'][0]:g} and deviation {taken['std'][0]:g}, and answers with "
            f"{self.document['output']['dimension']} numbers ({self.recognised})"
        )


def add_extractor(
    network: str | Path,
    name: str,
    *,
    template: str = "arcface-112",
    folder: str | Path | None = None,
    color_order: str | None = None,
    scale: str | None = None,
    measure: Any = None,
    root: str | Path | None = None,
    dataset: str = "the user's faces",
    licence: str = "not stated",
    progress: Any = None,
) -> AddedExtractor:
    """Write a folder with `network` and its card, which `open_extractor` takes.

    Args:
        network: ONNX, from one picture [N, 3, S, S] or [N, S, S, 3] to an embedding [N, D]; or a
            folder with such a network and its card, as `agelens import --task embedding` and
            trained runs have it, or of a purifier: the card says all but the rates.
        name: what it is called.
        template: where the five points of a face lie in its chips, of `TEMPLATES`.
        folder: a new one; by default called `name`, here.
        color_order: ``RGB`` or ``BGR``; by default recognised.
        scale: of `SCALES`; by default recognised.
        measure: labelled faces of people that the network was not trained on, as `embed` takes
            them: its rates are measured on them, by age too where they have ages.
        root: where their photos are.
        dataset: what the card calls them.
        licence: of the weights.
        progress: called with faces embedded and faces in all.

    Raises:
        CardError: the file is no such network, or tells no drawn face from another.
        UnknownNameError: no such template, scale or order.
        UsageError: the folder holds something; or faces of too few people.
        TableError: see `measure_rates`.
    """
    points = template_named(template)
    for what, given, known in (("scale", scale, SCALES), ("colour order", color_order, ORDERS)):
        if given is not None and given not in known:
            raise UnknownNameError(what, given, known)
    path, place = Path(network), Path(name if folder is None else folder)
    embedded = partial(embed, measure, root=root, progress=progress)
    if path.is_dir():
        if color_order is not None or scale is not None:
            raise UsageError(f"{path}: its card says how its pixels come: leave out what you said")
        if measure is None:
            raise UsageError(f"{path} has a card already, and lacks rates: name faces (--measure)")
        document = _measured_copy(path, place, name, embedded, dataset)
        return AddedExtractor(place, document, "as its card says")
    with decoding(path, "an ONNX file", CardError):
        content = content_of(path, LARGEST_WEIGHTS)
    ready, size = _as_extractor(read_onnx(content, name=path), points.size, str(path))
    with atomic_folder(place, "extractor") as made:
        weights = ready.SerializeToString()
        (made / "model.onnx").write_bytes(weights)
        document = _document(name, weights, template, size, licence)
        document["output"] = {"kind": TASK, "dimension": _dimension(ready)}
        chips = _drawn_chips(document)
        ways = [(s, o) for s in SCALES for o in ORDERS if (scale or s, color_order or o) == (s, o)]
        told = {way: _apart(made, document, way, chips) for way in ways}
        way, recognised = _chosen(told, stated=scale is not None and color_order is not None)
        _write(made, document, way)
        if measure is not None:
            ways = [way] if color_order else [(way[0], order) for order in ORDERS]
            tables = {}
            for one in ways:
                _write(made, document, one)
                extractor = NetworkExtractor(read_embedding_card(made / CARD_FILE))
                tables[one] = embedded(extractor=extractor)
            way = max(ways, key=lambda one: _area(tables[one]))
            if len(ways) > 1:
                recognised += f"; colours by {dataset}"
            document["verification"] = {"single": _measured(tables[way], dataset)}
            _write(made, document, way)
    return AddedExtractor(place, document, recognised)


def _measured_copy(
    source: Path,
    place: Path,
    name: str,
    embedded: Callable[..., EmbeddingTable],
    dataset: str,
) -> dict[str, Any]:
    """Write the network of a folder that has a card, with the rates that it lacks, to `place`."""
    extractor = open_extractor(source / CARD_FILE)
    document = {**extractor.document, "name": name}
    weights, file = source / NETWORK, NETWORK
    if not isinstance(extractor, PurifiedExtractor):
        weights, file = read_embedding_card(source / CARD_FILE).weights, "model.onnx"
        document["weights"] = {**document["weights"], "path": file}
    with atomic_folder(place, "extractor") as folder:
        table = embedded(extractor=extractor)
        document["verification"] = {table.model.crops: _measured(table, dataset)}
        (folder / file).write_bytes(content_of(weights, LARGEST_WEIGHTS))
        write_json(folder / CARD_FILE, document)
    return document


def _as_extractor(
    model: onnx.ModelProto, template_size: int, name: str
) -> tuple[onnx.ModelProto, int]:
    """The network with a free batch, channels first and one flat output, and the side it takes."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in weights]
    if len(inputs) != 1 or len(_shape(inputs[0])) != 4:
        raise CardError(f"{name}: an extractor takes one picture [N, 3, S, S] or [N, S, S, 3]")
    shape = _shape(inputs[0])
    channels_last = shape[3] == 3 and shape[1] != 3
    sides = shape[1:3] if channels_last else shape[2:]
    if not channels_last and shape[1] not in (3, None):
        raise CardError(f"{name}: takes {shape[1]} channels, and faces have 3")
    size = next((side for side in sides if side), template_size)
    output = next((o for o in model.graph.output if _is_embedding(_shape(o))), None)
    if output is None:
        shapes = ", ".join(str(_shape(one)) for one in model.graph.output)
        raise CardError(f"{name}: an extractor answers [N, D] with D of 16 or more, got {shapes}")
    graph = model.graph
    picture, answer = inputs[0].name, output.name
    if channels_last:
        inner = f"{picture}_last"
        for node in graph.node:
            node.input[:] = [inner if one == picture else one for one in node.input]
        graph.node.insert(0, helper.make_node("Transpose", [picture], [inner], perm=[0, 2, 3, 1]))
    flat = f"{answer}_flat"
    graph.node.append(helper.make_node("Flatten", [answer], [flat], axis=1))
    floats = onnx.TensorProto.FLOAT
    width = next(side for side in reversed(_shape(output)) if side and side > 1)
    kept = [one for one in graph.input if one.name in weights]
    del graph.input[:], graph.output[:], graph.value_info[:]
    graph.input.extend(
        [helper.make_tensor_value_info(picture, floats, [_FREE, 3, size, size]), *kept]
    )
    graph.output.extend([helper.make_tensor_value_info(flat, floats, [_FREE, width])])
    return model, size


def _shape(port: onnx.ValueInfoProto) -> list[int | None]:
    """Sides, None where one is free."""
    return [side.dim_value or None for side in port.type.tensor_type.shape.dim]


def _is_embedding(shape: list[int | None]) -> bool:
    wide = [side for side in shape[1:] if side != 1]
    return len(shape) >= 2 and len(wide) == 1 and (wide[0] or 0) >= _LEAST_DIMENSION


def _dimension(model: onnx.ModelProto) -> int:
    return int(model.graph.output[0].type.tensor_type.shape.dim[1].dim_value)


def _document(name: str, weights: bytes, template: str, size: int, licence: str) -> dict[str, Any]:
    return {
        "name": name,
        "version": "1",
        "task": TASK,
        "summary": "an embedding network that was brought along (agelens identity add)",
        "weights": {"path": "model.onnx", "sha256": hashlib.sha256(weights).hexdigest()},
        "input": {"size": size, "alignment": "similarity", "template": template, "margin": 0.0},
        "verification": None,
        "trained_on": [{"dataset": "not stated", "split": "not stated", "licence": "not stated"}],
        "metrics": [],
        "licences": {"code": "MIT (agelens)", "weights": licence, "data": "not stated"},
        "paper": "not stated",
        "notes": ["It tells people apart: the README says what recognition must not be used for."],
        "agelens_version": __version__,
    }


def _write(folder: Path, document: dict[str, Any], way: tuple[str, str]) -> None:
    mean, std = SCALES[way[0]]
    document["input"] |= {"color_order": way[1], "mean": list(mean), "std": list(std)}
    write_json(folder / CARD_FILE, document)


def _drawn_chips(document: Mapping[str, Any]) -> RGB:
    """Chips of drawn faces, a person each, as the network has them."""
    taken = document["input"]
    aligner = SimilarityAligner(template_named(taken["template"]), taken["size"], 0.0)
    detector, chips = RetinaFace(), []
    with TemporaryDirectory() as place:
        table = draw_sample(Path(place) / "drawn", 2 * _DRAWN)
        for photo in sorted((table.parent / "photos").glob("*.jpg"))[::2]:
            rgb = np.asarray(Image.open(photo))
            chips += [aligner.align(rgb, face).rgb for face in detector.detect(rgb)[:1]]
    return np.stack(chips)


def _apart(folder: Path, document: dict[str, Any], way: tuple[str, str], chips: RGB) -> float:
    """How far a face that is moved by two pixels is from other faces, in their deviations."""
    _write(folder, document, way)
    extractor = NetworkExtractor(read_embedding_card(folder / CARD_FILE))
    alone = np.concatenate([extractor.embed(chip[None]) for chip in chips[:2]])
    try:
        one, moved = extractor.embed(chips), extractor.embed(np.roll(chips, 2, axis=2))
        several = np.allclose(alone, one[:2], atol=1e-3)
    except CardError:
        several = False
    if not several:
        raise CardError(
            f"{document['name']}: it answers for one face and not for several at once, so that its "
            "batch is fixed to 1 within the network; export it with a free batch"
        )
    alike = one @ one.T
    others = alike[np.triu_indices(len(one), 1)]
    if others.mean() > _ALIKE and others.std() < 1 - _ALIKE:
        return 0.0  # all faces are one to it
    return float(((one * moved).sum(1).mean() - others.mean()) / max(float(others.std()), 1e-6))


def _chosen(told: Mapping[tuple[str, str], float], *, stated: bool) -> tuple[tuple[str, str], str]:
    """The usual way (the first) unless another is clearly better."""
    usual, best = next(iter(told)), max(told, key=lambda way: told[way])
    way = best if told[best] > _CLEARLY * told[usual] else usual
    if told[way] <= 0:
        raise CardError(
            "drawn faces are all one to this network, however their pixels are scaled: it is "
            "damaged, or embeds something else than faces"
        )
    if stated:
        return way, "as stated; drawn faces differ"
    if way == usual:
        return way, "the usual way of its shape; drawn faces differ"
    return way, f"drawn faces differ {told[way] / max(told[usual], 1e-6):.1f} times as clearly so"


def _area(table: EmbeddingTable) -> float:
    """The chance that a pair of one person is more alike than one of two people."""
    there = table.with_embedding()
    people = subject_codes(there)
    same, other = [], []
    for first, second, alike in pairs_of_rows(there.vectors):
        one = people[first] == people[second]
        same.append(alike[one])
        other.append(alike[~one])
    strangers, own = np.sort(np.concatenate(other)), np.concatenate(same)
    if not (len(strangers) and len(own)):
        raise TableError("measuring rates needs pairs of one person and of different people")
    return float(np.searchsorted(strangers, own).mean() / len(strangers))


def _measured(table: EmbeddingTable, dataset: str) -> dict[str, Any]:
    rates = measure_rates(table, dataset)
    if not rates.rates:
        raise UsageError(
            f"{rates.different_pairs:,} pairs of {rates.people} people promise no false match "
            "rate, not even 0.1: name more people"
        )
    aged = table.frame["age_years"].notna().any()
    by_age = rates_by_age({dataset: table}) if aged else ()
    return asdict(replace(rates, by_age=by_age))
