"""EdgeMaps: the edges of every image, the fourth channel of a network whose option `edges` is "input"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.core import settings
from tasks.core.cache import Draft
from tasks.core.errors import SettingsError, StageError
from tasks.dataset import Photo
from tasks.image_stage import ImageMaps
from tasks.intake import fingerprint, gate


class EdgeMaps(ImageMaps):
    """True for edge: Canny's, or what a folder with a grey PNG for each image shows as bright."""

    def png_folder(self) -> Path:
        """Where the PNG files are; as the photos, those of another data set lie where its own settings say."""
        target = self.target_dataset()
        own = target.dataset == self.dataset
        named = self.knobs.folder if own else settings.resolve("EdgeMaps", target.dataset, "", "", {}).folder
        path = settings.data_folder() / Path(named).expanduser()
        if not named or not path.is_dir():
            raise SettingsError(
                f"[EdgeMaps] folder of {target.dataset} is {named!r}"
                + (f", but there is no folder {path}" if named else ' with source = "png"')
                + '; name one with a grey <image id>.png for each image, or take source = "canny"'
            )
        return path

    def significant_knobs(self) -> dict[str, Any]:
        """Not the place of the PNG files, whose checksums count."""
        return {name: value for name, value in super().significant_knobs().items() if name != "folder"}

    def fingerprint(self) -> str:
        """The checksums of all files in the folder: which of them this split needs, only the index will say."""
        if self.knobs.source != "png":
            return ""
        return fingerprint.of_folder(f"{self.target_dataset().dataset}.edges", self.png_folder())

    def make(self, draft: Draft) -> str:
        if self.knobs.source == "png":
            self._refuse_gaps()
        return super().make(draft)

    def _refuse_gaps(self) -> None:
        photos = self.target_dataset().some_photos(self.split)
        missing = [path for path in map(self._png, photos) if not path.is_file()]
        if missing:
            raise StageError(
                f"there is no {gate.shown(missing[0])} ({len(missing)} of {len(photos)} {self.split} images have no "
                'edge map there); write a grey PNG as large as its image for each, or set [EdgeMaps] source = "canny"'
            )

    def _png(self, photo: Photo) -> Path:
        return self.png_folder() / f"{photo.id}.png"

    def map_of(self, photo: Photo) -> NDArray[np.bool_]:
        from pipeline.images_to_edge_maps import canny_map, given_map

        if self.knobs.source == "canny":
            return canny_map(photo.image(), self.knobs)
        return given_map(gate.load_edges(self._png(photo), photo.rules, shape_hw=photo.shape_hw), self.knobs)


def image_of(photo: Photo, edge_maps: EdgeMaps | None) -> NDArray[np.uint8]:
    """uint8 H×W×3, or H×W×4 with the edges that are given for it."""
    if edge_maps is None:
        return photo.image()
    from pipeline.images_to_edge_maps import with_edges

    return with_edges(photo.image(), edge_maps.map(photo.id))
