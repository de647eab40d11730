"""Compares a plan's precision with float32 on its first images, before anything is scored in it."""

from contextlib import closing
from itertools import islice

import numpy as np

from bulklabel.model.errors import UserError
from bulklabel.model.images.resize import Pixels
from bulklabel.model.network.precision import FLOAT32, Parity, compare_precisions
from bulklabel.model.network.scorer import Scorer
from bulklabel.model.versions import processor_cores
from bulklabel.transforms.concurrency.timeout import TimedThreads
from bulklabel.transforms.planning.first_records import usable_shards
from bulklabel.transforms.reading.readers import read_shard
from bulklabel.transforms.reading.records import RecordTable
from bulklabel.transforms.run_directory.plan import Plan
from bulklabel.transforms.scoring.decode import decode_tables

COMPARED = 1024
"""So many images of the first shard that can be read are compared: 0.1 to 0.2 s for a small network."""


def check_precision(plan: Plan, scorer: Scorer) -> Parity | None:
    """Scores a plan's first images in float32 and in its precision; returns None if that is float32 or none is good.

    Raises:
        UserError: if the answers are too far apart.
    """
    precision = plan.recipe.precision
    pixels = None if precision == FLOAT32 else _first_pixels(plan)
    if pixels is None or not len(pixels):
        return None
    scorer.precision = FLOAT32
    exact = scorer.predict(pixels)
    scorer.precision = precision
    parity = compare_precisions(exact, scorer.predict(pixels), plan.recipe.thresholds)
    if not parity.is_accepted:
        raise UserError(f"--precision {precision}: {parity.words}, which is too much; leave the flag out.")
    return parity


def _first_pixels(plan: Plan) -> Pixels | None:
    """Returns the good images among the first `COMPARED` of the first shard that can be read; None if there is none."""
    recipe = plan.recipe
    for shard in usable_shards(plan.shards)[:1]:
        found = (item for item in read_shard(shard, recipe.read_spec) if isinstance(item, RecordTable))
        tables = islice(found, -(-COMPARED // recipe.batch_size))
        with closing(TimedThreads(processor_cores(), "decode")) as threads:
            batches = list(decode_tables(threads, tables, recipe.preprocessing, recipe.limits, recipe.decode_seconds))
        if batches:
            return np.concatenate([batch.pixels[batch.good] for batch in batches])[:COMPARED]
    return None
