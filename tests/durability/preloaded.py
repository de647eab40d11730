"""What a run imports and makes once, for processes to be forked from: a run then costs a second, and not ten."""

import gc

import keras  # noqa: F401
import tensorflow  # noqa: F401
from apache_beam.runners.portability.fn_api_runner import fn_runner  # noqa: F401
from PIL import Image

from bulklabel.model import statistic  # noqa: F401
from bulklabel.model.network import keras_engine  # noqa: F401
from bulklabel.model.report import page
from bulklabel.pipelines import score  # noqa: F401
from bulklabel.pipelines.console import tables as summary  # noqa: F401
from bulklabel.pipelines.flags import score as score_flags  # noqa: F401
from bulklabel.pipelines.runners import beam_options  # noqa: F401
from bulklabel.pipelines.runners import in_process as local  # noqa: F401
from bulklabel.transforms.evaluating import publish as publishing  # noqa: F401
from bulklabel.transforms.run_directory import run_directory  # noqa: F401
from bulklabel.transforms.scoring import model_files as models  # noqa: F401
from tests.durability import forked  # noqa: F401

page.plotting_library()
page._environment().get_template("page.html")
Image.init()
gc.freeze()
