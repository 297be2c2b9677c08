"""Files of a parallel corpus: found in a folder, and read split by split."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.core.cards import Card
from bench.core.config import DataConfig
from bench.core.errors import BenchError
from bench.data.files import mismatch
from bench.data.identity import file_sha256, unpinned_files
from bench.data.sources import SPLIT_WORDS, DownloadProgress, locate, own_folder
from bench.translation.data.corpus import ReadPairs, read_pairs
from bench.translation.data.specification import LANGUAGE, PARTS, ParallelSpec


@dataclass(frozen=True, kw_only=True)
class CorpusFiles:
    """Pairs of file names by split, and the path of each name."""

    spec: ParallelSpec
    splits: Mapping[str, Sequence[tuple[str, str]]]
    paths: Mapping[str, Path]

    def paths_of(self, *splits: str) -> list[Path]:
        """Paths of the files of some splits, each once."""
        names = dict.fromkeys(n for s in splits for pair in self.splits[s] for n in pair)
        return [self.paths[name] for name in names]


def find_files(
    card: Card,
    data: DataConfig,
    *,
    needed: Sequence[str] = PARTS,
    progress: DownloadProgress | None = None,
) -> CorpusFiles:
    """Find the first folder that holds every file of the `needed` splits, or the user's own text.

    Raises a BenchError that names the missing files, where to put them, where to get them, and the
    twin task that needs no file.
    """
    assert isinstance(card.corpus, ParallelSpec)
    path = own_folder(card.task, data)
    spec = with_languages(card.corpus, data.languages, task=card.task, folder=path)
    if not spec.files:
        return _own_files(spec, path, card.task)
    names = {name for split in needed for pair in spec.splits[split] for name in pair}
    folder = locate(
        spec,
        task=card.task,
        twin=card.twin,
        path=path,
        download=data.download,
        progress=progress,
        needed=names,
        obtain=spec.obtain,
    )
    paths = {name: folder / file.path for name, file in spec.files.items()}
    return CorpusFiles(spec=spec, splits=spec.splits, paths=paths)


def unpinned(card: Card, data: DataConfig) -> Mapping[str, str]:
    """Checksums of a user's own text, and of files that the card has no checksum of."""
    spec = card.corpus
    if not isinstance(spec, ParallelSpec):
        return {}
    if spec.files:
        names = {name for split in PARTS for pair in spec.splits[split] for name in pair}
        return unpinned_files(spec, card, data, names)
    files = find_files(card, data)
    return {
        f"{split} {side}": file_sha256(files.paths[name])
        for split in PARTS
        for pair in files.splits[split]
        for side, name in zip(("source", "target"), pair, strict=True)
    }


def read_split(files: CorpusFiles, split: str) -> ReadPairs:
    """Read the pairs of a split and check them against the card's facts.

    Raises BenchError for a file that is missing or not the card's; bad pairs are in `problems`.
    """
    for pair in files.splits[split]:
        for name in pair:
            if not files.paths[name].is_file():
                raise BenchError(f"{files.paths[name]} is missing: split {split!r} needs it")
            reason = mismatch(files.paths[name], files.spec.files.get(name))
            if reason is not None:
                raise BenchError(f"{reason}; put the original file in its place")
    read = read_pairs(
        split,
        files.splits[split],
        files.paths,
        tokenised=files.spec.tokenised,
        longest_words=files.spec.longest_words,
        strictness="decodable" if files.spec.files else "text",
    )
    expected = files.spec.counts.get(split)
    if expected is not None and read.num_lines != expected:
        raise BenchError(
            f"{files.paths_of(split)[0].parent}: {read.num_lines:,} pairs in {split} where the "
            f"card counts {expected:,}; put the original files in their place"
        )
    return read


def with_languages(
    spec: ParallelSpec, languages: str | None, *, task: str, folder: Path | None = None
) -> ParallelSpec:
    """Set the languages of a user's own text, such as en-fr.

    Codes may hold dashes themselves; the files of `folder` then say which dash is between them.
    """
    if languages is None:
        return spec
    if spec.files:
        raise BenchError(f"the languages of {task} are part of its card: leave out .languages")
    source, target = _split_pair(languages, folder)
    if source == target:
        raise BenchError(f"languages {languages!r}: source and target are the same")
    return msgspec.structs.replace(spec, source_language=source, target_language=target)


def _split_pair(languages: str, folder: Path | None) -> tuple[str, str]:
    """Source and target of a pair such as en-fr or zh-Hans-en."""
    codes = languages.split("-")
    pairs = [("-".join(codes[:n]), "-".join(codes[n:])) for n in range(1, len(codes))]
    pairs = [pair for pair in pairs if all(re.fullmatch(LANGUAGE, code) for code in pair)]
    if len(pairs) > 1 and folder is not None and folder.is_dir():
        ends = [path.name.removesuffix(".gz").lower() for path in folder.iterdir()]
        there = [p for p in pairs if all(any(_ends_in(e, code) for e in ends) for code in p)]
        pairs = there or pairs
    if len(pairs) != 1:
        raise BenchError(
            f"languages {languages!r}: write source and target such as en-fr, as the files' names "
            "end"
        )
    return pairs[0]


def _ends_in(name: str, language: str) -> bool:
    """Test whether a file's name, in lower case, ends in a language."""
    return re.search(rf"[._-]{re.escape(language.lower())}$", name) is not None


def _own_files(spec: ParallelSpec, folder: Path | None, task: str) -> CorpusFiles:
    if folder is None:
        raise BenchError(
            f"{task} reads your own text: name its folder with --data.path DIR (`bench data`: "
            "--path DIR), which holds train, valid and test in both languages, such as train.en "
            "and train.fr, and name these by --data.languages en-fr (`bench data`: --languages)"
        )
    if not folder.is_dir():
        raise BenchError(f"{task}: {folder} is no folder: name the one that holds your text")
    languages = (spec.source_language, spec.target_language)
    splits, paths = {}, {}
    for split in PARTS:
        source, target = (_file_of(split, language, folder) for language in languages)
        splits[split] = [(source.name, target.name)]
        paths.update({source.name: source, target.name: target})
    return CorpusFiles(spec=spec, splits=splits, paths=paths)


def _file_of(split: str, language: str, folder: Path) -> Path:
    """Find the one file named for `split` whose name ends in the language, before any .gz."""
    found = []
    for path in sorted(folder.iterdir()):
        name = path.name.removesuffix(".gz").lower()
        parts = re.split(r"[._-]", name.removesuffix(language.lower()))
        is_split = bool(set(parts) & set(SPLIT_WORDS[split]))
        if path.is_file() and _ends_in(name, language) and is_split:
            found.append(path)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found)
        raise BenchError(f"{folder} holds several {split} texts ({names}): leave only one of them")
    raise BenchError(
        f"{folder} holds no {split} text in {language}: put it there as {split}.{language}, or "
        "name the languages that there are by --data.languages en-fr (`bench data`: --languages)"
    )
