"""`agelens serve`: its options are the fields of `ServiceSettings`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from agelens.errors import missing_extra


def add_command(commands: Any) -> None:
    """Add `serve` to the parser's subcommands."""
    with missing_extra("serve"):
        from agelens.service.settings import (  # noqa: PLC0415
            ENVIRONMENT,
            SECRET,
            ServiceSettings,
        )
    parser = commands.add_parser(
        "serve",
        help="answer HTTP requests, and show a page with the camera",
        description="Answer HTTP requests, and show a page for photos and the camera at /. Nothing "
        "that is sent is stored. SIGTERM or Ctrl-C stops it when what was begun is done, SIGHUP "
        "reads models and tokens anew.",
        epilog=f"Each option is also read from the environment: {ENVIRONMENT}MAX_FILES is "
        f"--max-files. {ENVIRONMENT}TOKEN holds bearer tokens, with commas; they are needed where "
        "other machines can reach the service.",
    )
    parser.set_defaults(run=_run)
    for name, field in ServiceSettings.model_fields.items():
        if name == SECRET:
            continue
        given: dict[str, Any] = {"help": str(field.description).replace("%", "%%")}
        if field.annotation is bool:
            given["action"] = "store_true"
        else:
            given["metavar"] = "N" if isinstance(field.default, int | float) else "VALUE"
            default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
            given["help"] += f" (default: {default})" if default else ""
        parser.add_argument(
            f"--{name.replace('_', '-')}", dest=name, default=argparse.SUPPRESS, **given
        )
    parser.add_argument(
        "--print-openapi",
        action="store_true",
        help="print the OpenAPI document of the endpoints instead",
    )


def _run(options: argparse.Namespace) -> int:
    with missing_extra("serve"):
        from agelens.service.settings import ServiceSettings, read_settings  # noqa: PLC0415

        if options.print_openapi:
            from agelens.service.app import bare_app  # noqa: PLC0415

            print(json.dumps(bare_app().openapi(), indent=1, ensure_ascii=False))
            return 0
        given = vars(options)
        named = {name: given[name] for name in ServiceSettings.model_fields if name in given}
        from agelens.service.server import serve  # noqa: PLC0415

        serve(read_settings(**named))
    return 0
