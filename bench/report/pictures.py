"""The picture page: images with captions of models and people, and the nearest training image."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

from bench.core.errors import BenchError
from bench.core.suite import Suite
from bench.domains import load_attribute, load_domain
from bench.report.content import TaskContent
from bench.report.samples import RunSamples, missing_outputs, run_samples, spread
from bench.runs.outputs import Sample

if TYPE_CHECKING:
    from PIL.Image import Image

    Images = Callable[[str], Image]

NUM_IMAGES = 12
SIDE_PIXELS = 160
QUALITY = 72


@dataclass(frozen=True, kw_only=True)
class Caption:
    """A model's caption of an image."""

    name: str
    settings: str
    run_id: str
    text: str
    score: float
    note: str
    """Remark on how much of it is in a training caption."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image of the test split."""

    image: str
    source: str
    """As a data address."""
    people: Sequence[str]
    captions: list[Caption]
    nearest: str
    """A training caption."""
    nearest_image: str
    nearest_source: str


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The page, or why there is none."""

    pictures: list[Picture] = field(default_factory=list)
    how: str = ""
    nearest_of: str = ""
    """The model whose nearest training image is shown."""
    why: str = ""
    problems: Sequence[str] = ()


def pictures_of(suite: Suite, content: TaskContent) -> Pictures | None:
    """Twelve images of a task whose samples name images; None for other tasks."""
    find_images = load_domain(content.card.kind).images
    if find_images is None or not content.records:
        return None
    found, problems = run_samples(suite, content)
    models = [run for run in found if run.record.model != "human"]
    if not models:
        return Pictures(why=missing_outputs(content.card), problems=problems)
    try:
        images = load_attribute(find_images)(content.card.corpus)
        return _page(models, images, problems)
    except BenchError as error:
        return Pictures(why=str(error), problems=problems)


def _page(models: list[RunSamples], images: Images, problems: list[str]) -> Pictures:
    best = models[0]
    order = sorted(range(len(best.table.rows)), key=lambda i: (-_score(best.table.rows[i]), i))
    shown = [order[place] for place in spread(len(order), NUM_IMAGES)]
    copier = next((run for run in models if run.record.model == "nearest"), best)
    pictures = []
    for place in shown:
        captions = [_caption(run, run.table.rows[place]) for run in models]
        pictures.append(_picture(copier.table.rows[place], captions, images))
    return Pictures(
        pictures=pictures,
        how=(
            f"{len(pictures)} images of the test split, evenly spaced from the best to the worst "
            f"by the CIDEr of {best.name}; none was chosen by hand."
        ),
        nearest_of=copier.name,
        problems=problems,
    )


def _score(sample: Sample) -> float:
    assert sample.score is not None
    return sample.score


def _caption(run: RunSamples, sample: Sample) -> Caption:
    return Caption(
        name=run.name,
        settings=run.settings,
        run_id=run.record.id,
        text=" ".join(word.text for word in sample.words),
        score=_score(sample),
        note=sample.note,
    )


def _picture(sample: Sample, captions: list[Caption], images: Images) -> Picture:
    return Picture(
        image=sample.image,
        source=thumbnail(images, sample.image),
        people=sample.references,
        captions=captions,
        nearest=sample.nearest,
        nearest_image=sample.nearest_image,
        nearest_source=thumbnail(images, sample.nearest_image),
    )


def thumbnail(images: Images, name: str) -> str:
    """A small copy of an image as a data address."""
    image = images(name)
    image.thumbnail((SIDE_PIXELS, SIDE_PIXELS))
    file = BytesIO()
    image.save(file, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
