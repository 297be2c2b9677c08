"""Small trees of captioned images, in the layouts that the loaders read."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from bench.captioning.data.corpus import CaptionCorpus
from bench.captioning.data.prepared import prepare
from bench.captioning.data.specification import CaptionsSpec, GivenFeatures
from bench.core.config import DataConfig
from bench.core.suite import Suite, shipped_folder
from bench.data.files import FileSpec
from bench.data.problems import Progress
from bench.data.sources import Download

CARD = Suite(folder=shipped_folder()).card("flickr8k")
SPLITS = {"train": ["a.jpg", "b.jpg", "c.jpg"], "valid": ["d.jpg"], "test": ["e.jpg", "f.jpg"]}
CAPTIONS = {
    "a.jpg": ["A dog 's in a T-shirt .", "The dog runs !"],
    "b.jpg": ["A dog runs .", "Two dogs : run"],
    "c.jpg": ["A cat runs", "A cat"],
    "d.jpg": ["A zebra runs .", "A dog"],
    "e.jpg": ["A dog runs on 2 legs", "A dog"],
    "f.jpg": ["The cat .", "A yak is a yak ."],
    "g.jpg": ["In no split"],
    "lost.jpg.1": ["Of no image"],
}
NAMES = ["g.jpg", "f.jpg", "e.jpg", "d.jpg", "c.jpg", "b.jpg", "a.jpg"]
"""Of the rows of the given features, whose first number is the row."""


def write_flickr8k(folder: Path) -> CaptionsSpec:
    """The tree and its card."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{name}#{number}\t{text}\n"
        for name, texts in CAPTIONS.items()
        for number, text in enumerate(texts)
    ]
    (folder / "captions.txt").write_text("".join(lines))
    for split, names in SPLITS.items():
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    write_features(folder, "given")
    return flickr8k_spec()


def tiny(
    folder: Path,
    spec: CaptionsSpec | None = None,
    *,
    twin: str | None = None,
    cache: Path | None = None,
    weights: Download = "never",
    progress: Progress | None = None,
    **data: Any,
) -> CaptionCorpus:
    """The corpus in `folder`, written there first where no card of it is given."""
    corpus = spec or write_flickr8k(folder)
    return prepare(
        msgspec.structs.replace(CARD, task="tiny", twin=twin, corpus=corpus),
        DataConfig(path=str(folder), **data),
        cache=cache or folder.parent / "cache",
        weights=weights,
        progress=progress,
    )


def flickr8k_spec(**changes: Any) -> CaptionsSpec:
    """Its card."""
    names = {name: f"{name}.txt" for name in ("captions", *SPLITS)}
    names |= {"given": "given.npy", "names": "given.names.txt"}
    usual: dict[str, Any] = {
        "layout": "flickr8k",
        "folder": "tiny",
        "licence": "none",
        "obtain": "a shelf",
        "files": {name: FileSpec(path=path) for name, path in names.items()},
        "images": ("images.tar", "images"),
        "given": {"given": GivenFeatures(file="given", names="names", what="numbers")},
        "features": "given",
        "minimum_count": 2,
    }
    return CaptionsSpec(**{**usual, **changes})


def write_features(folder: Path, name: str, names: list[str] = NAMES) -> Path:
    """Features of `names`: row i is i, i + 0.5, ..."""
    row = np.arange(len(names))[:, None] + np.arange(4)[None, :] / 2
    np.save(folder / f"{name}.npy", row.astype(np.float16))
    (folder / f"{name}.names.txt").write_text("".join(f"{name}\n" for name in names))
    return folder / f"{name}.npy"


def write_karpathy(folder: Path, *, tokens: bool = True) -> CaptionsSpec:
    """The same captions as one JSON file, with the marks of COCO's."""
    folder.mkdir(parents=True, exist_ok=True)
    marks = {"a.jpg": "train", "b.jpg": "restval", "c.jpg": "train", "d.jpg": "val"}
    images = []
    for name, texts in CAPTIONS.items():
        sentences = [
            {"raw": text, "sentid": number} | ({"tokens": text.lower().split()} if tokens else {})
            for number, text in enumerate(texts)
        ]
        mark = marks.get(name, "test" if name in SPLITS["test"] else "further")
        images.append({"filename": name, "split": mark, "imgid": 0, "sentences": sentences})
    (folder / "dataset.json").write_text(json.dumps({"images": images, "dataset": "tiny"}))
    write_features(folder, "given")
    files = {"captions": "dataset.json", "given": "given.npy", "names": "given.names.txt"}
    return flickr8k_spec(
        layout="coco-karpathy",
        files={name: FileSpec(path=path) for name, path in files.items()},
        splits={"train": ("train", "restval"), "valid": ("val",), "test": ("test",)},
    )


def image_of(name: str, size: tuple[int, int] = (128, 128)) -> bytes:
    """A picture whose left is red and whose right depends on the name."""
    pixels = np.zeros((*size[::-1], 3), np.uint8)
    pixels[:, : size[0] // 2, 0] = 200
    pixels[:, size[0] // 2 :] = ord(name[0]) * 37 % 256
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def write_tar(path: Path, names: list[str] = NAMES, **size: Any) -> None:
    """A tar of pictures in a folder of their own."""
    with tarfile.open(path, "w") as archive:
        for name in names:
            content = image_of(name, **size)
            member = tarfile.TarInfo(f"images/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_folder(path: Path, names: list[str] = NAMES, **size: Any) -> None:
    """The same as files."""
    (path / "more").mkdir(parents=True)
    for number, name in enumerate(names):
        (path / ("more" if number % 2 else "") / name).write_bytes(image_of(name, **size))
