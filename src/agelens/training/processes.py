"""What several processes have between them."""

from __future__ import annotations

from typing import TypeVar

from torch import distributed

Value = TypeVar("Value")


def of_all_processes(mine: Value) -> list[Value]:
    """The value of every process of the run, in their order; of one process, its own.

    Every process has to call it, with a value that can be pickled.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return [mine]
    gathered = [mine] * distributed.get_world_size()
    distributed.all_gather_object(gathered, mine)
    return gathered
