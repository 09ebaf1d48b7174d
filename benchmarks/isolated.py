# SPDX-License-Identifier: Apache-2.0
"""Running things in a fresh interpreter: what one imports, or leaves behind, must not count for the next."""

import concurrent.futures
import importlib
import itertools
import multiprocessing
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from benchmarks.reporting import Report

P = ParamSpec("P")
T = TypeVar("T")

_seeds = itertools.count()


def in_fresh_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function of a module returns, called in a process of its own."""
    # How long a search in a set of strings takes depends on the seed: vary it, in the same way each time.
    os.environ["PYTHONHASHSEED"] = str(next(_seeds))
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *args, **kwargs).result()


def run_benchmark(name: str, **options: bool | str | int) -> Report:
    """Run a benchmark in this process, with the options that it has."""
    report = importlib.import_module(f"benchmarks.{name}").run(**options)
    assert isinstance(report, Report)
    return report
