"""EdgeMaps: the edges of every image, the fourth channel of a network whose option `edges` is "input"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.knobs import EdgeMapsKnobs
from pipeline.ops.types import ImageRGB, Mask
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.errors import SettingsError, StageError
from tasks.core.settings import data_folder
from tasks.core.trained_stage import start_weights
from tasks.core.workers import Place
from tasks.image_stage import IMAGES_OF, ImageStage, YesNoMaps, make_each
from tasks.intake import fingerprint, photo_decoding
from tasks.intake.photo_decoding import shown
from tasks.intake.photo_index import Photo


class EdgeMaps(ImageStage[EdgeMapsKnobs]):
    """White for edge: Canny's, HED's, or what a folder with a grey PNG for each image shows as bright."""

    images_of = IMAGES_OF

    def png_folder(self) -> Path | None:
        """Where the PNG files are, if they count; those of another data set lie where its own settings say."""
        if self.knobs.source != "png":
            return None
        whose = self.target_dataset().dataset
        own = self.knobs if whose == self.dataset else self.experiment.of(whose).resolve(EdgeMapsKnobs)
        path = data_folder() / Path(own.folder).expanduser()
        if not own.folder or not path.is_dir():
            raise SettingsError(
                f"[EdgeMaps] folder of {whose} is {own.folder!r}"
                + (f", but there is no folder {path}" if own.folder else ' with source = "png"')
                + '; name one with a grey <image id>.png for each image, or take source = "canny"'
            )
        return path

    def significant_knobs(self) -> dict[str, object]:
        """Not the place of the PNG files, whose checksums count."""
        return {name: value for name, value in super().significant_knobs().items() if name != "folder"}

    def fingerprint(self) -> str:
        """The checksums of all files in the folder: which of them this split needs, only the index will say."""
        if self.knobs.source == "hed":
            return files.sha256(self._hed())
        folder = self.png_folder()
        return fingerprint.of_folder(f"{self.target_dataset().dataset}.edges", folder) if folder else ""

    def _hed(self) -> Path:
        found = start_weights("hed", "[EdgeMaps] source", "hed")
        assert found is not None
        return found

    def make(self, draft: Draft) -> str:
        self._refuse_gaps()
        photos, by_network = self.photos(), self.knobs.source == "hed"
        make_each(self, draft, photos, self.job(), suffix=self.suffix, networks=by_network)
        return f"{len(photos)} maps"

    def _refuse_gaps(self) -> None:
        job, photos = self.job(), self.photos()
        missing = [job.png(photo) for photo in photos if job.folder and not job.png(photo).is_file()]
        if missing:
            raise StageError(
                f"there is no {shown(missing[0])} ({len(missing)} of {len(photos)} {self.split} images have no "
                'edge map there); write a grey PNG as large as its image for each, or set [EdgeMaps] source = "canny"'
            )

    def job(self) -> EdgeJob:
        return EdgeJob(self.png_folder(), self.knobs, self._hed() if self.knobs.source == "hed" else None)

    def maps(self) -> YesNoMaps:
        return YesNoMaps(self.entry.folder)


@dataclass(frozen=True)
class EdgeJob:
    folder: Path | None  # of PNG files; None: Canny's edges
    knobs: EdgeMapsKnobs
    hed: Path | None  # its published weights

    def png(self, photo: Photo) -> Path:
        return (self.folder or Path()) / f"{photo.id}.png"

    def open(self, place: Place) -> Callable[[Photo], Mask]:
        from pipeline.images_to_edge_maps import canny_map, given_map

        if self.hed:
            return self._by_hed(self.hed, place)
        if self.folder is None:
            return lambda photo: canny_map(photo.image(), self.knobs)
        return lambda photo: given_map(
            photo_decoding.load_edges(self.png(photo), photo.rules, shape_hw=photo.shape_hw), self.knobs
        )

    def _by_hed(self, weights: Path, place: Place) -> Callable[[Photo], Mask]:
        from models.networks.hed import HED, load_published
        from pipeline.images_to_edge_maps import hed_map

        network = HED()
        load_published(network, files.read_weights(weights))
        network.eval().to(place.torch_device())
        return lambda photo: hed_map(network, photo.image(), self.knobs, device=place.torch_device())


@dataclass(frozen=True)
class InputPixels:
    """The job of making what a network sees: uint8 H×W×3, or H×W×4 with the edges that are given for it."""

    edges: YesNoMaps | None

    def shape(self, photo: Photo) -> tuple[int, ...]:
        return (*photo.shape_hw, 3 if self.edges is None else 4)

    def open(self, place: Place) -> Callable[[Photo], ImageRGB]:
        from pipeline.images_to_edge_maps import with_edges

        edges = self.edges
        if edges is None:
            return Photo.image
        return lambda photo: with_edges(photo.image(), edges.of(photo))
