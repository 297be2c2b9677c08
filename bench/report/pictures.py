"""The picture page: images with captions of models and people, and the nearest training image."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

from bench.captioning.data.specification import CaptionsSpec
from bench.core.cards import Card
from bench.core.errors import BenchError
from bench.core.record import Record
from bench.core.suite import Suite
from bench.report.content import TaskContent
from bench.report.samples import SPLIT, Kept, kept_of, spread

if TYPE_CHECKING:
    from bench.captioning.data.images import Images
    from bench.captioning.outputs import CaptionedImage, Captions

NUM_IMAGES = 12
SIDE_PIXELS = 160
QUALITY = 72


@dataclass(frozen=True, kw_only=True)
class Written:
    """A model's caption of an image."""

    name: str
    settings: str
    run_id: str
    caption: str
    cider: float
    is_copy: bool
    longest: int
    """Words of the longest n-gram that a training caption has."""
    num_words: int


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One image of the test split."""

    image: str
    source: str
    """As a data address."""
    people: Sequence[str]
    written: list[Written]
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
    """Twelve images of a captioning task; None for other tasks."""
    if content.card.kind != "captions" or not content.records:
        return None
    from bench.captioning.data.scenes import images_at_hand
    from bench.captioning.outputs import captions_path, kept_captions

    def read(record: Record) -> Captions:
        return kept_captions(suite, record, SPLIT, missing="leave")

    found, problems = kept_of(suite, content, captions_path, read)
    models = [kept for kept in found if kept.record.model != "human"]
    if not models:
        return Pictures(why=_no_captions(), problems=problems)
    images = images_at_hand(content.card.corpus)
    if images is None:
        return Pictures(why=_no_images(content.card), problems=problems)
    return _page(models, images, problems)


def _page(models: list[Kept[Captions]], images: Images, problems: list[str]) -> Pictures:
    best = models[0]
    scores = [kept.outputs.turns[0] for kept in models]
    cider = [kept.outputs.scores().per_image["cider"] for kept in models]
    order = sorted(range(len(scores[0])), key=lambda i: (-cider[0][i], i))
    shown = [order[place] for place in spread(len(order), NUM_IMAGES)]
    copier = next((i for i, kept in enumerate(models) if kept.record.model == "nearest"), 0)
    pictures = []
    try:
        for place in shown:
            written = [
                _written(kept, lines[place], float(values[place]))
                for kept, lines, values in zip(models, scores, cider, strict=True)
            ]
            pictures.append(_picture(scores[copier][place], written, images))
    except BenchError as error:
        return Pictures(why=str(error), problems=problems)
    return Pictures(
        pictures=pictures,
        how=(
            f"{len(pictures)} images of the test split, evenly spaced from the best to the worst "
            f"by the CIDEr of {best.name}; none was chosen by hand."
        ),
        nearest_of=models[copier].name,
        problems=problems,
    )


def _written(kept: Kept[Captions], line: CaptionedImage, cider: float) -> Written:
    return Written(
        name=kept.name,
        settings=kept.settings,
        run_id=kept.record.id,
        caption=line.hypothesis,
        cider=cider,
        is_copy=line.is_copy,
        longest=line.longest,
        num_words=len(line.hypothesis.split()),
    )


def _picture(line: CaptionedImage, written: list[Written], images: Images) -> Picture:
    return Picture(
        image=line.image,
        source=thumbnail(images, line.image),
        people=line.references,
        written=written,
        nearest=line.nearest,
        nearest_image=line.nearest_image,
        nearest_source=thumbnail(images, line.nearest_image),
    )


def thumbnail(images: Images, name: str) -> str:
    """A small copy of an image as a data address."""
    image = images(name)
    image.thumbnail((SIDE_PIXELS, SIDE_PIXELS))
    file = BytesIO()
    image.save(file, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _no_captions() -> str:
    return (
        "No captions of these runs are kept here: they lie in artifacts/ of the machine that made "
        "them. `bench errors RUN` makes them again from the weights."
    )


def _no_images(card: Card) -> str:
    assert isinstance(card.corpus, CaptionsSpec)
    wanted = " or ".join(card.corpus.images) or "the images"
    return (
        f"The captions are here, the images are not: put {wanted} into $BENCH_DATA/"
        f"{card.corpus.folder}/ and write the report again."
    )
