"""Says how networks learn: at which rate, for how long, and from what."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Recipe:
    """Holds how a network learns.

    `rate` is the highest learning rate; `decay` how much of each weight a step at rate 1 takes away; `averaging` which
    share of the mean of weights each step keeps, at most, or 0 if the weights themselves are judged and kept. With
    `cosine` the rate falls to nothing by the last epoch. `augmented` has images changed anew in each epoch. `patience`
    is the number of epochs without improvement that end it, or None. With `head_only` all but the last layer stay.
    """

    rate: float
    decay: float = 0.0
    averaging: float = 0.0
    cosine: bool = False
    augmented: bool = False
    patience: int | None = None
    head_only: bool = False

    def rate_at(self, step: int, steps: int, epochs: int) -> float:
        """Returns the learning rate of a step (0, 1, …), with so many of them in each of the epochs.

        It rises during half an epoch, stays for the other half, and falls from then on: so the first epoch is the same
        however many follow.

        >>> recipe = Recipe(rate=1.0, cosine=True)
        >>> [round(recipe.rate_at(step, 4, 3), 2) for step in range(12)]
        [0.5, 1.0, 1.0, 1.0, 1.0, 0.96, 0.85, 0.69, 0.5, 0.31, 0.15, 0.04]
        """
        if not self.cosine:
            return self.rate
        if step < steps:
            return self.rate * min(1.0, (step + 1) / max(1, steps / 2))
        return self.rate * (1 + math.cos(math.pi * (step - steps) / (steps * (epochs - 1)))) / 2


@dataclass(frozen=True)
class Stage:
    """Holds a recipe, the number of its epochs, or None, and by which share of the minutes it then ends."""

    recipe: Recipe
    epochs: int | None
    until: float = 1.0


AS_IN_THE_TEXTBOOK = Recipe(rate=1e-3, patience=3)
FROM_NOTHING = Recipe(rate=2e-3, decay=0.05, averaging=0.995, cosine=True, augmented=True)
HEAD_ALONE = replace(FROM_NOTHING, head_only=True)
ALL_LAYERS = replace(FROM_NOTHING, rate=2e-4)

HEAD_SHARE = 0.2
"""Of the epochs of a network that had learnt something else before, those in which its last layer learns alone."""


def further_stages(epochs: int | None) -> list[Stage]:
    """Returns how a network learns that had learnt something else: its last layer, then all.

    >>> [stage.epochs for stage in further_stages(10)]
    [2, 8]
    """
    if epochs is None:
        return [Stage(HEAD_ALONE, None, HEAD_SHARE), Stage(ALL_LAYERS, None)]
    first = max(1, round(epochs * HEAD_SHARE))
    return [Stage(HEAD_ALONE, first), Stage(ALL_LAYERS, epochs - first)]
