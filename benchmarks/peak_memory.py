"""The most memory that this process held, which the benchmarks print."""

from pathlib import Path


def peak_mb() -> float:
    """In MB. Not getrusage's: that counts what the parent held when it started this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
