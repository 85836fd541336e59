"""How well faces of a folder are put together: purity and completeness by the cut, beside HDBSCAN.

    python benchmarks/grouping.py lfw-faces.parquet fgnet-faces.parquet

Tables of `agelens identity embed`, a set each. Purity: the share of faces in a group whose
commonest person they are. Completeness: the share of faces in the group that has most faces of
their person. F: harmonic mean. The cut is chosen on people at odd places of the sorted list of
names; those at even places are for the figures. HDBSCAN is scikit-learn's, on the same vectors.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.cluster import HDBSCAN

from agelens.recognition.embedding_table import read_embeddings
from agelens.recognition.extractors import open_extractor
from agelens.recognition.folder_search import CUT_AT, group_faces
from agelens.recognition.measured_rates import rates_of
from recognition_by_age import half

CUTS = (0.01, 0.001, 0.0001, 0.00001)


def main() -> None:
    options = _options()
    rates = rates_of(open_extractor(options.extractor))
    for path in options.tables:
        for parity, words in ((1, "odd places, to choose"), (0, "even places, figures")):
            table = half(read_embeddings(path).with_embedding(), parity)
            people = np.unique(table.frame["subject"].astype(str), return_inverse=True)[1]
            print(f"\n{path.name}, {words}: {len(people):,} faces of {people.max() + 1:,} people")
            for cut in CUTS:
                chosen = " (chosen)" if cut == CUT_AT else ""
                _show(
                    f"cut at {cut:g}{chosen}", group_faces(table.vectors, rates, cut_at=cut), people
                )
            found = HDBSCAN(min_cluster_size=2, copy=True).fit_predict(table.vectors)
            alone = found < 0
            found[alone] = found.max() + 1 + np.arange(alone.sum())
            _show("HDBSCAN, 2 faces or more", found, people)


def _show(name: str, groups: np.ndarray, people: np.ndarray) -> None:
    pure, complete = shares(groups, people)
    both = 2 * pure * complete / (pure + complete)
    print(
        f"  {name:26} purity {pure:.1%}, completeness {complete:.1%}, F {both:.1%}, "
        f"{groups.max() + 1:,} groups"
    )


def shares(groups: np.ndarray, people: np.ndarray) -> tuple[float, float]:
    """Purity and completeness."""
    counts = np.zeros((groups.max() + 1, people.max() + 1), dtype=np.int64)
    np.add.at(counts, (groups, people), 1)
    return float(counts.max(1).sum() / counts.sum()), float(counts.max(0).sum() / counts.sum())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--extractor", default="dlib-resnet29")
    return parser.parse_args()


if __name__ == "__main__":
    main()
