"""Lint targets: models in files here or in several processes, Python targets each in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from . import collector
from .cache import Cache, Entry
from .errors import UserError
from .frontends import TargetError, bug
from .plans import Plans, beside
from .report import Failure
from .reported import Report
from .rule import Level
from .targets import STDIN, load

if TYPE_CHECKING:
    from threading import Event

    from .pool import Died

# What only linting needs is imported where it is needed: a run whose results are all known needs none of it.


class Linter:
    """Makes reports, and keeps those on models for later runs."""

    def __init__(self, plans: Plans, cache: Cache | None, jobs: int | None, timed: bool) -> None:
        """`cache`, `jobs`, `timed`: see `Session`."""
        self._plans = plans
        self._cache = cache
        self._jobs = jobs
        self._timed = timed
        self.printed = ""
        """What the code of Python targets printed."""

    def known(self, target: str) -> Report | None:
        """What was found in an earlier run, if nothing has changed."""
        entry = None if self._plans.runs_python(target) else self._entry(target)
        return entry.find() if entry else None

    def models(self, targets: Sequence[str]) -> Iterator[tuple[int, Report | Failure]]:
        """The report on each model in a file, with its place, as it is made."""
        from .jobs import automatic

        count = min(self._jobs or automatic([_size(target) for target in targets]), len(targets))
        if count > 1:
            yield from self._in_processes(targets, count)
            return
        for place, target in enumerate(targets):
            if place:
                collector.collect()  # the graph of the target before
            yield place, self._model(target)

    def pythons(self, targets: Sequence[str]) -> Iterator[tuple[int, Report | Failure]]:
        """The report on each Python target, with its place, as it is made."""
        from .jobs import automatic_python, cores

        count = min(self._jobs or automatic_python(len(targets)), len(targets))
        printed = [""] * len(targets)
        if count > 1:
            from .pool import in_threads

            alone = partial(self._python, threads=max(1, cores() // count))
            made = in_threads(alone, targets, count)
        else:
            made = ((place, self._python(target)) for place, target in enumerate(targets))
        for place, (result, text) in made:
            printed[place] = text
            yield place, result
        self.printed += "".join(printed)

    def _entry(self, target: str) -> Entry | None:
        # What a probe shows depends on the machine as well.
        if self._cache is None or target == STDIN or self._plans.capture(target).probe:
            return None
        plans, settings = self._plans, self._plans.settings(target)
        # What becomes of findings is no part of the result.
        judging = replace(settings, content=b"", overrides=(), fail_on=Level.WARNING, baseline=None, exclude=())
        rests_on = (judging, tuple(plans.select), tuple(plans.ignore), plans.stated)
        return self._cache.entry(target, beside(settings), settings.rule_folders, repr(rests_on))

    def _in_processes(self, targets: Sequence[str], count: int) -> Iterator[tuple[int, Report | Failure]]:
        from .pool import Died, in_processes

        self._plans.plan_each(targets)
        _import_for_models()
        for place, result in in_processes(self._portable, targets, count):
            if isinstance(result, Died):
                yield place, Failure(targets[place], _died(result))
            elif isinstance(result, TargetError):
                yield place, Failure(targets[place], result)
            elif isinstance(result, Exception):
                raise result
            else:
                yield place, result

    def _portable(self, target: str) -> Report | Failure:
        from .checked import CheckReport, portable

        result = self._model(target)
        collector.collect()
        if not isinstance(result, CheckReport):
            return result
        return portable(result if self._timed else replace(result, times=()))

    def _model(self, target: str) -> Report | Failure:
        """The report on a model in a file; it is kept in the cache."""
        from .cache.stamps import see
        from .checked import check_graph, portable
        from .frontends.onnx.external import ExternalFiles
        from .probe.attach import runnable
        from .times import Clock

        plan = self._plans.plan(target)
        entry = self._entry(target)
        external = ExternalFiles(Path(target))
        clock = Clock()
        files = [see(target)] if entry else []
        try:
            with clock.running("load", "model file"):
                graph = runnable(load(target, external), target, self._plans.capture(target).request)
            named = external.named() if entry else None
            files += [see(target, name) for name in named or ()]
            report = check_graph(graph, *plan, target, loading=clock.spent())
        except TargetError as error:
            return Failure(target, error)
        except (MemoryError, RecursionError) as error:
            why = TargetError(f"is too large or too deeply nested to analyse ({type(error).__name__})", "")
            return Failure(target, why)
        except UserError:
            raise
        except Exception as error:
            return Failure(target, bug(error))
        if entry and named is not None and None not in files:
            entry.store(replace(portable(report), times=()), [file for file in files if file])
        return report

    def _python(self, target: str, stop: Event | None = None, threads: int = 0) -> tuple[Report | Failure, str]:
        """The report on a Python target, and what its code printed; `threads`: of torch, 0 for as many as it takes."""
        from .worker import Job, run

        plan = self._plans.plan(target)
        codes = tuple(rule.code for rule in plan.rules)
        folders = self._plans.settings(target).rule_folders
        job = Job(
            "lint", target, self._plans.capture(target), plan.training, folders, codes, plan.options, threads=threads
        )
        printed: list[str] = []
        try:
            result = run(job, printed.append, stop)
        except TargetError as error:
            return Failure(target, error), "".join(printed)
        assert isinstance(result, Report)
        return result, "".join(printed)


def _size(target: str) -> int:
    try:
        return os.stat(target).st_size
    except (OSError, ValueError):
        return 0


def _import_for_models() -> None:
    """Import what processes that are forked off share."""
    from . import checked, onnxlib
    from .analyses import _shapes_elements, _weights_scan
    from .frontends import onnx

    assert checked and onnx and _shapes_elements and _weights_scan  # with these comes numpy
    onnxlib.protobuf()
    onnxlib.core()
    collector.collect()  # or each process would look through all of it, and so copy it


def _died(how: Died) -> TargetError:
    from .worker import how_it_ended

    return TargetError(
        f"{how_it_ended(how.code)} while it was linted", "lint it alone; it may need more memory than there is"
    )
