"""What `agelens verify` does: two photos in, one verdict out; nothing is kept."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Final

from agelens.errors import PhotoError
from agelens.inference.estimator import AgeEstimator
from agelens.recognition.extractors import open_extractor
from agelens.recognition.photo_pair import PhotoVerifier, Verdict, VerifiedFace

_PHOTO_UNUSABLE: Final = 3


def run(options: argparse.Namespace) -> int:
    """Compare both photos and print the verdict."""
    verifier = PhotoVerifier(
        open_extractor(options.model),
        AgeEstimator(detector=options.detector, workers=1),
        false_match_rate=options.false_match_rate,
        largest=options.face == "largest",
    )
    try:
        verdict = verifier.verify(options.first, options.second)
    except PhotoError as error:
        print(f"agelens: error: {error}", file=sys.stderr)
        return _PHOTO_UNUSABLE
    if options.json:
        print(json.dumps(verdict.to_json(), ensure_ascii=False, allow_nan=False))
    else:
        _tell(verdict)
    return 0


def _tell(verdict: Verdict) -> None:
    for face in (verdict.first, verdict.second):
        print(_age(face))
    rate, rates = verdict.decided_by, verdict.rates
    decision = "the same person" if verdict.same_person else "not the same person"
    print(
        f"similarity {verdict.similarity:.3f}, threshold {rate.threshold:.3f}: called {decision} "
        f"at a false match rate of {rate.false_match_rate:g}"
    )
    if verdict.caution:
        print(f"caution: {verdict.caution}")
    print(
        f"measured on {rates.different_pairs:,} pairs of {rates.people:,} strangers of "
        f"{rates.dataset}; of pairs of one person {rate.true_match_rate:.1%} are called the same. "
        "Relatives, children, and people of one group are confused more often. No proof of "
        "identity."
    )


def _age(face: VerifiedFace) -> str:
    age = face.estimate
    level = "not calibrated" if age.coverage is None else f"measured {age.coverage:.0%}"
    doubt = f"; {age.refer}" if age.refer else ""
    several = f" (largest of {face.faces_found} faces)" if face.faces_found > 1 else ""
    return (
        f"{face.photo}{several}: looks {age.estimate_years:.0f}, {age.low_years:.0f} to "
        f"{age.high_years:.0f} ({age.interval_level:.0%} interval, {level}){doubt}"
    )
