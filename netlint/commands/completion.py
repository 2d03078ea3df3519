"""`netlint completion SHELL`: the script that makes a shell complete netlint's command line."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from netlint.terminal import put

_HELP = """Print what makes a shell complete netlint's command line.

\b
bash   netlint completion bash > ~/.local/share/bash-completion/completions/netlint
zsh    netlint completion zsh > "${fpath[1]}/_netlint"
fish   netlint completion fish > ~/.config/fish/completions/netlint.fish
"""


@click.command(help=_HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    found = get_completion_class(shell)
    assert found is not None  # click knows these three
    put(found(ctx.find_root().command, {}, "netlint", "_NETLINT_COMPLETE").source() + "\n")
