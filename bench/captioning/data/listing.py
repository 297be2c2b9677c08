"""Images of each split with their captions, read from the layouts of captioned images.

    flickr8k          IMAGE#0<tab>A child in a pink dress is climbing up a set of stairs .
                      and a list of images a line for train, valid and test
    coco-karpathy     {"images": [{"filename": ..., "split": "restval",
                                   "sentences": [{"raw": ..., "tokens": [...]}, ...]}, ...]}

A caption without a word, an image without a caption and a malformed line are problems; an image in
two splits is an error, because training and evaluation would overlap.
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
from bench.data.decoding import read_text_lines

Texts = list[tuple[str, Tokens]]
"""Captions of an image, as they were written and as words."""


class Problem(Frozen, frozen=True, kw_only=True):
    """One image or caption that cannot be used; `split` None outside of all splits."""

    split: str | None = None
    kind: Literal["no image", "no caption", "no words", "bad line"]
    image: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.image}: {self.detail}"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image and the words of its captions."""

    name: str
    tokens: tuple[Tokens, ...]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Usable images of each split; `further`: captioned images outside of all splits."""

    splits: Mapping[str, tuple[Image, ...]]
    problems: tuple[Problem, ...]
    further: tuple[str, ...] = ()


def list_captions(spec: CaptionsSpec, paths: Mapping[str, Path]) -> Listing:
    """Listing of the text files of a corpus, located by the card's names."""
    if spec.layout == "flickr8k":
        return _list_flickr8k({name: paths[name] for name in spec.text_files()})
    return _list_karpathy(paths["captions"], spec.splits)


def _list_flickr8k(paths: Mapping[str, Path]) -> Listing:
    captions, problems = _flickr8k_captions(paths["captions"])
    members = {split: list(filter(None, _lines(paths[split]))) for split in PARTS}
    _check_disjoint(members, paths["captions"].parent)
    found = {
        split: {name: captions.get(name, []) for name in names} for split, names in members.items()
    }
    known = {name for names in members.values() for name in names}
    further = [name for name in captions if name not in known]
    return _listing(found, problems, further, paths["captions"])


def _flickr8k_captions(path: Path) -> tuple[dict[str, Texts], list[Problem]]:
    captions: dict[str, Texts] = {}
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
    """Lines of a text without blanks around them."""
    return [line.strip() for line in read_text_lines(path)]


class _Sentence(msgspec.Struct):
    raw: str
    tokens: list[str] | None = None


class _Image(msgspec.Struct):
    filename: str
    split: str
    sentences: list[_Sentence]


class _Dataset(msgspec.Struct):
    images: list[_Image]


def _list_karpathy(path: Path, marks: Mapping[str, Sequence[str]]) -> Listing:
    """Listing of one JSON file; `marks` are those of its splits that make up train, valid, test."""
    try:
        images = msgspec.json.decode(path.read_bytes(), type=_Dataset).images
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BenchError(
            f"{path} is not JSON as Karpathy's splits have it (images, each with filename, split "
            f"and sentences): {error}"
        ) from error
    split_of = {mark: split for split, own in marks.items() for mark in own}
    found: dict[str, dict[str, Texts]] = {split: {} for split in PARTS}
    members: dict[str, list[str]] = {split: [] for split in PARTS}
    further = []
    for image in images:
        if image.split not in split_of:
            further.append(image.filename)
            continue
        split = split_of[image.split]
        members[split].append(image.filename)
        found[split][image.filename] = [
            (each.raw, caption_tokens(each.raw if each.tokens is None else " ".join(each.tokens)))
            for each in image.sentences
        ]
    _check_disjoint(members, path)
    return _listing(found, [], further, path)


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


def _listing(
    found: Mapping[str, Mapping[str, Texts]],
    problems: list[Problem],
    further: Sequence[str],
    path: Path,
) -> Listing:
    """Listing of the images that have captions with words in them; the rest are problems."""
    splits = {}
    for split, captions in found.items():
        images = []
        for name, own in captions.items():
            for text, tokens in own:
                if not tokens:
                    bad = Problem(
                        split=split, kind="no words", image=name, detail=f"{text!r} in {path}"
                    )
                    problems.append(bad)
            if words := tuple(tokens for _, tokens in own if tokens):
                images.append(Image(name=name, tokens=words))
            else:
                detail = f"of {split}, in {path}"
                problems.append(Problem(split=split, kind="no caption", image=name, detail=detail))
        splits[split] = tuple(images)
    return Listing(splits=splits, problems=tuple(problems), further=tuple(further))
