"""Builds the package, for Beam's --setup_file too; metadata is in pyproject.toml.

Two things are made: the script that draws plots, and what decodes and resizes images fast. Without a compiler the
second is left out; OpenCV and Pillow do that then, to the same pixels.
"""

import sys
from pathlib import Path

from setuptools import Command, Extension, setup
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


KERNELS = [
    Extension(
        f"bulklabel.model.images.{name}",
        [f"src/bulklabel/model/images/{name.replace('.', '/')}.c"],
        extra_compile_args=["-O3", "-ffp-contract=off", "-Wno-psabi"],  # each product rounded, as Pillow's are
        py_limited_api=True,  # one for all versions of Python
        optional=True,
    )
    for name in ("resample", "png.unfilter")
]

setup(
    ext_modules=KERNELS,
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
    cmdclass={"build_py": with_vega(build_py), "sdist": with_vega(sdist)},
)
