"""DemoPhotos: the built-in data set, generated from a seed; no photo is shipped."""

from __future__ import annotations

from pipeline.knobs import DemoPhotosKnobs
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.stage import Stage


class DemoPhotos(Stage[DemoPhotosKnobs]):
    """images/<split>/….png and masks/<split>/….png, as a user's own folder would look."""

    def make(self, draft: Draft) -> str:
        from pipeline.demo.photos import demo_photos

        total = sum((self.knobs.train_images, self.knobs.val_images, self.knobs.test_images))
        with self.progress() as progress:
            for done, photo in enumerate(demo_photos(self.knobs), start=1):
                files.write_png(draft.path(f"images/{photo.name}.png"), photo.image_rgb)
                files.write_png(draft.path(f"masks/{photo.name}.png"), photo.mask)
                progress(done, total)
        return f"{total} photos with exact masks, from seed {self.knobs.seed}"
