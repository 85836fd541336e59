"""What every split protocol offers."""

from __future__ import annotations

from typing import ClassVar, Protocol

import pandas as pd

from agelens.data.splits.split import Split
from agelens.tables import SampleTable


class SplitProtocol(Protocol):
    """A protocol is configured by its constructor and called with a table.

    `name` is the registry's word, `summary` one line about it, and `by_subject` says whether
    it keeps every known person in one part by construction.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    by_subject: ClassVar[bool]

    def __call__(
        self, table: SampleTable, *, seed: int = 0, duplicates: pd.Series | None = None
    ) -> tuple[Split, ...]:
        """The protocol's splits of `table`, the same for any order of its rows.

        Args:
            table: what is split.
            seed: of the random choices; a protocol without any takes no notice.
            duplicates: near-duplicate group by `sample_id`. A protocol that chooses parts
                keeps groups whole; one that reads them from the table cannot, and the leak
                check tells.
        """
        ...
