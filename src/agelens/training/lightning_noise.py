"""Lightning's advice and advertisement, which are not for users of ours."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_LOGGERS: Final = ("pytorch_lightning", "lightning_fabric", "lightning")
_WORDS: Final = (
    ".*smaller than the logging interval.*",  # of a small run nothing is lost
    ".*in eval mode at the start of training.*",  # what is frozen
    ".*LeafSpec.*is deprecated.*",  # torch's, of Lightning's own code
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Within this context Lightning logs warnings only, and not those that we cause knowingly."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for words in _WORDS:
                warnings.filterwarnings("ignore", words)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
