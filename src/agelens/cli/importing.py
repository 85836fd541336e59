"""`agelens import`: a trained file of another system as a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from agelens.cli.options import (
    NonNegativeFloat,
    OneOf,
    OpenShare,
    PositiveFloat,
    PositiveInt,
)
from agelens.cli.output import print_json
from agelens.errors import UsageError


def import_(
    file: Path,
    *,
    from_: Annotated[str, OneOf("agelens.importing:IMPORTERS")] = "auto",
    output: Path,
    ages: str | None = None,
    size: PositiveInt | None = None,
    arch: str | None = None,
    task: Literal["age", "embedding"] = "age",
    threshold: OpenShare | None = None,
    template: str | None = None,
    margin: float | None = None,
    mean: list[NonNegativeFloat] | None = None,
    std: list[PositiveFloat] | None = None,
    licence: str | None = None,
    show_keys: bool = False,
    json: bool = False,
) -> None:
    """Make a model of a file that another system trained: weights as ONNX, and their card.

    No code of the file runs. Each of its keys has to be known: what is left over is named, and
    nothing is written. What comes out works wherever a model does (--model), with intervals once
    agelens calibrate has measured it. See docs/import.md for each layout.

    Args:
        file: .pt, .pth, .pth.tar, .ckpt, .bin, .safetensors, .h5 or .onnx; or a folder of
            Hugging Face's.
        from_: whose file it is; auto looks at its keys.
        output: a new folder for the model.
        ages: of its age layer, such as 15-40, or the list that it was trained on (.csv).
        size: side of its chips in pixels, where the file does not tell.
        arch: name of its network, where the file does not tell (torchvision, timm, ldl).
        task: which branch of a file that has one for ages and one for identity.
        threshold: above which a rank counts (coral-tf).
        template: frame that photos are cut to.
        margin: around it, as a share; ldl's --expand.
        mean: of red, green and blue from 0 to 1.
        std: likewise.
        licence: of the weights, for the card.
        show_keys: print what became of every key.
        json: print JSON instead of sentences.
    """
    for name, numbers in (("mean", mean), ("std", std)):
        if numbers is not None and len(numbers) != 3:
            raise UsageError(f"--{name} is three numbers with commas, got {len(numbers)}")
    from agelens.importing.import_file import ASK_AUTHORS, import_model  # noqa: PLC0415 - loads torch

    made = import_model(
        file,
        output,
        layout=from_,
        ages=ages,
        size=size,
        arch=arch,
        task=task,
        threshold=threshold,
        template=template,
        margin=margin,
        mean=mean,
        std=std,
        licence=licence,
    )
    if json:
        lines = [str(line) for line in made.keys.lines] if show_keys else []
        told = {"folder": str(made.folder), "layout": made.layout.name, **made.export}
        print_json({**told, "keys": made.keys.summary} | ({"lines": lines} if show_keys else {}))
        return
    print(made.keys if show_keys else made.keys.summary)
    print(f"{made.folder}: a model of {made.layout.owner}")
    use = f"estimate photo.jpg --model {made.folder} uses it"
    if task == "embedding":  # verify refuses it without rates
        use = f"identity add {made.folder} --name NAME --measure TABLE makes an --extractor of it"
    print(f"agelens {use}; licence of the weights: {licence or ASK_AUTHORS}")
