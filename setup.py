"""Builds the package, for Beam's --setup_file too, with the script that draws plots; metadata is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import Command, setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

VEGA = Path("src", "bulklabel", "model", "report", "vega.js")
"""In a checkout by a link, and in an sdist really."""


def make_vega() -> None:
    """Write Vega, Vega-Lite and vega-embed as one script that can stand inside of a page, unless it is there."""
    if VEGA.exists():
        return
    try:
        from vl_convert import javascript_bundle
    except ImportError:
        sys.exit(f"{VEGA} is made by the package vl-convert-python, which is not installed.")
    script = javascript_bundle("window.vegaEmbed = vegaEmbed;")
    VEGA.write_text(script.replace("</script", r"<\/script").replace("<!--", r"<\!--"), "utf-8")


def with_vega(command: type[Command]) -> type[Command]:
    """A command of setuptools that finds the script in its place; an editable install is a `build_py`, too."""

    class WithVega(command):  # type: ignore[misc, valid-type]
        def run(self) -> None:
            make_vega()
            super().run()

    return WithVega


setup(cmdclass={"build_py": with_vega(build_py), "sdist": with_vega(sdist)})
