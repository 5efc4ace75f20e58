"""Whatever is given as an image or a mask is used rightly, or refused in one sentence."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.knobs import DatasetKnobs
from tasks.intake import photo_decoding
from tests.conftest import resolved

ORIENTATION = 274


@pytest.fixture(scope="module")
def rules() -> DatasetKnobs:
    found: DatasetKnobs = resolved("Dataset", "demo")
    return found


def grey(width: int = 8, height: int = 6, value: int = 0) -> Image.Image:
    return Image.new("L", (width, height), value)


def noise(mode: str = "RGB", width: int = 64, height: int = 48) -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is huge, in 60 bytes."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return head + struct.pack(">I", 10) + b"IDAT" + bytes(14)


def pages(kind: str, count: int = 3) -> bytes:
    images = [noise().convert("P") for _ in range(count)]
    images[1].putpixel((0, 0), 5)
    return encoded(images[0], kind, save_all=True, append_images=images[1:])


def rgba(alpha: int) -> Image.Image:
    image = noise("RGBA")
    image.putalpha(alpha)
    return image


def two_values(dark: int, bright: int, share: float) -> Image.Image:
    """A mask whose first rows are bright."""
    values = np.full((100, 100), dark, np.uint8)
    values[: round(100 * share)] = bright
    return Image.fromarray(values)


def soft_mask(share: float) -> Image.Image:
    """A mask with 20 % of 255, and that share of grey values."""
    values = np.zeros((100, 100), np.uint8)
    values[:20] = 255
    values[20 : 20 + round(100 * share)] = 77
    return Image.fromarray(values)


BAD_IMAGES: dict[str, tuple[str, bytes, str]] = {
    "nothing in it": ("a.png", b"", "a.png: empty file, not an image; copy it again or remove it"),
    "text": ("a.png", b"hello", "a.png: not an image; allowed: .png, .jpg"),
    "a web page": ("a.jpg", b"<html>404</html>" * 99, "a.jpg: not an image"),
    "zeros": ("a.jpg", bytes(5000), "a.jpg: not an image"),
    "half a JPEG": ("a.jpg", encoded(noise(), "JPEG")[:1500], "a.jpg: truncated or damaged image"),
    "half a PNG": ("a.png", encoded(noise(), "PNG")[:1500], "a.png: truncated or damaged image"),
    "half a TIFF": ("a.tif", encoded(noise(), "TIFF")[:1500], "a.tif: truncated or damaged image"),
    "half a BMP": ("a.bmp", encoded(noise(), "BMP")[:1500], "a.bmp: truncated or damaged image"),
    "half a WebP": ("a.webp", encoded(noise(), "WEBP")[:900], "a.webp:"),
    "a head without a body": ("a.jpg", encoded(noise(), "JPEG")[:12], "a.jpg:"),
    "a PNG with a wrong checksum": (
        "a.png",
        encoded(noise(), "PNG")[:60] + b"\0\0\0\0" + encoded(noise(), "PNG")[64:],
        "a.png: truncated or damaged image",
    ),
    "a bomb of 900 megapixels": ("a.png", png_header(30_000, 30_000), "30000×30000 pixels; allowed: [Dataset] max_pix"),
    "an impossible side": ("a.png", png_header(2**31 - 1, 1), "2147483647×1 pixels; allowed: [Dataset] max_pixels"),
    "a side of nothing": ("a.png", png_header(0, 10), "a.png:"),
    "an animated GIF": ("a.png", pages("GIF"), "a.png: 3 frames or pages; give a single image"),
    "a TIFF of three pages": ("a.tif", pages("TIFF"), "a.tif: 3 frames or pages; give a single image"),
    "an animated WebP": ("a.webp", pages("WEBP"), "frames or pages; give a single image"),
    "an animated PNG": ("a.png", pages("PNG"), "frames or pages; give a single image"),
    "floating-point TIFF": ("a.tif", encoded(noise("F"), "TIFF"), "floating-point pixels without a known range"),
    "more than 16 bits": (
        "a.tif",
        encoded(Image.fromarray(np.full((9, 9), 70_000, np.int32)), "TIFF"),
        "values beyond 16 bits; save it as 8 or 16 bits",
    ),
    "negative values": (
        "a.tif",
        encoded(Image.fromarray(np.full((9, 9), -1, np.int32)), "TIFF"),
        "values beyond 16 bits",
    ),
    "half transparent": ("a.png", encoded(rgba(128), "PNG"), 'or set [Dataset] transparent = "white"'),
    "transparent colour of a palette": (
        "a.png",
        encoded(noise("P"), "PNG", transparency=int(np.asarray(noise("P"))[0, 0])),
        "has transparent pixels",
    ),
    "PostScript": ("a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n" + bytes(300), "not an image"),
    "a newline in the name": ("a\nb.png", b"hello", "a\\nb.png: not an image"),
    "a name that is no UTF-8": (os.fsdecode(b"\xff.png"), b"hello", "\\udcff.png: not an image"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_an_image_that_cannot_be_used_is_refused_in_one_sentence(
    tmp_path: Path, rules: DatasetKnobs, case: str
) -> None:
    name, content, sentence = BAD_IMAGES[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(photo_decoding.RefusedError) as refused:
        photo_decoding.load_image(tmp_path / name, rules)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "there is no such file, or it is a link to nothing"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere.png"), "a link to nothing; give a readable file"),
    "a link to itself": (lambda path: path.symlink_to(path), "a link that leads back to itself"),
    "a FIFO": (make_fifo, "not a regular file; give an image file"),
    "a folder": (Path.mkdir, "not a regular file; give an image file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "not a regular file; give an image file"),
}


@pytest.mark.parametrize("suffix", [".png", ".mat"])
@pytest.mark.parametrize("case", BAD_FILES)
def test_what_is_no_regular_file_is_refused_without_opening_it(
    tmp_path: Path, rules: DatasetKnobs, case: str, suffix: str
) -> None:
    make, sentence = BAD_FILES[case]
    path = tmp_path / f"a{suffix}"
    make(path)
    with pytest.raises(photo_decoding.RefusedError, match=r"a\.") as refused:
        photo_decoding.load_mask(path, rules, shape_hw=(6, 8), warn=print)
    assert sentence in str(refused.value)


def test_a_file_that_may_not_be_read_says_so(
    tmp_path: Path, rules: DatasetKnobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    noise().save(path)

    def forbidden(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", forbidden)
    with pytest.raises(photo_decoding.RefusedError, match="you may not read it; give a readable file"):
        photo_decoding.load_image(path, rules)


def turned_mask() -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return encoded(grey(), "PNG", exif=exif)


BAD_MASKS: dict[str, tuple[str, bytes, str]] = {
    "empty": ("m.png", b"", "m.png: empty file"),
    "text": ("m.png", b"hello", "m.png: not an image"),
    "another size": ("m.png", encoded(grey(9, 6), "PNG"), "mask of 9×6 for an image of 8×6; both must have the same"),
    "one pixel off": ("m.png", encoded(grey(8, 5), "PNG"), "mask of 8×5 for an image of 8×6"),
    "turned": ("m.png", encoded(grey(6, 8), "PNG"), "(does the photo carry an EXIF rotation?)"),
    "turned by its own EXIF": ("m.png", turned_mask(), "mask of 6×8 for an image of 8×6 (does the photo carry an EXIF"),
    "half transparent": ("m.png", encoded(rgba(0).resize((8, 6)), "PNG"), "has transparent pixels"),
    "coloured": ("m.png", encoded(noise(width=8, height=6), "PNG"), "a coloured mask; give a grey one with 0 and 255"),
    "coloured palette": ("m.png", encoded(noise("P", 8, 6), "PNG"), "a coloured mask"),
    "16 bits": ("m.png", encoded(noise("I;16", 8, 6), "PNG"), "a mask in mode I;16; give an 8-bit one with 0 and 255"),
    "floating point": ("m.tif", encoded(noise("F", 8, 6), "TIFF"), "a mask in mode F; give an 8-bit one"),
    "0 and 38": ("m.png", encoded(two_values(0, 38, 0.03).resize((8, 6)).point(lambda _: 38), "PNG"), "value is 38"),
    "two pages": ("m.tif", pages("TIFF", 2), "2 frames or pages"),
    "no ground truth": ("m.mat", b"no matlab" * 99, "no groundTruth with a Segmentation in it"),
    "an empty .mat": ("m.mat", b"", "m.mat: empty file"),
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_a_mask_that_cannot_be_used_is_refused_in_one_sentence(tmp_path: Path, rules: DatasetKnobs, case: str) -> None:
    name, content, sentence = BAD_MASKS[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(photo_decoding.RefusedError) as refused:
        photo_decoding.load_mask(tmp_path / name, rules, shape_hw=(6, 8), warn=print)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def loaded(path: Path, image: Image.Image, rules: DatasetKnobs) -> tuple[np.ndarray, list[str]]:
    """The mask as it is decoded, and what it warns of."""
    warned: list[str] = []
    image.save(path)
    return photo_decoding.load_mask(path, rules, shape_hw=(image.height, image.width), warn=warned.append), warned


def test_a_mask_with_more_grey_than_allowed_is_refused_with_its_share(tmp_path: Path, rules: DatasetKnobs) -> None:
    with pytest.raises(ValueError, match=r"12\.0% of the pixels are neither 0 nor 255.*max_grey_share = 0\.1"):
        loaded(tmp_path / "m.png", soft_mask(0.12), rules)


def test_a_mask_with_a_little_grey_is_cut_at_the_threshold_and_told(tmp_path: Path, rules: DatasetKnobs) -> None:
    mask, warned = loaded(tmp_path / "m.png", soft_mask(0.05), rules)
    assert mask.mean() == 0.2
    assert len(warned) == 1
    assert "5.0% of the pixels are neither 0 nor 255; cut at 128" in warned[0]


def test_zero_and_one_mean_the_same_as_zero_and_255(tmp_path: Path, rules: DatasetKnobs) -> None:
    ones, warned = loaded(tmp_path / "1.png", two_values(0, 1, 0.2), rules)
    full, _ = loaded(tmp_path / "255.png", two_values(0, 255, 0.2), rules)
    assert (ones == full).all()
    assert ones.mean() == 0.2
    assert warned == []


def test_a_mask_that_is_mostly_crack_is_taken_but_told(tmp_path: Path, rules: DatasetKnobs) -> None:
    mask, warned = loaded(tmp_path / "m.png", two_values(0, 255, 0.8), rules)
    assert mask.mean() == 0.8
    assert "80% of the pixels are crack; is the mask inverted?" in warned[0]


def test_a_black_mask_is_black_whatever_jpeg_makes_of_it(tmp_path: Path, rules: DatasetKnobs) -> None:
    path, shades = tmp_path / "m.jpg", set()
    for quality in range(5, 101, 5):
        Image.new("L", (64, 48), 0).save(path, quality=quality)
        shades.add(int(np.asarray(Image.open(path)).max()))
        mask = photo_decoding.load_mask(path, rules, shape_hw=(48, 64), warn=print)
        assert not mask.any(), quality
    assert {0, 1, 2} <= shades, "at some qualities black is read as 1, which a mask of 0 and 1 has for crack"


def test_a_mask_of_0_and_1_as_jpeg_is_refused_since_nobody_can_tell_what_was_1(
    tmp_path: Path, rules: DatasetKnobs
) -> None:
    two_values(0, 1, 0.3).save(tmp_path / "m.jpg", quality=95)
    assert len(np.unique(np.asarray(Image.open(tmp_path / "m.jpg")))) == 2
    with pytest.raises(
        photo_decoding.RefusedError, match=r"m\.jpg: a mask of 0 and 1 as JPEG, which blurs them; give 0"
    ):
        photo_decoding.load_mask(tmp_path / "m.jpg", rules, shape_hw=two_values(0, 1, 0.3).size[::-1], warn=print)


def test_a_jpeg_mask_is_cut_at_the_threshold(tmp_path: Path, rules: DatasetKnobs) -> None:
    line = Image.new("L", (64, 48), 0)
    line.paste(255, (10, 20, 50, 23))
    line.save(tmp_path / "m.jpg", quality=95)
    mask = photo_decoding.load_mask(tmp_path / "m.jpg", rules, shape_hw=(48, 64), warn=lambda _: None)
    assert (mask == (np.asarray(line) == 255)).all()


def test_where_crack_is_black_masks_are_turned_over(tmp_path: Path, rules: DatasetKnobs) -> None:
    mask, warned = loaded(tmp_path / "m.png", two_values(0, 255, 0.8), replace(rules, mask_inverted=True))
    assert mask.mean() == pytest.approx(0.2)
    assert warned == []


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK"])
def test_a_mask_is_the_same_in_every_mode_that_can_hold_it(tmp_path: Path, rules: DatasetKnobs, mode: str) -> None:
    suffix = "tif" if mode == "CMYK" else "png"
    mask, _ = loaded(tmp_path / f"m.{suffix}", two_values(0, 255, 0.3).convert(mode), rules)
    assert mask[:30].all()
    assert not mask[30:].any()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb(tmp_path: Path, rules: DatasetKnobs, mode: str) -> None:
    suffix = "tif" if mode in ("CMYK", "YCbCr") else "png"
    noise().convert(mode).save(tmp_path / f"a.{suffix}")
    image = photo_decoding.load_image(tmp_path / f"a.{suffix}", rules)
    assert image.shape == (48, 64, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize(
    "name", ["a.JPG", "a.jpeg", "a.TIF", "a.bmp", "a.webp", "-a.png", "ä ö%'\".png", "b" * 251 + ".png"]
)
def test_names_and_capital_letters_do_not_matter(tmp_path: Path, rules: DatasetKnobs, name: str) -> None:
    noise().save(tmp_path / name)
    assert photo_decoding.load_image(tmp_path / name, rules).shape == (48, 64, 3)


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path, rules: DatasetKnobs) -> None:
    values = np.array([[0, 257, 25_700, 65_535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert photo_decoding.load_image(tmp_path / "a.png", rules)[0, :, 0].tolist() == [0, 1, 100, 255]


def test_a_cmyk_jpeg_is_a_photo_of_three_channels(tmp_path: Path, rules: DatasetKnobs) -> None:
    Image.new("CMYK", (8, 6), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    red = photo_decoding.load_image(tmp_path / "a.jpg", rules)[3, 4]
    assert red[0] > 200
    assert red[1:].max() < 60


def test_a_photo_is_turned_as_its_exif_says(tmp_path: Path, rules: DatasetKnobs) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    noise().save(tmp_path / "a.jpg", exif=exif)
    assert photo_decoding.load_image(tmp_path / "a.jpg", rules).shape == (64, 48, 3)


def test_the_preview_behind_a_camera_s_photo_does_not_matter(tmp_path: Path, rules: DatasetKnobs) -> None:
    noise().save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[noise().resize((8, 6))])
    assert photo_decoding.load_image(tmp_path / "a.jpg", rules).shape == (48, 64, 3)


def test_transparent_pixels_lie_on_white_where_the_settings_say_so(tmp_path: Path, rules: DatasetKnobs) -> None:
    rgba(0).save(tmp_path / "a.png")
    assert (photo_decoding.load_image(tmp_path / "a.png", replace(rules, transparent="white")) == 255).all()


def test_a_single_pixel_is_an_image_as_far_as_the_gate_goes(tmp_path: Path, rules: DatasetKnobs) -> None:
    grey(1, 1, 7).save(tmp_path / "a.png")
    assert photo_decoding.load_image(tmp_path / "a.png", rules).tolist() == [[[7, 7, 7]]]


def test_what_the_gate_returns_can_be_written_to(tmp_path: Path, rules: DatasetKnobs) -> None:
    noise().save(tmp_path / "a.png")
    assert photo_decoding.load_image(tmp_path / "a.png", rules).flags.writeable


def save_mat(path: Path, segmentation: list[list[int]]) -> None:
    from scipy.io import savemat  # type: ignore[import-untyped]

    savemat(path, {"groundTruth": {"Segmentation": np.array(segmentation, np.uint8), "Boundaries": 0}})


def test_labels_two_and_four_of_crackforest_are_crack_and_three_is_not(tmp_path: Path, rules: DatasetKnobs) -> None:
    save_mat(tmp_path / "001.mat", [[1, 2, 3, 4], [1, 1, 1, 1]])
    mask = photo_decoding.load_mask(tmp_path / "001.mat", rules, shape_hw=(2, 4), warn=print)
    assert mask.tolist() == [[False, True, False, True], [False] * 4]


def test_a_fifth_label_in_crackforest_is_refused(tmp_path: Path, rules: DatasetKnobs) -> None:
    save_mat(tmp_path / "001.mat", [[1, 5]])
    with pytest.raises(photo_decoding.RefusedError, match="values other than 1, 2, 3 and 4"):
        photo_decoding.load_mask(tmp_path / "001.mat", rules, shape_hw=(1, 2), warn=print)


def test_crackforest_masks_are_compared_with_the_size_of_their_photo(tmp_path: Path, rules: DatasetKnobs) -> None:
    save_mat(tmp_path / "001.mat", [[1, 2]])
    with pytest.raises(photo_decoding.RefusedError, match="mask of 2×1 for an image of 3×1"):
        photo_decoding.load_mask(tmp_path / "001.mat", rules, shape_hw=(1, 3), warn=print)
