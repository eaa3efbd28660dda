"""Texts to model character by character, each in its fixed split, as arrays of code points."""

import hashlib
import re
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from study.base.errors import UserError
from study.tasks.real.files import (
    check_regular,
    check_size,
    existing,
    missing,
    read_bytes,
    read_text,
)

Split = Literal["training", "validation", "test"]
Codes = Mapping[Split, np.ndarray]  # of uint8 (bytes) or uint32 (code points)

# Modules that are single files in every Python from 3.11 on; about 1.1 MB, 90 kB and 90 kB.
LIBRARY: Mapping[Split, tuple[str, ...]] = {
    "training": (
        *("argparse", "ast", "bdb", "calendar", "codecs", "configparser", "contextlib"),
        *("dataclasses", "difflib", "dis", "doctest", "enum", "fractions", "functools"),
        *("gettext", "heapq", "imaplib", "inspect", "ipaddress", "locale", "mailbox"),
        *("optparse", "os", "pdb"),
    ),
    "validation": ("smtplib", "statistics"),
    "test": ("random", "socket", "textwrap"),
}

HUTTER = 100_000_000  # bytes of text8 and of enwik8
HUTTER_TRAINING, HUTTER_HELD_OUT = 90_000_000, 5_000_000

PTB_PARTS: Mapping[Split, str] = {"training": "train", "validation": "valid", "test": "test"}
PTB_NAMES = ("ptb.char.{}.txt", "ptb.{}.txt")  # the first is there for characters

SPACED = re.compile(r"[^ \n](?: [^ \n])*")  # a line of single characters, with a blank after each
FEWEST_SPACED = 100  # characters; a shorter text may have come to look like this by chance
MOSTLY_SPACED = 0.9  # of the lines


def points(text: str) -> np.ndarray:
    """The code points of a text, uint32."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def unspaced(text: str, where: object) -> str:
    """The text of a file with a blank after each character and _ for a blank, as Mikolov et al. (2012)
    write Penn Treebank: "t h e _ c a t\\n" -> "the cat\\n". Any other text is returned as it is.

    A line break stays one character, the end of a sentence. Raises UserError, with the line, where most
    lines are such and others not.
    """
    lines = [line.strip(" ") for line in text.split("\n")]
    there = [line for line in lines if line]
    spaced = sum(SPACED.fullmatch(line) is not None for line in there)
    if sum(map(len, there)) < FEWEST_SPACED or spaced < MOSTLY_SPACED * len(there):
        return text
    if spaced < len(there):
        odd = next(i for i, line in enumerate(lines, 1) if line and not SPACED.fullmatch(line))
        raise UserError(
            f"{where}, line {odd}: not single characters with a blank after each, as most lines are; "
            "write all lines like that, _ for a blank, or none"
        )
    return "\n".join(line[::2].replace("_", " ") for line in lines)


def library() -> Codes:
    """The source of Python's standard library, split by file. It differs from version to version."""
    folder = Path(sysconfig.get_path("stdlib"))
    found: dict[Split, np.ndarray] = {}
    for split, modules in LIBRARY.items():
        files = [folder / f"{module}.py" for module in modules]
        absent = [file.name for file in files if not file.is_file()]
        if absent:
            raise UserError(
                f"this Python keeps no source of {absent[0]} in {folder}; for text of your own set "
                "task.corpus = 'files' and task.path"
            )
        found[split] = points("".join(read_text(file) for file in files))
    return found


def files(path: str, pattern: str) -> Codes:
    """A text file, its first 90 % for training and 5 % each for validation and test; or a folder.

    Of a folder the files that match ``pattern``, at any depth, in the order of their contents'
    hashes: each tenth (at least one) goes to validation, each next one to test. Of files with the
    same content one is used, so that no file is in two parts. Each is read by `unspaced`.
    """
    root = existing(path)
    if root is None:
        raise missing(
            "characters", path, "a text file or a folder of text files (UTF-8)", "any text will do"
        )
    if root.is_file():
        codes = points(unspaced(read_text(root), root))
        first, second = len(codes) * 90 // 100, len(codes) * 95 // 100
        return {
            "training": codes[:first],
            "validation": codes[first:second],
            "test": codes[second:],
        }
    if not root.is_dir():
        check_regular(root)
    try:
        paths = sorted(p for p in root.rglob(pattern) if p.is_file())
    except (ValueError, NotImplementedError, OSError) as error:
        raise UserError(f"task.pattern = {pattern!r} does not match files: {error}") from None
    check_size(f"all of {pattern!r} in {root}", sum(p.stat().st_size for p in paths))
    read = (unspaced(read_text(p), p) for p in paths)
    texts = {hashlib.sha256(text.encode()).digest(): text for text in read}
    if len(texts) < 3:
        raise UserError(
            f"{root} has {len(texts)} different files that match {pattern!r}; a split by file "
            "needs at least 3"
        )
    parts: dict[Split, list[str]] = {"training": [], "validation": [], "test": []}
    for place, (_, text) in enumerate(sorted(texts.items())):
        turn = place % 10
        parts["validation" if turn == 0 else "test" if turn == 1 else "training"].append(text)
    return {split: points("".join(part)) for split, part in parts.items()}


def penn_treebank(path: str) -> Codes:
    """Mikolov's three files, character by character, line ends included.

    Of the two versions that his folder has that for characters is read, ptb.char.train.txt and so on,
    decoded by `unspaced`: 50 different characters, no blanks around a sentence. Else ptb.train.txt and
    so on, which have a blank at both ends of each.
    """
    root = existing(path)
    versions = (
        []
        if root is None
        else [
            {split: root / name.format(part) for split, part in PTB_PARTS.items()}
            for name in PTB_NAMES
        ]
    )
    for files in versions:
        if all(file.is_file() for file in files.values()):
            return {split: points(unspaced(read_text(file), file)) for split, file in files.items()}
    named = ", ".join(name.format(part) for name in PTB_NAMES for part in PTB_PARTS.values())
    raise missing(
        "characters",
        path,
        f"the folder with three of {named}",
        "they are in Mikolov's simple-examples.tgz, folder data",
    )


def hutter(corpus: str, path: str) -> Codes:
    """text8 or enwik8: 100 million bytes, 90 for training, then 5 for validation, 5 for test."""
    root = existing(path)
    file = root / corpus if root is not None and root.is_dir() else root
    if file is None or not file.is_file():
        raise missing(
            "characters",
            path,
            f"the unpacked file {corpus} or its folder",
            f"{corpus}.zip is on mattmahoney.net/dc",
        )
    if file.stat().st_size != HUTTER:
        raise UserError(
            f"{file} has {file.stat().st_size:,} bytes, {corpus} has {HUTTER:,}: cut short, or "
            "still packed"
        )
    codes = np.frombuffer(read_bytes(file), dtype=np.uint8)
    first, second = HUTTER_TRAINING, HUTTER_TRAINING + HUTTER_HELD_OUT
    return {"training": codes[:first], "validation": codes[first:second], "test": codes[second:]}
