"""All reading and writing of images, masks, maps, tables and weights; each file appears whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

PARTIAL = ".partial"


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def record(path: Path) -> dict[str, Any]:
    """Size and checksum of a file that is flushed to the disk first."""
    flush(path)
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


def write_bytes(path: Path, content: bytes) -> None:
    with whole(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def write_table(path: Path, table: pd.DataFrame) -> None:
    """CSV in UTF-8 with Unix line ends; floats in their shortest exact form, so equal tables are equal bytes."""
    write_text(path, table.to_csv(index=False, lineterminator="\n", na_rep="nan"))


def read_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(path, keep_default_na=False, na_values=["nan"])


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    write_bytes(path, stream.getvalue())


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as loaded:
        return {name: loaded[name] for name in loaded.files}


def write_array(path: Path, array: NDArray[Any]) -> None:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    write_bytes(path, stream.getvalue())


def read_array(path: Path) -> NDArray[Any]:
    loaded: NDArray[Any] = np.load(path, allow_pickle=False)
    return loaded


def write_png(path: Path, image: NDArray[Any]) -> None:
    """uint8 H×W or H×W×3 RGB, uint16 H×W, or bool H×W (as 0 and 255)."""
    import cv2

    pixels = image.astype(np.uint8) * np.uint8(255) if image.dtype == np.bool_ else image
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    done, encoded = cv2.imencode(".png", bgr)
    if not done:
        raise ValueError(f"{path}: an array of {image.dtype} {image.shape} cannot be a PNG; allowed: uint8, uint16")
    write_bytes(path, encoded.tobytes())


def read_png(path: Path) -> NDArray[Any]:
    """A grey PNG of our own, as uint8 or uint16 H×W."""
    import cv2

    content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    if image is None:
        raise ValueError(f"{path} cannot be read as PNG; run Verify, then the same command again")
    return np.asarray(image)


def write_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save

    write_bytes(path, save({name: tensor.contiguous().cpu() for name, tensor in state.items()}))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Weights from safetensors, or from a torch file that holds tensors only (no code is ever run)."""
    import torch
    from safetensors.torch import load_file

    if not path.is_file():
        raise ValueError(f'there are no weights at {path}; give the path of a file, "imagenet" or "none"')
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path} holds no usable weights ({type(error).__name__}); give a file of tensors only"
        ) from None
    return dict(loaded)


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    import torch

    with whole(path) as partial:
        torch.save(dict(state), partial)
        flush(partial)


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
