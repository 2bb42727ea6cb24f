"""The cases of bench/run, a module each: a docstring, and run(session), which measures and declares its goals."""

import importlib
import pkgutil

ORDER = ("passthrough", "gateway", "decisions", "start", "marks", "streams", "presence", "spool", "growth")


def names():
    """Of the cases that are there, in their order."""
    there = {module.name for module in pkgutil.iter_modules(__path__)}
    return [name for name in ORDER if name in there]


def load(name):
    return importlib.import_module(f"bench.cases.{name}")
