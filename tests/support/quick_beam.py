"""Remembers what Beam asks again and again while it makes and runs a graph: a third of what a short run takes."""

from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any
from weakref import WeakKeyDictionary

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.worker import statecache
from apache_beam.transforms import core

Arguments = tuple[list[str], list[Any]]

BYTES = 1000
"""What each value in Beam's cache of states counts for: the tests' are small."""


def quicken_beam() -> None:
    """Lets Beam look once at the signature of each method of a class, and once at each view of a pipeline's options.

    It no longer measures what it keeps in its cache of states, for which it lists all that all modules hold.
    """
    core.get_function_args_defaults = partial(_arguments, core.get_function_args_defaults, WeakKeyDictionary())
    statecache.get_deep_size = lambda *_: BYTES
    views: WeakKeyDictionary[PipelineOptions, dict[type, PipelineOptions]] = WeakKeyDictionary()
    view_as = PipelineOptions.view_as

    def remembered(options: PipelineOptions, view: type) -> PipelineOptions:
        known = views.setdefault(options, {})
        if view not in known:
            known[view] = view_as(options, view)
        return known[view]

    PipelineOptions.view_as = remembered


def _arguments(
    look: Callable[[Any], Arguments], known: WeakKeyDictionary[Any, Arguments], function: Callable[..., Any]
) -> Arguments:
    """Returns the names and defaults of a function's arguments, of bound methods what was found for an equal one."""
    if not isinstance(function, MethodType):
        return look(function)
    if function.__func__ not in known:
        known[function.__func__] = look(function)
    names, defaults = known[function.__func__]
    return [*names], [*defaults]
