"""Features of images: given, computed, by a network or the user's own; and what is refused."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from caption_trees import (
    NAMES,
    SPLITS,
    tiny,
    write_features,
    write_flickr8k,
    write_folder,
    write_tar,
)

from bench.captioning.data import extraction
from bench.captioning.data.extraction import CLASSICAL
from bench.captioning.data.images import find_images
from bench.captioning.data.prepared import WEIGHTS
from bench.captioning.data.specification import COMPUTED
from bench.captioning.data.store import open_store
from bench.core.errors import BenchError
from bench.data.files import FileSpec

# Rows, order, checksum --------------------------------------------------------------------------


def test_rows_are_float32_in_the_order_asked_for(tmp_path: Path) -> None:
    store = open_store("x", write_features(tmp_path, "x"), tmp_path / "x.names.txt", what="y")
    found = store.rows(np.array([3, 0, 3]))
    assert found.dtype == np.float32
    assert found.tolist() == [[3, 3.5, 4, 4.5], [0, 0.5, 1, 1.5], [3, 3.5, 4, 4.5]]
    assert isinstance(store.array, np.memmap)
    assert (len(store), store.size, store.array.ndim) == (7, 4, 2)


def test_a_grid_has_a_row_a_region(tmp_path: Path) -> None:
    write_features(tmp_path, "x")
    np.save(tmp_path / "x.npy", np.zeros((7, 9, 5), np.float32))
    store = open_store("x", tmp_path / "x.npy", tmp_path / "x.names.txt", what="y")
    assert (store.size, store.array.ndim) == (5, 3)
    assert store.rows(np.array([1])).shape == (1, 9, 5)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((6, 4), np.float32), "6 rows where x.names.txt lists 7 images"),
        (np.zeros((7, 4), np.int64), "of int64 where features are floating point numbers"),
        (np.zeros(7), r"\(7,\) of float64 where features"),
        (np.full((7, 4), np.nan), "row 0 holds values that are not finite"),
        (np.array([None] * 7), "cannot be read as a .npy array"),
    ],
)
def test_arrays_that_are_no_features(tmp_path: Path, array: Any, message: str) -> None:
    write_features(tmp_path, "x")
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(BenchError, match=message):
        open_store("x", tmp_path / "x.npy", tmp_path / "x.names.txt", what="y")


def test_a_truncated_array_is_refused(tmp_path: Path) -> None:
    path = write_features(tmp_path, "x")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(BenchError, match=r"x.npy cannot be read as a .npy array"):
        open_store("x", path, tmp_path / "x.names.txt", what="y")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.jpg", "a.jpg"], "line 2: a.jpg stands in line 1 already"),
        (["a.jpg", ""], "line 2: no name"),
    ],
)
def test_names_that_name_no_row(tmp_path: Path, names: list[str], message: str) -> None:
    write_features(tmp_path, "x", names)
    with pytest.raises(BenchError, match=message):
        open_store("x", tmp_path / "x.npy", tmp_path / "x.names.txt", what="y")


@pytest.mark.parametrize("file", ["given", "names"])
def test_given_features_that_are_not_the_cards(tmp_path: Path, file: str) -> None:
    """Other names, or the same in another order, are other bytes than the card's."""
    spec = write_flickr8k(tmp_path / "tiny")
    path = spec.files[file].path
    files = {**spec.files, file: FileSpec(path=path, sha256="0" * 64)}
    with pytest.raises(BenchError, match=f"{path}: altered: sha256"):
        tiny(tmp_path / "tiny", msgspec.structs.replace(spec, files=files))


# By name ----------------------------------------------------------------------------------------


def test_the_users_own_features(tmp_path: Path) -> None:
    spec = write_flickr8k(tmp_path / "tiny")
    write_features(tmp_path / "tiny", "mine", sorted(NAMES))
    corpus = tiny(tmp_path / "tiny", spec, features="mine")
    rows = corpus.features.rows(corpus.splits["train"].feature_row)
    assert rows[:, 0].tolist() == [sorted(NAMES).index(name) for name in SPLITS["train"]]
    assert "features mine" in corpus.checksums


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gits", r"tiny has no features 'gits', did you mean 'gist'\? \(your own are gits.npy"),
        ("gist", "'gist' are computed from the images, which are not there: put images.tar or im"),
    ],
)
def test_features_that_are_not_there(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        tiny(tmp_path / "tiny", features=name)


def test_a_file_of_features_that_is_missing(tmp_path: Path) -> None:
    spec = write_flickr8k(tmp_path / "tiny")
    (tmp_path / "tiny/given.npy").unlink()
    with pytest.raises(BenchError, match=r"given.npy is missing: the features 'given' need it"):
        tiny(tmp_path / "tiny", spec)


# Computed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMPUTED)
def test_computed_features_are_those_of_each_image(tmp_path: Path, name: str) -> None:
    spec = write_flickr8k(tmp_path / "tiny")
    write_tar(tmp_path / "tiny/images.tar")
    told: list[tuple[int, int]] = []
    settings: dict[str, Any] = {
        "features": name,
        "progress": lambda done, total: told.append((done, total)),
    }
    corpus = tiny(tmp_path / "tiny", spec, **settings)
    assert told == [(7, 7)]
    images, test = find_images(tmp_path / "tiny", spec.images), corpus.splits["test"]
    assert images is not None
    rows = corpus.features.rows(test.feature_row)
    for row, image in zip(rows, test.names, strict=True):
        pixels = np.asarray(images(image), np.float32) / np.float32(255)
        np.testing.assert_array_equal(row, CLASSICAL[name](pixels))
    again = tiny(tmp_path / "tiny", spec, **settings)
    assert told == [(7, 7)]
    assert again.checksums == corpus.checksums


def test_images_may_be_files_of_any_size(tmp_path: Path) -> None:
    spec = write_flickr8k(tmp_path / "tiny")
    write_folder(tmp_path / "tiny/images", size=(200, 150))
    assert tiny(tmp_path / "tiny", spec, features="colour-histogram").features.size == 640
    images = find_images(tmp_path / "tiny", spec.images)
    assert images is not None
    assert images("a.jpg").size == (200, 150)
    with pytest.raises(BenchError, match=r"holds no image z\.jpg"):
        images("z.jpg")


def test_images_that_lack_one_of_a_split(tmp_path: Path) -> None:
    spec = write_flickr8k(tmp_path / "tiny")
    write_tar(tmp_path / "tiny/images.tar", [name for name in NAMES if name != "d.jpg"])
    with pytest.raises(BenchError, match=r"'hog' have no row for 1 of the 1 images of valid"):
        tiny(tmp_path / "tiny", spec, features="hog")


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    spec = write_flickr8k(tmp_path / "tiny")
    write_folder(tmp_path / "tiny/images")
    (tmp_path / "tiny/images/more/b.jpg").write_bytes(b"no image")
    with pytest.raises(BenchError, match=r"b\.jpg in .*images cannot be read as an image"):
        tiny(tmp_path / "tiny", spec, features="hog")
    assert not list((tmp_path / "cache/image-features").glob("*/features.npy"))


@pytest.mark.parametrize("file", ["features.npy", "names.txt", "index.json"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, file: str) -> None:
    spec = write_flickr8k(tmp_path / "tiny")
    write_tar(tmp_path / "tiny/images.tar")
    before = tiny(tmp_path / "tiny", spec, features="hog").features
    values = np.array(before.array)
    (path,) = (tmp_path / "cache/image-features").glob(f"*/{file}")
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(bytes(content))
    after = tiny(tmp_path / "tiny", spec, features="hog").features
    np.testing.assert_array_equal(after.array, values)
    assert after.sha256 == before.sha256


def test_other_images_are_other_features(tmp_path: Path) -> None:
    spec = write_flickr8k(tmp_path / "tiny")
    write_tar(tmp_path / "tiny/images.tar")
    first = tiny(tmp_path / "tiny", spec, features="hog").features
    write_tar(tmp_path / "tiny/images.tar", size=(64, 64))
    assert tiny(tmp_path / "tiny", spec, features="hog").features.sha256 != first.sha256


def test_blocks_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = write_flickr8k(tmp_path / "tiny")
    write_tar(tmp_path / "tiny/images.tar")
    whole = np.array(tiny(tmp_path / "tiny", spec, features="gist").features.array)
    monkeypatch.setattr(extraction, "BLOCK", 3)
    told: list[int] = []
    settings: dict[str, Any] = {"features": "gist", "progress": lambda done, _: told.append(done)}
    corpus = tiny(tmp_path / "tiny", spec, cache=tmp_path / "elsewhere", **settings)
    np.testing.assert_array_equal(corpus.features.array, whole)
    assert told == [3, 6, 7]


# By a network -----------------------------------------------------------------------------------


class FakeWeights:
    """As torchvision's: an address, and what is done to an image."""

    url = "https://example.org/fake.pth"

    @staticmethod
    def transforms() -> Any:
        return lambda image: torch.from_numpy(np.asarray(image, np.float32)[:8, :8].copy())


class FakeNetwork(torch.nn.Module):
    """One layer that lets everything through, and behind it one that would not."""

    def __init__(self) -> None:
        super().__init__()
        through = (torch.nn.Identity() for _ in range(5))
        self.classifier = torch.nn.Sequential(torch.nn.Flatten(), *through, torch.nn.Tanh())

    def forward(self, images: torch.Tensor) -> Any:
        """As torchvision's."""
        return self.classifier(images)


def fake_torchvision(monkeypatch: pytest.MonkeyPatch, hub: Path) -> list[str]:
    """A stand-in for torchvision; the weights that were loaded."""
    loaded: list[str] = []

    def vgg16(weights: Any) -> FakeNetwork:
        loaded.append(weights.url)
        return FakeNetwork()

    models = types.ModuleType("torchvision.models")
    models.get_weight = {WEIGHTS["vgg16-fc7"]: FakeWeights}.get  # type: ignore[attr-defined]
    models.vgg16 = vgg16  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(hub))
    return loaded


def test_a_network_without_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    spec = write_flickr8k(tmp_path / "tiny")
    write_tar(tmp_path / "tiny/images.tar")
    with pytest.raises(BenchError, match=r"'vgg16-fc7' need torchvision, .* --fetch"):
        tiny(tmp_path / "tiny", spec, features="vgg16-fc7")


def test_weights_are_fetched_only_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = fake_torchvision(monkeypatch, tmp_path / "hub")
    spec = write_flickr8k(tmp_path / "tiny")
    write_tar(tmp_path / "tiny/images.tar")
    with pytest.raises(BenchError, match=r"weights of vgg16-fc7 are not in .*--fetch"):
        tiny(tmp_path / "tiny", spec, features="vgg16-fc7")
    assert loaded == []
    corpus = tiny(tmp_path / "tiny", spec, features="vgg16-fc7", weights="missing")
    assert loaded == [FakeWeights.url]
    assert corpus.features.size == 8 * 8 * 3
    assert float(corpus.features.array.max()) == 200  # the layers behind the fifth are cut off
    monkeypatch.setitem(sys.modules, "torchvision", None)
    again = tiny(tmp_path / "tiny", spec, features="vgg16-fc7")  # the cache needs neither
    assert again.checksums == corpus.checksums


def test_the_index_says_how_features_were_made(tmp_path: Path) -> None:
    spec = write_flickr8k(tmp_path / "tiny")
    write_tar(tmp_path / "tiny/images.tar")
    tiny(tmp_path / "tiny", spec, features="hog")
    (path,) = (tmp_path / "cache/image-features").glob("*/index.json")
    index = json.loads(path.read_text())
    assert index["recipe"].startswith("128 pixels, cells of 16")
    assert (path.parent / "names.txt").read_text().split() == sorted(NAMES)
