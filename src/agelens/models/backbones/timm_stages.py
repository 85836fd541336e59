"""The stages of a network of timm, from the groups of layers that it states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from timm.models import group_parameters


def timm_stages(net: Any) -> tuple[tuple[str, ...], ...]:
    """The groups of timm's layers, each as the fewest prefixes that name it."""
    groups: Mapping[int, list[str]] = group_parameters(net, net.group_matcher(coarse=True))
    owners: dict[str, set[int]] = defaultdict(set)
    for group, names in groups.items():
        for name in names:
            for prefix in _prefixes(name):
                owners[prefix].add(group)
    return tuple(
        tuple(
            dict.fromkeys(
                f"net.{next(prefix for prefix in _prefixes(name) if len(owners[prefix]) == 1)}"
                for name in groups[group]
            )
        )
        for group in sorted(groups)
    )


def _prefixes(name: str) -> list[str]:
    """From the first part to the whole name: ``layer1.``, ``layer1.0.``, ..."""
    parts = name.split(".")
    return [*accumulate(f"{part}." for part in parts[:-1]), name]
