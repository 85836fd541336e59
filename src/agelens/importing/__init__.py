"""Trained files of other systems to models of agelens; one file here knows one system's layout.

>>> from agelens.inference import import_model
>>> import_model("agedb.pt", "models/agedb", ages="agedb.csv")  # doctest: +SKIP

`IMPORTERS` holds import paths, so that one layout's file is all that using it loads.
"""

from __future__ import annotations

from typing import Final

IMPORTERS: Final[dict[str, str]] = {
    "rapl": "agelens.importing.rapl:LAYOUT",
    "ldl": "agelens.importing.ldl:LAYOUT",
    "iefp-age": "agelens.importing.iefp:AGE_BRANCH",
    "iefp": "agelens.importing.iefp:WHOLE",
    "guide": "agelens.importing.guide:LAYOUT",
    "coral-tf": "agelens.importing.coral_tf:LAYOUT",
    "mivolo": "agelens.importing.mivolo:LAYOUT",
    "fairface": "agelens.importing.fairface:LAYOUT",
    "vit-age-classifier": "agelens.importing.vit_age_classifier:LAYOUT",
    "insightface-genderage": "agelens.importing.insightface_genderage:LAYOUT",
    "torchvision": "agelens.importing.named_networks:TORCHVISION",
    "timm": "agelens.importing.named_networks:TIMM",
}
AUTO: Final = "auto"
