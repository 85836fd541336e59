"""Ray: found or started here, and given the shards of a run."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from secrets import token_hex
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any, Final

from agelens.bulk.shards import Job, ShardWorker
from agelens.errors import AgelensError, MissingDependencyError, OutputError, UsageError

if TYPE_CHECKING:
    from ray.data import Dataset

_OBJECT_STORE_BYTES: Final = 128 * 2**20  # counts of shards are all that is in it
_MOST_BLOCKS: Final = 5000
_ANSWER_SECONDS: Final = 10


def load_ray(address: str | None = None) -> Any:
    """Ray, told before it is loaded to send nothing to its makers, and to answer nobody else.

    Raises:
        MissingDependencyError: it is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is None and "ray" not in sys.modules:
        # It listens on the machine's address: nobody without this word may ask it for anything.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", token_hex(32))
        # Or Ray's workers stand behind every other process of the machine.
        os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray  # noqa: PLC0415 - no other lane may load it
        import ray.data  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"a bulk run needs {error.name}: pip install 'agelens[bulk]'"
        ) from error
    return ray


@contextmanager
def ray_running(address: str | None, on_start: Callable[[], Any] | None) -> Iterator[None]:
    """Ray for as long as the context lasts; one that runs in this process already is left on.

    Raises:
        UsageError: there is no cluster at `address`.
        OutputError: Ray does not start in the 30 seconds that it gives itself.
    """
    ray = load_ray()
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        if on_start:
            on_start()
        options["address"] = "local"  # and not another one that runs on this machine
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    else:
        check_answers(address)
        options["address"] = address
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**options)
    except ConnectionError as error:
        raise UsageError(f"--address {address}: there is no Ray cluster: {error}") from error
    except Exception as error:
        if type(error) is not Exception:  # Ray has no type of its own for this
            raise
        told = f"Ray did not start: {error} On a machine that is less busy the same command goes on"
        raise OutputError(told) from error
    finally:
        if current_thread() is main_thread():  # or Ray would end this process in its own way
            signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield
    finally:
        ray.shutdown()


def check_answers(address: str) -> None:
    """Make sure that something listens at the address of a cluster: Ray would wait for minutes.

    Raises:
        UsageError: nothing does.
    """
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdigit():
        return  # "auto", which Ray looks up
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"--address {address}: there is no Ray cluster: {error}") from error


@contextmanager
def told_plainly() -> Iterator[None]:
    """An error of agelens that a worker raised, as if it had been raised here."""
    ray = load_ray()
    try:
        yield
    except ray.exceptions.RayError as error:
        cause: BaseException | None = error
        # Ray's own may be one of ours by its type as well, and say the whole traceback.
        while isinstance(cause, ray.exceptions.RayError):
            cause = getattr(cause, "cause", None) or cause.__cause__
        if not isinstance(cause, AgelensError):
            raise
        # Ray says below it how often it tried and which of its settings would try again.
        cause.args = (str(cause).partition("\nFailed to ")[0],)
        raise cause from None


def dataset(packed: list[dict[str, bytes]], job: Job, num_gpus: int) -> Dataset:
    """The shards, each to be done by one of as many workers as the cluster has room for.

    Raises:
        UsageError: there are fewer GPUs; Ray would wait for more to come.
    """
    ray = load_ray()
    nodes = [one["Resources"] for one in ray.nodes() if one["Alive"]]
    cores = [int(one.get("CPU", 0)) for one in nodes]
    threads = min(job.threads, max(cores))
    if num_gpus:
        gpus = [int(one.get("GPU", 0)) for one in nodes]
        if num_gpus > sum(gpus):
            raise UsageError(f"--num-gpus {num_gpus}: Ray knows of {sum(gpus)} GPUs")
        # A machine's cores are shared out among its GPUs, or some would have no worker.
        threads = min(threads, *(own // of for own, of in zip(cores, gpus, strict=True) if of))
    threads = max(1, threads)
    workers = num_gpus or max(1, sum(count // threads for count in cores))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # which of ours it is would be lost on the way
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are raised as well
    blocks = min(len(packed), _MOST_BLOCKS)
    shards: Dataset = ray.data.from_items(packed, override_num_blocks=blocks)
    return shards.map_batches(
        ShardWorker,
        fn_constructor_args=(replace(job, threads=threads),),
        batch_size=1,
        num_cpus=threads,
        num_gpus=1 if num_gpus else None,
        # One shard at a time: what waits behind another one would wait for a dead worker.
        compute=ray.data.ActorPoolStrategy(
            size=min(workers, len(packed)), max_tasks_in_flight_per_actor=1
        ),
    )
