"""What a network thinks of photos and tiles that nobody has answered for, so that the most doubtful are asked first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipeline.knobs import AnswerKnobs, DatasetKnobs, PredictionsKnobs, PredictKnobs
from pipeline.layouts.answered import Tile
from tasks.core.workers import Place
from tasks.intake import photo_decoding
from tasks.photos.network import AskedNetwork
from tasks.photos.photo_folder import FoundPhoto


@dataclass(frozen=True)
class Look:
    """A photo, or a tile of one, and the probability that there is a crack in it."""

    name: str
    tile: Tile | None
    answer: float


@dataclass(frozen=True)
class LookJob:
    network: AskedNetwork
    rules: DatasetKnobs
    predictions: PredictionsKnobs
    asking: AnswerKnobs
    knobs: PredictKnobs

    def open(self, place: Place) -> Callable[[FoundPhoto], list[Look]]:
        """Nothing is said of a photo that cannot be read: Start and Dataset do."""
        from pipeline.ops.coarse_maps import shrunk_to
        from pipeline.ops.doubts import answers_of_tiles
        from pipeline.segmenter_to_predictions import as_probability, predict_lean

        device = place.torch_device()
        model = self.network.trained.model().to(device)
        rules = replace(self.rules, max_pixels=self.knobs.max_pixels)

        def look(photo: FoundPhoto) -> list[Look]:
            try:
                image = photo_decoding.load_image(photo.path, rules)
            except photo_decoding.RefusedError:
                return []
            small = shrunk_to(image, self.asking.look_px)
            said = as_probability(predict_lean(model, small, self.predictions, device=device))
            tiles = tiles_of(image.shape[:2], self.asking)
            found = answers_of_tiles(said, (image.shape[0], image.shape[1]), tiles, self.knobs.doubt_px)
            return [Look(photo.name, tile, answer) for tile, answer in zip(tiles, found, strict=True)]

        return look


def tiles_of(shape_hw: Sequence[int], asking: AnswerKnobs) -> list[Tile | None]:
    """None for a photo that is small enough to be asked about as a whole."""
    from pipeline.ops.windows import grid_of_tiles

    height, width = shape_hw
    if max(height, width) <= asking.whole_px:
        return [None]
    return [*grid_of_tiles((height, width), asking.tile_px)]
