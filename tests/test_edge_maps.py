"""Edge maps: Canny's or from a folder; they go with their image, untouched, into a network that takes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from luigi.task_register import Register
from PIL import Image
from torch import Tensor, nn

import models
from pipeline.images_to_edge_maps import canny_map, given_map, with_edges
from pipeline.knobs import EdgeMapsKnobs, PhotometricKnobs, fields
from pipeline.labels_to_segmenter import train_segmenter
from pipeline.learning.augmentation import GEOMETRIES, photometric
from pipeline.learning.cutting import OnDevice, OnHost
from pipeline.ops.coarse_maps import resize_image
from pipeline.ops.filters import canny
from pipeline.segmenter_to_predictions import logits_of, predict
from tasks import Dataset, EdgeMaps, Predictions, Segmenter
from tasks.core.errors import HairlineError
from tasks.core.settings import forget
from tasks.core.walk import walk
from tasks.core.workers import Place
from tasks.edge_maps import InputPixels
from tasks.intake.photo_index import Photo
from tests.conftest import TINY, luigi_in, made, ran
from tests.knob_values import TRAINING
from tests.networks import built, options, parameters, shapes_only
from tests.test_dataset import mask, photo
from tests.test_segmenter import CPU, KNOBS, PREDICTIONS
from tests.test_semi_supervised import another

CANNY = EdgeMapsKnobs(source="canny", folder="", threshold=127, canny_low=50.0, canny_high=100.0, blur_px=0.0)
WITH_EDGES = '\n[Segmenter.options.scnet]\nwidth = 1\nedges = "input"\n'


def shown(edges: np.ndarray) -> list[str]:
    return ["".join(".#"[int(each)] for each in row) for row in edges]


# the mathematics


def test_an_edge_is_one_pixel_wide_and_its_faint_end_counts_where_it_hangs_on_the_strong_one() -> None:
    grey = np.full((6, 8), 50, np.uint8)
    grey[:, 4:] += np.array([[40], [36], [32], [28], [24], [20]], np.uint8)  # gradients of 160 down to 80
    assert shown(canny(grey, low=110, high=150, blur_px=0)) == ["....#..."] * 4 + ["........"] * 2
    assert shown(canny(grey, low=60, high=150, blur_px=0)) == ["....#..."] * 6
    assert not canny(grey[2:], low=60, high=150, blur_px=0).any(), "alone the faint end is none"


def test_a_straight_step_of_h_grey_values_measures_four_h() -> None:
    grey = np.full((5, 8), 20, np.uint8)
    grey[:, 4:] = 70
    assert canny(grey, low=199, high=199, blur_px=0).any()
    assert not canny(grey, low=201, high=201, blur_px=0).any()


def test_a_blur_takes_grain_away_and_leaves_the_step() -> None:
    grey = np.full((20, 20), 60, np.uint8)
    grey[:, 10:] = 160
    grey[5, 3] = 120
    sharp, blurred = (canny(grey, low=50, high=100, blur_px=blur) for blur in (0.0, 1.5))
    assert sharp[3:8, 1:6].any()
    assert not blurred[:, :7].any()
    assert blurred[:, 8:12].any(axis=1).all()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 999), st.tuples(st.integers(1, 12), st.integers(1, 12)), st.integers(0, 300), st.integers(0, 300))
def test_lower_thresholds_only_add_edges(seed: int, size: tuple[int, int], low: int, more: int) -> None:
    grey = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    few, many = canny(grey, low=low + 50, high=low + more + 50, blur_px=0), canny(grey, low=low, high=low, blur_px=0)
    assert few.shape == size
    assert not (few & ~many).any()


@pytest.mark.parametrize("changed", [{"low": 9, "high": 8}, {"low": -1}, {"blur_px": -1.0}])
def test_impossible_numbers_of_canny_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="0 ≤ low ≤ high and 0 ≤ blur are needed"):
        canny(np.zeros((3, 3), np.uint8), **{"low": 1, "high": 2, "blur_px": 0.0, **changed})
    with pytest.raises(ValueError, match="uint8 H×W is needed"):
        canny(np.zeros((3, 3, 3), np.uint8), low=1, high=2, blur_px=0)


def test_canny_looks_at_the_luma_of_a_photo() -> None:
    image = np.zeros((5, 8, 3), np.uint8)
    image[:, 4:, 2] = 255  # blue: 29 of 255 in the luma, a gradient of 116
    assert canny_map(image, CANNY).any()
    assert not canny_map(image, replace(CANNY, canny_low=120.0, canny_high=120.0)).any()


def test_given_edges_are_brighter_than_the_threshold() -> None:
    assert given_map(np.array([[0, 126, 127, 128, 255]], np.uint8), CANNY).tolist() == [[0, 0, 0, 1, 1]]


def test_edges_become_the_last_channel_as_0_and_255_and_must_have_the_size_of_the_image() -> None:
    image = np.full((1, 2, 3), 7, np.uint8)
    assert with_edges(image, np.array([[True, False]])).tolist() == [[[7, 7, 7, 255], [7, 7, 7, 0]]]
    with pytest.raises(ValueError, match="sizes must agree"):
        with_edges(image, np.array([[True]]))


def line(*rows: str) -> np.ndarray:
    """H×W×4: a grey image with edges where there is a #."""
    edges = np.array([[letter == "#" for letter in row] for row in rows])
    return with_edges(np.full((*edges.shape, 3), 100, np.uint8), edges)


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize(("width", "thickest"), [(3, 1), (4, 2), (5, 2), (6, 1)])
def test_a_line_of_one_pixel_stays_whole_and_thin_when_an_image_is_made_smaller(
    place: int, width: int, thickest: int
) -> None:
    image = line(*["." * place + "#" + "." * (5 - place)] * 6)
    small = resize_image(image, (width, width))
    assert set(np.unique(small[..., 3])) == {0, 255}
    assert set(map(int, np.count_nonzero(small[..., 3], axis=1))) <= set(range(1, thickest + 1))


def test_edges_grow_with_the_image() -> None:
    large = resize_image(line("#..", ".#.", "..#"), (6, 6))[..., 3] > 0
    assert shown(large) == ["##....", "##....", "..##..", "..##..", "....##", "....##"]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_colours_are_resized_as_without_edges(seed: int, size: tuple[int, int]) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    assert np.array_equal(resize_image(image, size)[..., :3], resize_image(image[..., :3], size))


# with the image into the network


def noise_with_edges(*sizes: tuple[int, int]) -> list[np.ndarray]:
    """Images whose edges can be told from their colours: where red exceeds 127."""
    rng = np.random.default_rng(3)
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    return [with_edges(image, image[..., 0] > 127) for image in images]


@pytest.mark.parametrize("cutter", [OnHost, lambda images: OnDevice(images, CPU)])
@pytest.mark.parametrize("geometry", range(GEOMETRIES))
def test_edges_are_cut_and_turned_with_their_image(cutter: Callable[[Any], Any], geometry: int) -> None:
    squares = np.array([[0, 1, 1], [geometry] * 3, [0, 3, 9], [2, 5, 0]])  # some beyond the border, mirrored
    cut = np.asarray(cutter(noise_with_edges((11, 15), (14, 9))).cut(squares, 8))
    assert cut.shape == (3, 8, 8, 4)
    assert np.array_equal(cut[..., 3], np.where(cut[..., 0] > 127, 255, 0))


def test_colour_and_noise_never_touch_edges_and_are_drawn_as_without_them() -> None:
    colours = torch.rand(40, 3, 6, 5, generator=torch.Generator().manual_seed(1))
    edges = (torch.rand(40, 1, 6, 5, generator=torch.Generator().manual_seed(2)) > 0.5).float()
    knobs = PhotometricKnobs(**{name: TRAINING[name] for name in PhotometricKnobs.__dataclass_fields__})
    both = torch.cat([colours, edges], dim=1)
    before = both.clone()
    altered = photometric(both, knobs, torch.Generator().manual_seed(5))
    assert torch.equal(altered[:, 3:], edges)
    assert torch.equal(both, before), "the batch given stays"
    alone = photometric(colours, knobs, torch.Generator().manual_seed(5))
    assert torch.allclose(altered[:, :3], alone, atol=1e-6)
    assert not torch.allclose(alone, colours, atol=0.01)


class Edge(nn.Module):
    """Probability of crack = the fourth channel, pulled away from 0 and 1."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.seen: list[Tensor] = []

    def forward(self, batch: Tensor) -> dict[str, Any]:
        self.seen.append(batch.detach().clone())
        return {"logits": self.scale * (batch[:, 3:] * 8 - 4), "aux": []}


def test_training_sees_edges_of_0_and_1_beside_altered_colours() -> None:
    images, network = noise_with_edges((40, 33), (20, 50)), Edge()
    labels = [image[..., 3] for image in images]
    list(train_segmenter(network, images, labels, replace(KNOBS, epochs=1), sides=[], device=CPU, resume=None))
    batch = torch.cat(network.seen)
    assert batch.shape == (16, 4, 32, 32)
    assert set(batch[:, 3].unique().tolist()) == {0.0, 1.0}
    assert len(batch[:, :3].unique()) > 256
    agree = (batch[:, 0] > 0.5) == (batch[:, 3] > 0.5)
    assert agree.float().mean() > 0.8, "in the same place, but for pixels whose red was altered across the half"


def test_predictions_see_the_edges_in_their_place_whole_tiled_or_resized() -> None:
    (image,) = noise_with_edges((70, 100))
    whole = logits_of(Edge(), image, PREDICTIONS, device=CPU)
    assert np.array_equal(whole > 0, image[..., 3] > 0)
    tiled = replace(PREDICTIONS, max_pixels=1)
    assert np.array_equal(logits_of(Edge(), image, tiled, device=CPU), whole)
    network = Edge()
    assert predict(network, image, replace(PREDICTIONS, scale=2.0), device=CPU).shape == (70, 100)
    assert network.seen[0].shape == (1, 4, 140, 200)
    assert set(network.seen[0][:, 3].unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    "name", [name for name in models.SEGMENTERS if "edges" in fields(models.options_class(name))], ids=str
)
def test_a_network_takes_four_channels_when_its_edges_are_input_and_three_otherwise(name: str) -> None:
    for edges, channels in (("input", 4), ("none", 3)):
        assert models.takes_edges(options(name, edges=edges)) == (channels == 4)
        network = built(name, edges=edges, width=1, pixels="unit").eval()
        assert network(torch.zeros(1, channels, 32, 32))["logits"].shape == (1, 1, 32, 32)
        with pytest.raises(ValueError, match="channels"):
            network(torch.zeros(1, 7 - channels, 32, 32))


@pytest.mark.parametrize("edges", ["none", "sobel", "input"])
def test_scnet_has_the_published_number_of_parameters_wherever_its_edges_come_from(edges: str) -> None:
    with shapes_only():
        network = built("scnet", edges=edges, width=64, levels=5, attention=True, edge_threshold=0.1, pixels="half")
    assert parameters(network) == 29_463_044


# the stage


def image_of(photo: Photo, edge_maps: EdgeMaps | None) -> np.ndarray:
    """What a network sees of it."""
    return InputPixels(edge_maps.maps() if edge_maps else None).open(Place())(photo)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """data/mine with two training images and a test image, their masks, and settings that look for edges in PNGs."""
    for name in ("CONFIGS", "OUTPUTS", "DATA"):
        monkeypatch.setenv(f"HAIRLINE_{name}", str(tmp_path / name.lower()))
    for seed, name in enumerate(("train/a", "train/b", "test/c")):
        photo(tmp_path / "data" / "mine" / "images" / f"{name}.png", seed)
        mask(tmp_path / "data" / "mine" / "masks" / f"{name}.png")
    (tmp_path / "configs").mkdir()
    text = 'recipe = "quick"\n[Execution]\nprocesses = 1\n[EdgeMaps]\nsource = "png"\nfolder = "edges"\n'
    (tmp_path / "configs" / "mine.toml").write_text(text)
    return tmp_path / "data"


def stage(split: str = "train", **axes: str) -> EdgeMaps:
    """As a new process would see it."""
    Register.clear_instance_cache()
    return EdgeMaps(dataset="mine", split=split, **axes)


def drawn(folder: Path, **pixels: int) -> list[Path]:
    """A PNG for each training image: black, with one bright pixel."""
    index = Dataset(dataset="mine")
    if not index.complete():
        made(index)
    folder.mkdir(exist_ok=True)
    found = []
    for record in index.rows:
        if record.split == "train":
            edges = np.zeros((record.height, record.width), np.uint8)
            edges[2, 3] = pixels.get("bright", 200)
            found.append(folder / f"{record.id}.png")
            Image.fromarray(edges).save(found[-1])
    return found


def test_edges_from_a_folder_are_kept_as_0_and_255(data: Path) -> None:
    drawn(data / "edges")
    edges = made(stage())
    first = edges.target_dataset().photos("train")[0]
    assert np.flatnonzero(edges.maps().of(first)).tolist() == [2 * 48 + 3]
    with Image.open(edges.entry.folder / f"{first.id}.png") as image:
        assert (image.mode, image.size, image.getextrema()) == ("L", (48, 40), (0, 255))
    assert image_of(first, edges)[2, 3].tolist() == [*first.image()[2, 3].tolist(), 255]
    assert np.array_equal(image_of(first, None), first.image())


def test_a_changed_png_has_another_key_and_another_place_has_not(data: Path) -> None:
    drawn(data / "edges")
    before = stage().key
    assert stage().key == before
    (data / "edges").rename(data / "elsewhere")
    assert stage(folder="elsewhere").key == before
    assert stage(folder=str(data / "elsewhere")).key == before
    path = drawn(data / "elsewhere", bright=201)[0]
    assert stage(folder="elsewhere").key != before, "though it is as bright for the threshold as before"
    drawn(data / "elsewhere")
    assert stage(folder="elsewhere").key == before
    (data / "elsewhere" / f"{path.stem}-too.png").write_bytes(path.read_bytes())
    assert stage(folder="elsewhere").key != before


def test_a_png_that_changes_only_inside_is_noticed_although_size_and_date_stay(data: Path) -> None:
    path = drawn(data / "edges")[0]
    before, status = stage().key, path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-20] + bytes([content[-20] ^ 1]) + content[-19:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert stage().key != before


def test_edges_that_canny_finds_depend_on_no_folder(data: Path) -> None:
    made(Dataset(dataset="mine"))
    key = stage(source="canny").key
    assert stage(source="canny", folder="").key == key != stage(source="canny", canny_low="1").key
    edges = made(stage(source="canny"))
    first = edges.target_dataset().photos("train")[0]
    assert np.array_equal(edges.maps().of(first), canny_map(first.image(), replace(CANNY, blur_px=1.5)))


def missing(path: Path) -> None:
    path.unlink()


def saved(image: Image.Image) -> Callable[[Path], None]:
    return lambda path: image.save(path)


def truncated(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (missing, "(1 of 2 train images have no edge map there); write a grey PNG as large as its image"),
    "turned": (saved(Image.new("L", (40, 48))), "edge map of 40×48 for an image of 48×40"),
    "too small": (saved(Image.new("L", (24, 20))), "edge map of 24×20 for an image of 48×40; both must have the same"),
    "16 bits": (saved(Image.new("I;16", (48, 40))), "an edge map in mode I;16; save it as an 8-bit grey PNG"),
    "1 bit": (saved(Image.new("1", (48, 40))), "an edge map in mode 1; save it as an 8-bit grey PNG"),
    "colours": (saved(Image.new("RGB", (48, 40))), "an edge map in mode RGB; save it as an 8-bit grey PNG"),
    "a palette": (saved(Image.new("P", (48, 40))), "an edge map in mode P; save it as an 8-bit grey PNG"),
    "transparency": (saved(Image.new("LA", (48, 40))), "an edge map in mode LA; save it as an 8-bit grey PNG"),
    "truncated": (truncated, "truncated or damaged image"),
    "no image": (lambda path: path.write_text("hello"), "not an image"),  # type: ignore[dict-item,return-value]
    "empty": (lambda path: path.write_bytes(b""), "empty file, not an image"),  # type: ignore[dict-item,return-value]
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_edge_map_is_one_sentence_that_names_the_file_and_nothing_is_kept(data: Path, case: str) -> None:
    harm, sentence = BAD[case]
    path = drawn(data / "edges")[1]
    harm(path)
    edges = stage()
    with pytest.raises(HairlineError) as refused:
        made(edges)
    assert str(path) in str(refused.value)
    assert sentence in str(refused.value)
    assert not edges.complete()


@pytest.mark.parametrize(
    ("folder", "words"),
    [("", "is '' with source = \"png\"; name one with"), ("edgse", "is 'edgse', but there is no folder {data}/edgse")],
)
def test_a_folder_that_is_not_there_is_told_before_any_work(
    data: Path, monkeypatch: pytest.MonkeyPatch, folder: str, words: str
) -> None:
    text = (data.parent / "configs" / "mine.toml").read_text()
    (data.parent / "configs" / "mine.toml").write_text(text.replace('"edges"', f'"{folder}"') + WITH_EDGES)
    with pytest.raises(HairlineError) as refused:
        _ = Segmenter(dataset="mine", segmenter="scnet", labels="full").key
    assert str(refused.value).startswith("[EdgeMaps] folder of mine " + words.format(data=data))
    assert 'or take source = "canny"' in str(refused.value)


def test_the_edges_of_another_data_set_lie_where_its_own_settings_say(data: Path) -> None:
    text = (data.parent / "configs" / "mine.toml").read_text()
    (data.parent / "configs" / "yours.toml").write_text(text.replace('"edges"', '"other"'))
    (data / "other").mkdir()
    assert stage(images_of="yours").png_folder() == data / "other"
    drawn(data / "edges")
    assert stage().png_folder() == data / "edges"


# where a network takes edges, and only there


def axes(labels: str, **more: str) -> dict[str, str]:
    arch = "" if labels == "full" else "resnet18"
    return {"dataset": "tiny", "segmenter": "scnet", "labels": labels, "arch": arch, **more}


def edge_maps_below(root: Any) -> list[tuple[str, str]]:
    """Data set and split of every EdgeMaps that a stage rests on."""
    parts = [part for part in walk(root) if isinstance(part, EdgeMaps)]
    return sorted((part.target_dataset().dataset, part.split) for part in parts)


@pytest.mark.parametrize("edges", ["sobel", "none"])
def test_a_network_without_given_edges_knows_nothing_of_them(tiny: Path, edges: str) -> None:
    def keys(numbers: str) -> list[str]:
        (tiny / "configs" / "tiny.toml").write_text(f"{TINY}[Segmenter.options.scnet]\nedges = '{edges}'\n{numbers}")
        forget()
        Register.clear_instance_cache()
        parts = [Predictions(**axes(labels)) for labels in ("full", "crf", "pseudo", "semi")]
        assert not [each for part in parts for each in edge_maps_below(part)]
        assert parts[0].upstream().keys() == {"segmenter", "target"}
        assert parts[0].segmenter_stage().upstream().keys() == {"dataset"}
        return [each.key for part in parts for each in (part, part.segmenter_stage())]

    before = keys("")
    assert keys('[EdgeMaps]\nsource = "png"\nfolder = "nowhere"\nthreshold = 3\nblur_px = 9.0\n') == before


def test_a_network_with_given_edges_rests_on_those_of_all_its_images(tiny: Path) -> None:
    (tiny / "configs" / "tiny.toml").write_text(TINY + WITH_EDGES)
    another(tiny, "bridge")
    own, away = [("tiny", "test"), ("tiny", "train")], [("bridge", "test"), ("tiny", "train")]
    for labels in ("full", "crf", "pseudo"):
        assert edge_maps_below(Segmenter(**axes(labels))) == [("tiny", "train")]
        assert edge_maps_below(Predictions(**axes(labels))) == own
        assert edge_maps_below(Predictions(**axes(labels, target="bridge"))) == away
    assert edge_maps_below(Segmenter(**axes("semi"))) == own
    assert edge_maps_below(Segmenter(**axes("semi", added="bridge"))) == away
    assert edge_maps_below(Predictions(**axes("semi", target="bridge"))) == away


def test_every_image_of_a_semi_supervised_training_comes_with_the_edges_of_its_own_data_set(
    tiny: Path,
) -> None:
    (tiny / "configs" / "tiny.toml").write_text(TINY + WITH_EDGES)
    another(tiny, "bridge")
    for added, away in (("bridge", "bridge"), ("", "tiny")):
        for lesson, whose in zip(Segmenter(**axes("semi", added=added)).lessons, ("tiny", away), strict=True):
            assert lesson.edges is not None
            assert (lesson.dataset.dataset, lesson.edges.target_dataset().dataset) == (whose, whose)
            shown, _, job = lesson.shown()
            assert (shown, lesson.edges.split) == (lesson.edges, lesson.split)
            assert job.edges == lesson.edges.maps()


def test_scnet_is_trained_and_predicts_with_given_edges_and_they_make_a_difference(tiny: Path) -> None:
    (tiny / "configs" / "tiny.toml").write_text(TINY + WITH_EDGES)
    done = luigi_in(tiny, "Predictions", "--dataset", "tiny", "--segmenter", "scnet", "--labels", "full")
    assert done.returncode == 0, done.stderr
    assert sorted(ran(done)) == sorted(["DemoPhotos", "Dataset", "EdgeMaps", "Segmenter", "EdgeMaps", "Predictions"])
    stage = Predictions(**axes("full"))
    assert stage.entry.manifest()["upstream_entries"]["edge_maps"].startswith("edge_maps/tiny-")
    own = stage.target_dataset()
    assert image_of(own.photos("train")[0], EdgeMaps(dataset="tiny", split="train"))[..., 3].any()
    first = own.photos("test")[0]
    image, model = image_of(first, stage.edge_maps()), stage.segmenter_stage().trained().model()
    torch.set_num_threads(1)
    assert np.array_equal(predict(model, image, stage.knobs, device=CPU), stage.maps().of(first))
    image[..., 3] = 0
    assert not np.array_equal(predict(model, image, stage.knobs, device=CPU), stage.maps().of(first))
