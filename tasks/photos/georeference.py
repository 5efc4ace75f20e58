"""Where a photo lies on the ground, as far as its file tells: GeoTIFF."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

_GEO_KEYS = 34735  # the TIFF tag that makes a GeoTIFF
_WANTED = "Its coordinates on the ground were not read, which wants the extra: pip install 'hairline[geo]'."


@dataclass(frozen=True)
class Ground:
    """`affine` is a, b, c, d, e, f: x = a·column + b·row + c and y = d·column + e·row + f, of a pixel's corner."""

    affine: tuple[float, ...] | None = None
    crs: str = ""
    note: str = ""


def ground_of(path: Path) -> Ground:
    if path.suffix.lower() not in (".tif", ".tiff") or not _is_geotiff(path):
        return Ground()
    try:
        import rasterio
    except ImportError:
        return Ground(note=_WANTED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files without a place, which are told as such
        with rasterio.open(path) as file:
            if file.crs is None or file.transform.is_identity:
                return Ground()
            code = file.crs.to_epsg()
            return Ground(tuple(file.transform)[:6], f"EPSG:{code}" if code else file.crs.to_wkt())


def _is_geotiff(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path, formats=("TIFF",)) as image:
            return _GEO_KEYS in getattr(image, "tag_v2", {})
    except OSError:
        return False
