"""Says what a user's network takes and gives, and checks that the images and labels fit it."""

from collections.abc import Sequence
from dataclasses import dataclass

from bulklabel.model.errors import UserError

GRAY = (19595, 38470, 7471)
"""The weights of red, green and blue in gray, in units of 2⁻¹⁶, as Pillow's mode "L" has them.

All sums of weighted pixels are whole numbers below 2²⁴, so that float32 has them exactly in any order.
"""

HALF, UNIT = 1 << 15, 1 << 16
"""What is added to such a sum before it is cut to whole numbers, and what they are units of."""

Side = int | None
"""A side of an image or a number of images in pixels or images; None where the network leaves it open."""


@dataclass(frozen=True)
class Scaling:
    """Says what a network was trained on: `scale * pixel + offset` for pixels of 0…255.

    Both have a number for each channel (RGB), or one for all.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]

    @staticmethod
    def to_range(low: float, high: float) -> "Scaling":
        """Returns the scaling that spreads pixels of 0…255 over low…high."""
        return Scaling(((high - low) / 255,), (low,))

    @staticmethod
    def normalized(mean: Sequence[float], std: Sequence[float]) -> "Scaling":
        """Returns `(pixel / 255 - mean) / std`, both in 0…1, as in torchvision and in Keras' mode "torch"."""
        return Scaling(
            tuple(1 / (255 * deviation) for deviation in std),
            tuple(-average / deviation for average, deviation in zip(mean, std, strict=True)),
        )

    @property
    def changes_nothing(self) -> bool:
        """Tells whether the network was trained on pixels of 0…255."""
        return set(self.scale) == {1.0} and set(self.offset) == {0.0}


@dataclass(frozen=True)
class Interface:
    """Holds what a user says of a network.

    `image_size` is height and width in pixels, or None; `labels` is how many there are, `label_file` what lists them;
    `outputs` names those that belong to the labels, in their order, empty where there is only one; `logits` says that
    it ends without a sigmoid.
    """

    image_size: tuple[int, int] | None
    scaling: Scaling
    logits: bool
    labels: int
    label_file: str
    outputs: tuple[str, ...] = ()


def choose_size(height: Side, width: Side, interface: Interface, path: str) -> tuple[int, int]:
    """Returns the height and width of a network's images, by what itself and `--image_size` say.

    Raises:
        UserError: if neither does, or they contradict each other.
    """
    asked = interface.image_size
    if asked is None:
        if height is None or width is None:
            raise UserError(f"{path} does not say the size of its images; give --image_size.")
        return height, width
    if any(side not in (None, wanted) for side, wanted in zip((height, width), asked, strict=True)):
        raise UserError(
            f"{path} takes images of {height} × {width} pixels alone, and --image_size says {asked[0]} × {asked[1]}; "
            "leave the flag out."
        )
    return asked


def check_channels(channels: int | None, interface: Interface, path: str) -> None:
    """Checks that a network takes RGB or gray images, and that the scaling is for as many channels.

    Raises:
        UserError: if it does not.
    """
    if channels not in (1, 3):
        raise UserError(
            f"{path} takes images of {channels or 'an unknown number of'} channels; give a network that takes 3 (red, "
            "green, blue) or 1 (gray), the last of its shape."
        )
    if len(interface.scaling.scale) not in (1, channels):
        raise UserError(
            f"{path} takes gray images, of one channel: give --mean and --std one number each, such as --mean 0.5 "
            "--std 0.5."
        )


def choose_outputs(available: Sequence[str], interface: Interface, path: str) -> list[int]:
    """Returns which of a network's outputs belong to the labels, in their order.

    Raises:
        UserError: if nobody says so, or an output is named that there is not.
    """
    listed = ", ".join(map(repr, available))
    unknown = [name for name in interface.outputs if available.count(name) != 1]
    if unknown:
        raise UserError(f"--output_name {unknown[0]}: {path} has not one output of that name, but {listed}.")
    if interface.outputs:
        return [available.index(name) for name in interface.outputs]
    if len(available) != 1:
        raise UserError(
            f"{path} has {len(available)} outputs, {listed}; name those that the labels are for, in their order, by "
            "one --output_name each."
        )
    return [0]


def check_count(answers: int | None, interface: Interface, path: str) -> None:
    """Checks that a network has one answer for each label.

    Raises:
        UserError: if it has not.
    """
    if answers != interface.labels:
        raise UserError(
            f"{path} has {answers or 'an unknown number of'} outputs for an image, but {interface.label_file} lists "
            f"{interface.labels} labels; list one label for each output, in the network's order."
        )
