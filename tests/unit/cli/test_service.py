"""`agelens serve` before it serves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from agelens.service.settings import SECRET, ServiceSettings


@pytest.mark.parametrize(
    "package", ["fastapi", "uvicorn", "python_multipart", "pydantic_settings", "prometheus_client"]
)
def test_a_missing_package_is_told_with_its_extra(package: str) -> None:
    script = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from agelens.cli import main; raise SystemExit(main(['serve', '--port', '0']))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=120
    )
    told = f"agelens: error: agelens serve needs {package}: pip install 'agelens[serve]'\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", told)


def test_help_has_every_setting_but_the_secret(agelens: Callable[..., Any]) -> None:
    told = agelens("serve", "--help").out
    for name in ServiceSettings.model_fields:
        assert (f"--{name.replace('_', '-')} " in told) == (name != SECRET), name
    assert "AGELENS_SERVE_TOKEN" in told
