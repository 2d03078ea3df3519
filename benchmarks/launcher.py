"""Run one command and print what it cost, as one JSON object.

A process starts with the peak memory of the one that spawned it, so a benchmark
that has built models in memory would raise the figure of every command. This file
is therefore run as a process of its own (`python -I -S launcher.py COMMAND…`) and
imports next to nothing: the least peak it can report is that of an empty Python program.
The command's standard output is thrown away, its standard error passes through.
"""

import os
import sys
import time


def main(command: list[str]) -> None:
    """Print exit status, CPU (user + system, s), wall (s) and peak RSS (bytes) of `command`."""
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    start = time.monotonic()
    # Installed packages start from compiled files; an environment that forbids writing them is no usual one.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    child = os.posix_spawn(command[0], command, environment, file_actions=quiet)
    _, status, usage = os.wait4(child, 0)
    wall = time.monotonic() - start
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    cpu = usage.ru_utime + usage.ru_stime
    exit_status = os.waitstatus_to_exitcode(status)
    print(f'{{"exit_status": {exit_status}, "cpu_s": {cpu}, "wall_s": {wall}, "peak_rss_bytes": {peak}}}')


if __name__ == "__main__":
    main(sys.argv[1:])
