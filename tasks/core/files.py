"""Reading and writing of the project's own files: maps, masks, tables, weights; each appears whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.types import Pixels

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

PARTIAL = ".partial"
Row = dict[str, object]  # of a table, by the names of its columns
Json: TypeAlias = Any  # whatever a file holds that somebody may have edited


class Record(TypedDict):
    """What a manifest knows of a file."""

    size: int
    sha256: str


def snake(name: str) -> str:
    """ThresholdMaps → threshold_maps."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def record(path: Path) -> Record:
    """Size and checksum of a file."""
    return {"size": path.stat().st_size, "sha256": sha256(path)}


def flush(path: Path) -> None:
    """fsync of a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary sibling to write to, renamed to `path` only when the writing went well."""
    partial = path.with_name(f".{path.name[:80]}-{os.getpid()}{PARTIAL}")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


class RefusedWriteError(OSError):
    """A write that the disk refused, with the bytes that the file would have."""

    needed: int = 0


@contextlib.contextmanager
def _counted(size: Callable[[], int]) -> Iterator[None]:
    """A disk's refusal is told with the size of what it refused."""
    try:
        yield
    except OSError as error:
        refused = RefusedWriteError(error.errno, error.strerror, error.filename)
        refused.needed = size()
        raise refused from error


def write_bytes(path: Path, content: bytes) -> None:
    with whole(path) as partial, _counted(lambda: len(content)):
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: object) -> None:
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Json:
    return json.loads(path.read_bytes())


def write_table(path: Path, table: pd.DataFrame) -> None:
    """CSV in UTF-8 with Unix line ends; floats in their shortest exact form, so equal tables are equal bytes."""
    write_text(path, table.to_csv(index=False, lineterminator="\n", na_rep="nan"))


def write_rows(path: Path, rows: Iterable[Row], columns: list[str] | None = None) -> None:
    """The columns are named where there may be no rows."""
    import pandas as pd

    write_table(path, pd.DataFrame(list(rows), columns=columns))


def read_table(path: Path) -> pd.DataFrame:
    """A table without columns is an empty one."""
    import pandas as pd

    if path.stat().st_size <= 1:
        return pd.DataFrame()
    return pd.read_csv(path, keep_default_na=False, na_values=["nan"])


def rows_of(table: pd.DataFrame) -> list[Row]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def read_rows(path: Path) -> list[Row]:
    return rows_of(read_table(path))


def write_arrays(path: Path, **arrays: NDArray[np.generic]) -> None:
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    write_bytes(path, stream.getvalue())


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as loaded:
        return {name: loaded[name] for name in loaded.files}


def write_array(path: Path, array: NDArray[np.generic]) -> None:
    write_bytes(path, _npy(array))


def _npy(array: NDArray[np.generic]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def read_array(path: Path) -> NDArray[Any]:
    loaded: NDArray[Any] = np.load(path, allow_pickle=False)
    return loaded


def write_map(path: Path, image: NDArray[np.generic]) -> Record:
    """As the name says: .npy as it is, .png as a picture. The record is of what was written, not read again."""
    content = _png(path, image) if path.suffix == ".png" else _npy(image)
    write_bytes(path, content)
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def write_png(path: Path, image: NDArray[np.generic]) -> None:
    """uint8 H×W or H×W×3 RGB, uint16 H×W, or bool H×W (as 0 and 255)."""
    write_bytes(path, _png(path, image))


def _png(path: Path, image: NDArray[np.generic]) -> bytes:
    import cv2

    pixels: NDArray[Any] = image.astype(np.uint8) * np.uint8(255) if image.dtype == np.bool_ else image
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    done, encoded = cv2.imencode(".png", bgr)
    if not done:
        raise ValueError(f"{path}: an array of {image.dtype} {image.shape} cannot be a PNG; allowed: uint8, uint16")
    content: bytes = encoded.tobytes()
    return content


def jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """Of uint8 H×W×3 RGB."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def read_png(path: Path) -> Pixels:
    """A grey PNG of our own, as uint8 or uint16 H×W."""
    import cv2

    content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    if image is None:
        raise ValueError(f"{path} cannot be read as PNG; run Verify, then the same command again")
    found: NDArray[Any] = np.asarray(image)
    return found


def write_weights(path: Path, state: Mapping[str, Tensor], about: dict[str, str] | None = None) -> None:
    """`about` is what the file says of itself."""
    from safetensors.torch import save

    write_bytes(path, save({name: tensor.contiguous().cpu() for name, tensor in state.items()}, about))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Weights from safetensors, or from a torch file that holds tensors only (no code is ever run)."""
    import torch
    from safetensors.torch import load_file

    if not path.is_file():
        raise ValueError(f'there are no weights at {path}; give the path of a file, "imagenet" or "none"')
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix == ".h5":
            return _read_hdf5(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path} holds no usable weights ({type(error).__name__}); give a file of tensors only"
        ) from None
    return dict(loaded)


def _read_hdf5(path: Path) -> dict[str, Tensor]:
    """Every array of the file under its path in there."""
    import h5py
    import torch

    found: dict[str, Tensor] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = torch.from_numpy(item[()])

    with h5py.File(path) as file:
        file.visititems(keep)
    return found


def write_checkpoint(path: Path, state: Mapping[str, Json]) -> None:
    import torch

    with whole(path) as partial:
        with _counted(lambda: _size_of(state)), partial.open("wb") as stream:
            try:
                torch.save(dict(state), stream)
            except RuntimeError as error:  # what torch makes of a disk's refusal
                raise error.__context__ or error from None
        flush(partial)


def _size_of(state: Mapping[str, Json]) -> int:
    """Bytes of a checkpoint, without writing it anywhere."""
    import torch

    counter = _Counter()
    torch.save(dict(state), counter)
    return counter.size


class _Counter(io.BytesIO):
    """Takes what is written, and keeps its size only."""

    size = 0

    def write(self, content: Any) -> int:
        self.size += len(content)
        return len(content)


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """The last checkpoint, or None when there is none that can be read."""
    import torch

    if not path.is_file():
        return None
    try:
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a checkpoint cut by a power failure: training starts again
        return None
    return loaded
