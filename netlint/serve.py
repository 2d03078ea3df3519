"""The side of a worker that runs the user's code: see `netlint.worker`, which starts it."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import collector
from .errors import ConfigError
from .frontends import TargetError, bug
from .probe.attach import Missing
from .times import Clock
from .worker import ADVICE, Job, Kind

if TYPE_CHECKING:
    from .frontends.torch.target import Captured


def serve() -> None:
    """Read a job from standard input, do it, write what comes of it to what was standard output; then end at once."""
    import faulthandler

    private = os.dup(1)
    os.dup2(2, 1)
    job: Job = pickle.load(sys.stdin.buffer)
    if job.threads:
        # torch reads it when it is imported
        os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS") or str(job.threads)
    _end_with_parent(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    faulthandler.enable()
    _without_core_dumps()
    send = _Sender(private)
    try:
        send("done", _JOBS[job.kind](job, lambda stage: send("stage", stage)))
    except TargetError as error:
        send("error", (str(error), error.help))
    except ConfigError as error:
        send("mistake", str(error))
    except (MemoryError, RecursionError) as error:
        send("error", (f"is too large or too deeply nested to analyse ({type(error).__name__})", ""))
    except KeyboardInterrupt:
        send("error", ("interrupts itself (KeyboardInterrupt)", ADVICE["build"]))
    except BaseException as error:
        send("bug", str(bug(error)))
    os._exit(0)  # without waiting for threads and exit handlers of the user's code


def _end_with_parent(pipe: int) -> None:
    """When the parent is gone, which the end of its pipe tells, end too, with all that the user's code has started."""

    def wait() -> None:
        os.read(pipe, 1)
        if hasattr(os, "killpg"):
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


class _Sender:
    """Writes messages to the parent; a process that the user's code forks off stays silent."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._process = os.getpid()

    def __call__(self, kind: str, content: Any) -> None:
        if os.getpid() != self._process:
            os._exit(1)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        data = pickle.dumps((kind, content))
        with open(self._descriptor, "wb", closefd=False) as pipe:
            pipe.write(len(data).to_bytes(8, "little") + data)


def _without_core_dumps() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass  # not on this system


Stage = Callable[[str], None]


def _lint(job: Job, stage: Stage) -> Any:
    from .checked import check_graph, portable
    from .registry import load_rules

    clock = Clock()
    with clock.running("load", "model's own code"):
        captured = _captured(job, stage)
    registry = load_rules(job.rule_folders)
    rules = [registry[code] for code in job.codes]
    training = job.training.otherwise(captured.training)
    report = check_graph(
        captured.graph, rules, training, job.options, job.target, captured.facts, loading=clock.spent()
    )
    return portable(report)


def _show(job: Job, stage: Stage) -> Any:
    from . import show as pages

    captured = _captured(job, stage)
    training = job.training.otherwise(captured.training)
    try:
        if job.value is None and job.capture.request is not None:
            return pages.runs(captured.graph, training)
        if job.value is None:
            return pages.model(captured.graph, training)
        return pages.one(captured.graph, training, job.value)
    except pages.UnknownValue as error:
        return error


def _captured(job: Job, stage: Stage) -> Captured:
    with collector.paused():
        from .frontends.torch.target import capture
    collector.keep()
    captured = capture(job.target, job.capture, job.importing == "slice", stage)
    stage("lint")
    request = job.capture.request
    if request is None:
        return captured
    if job.unrun:
        return replace(captured, graph=replace(captured.graph, runner=Missing(job.unrun)))
    from .probe.torch.runner import probed

    return probed(captured, request, stage)


_JOBS: Mapping[Kind, Callable[[Job, Stage], Any]] = {"lint": _lint, "show": _show}
