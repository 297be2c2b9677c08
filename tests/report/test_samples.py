"""Pictures, captions and samples on the page of a task, and what it says where they are not."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import cast

import pytest
from made_captions import TASK, add_run, images, make_suite, scored
from PIL.Image import Image, new
from PIL.Image import open as open_image

from bench.captioning.data import prepared
from bench.captioning.data.specification import CaptionsSpec
from bench.captioning.outputs import Captions
from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.report.content import TaskContent, gather
from bench.report.pictures import NUM_IMAGES, SIDE_PIXELS, pictures_of, thumbnail
from bench.report.samples import spread


class Squares:
    """A picture for every name."""

    names = ()

    def fingerprint(self) -> str:
        return ""

    def __call__(self, name: str) -> Image:
        return new("RGB", (400, 300), "red")


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    monkeypatch.setattr(prepared, "open_images", lambda _: Squares())
    return make_suite(Suite(folder=tmp_path))


def content(suite: Suite) -> TaskContent:
    return gather(suite, (TASK,))[0]


def test_each_image_has_its_models_people_and_nearest(suite: Suite) -> None:
    better = add_run(suite, scored(spoilt=0.1))
    worse = add_run(suite, scored(spoilt=0.6, copies=30), model="nearest")
    found = pictures_of(suite, content(suite))
    assert found is not None
    assert len(found.pictures) == NUM_IMAGES
    for one in found.pictures:
        assert [caption.run_id for caption in one.captions] == [better.id, worse.id]
        assert len(one.people) == 5
        assert one.source.startswith("data:image/jpeg;base64,")
        assert one.nearest
    cider = [one.captions[0].score for one in found.pictures]
    assert cider == sorted(cider, reverse=True)
    assert found.nearest_of == "nearest"


def test_copies_are_said_to_be_copies(suite: Suite) -> None:
    add_run(suite, scored(copies=40))
    found = pictures_of(suite, content(suite))
    assert found is not None
    assert {caption.note for one in found.pictures for caption in one.captions} == {"copy"}


def test_missing_captions_are_said(suite: Suite) -> None:
    record = add_run(suite, scored())
    Captions.path(suite.artifacts(TASK, record.id), "test").unlink()
    found = pictures_of(suite, content(suite))
    assert found is not None
    assert not found.pictures
    assert "No captions of these runs are kept here" in found.why


def test_captions_of_another_run_are_not_shown(suite: Suite) -> None:
    record = add_run(suite, scored())
    other = scored(spoilt=0.9, described=images("test", seed=5))
    other.keep(suite.artifacts(TASK, record.id), "test", "beam(5)")
    found = pictures_of(suite, content(suite))
    assert found is not None
    assert not found.pictures
    assert "delete it" in found.problems[0]


def test_an_image_that_is_not_there_is_said(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing(Squares):
        def __call__(self, name: str) -> Image:
            raise BenchError(f"no image {name}")

    monkeypatch.setattr(prepared, "open_images", lambda _: Nothing())
    add_run(suite, scored())
    found = pictures_of(suite, content(suite))
    assert found is not None
    assert found.why.startswith("no image ")


def test_missing_images_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Suite(folder=tmp_path).card("flickr8k")
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    with pytest.raises(BenchError, match=r"flickr8k_128px_q85.tar or Flicker8k_Dataset"):
        prepared.open_images(cast(CaptionsSpec, card.corpus))


def test_photographs_are_small(bench_data: Path) -> None:
    corpus = cast(CaptionsSpec, Suite(folder=bench_data).card("flickr8k").corpus)
    photographs = prepared.open_images(corpus)
    source = thumbnail(photographs, photographs.names[0])
    assert len(base64.b64decode(source.partition(",")[2])) < 9_000


def test_thumbnails_keep_their_shape() -> None:
    source = thumbnail(Squares(), "any")
    image = open_image(BytesIO(base64.b64decode(source.partition(",")[2])))
    assert image.size == (SIDE_PIXELS, SIDE_PIXELS * 3 // 4)


@pytest.mark.parametrize(
    ("number", "wanted", "places"),
    [(3, 6, [0, 1, 2]), (11, 3, [0, 5, 10]), (1000, 2, [0, 999])],
)
def test_samples_are_spread_evenly(number: int, wanted: int, places: list[int]) -> None:
    assert spread(number, wanted) == places
