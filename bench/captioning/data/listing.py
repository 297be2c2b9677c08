"""Which images a split has and what is said of each: the layouts of captioned images.

    flickr8k          IMAGE#0<tab>A child in a pink dress is climbing up a set of stairs .
                      and a list of images a line for train, valid and test
    coco-karpathy     {"images": [{"filename": ..., "split": "restval",
                                   "sentences": [{"raw": ..., "tokens": [...]}, ...]}, ...]}

A caption without a word, an image without a caption and a line that is none are problems; an image
in two splits is an error, because what is measured then means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from bench.captioning.data.specification import PARTS, CaptionsSpec
from bench.captioning.data.words import Tokens, caption_tokens
from bench.core.errors import BenchError
from bench.core.structs import Frozen
from bench.data.lines import UnreadableError, read_lines

# What can be wrong with an image or a caption.


Kind = Literal["no image", "no caption", "no words", "bad line"]
THING = "caption or image"


class Problem(Frozen, frozen=True, kw_only=True):
    """One image or caption that cannot be used; `split` None for one that belongs to none."""

    split: str | None = None
    kind: Kind
    image: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.image}: {self.detail}"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image and its captions, as they were written and as words."""

    name: str
    texts: tuple[str, ...]
    tokens: tuple[Tokens, ...]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The usable images of each split; `further`: captioned images that belong to none."""

    splits: Mapping[str, tuple[Image, ...]]
    problems: tuple[Problem, ...]
    further: tuple[str, ...] = ()


def list_captions(spec: CaptionsSpec, paths: Mapping[str, Path]) -> Listing:
    """Read the text files of a corpus, which `paths` locates by the card's names."""
    if spec.layout == "flickr8k":
        return list_flickr8k({name: paths[name] for name in spec.text_files()})
    return list_karpathy(paths["captions"], spec.splits)


def list_flickr8k(paths: Mapping[str, Path]) -> Listing:
    """`captions` in one file, and a list of images a split, in the order of the lists."""
    captions, problems = _flickr8k_captions(paths["captions"])
    members = {split: _lines(paths[split]) for split in PARTS}
    members = {split: [name for name in names if name] for split, names in members.items()}
    _check_disjoint(members, paths["captions"].parent)
    splits = {}
    for split, names in members.items():
        found = {name: captions.get(name, []) for name in names}
        splits[split], bad = _usable(found, split, paths["captions"])
        problems += bad
    known = {name for names in members.values() for name in names}
    further = tuple(name for name in captions if name not in known)
    return Listing(splits=splits, problems=tuple(problems), further=further)


class _Sentence(msgspec.Struct):
    raw: str
    tokens: list[str] | None = None


class _Image(msgspec.Struct):
    filename: str
    split: str
    sentences: list[_Sentence]


class _Dataset(msgspec.Struct):
    images: list[_Image]


def list_karpathy(path: Path, marks: Mapping[str, Sequence[str]]) -> Listing:
    """One JSON file; `marks` says which of its splits make up train, valid and test."""
    try:
        images = msgspec.json.decode(path.read_bytes(), type=_Dataset).images
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BenchError(
            f"{path} is not JSON as Karpathy's splits have it (images, each with filename, split "
            f"and sentences): {error}"
        ) from error
    split_of = {mark: split for split, own in marks.items() for mark in own}
    found: dict[str, dict[str, list[tuple[str, Tokens]]]] = {split: {} for split in PARTS}
    members: dict[str, list[str]] = {split: [] for split in PARTS}
    further = []
    for image in images:
        if image.split not in split_of:
            further.append(image.filename)
            continue
        split = split_of[image.split]
        members[split].append(image.filename)
        found[split][image.filename] = [
            (said.raw, caption_tokens(said.raw if said.tokens is None else " ".join(said.tokens)))
            for said in image.sentences
        ]
    _check_disjoint(members, path)
    splits, problems = {}, []
    for split in PARTS:
        splits[split], bad = _usable(found[split], split, path)
        problems += bad
    return Listing(splits=splits, problems=tuple(problems), further=tuple(further))


def _flickr8k_captions(path: Path) -> tuple[dict[str, list[tuple[str, Tokens]]], list[Problem]]:
    captions: dict[str, list[tuple[str, Tokens]]] = {}
    problems = []
    for number, line in enumerate(_lines(path), start=1):
        mark, tab, text = line.partition("\t")
        name, hash_, count = mark.rpartition("#")
        if tab and hash_ and name and count.isdigit():
            captions.setdefault(name, []).append((text.strip(), caption_tokens(text)))
        elif line:
            detail = f"{path}, line {number:,} is not IMAGE#NUMBER, a tab and a caption"
            problems.append(Problem(kind="bad line", image=mark[:60], detail=detail))
    return captions, problems


def _lines(path: Path) -> list[str]:
    """The lines of a text, without blanks around them."""
    try:
        lines = read_lines(path)
    except UnreadableError as error:
        raise BenchError(f"{path} cannot be read: {error}") from error
    for place, fault in lines.undecodable().items():
        raise BenchError(f"{path}, line {place + 1:,}: {fault}; put the original file in its place")
    return [line.strip() for line in lines]


def _check_disjoint(members: Mapping[str, Sequence[str]], where: Path) -> None:
    split_of: dict[str, str] = {}
    for split, names in members.items():
        if not names:
            raise BenchError(f"{where}: no image in the {split} split")
        for name in names:
            if name in split_of:
                raise BenchError(
                    f"{where}: {name} is listed in {split_of[name]} and again in {split}; put the "
                    "original files in their place"
                )
            split_of[name] = split


def _usable(
    found: Mapping[str, list[tuple[str, Tokens]]], split: str, path: Path
) -> tuple[tuple[Image, ...], list[Problem]]:
    """The images of a split that have captions with words in them, and the rest."""
    images, problems = [], []
    for name, captions in found.items():
        said = [(text, tokens) for text, tokens in captions if tokens]
        for text, tokens in captions:
            if not tokens:
                detail = f"{text!r} in {path}"
                problems.append(Problem(split=split, kind="no words", image=name, detail=detail))
        if said:
            texts, words = zip(*said, strict=True)
            images.append(Image(name=name, texts=texts, tokens=words))
        else:
            detail = f"of {split}, in {path}"
            problems.append(Problem(split=split, kind="no caption", image=name, detail=detail))
    return tuple(images), problems
