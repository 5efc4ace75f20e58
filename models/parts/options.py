"""What the options of networks may be, known without torch: planning checks them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from models import Options

Trunk = Literal["resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
# Kind of block and how many of them in each stage. The smallest is ours, for processors; it has no ImageNet weights.
TRUNKS = {
    "resnet10": ("basic", (1, 1, 1, 1)),
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
    "resnet101": ("bottleneck", (3, 4, 23, 3)),
    "resnet152": ("bottleneck", (3, 8, 36, 3)),
}
EXPANSIONS = {"basic": 1, "bottleneck": 4}  # what a block puts out, in the channels that it works on
PUBLISHED_WIDTH = 64  # channels behind the first convolution of every VGG and ResNet with ImageNet weights
# EfficientNets with ImageNet weights: their factors of width and depth.
MEMBERS = {
    (1.0, 1.0): "efficientnet_b0",
    (1.0, 1.1): "efficientnet_b1",
    (1.1, 1.2): "efficientnet_b2",
    (1.2, 1.4): "efficientnet_b3",
    (1.4, 1.8): "efficientnet_b4",
    (1.6, 2.2): "efficientnet_b5",
}


def require(options: Options, name: str, holds: bool, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name} = {getattr(options, name)!r}; allowed: {allowed}")


def check_choices(options: Options) -> None:
    """Every option that is declared as a Literal has one of its values, also where no type checker looks."""
    for name, kind in get_type_hints(type(options)).items():
        choices = get_args(kind) if get_origin(kind) is Literal else (getattr(options, name),)
        require(options, name, getattr(options, name) in choices, ", ".join(map(repr, choices)))


def check_encoder(options: Options, published: bool, condition: str, *names: str) -> None:
    """Weights with a name, ImageNet's and others, exist for encoders of published size only."""
    known = ("imagenet", *names)
    fits = published or getattr(options, "encoder", "none") not in known
    words = " or ".join(map(repr, known))
    require(options, "encoder", fits, f"'none', the path of a file, or with {condition} {words}")


def check_vgg(options: Options, width: int) -> None:
    require(options, "width", width >= 1, "at least 1")
    check_encoder(options, width == PUBLISHED_WIDTH, f"width = {PUBLISHED_WIDTH}", "hed")


def check_trunk(options: Options, trunk: str, width: int) -> None:
    require(options, "width", width >= 1, "at least 1")
    published = width == PUBLISHED_WIDTH and trunk != "resnet10"
    check_encoder(options, published, f"width = {PUBLISHED_WIDTH} and a trunk from 'resnet18' on")


def trunk_channels(trunk: str, width: int) -> list[int]:
    """Of the five feature maps of a ResNet: behind the first ReLU and behind the four stages."""
    kind, _ = TRUNKS[trunk]
    return [width, *(width * 2**stage * EXPANSIONS[kind] for stage in range(4))]


# EfficientNet-Lites with published ImageNet weights: their factors of width and depth.
LiteMember = Literal["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
LITE_FACTORS = {"efficientnet_lite0": (1.0, 1.0), "efficientnet_lite1": (1.0, 1.1), "efficientnet_lite2": (1.1, 1.2)}
