"""`netlint init`: a first settings file."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from netlint.terminal import put

from . import fail

_SHOWN = 5


@click.command()
@click.argument("folder", required=False, default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Replace a netlint.toml, or go before settings in pyproject.toml.")
def init(folder: Path, force: bool) -> None:
    """Write a commented netlint.toml for the models that lie in a folder."""
    from netlint.config import read_settings
    from netlint.settings.init import search, settings_for, targets

    file, project = folder / "netlint.toml", folder / "pyproject.toml"
    if file.exists() and not force:
        fail(f"{file} exists; --force replaces it")
    if project.is_file() and not force and read_settings(project) is not None:
        fail(f"{project} has netlint's settings already; --force writes {file}, which goes before them")
    found = search(folder)
    try:
        file.write_text(settings_for(found), encoding="utf-8")
    except OSError as error:
        fail(f"cannot write {file}: {error.strerror or error}")
    models = sum(map(len, found.models.values()))
    put(f"wrote {file}: {models} model files, {len(found.networks)} PyTorch models\n")
    named = [shlex.quote(target) for target in targets(found)]
    if named:
        put(f"next: netlint {' '.join(named[:_SHOWN])}{' …' if len(named) > _SHOWN else ''}\n")
    if found.networks:
        put("PyTorch models are linted where torch is installed; naming one runs its code\n")
