"""Readers of public datasets in their owners' layouts; `DATASETS` names them all.

A reader is one function from a folder to a `SampleTable`. The registry holds import paths,
so that listing the datasets loads none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pkgutil import resolve_name
from typing import Any, Final

from agelens.errors import UnknownNameError

_HOME: Final = "agelens.data.datasets"


@dataclass(frozen=True, slots=True)
class Dataset:
    """What can be said of a dataset without reading it.

    `counts` are those that the owner or the literature states, by part; `pairs` is the reader of
    its verification pairs, where it has some.
    """

    title: str
    summary: str
    terms: str
    labels: str
    counts: Mapping[str, int]
    reader: str
    pairs: str | None = None


DATASETS: Final[dict[str, Dataset]] = {
    "agedb": Dataset(
        title="AgeDB",
        summary="celebrities across their lives, in the wild",
        terms="e-mail request to iBUG, Imperial College; non-commercial research",
        labels="real",
        counts={"all": 16_488},
        reader="agedb:read_agedb",
    ),
    "afad-full": Dataset(
        title="AFAD-Full",
        summary="Asian faces from the RenRen network, ages mostly 15 to 40",
        terms="cite Niu et al. 2016; research",
        labels="real (self-reported)",
        counts={"ages 15 to 40": 164_418},
        reader="afad:read_afad_full",
    ),
    "afad-lite": Dataset(
        title="AFAD-Lite",
        summary="AFAD cut down to ages 18 to 39",
        terms="cite Niu et al. 2016; research",
        labels="real (self-reported)",
        counts={"all": 59_344},
        reader="afad:read_afad_lite",
    ),
    "cacd2000": Dataset(
        title="CACD2000",
        summary="2,000 celebrities over ten years",
        terms="research",
        labels="real (year minus year of birth)",
        counts={"all": 163_446},
        reader="cacd2000:read_cacd2000",
    ),
    "cacd-vs": Dataset(
        title="CACD-VS",
        summary="4,000 pairs of celebrities for verification across age",
        terms="research",
        labels="none",
        counts={"all": 8_000},
        reader="cacd_vs:read_cacd_vs",
        pairs="cacd_vs:read_cacd_vs_pairs",
    ),
    "morph2": Dataset(
        title="MORPH Album 2",
        summary="police photographs, non-commercial release of 2008",
        terms="licence agreement with UNC Wilmington; no redistribution",
        labels="real",
        counts={"all": 55_134},
        reader="morph2:read_morph2",
    ),
    "megaage": Dataset(
        title="MegaAge",
        summary="Flickr faces aged by comparison with FG-NET",
        terms="research",
        labels="apparent (comparisons)",
        counts={"all": 41_941},
        reader="megaage:read_megaage",
    ),
    "megaage-asian": Dataset(
        title="MegaAge-Asian",
        summary="Asian faces aged as in MegaAge",
        terms="research",
        labels="apparent (comparisons)",
        counts={"train": 40_000, "test": 3_945},
        reader="megaage:read_megaage_asian",
    ),
    "imdb": Dataset(
        title="IMDB of IMDB-WIKI",
        summary="actors, aged by date of birth and year of the picture",
        terms="academic research",
        labels="real (noisy)",
        counts={"all": 460_723},
        reader="imdb_wiki:read_imdb",
    ),
    "wiki": Dataset(
        title="WIKI of IMDB-WIKI",
        summary="people on Wikipedia, aged as in IMDB",
        terms="academic research",
        labels="real (noisy)",
        counts={"all": 62_328},
        reader="imdb_wiki:read_wiki",
    ),
    "imdb-wiki": Dataset(
        title="IMDB-WIKI",
        summary="both halves under one root",
        terms="academic research",
        labels="real (noisy)",
        counts={"imdb": 460_723, "wiki": 62_328},
        reader="imdb_wiki:read_imdb_wiki",
    ),
    "imdb-clean": Dataset(
        title="IMDB-Clean",
        summary="IMDB with the wrong faces sorted out",
        terms="annotations MIT; pictures academic research",
        labels="real (cleaned)",
        counts={"train": 183_886, "valid": 45_971, "test": 56_086},
        reader="imdb_clean:read_imdb_clean",
    ),
    "appa-real": Dataset(
        title="APPA-REAL",
        summary="real and apparent age of the same faces",
        terms="research (competition)",
        labels="apparent or real",
        counts={"train": 4_113, "valid": 1_500, "test": 1_978},
        reader="appa_real:read_appa_real",
    ),
    "lap2015": Dataset(
        title="ChaLearn LAP 2015",
        summary="apparent age challenge of 2015",
        terms="research (competition)",
        labels="apparent",
        counts={"train": 2_476, "valid": 1_136, "test": 1_079},
        reader="chalearn_lap:read_lap2015",
    ),
    "lap2016": Dataset(
        title="ChaLearn LAP 2016",
        summary="apparent age challenge of 2016, pictures of APPA-REAL",
        terms="research (competition)",
        labels="apparent",
        counts={"train": 4_113, "valid": 1_500, "test": 1_978},
        reader="chalearn_lap:read_lap2016",
    ),
    "utkface": Dataset(
        title="UTKFace, aligned chips",
        summary="faces from the web, newborn to 116",
        terms="non-commercial research",
        labels="estimated (DEX, then a person's check)",
        counts={"all": 23_708},
        reader="utkface:read_utkface",
    ),
    "utkface-wild": Dataset(
        title="UTKFace, whole pictures",
        summary="the pictures that UTKFace's chips were cut from",
        terms="non-commercial research",
        labels="estimated (DEX, then a person's check)",
        counts={},
        reader="utkface:read_utkface_wild",
    ),
    "fgnet": Dataset(
        title="FG-NET",
        summary="family albums of 82 people, with 68 points",
        terms="research",
        labels="real",
        counts={"all": 1_002},
        reader="fgnet:read_fgnet",
    ),
    "fairface": Dataset(
        title="FairFace",
        summary="Flickr faces balanced over seven races",
        terms="CC BY 4.0",
        labels="apparent classes",
        counts={"train": 86_744, "valid": 10_954},
        reader="fairface:read_fairface",
    ),
    "adience": Dataset(
        title="Adience",
        summary="Flickr albums in five folds",
        terms="Flickr pictures under Creative Commons; research",
        labels="apparent classes",
        counts={"folds": 19_487},
        reader="adience:read_adience",
    ),
    "lagenda": Dataset(
        title="LAGENDA",
        summary="benchmark of people in Open Images, ten votes each",
        terms="research benchmark; pictures of Open Images",
        labels="apparent",
        counts={"all": 347_509, "with an age": 84_192},
        reader="lagenda:read_lagenda",
    ),
    "all-age-faces": Dataset(
        title="All-Age-Faces",
        summary="one picture each of mostly East Asian people",
        terms="research; cite Cheng et al. 2019",
        labels="not stated, taken as apparent",
        counts={"all": 13_322},
        reader="all_age_faces:read_all_age_faces",
    ),
    "lfw": Dataset(
        title="LFW",
        summary="Labeled Faces in the Wild, identities and pairs",
        terms="research",
        labels="none",
        counts={"all": 13_233},
        reader="lfw:read_lfw",
        pairs="lfw:read_lfw_pairs",
    ),
    "calfw": Dataset(
        title="CALFW",
        summary="cross-age pairs of LFW's people",
        terms="research",
        labels="none",
        counts={"pairs": 6_000},
        reader="calfw:read_calfw",
        pairs="calfw:read_calfw_pairs",
    ),
    "ms1mv3": Dataset(
        title="MS1MV3",
        summary="identities to train recognition on, as RecordIO",
        terms="research; the source was withdrawn",
        labels="none",
        counts={"all": 5_179_510},
        reader="ms1mv3:read_ms1mv3",
    ),
    "ms1mv3-folders": Dataset(
        title="MS1MV3, folders",
        summary="MS1MV3 extracted, with IEFP's estimated ages in the names",
        terms="research; the source was withdrawn",
        labels="estimated by a model",
        counts={"all": 5_179_510},
        reader="ms1mv3:read_ms1mv3_folders",
    ),
}


def dataset_reader(name: str) -> Callable[..., Any]:
    """The function that reads the dataset called `name` from its root into a `SampleTable`.

    Its docstring states terms, labels, noise and bias, and what else it can be asked for. A
    reader of one's own is named by where it can be imported from: `my_data.read_people`.

    Raises:
        UnknownNameError: no dataset has that name; the message lists those that exist.
    """
    if name not in DATASETS and ("." in name or ":" in name):
        try:
            own: Callable[..., Any] = resolve_name(name)
        except (ImportError, AttributeError, ValueError) as error:
            hint = f" Nor can it be imported: {error}."
            raise UnknownNameError("dataset", name, DATASETS, hint) from error
        return own
    if name not in DATASETS:
        raise UnknownNameError("dataset", name, DATASETS)
    return _function(DATASETS[name].reader)


def pairs_reader(name: str) -> Callable[..., Any]:
    """The function that reads the verification pairs of `name` into a `PairTable`.

    Raises:
        UnknownNameError: no dataset with pairs has that name; the message lists those that do.
    """
    paired = {key: entry.pairs for key, entry in DATASETS.items() if entry.pairs is not None}
    if name not in paired:
        raise UnknownNameError("dataset with pairs", name, paired)
    return _function(paired[name])


def _function(path: str) -> Callable[..., Any]:
    module, _, attribute = path.partition(":")
    loaded: Callable[..., Any] = getattr(import_module(f"{_HOME}.{module}"), attribute)
    return loaded
