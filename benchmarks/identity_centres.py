"""What the centres of 93,431 identities (MS1MV3) cost in a step: all, a tenth, a shard of eight.

    python benchmarks/identity_centres.py [--batch 512] [--steps 3] [--identities 93431]

Each form runs in a process of its own: embeddings of noise through CosFace, backwards, and a
step of SGD with momentum. Told are the greatest memory of the process above what it had before
the centres were made, and the seconds of a step, the fastest of `--steps`. A shard is timed
without the processes beside it: what they tell each other is left out.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

FORMS = {"all": (1.0, 1), "sampled, a tenth": (0.1, 1), "shard of eight": (1.0, 8)}
FEATURES = 512


def main() -> None:
    options = _options()
    if options.form:
        print(_measured(options))
        return
    print(f"{options.identities:,} identities, {FEATURES} features, batch {options.batch}, CPU")
    for form in FORMS:
        command = [sys.executable, __file__, "--form", form]
        for name in ("batch", "steps", "identities"):
            command += [f"--{name}", str(getattr(options, name))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"{form:20}{done.stdout.strip()}")


def _measured(options: argparse.Namespace) -> str:
    import torch

    from agelens.recognition.margins import ClassWeights, CosFace, MarginLoss, SampledSGD

    torch.manual_seed(0)
    rate, shards = FORMS[options.form]
    identities = options.identities // shards
    before = _peak_bytes()
    classes = ClassWeights(identities, FEATURES, sample_rate=rate)
    loss = MarginLoss(classes, CosFace())
    optimizer = SampledSGD([{"params": [classes.weight]}], classes, lr=0.1)
    seconds = []
    for _ in range(options.steps):
        embeddings = torch.randn(options.batch, FEATURES, requires_grad=True)
        labels = torch.randint(identities, (options.batch,))
        begun = time.perf_counter()
        optimizer.zero_grad()
        loss(embeddings, labels).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - begun)
    gigabytes = (_peak_bytes() - before) / 2**30
    return f"{gigabytes:.2f} GiB   {min(seconds):.2f} s a step"


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--identities", type=int, default=93_431)
    parser.add_argument("--form", choices=FORMS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
