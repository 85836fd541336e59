"""`agelens verify`, `search` and the group `identity`: whose face it is, across decades."""

from __future__ import annotations

from typing import Any

from agelens.cli.identity_embed import add_embed
from agelens.cli.identity_purify import add_purify
from agelens.cli.identity_test import add_test
from agelens.cli.identity_train import add_train
from agelens.cli.search import add_search
from agelens.cli.verify import add_verify


def add_commands(commands: Any) -> None:
    """Add the two commands and the group to the parser's subcommands."""
    add_verify(commands)
    add_search(commands)
    parser = commands.add_parser(
        "identity",
        help="embed, train, purify and test age-invariant recognition",
        description="Age-invariant face recognition: embeddings, training, and test protocols.",
        epilog="Recognition finds people who never asked to be found: see the README for what it "
        "must not be used for.",
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_embed(actions)
    add_train(actions)
    add_purify(actions)
    add_test(actions)
