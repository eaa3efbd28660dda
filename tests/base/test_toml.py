"""Reading a TOML file: whatever is at its path, one line and soon."""

import os
import socket
from pathlib import Path

import pytest

from study.base.errors import UserError
from study.base.toml import read_toml


def refused(path: Path, fragment: str) -> None:
    with pytest.raises(UserError) as refusal:
        read_toml(path)
    message = str(refusal.value)
    assert fragment in message
    assert message.isprintable()
    assert len(message) < 1500


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    refused(tmp_path / "pipe.toml", "no regular file")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_not_read(path: str) -> None:
    refused(Path(path), "cannot read")


def test_a_folder_a_socket_and_a_circle_of_links_are_no_files(tmp_path: Path) -> None:
    refused(tmp_path, "it is a folder")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        refused(tmp_path / "s", "cannot read")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    refused(tmp_path / "circle", "cannot read")
    refused(tmp_path / ("a" * 3000), "cannot read")
    refused(Path("a\0b"), "cannot read")
    refused(tmp_path / "missing", "no such file")


def test_a_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.toml").open("wb") as file:
        file.truncate(3 * 10**9)  # a hole, which takes no room
    refused(tmp_path / "big.toml", "more than 1,000,000 bytes")


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"\xff\xfea\x00=\x001\x00", "no text in UTF-8"),
        (bytes(range(128, 256)), "no text in UTF-8"),
        (b"\x7fELF\x00", "not valid TOML"),
        (b"a = " + b"[" * 400_000, "at most 16 deep"),
        (b"a = " + b"[" * 17 + b"]" * 17, "at most 16 deep"),
        (b"a = " + b"{a = " * 17 + b"1" + b"}" * 17, "at most 16 deep"),
        (b"a." * 17 + b"a = 1", "at most 16 parts"),
        (b"a." * 400_000 + b"a = 1", "at most 16 parts"),
        (b"'a' . " * 100_000 + b"a = 1", "at most 16 parts"),
        (b'["a"' + b'."a"' * 100_000 + b"]", "at most 16 parts"),
        (b"[a]\nb = 0x" + b"f" * 9000, "a.b: TOML's whole numbers have 64 bits"),
        (b"b = [1, 1" + b"0" * 30 + b"]", "64 bits"),
        (b"b = " + b"9" * 5000, "not valid TOML"),
    ],
)
def test_what_is_no_configuration_is_told_in_one_line(
    content: bytes, fragment: str, tmp_path: Path
) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    refused(tmp_path / "a.toml", fragment)


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfa.b = 1\r\nc = '''x\r\ny'''\r\n")
    assert read_toml(tmp_path / "a.toml") == {"a": {"b": 1}, "c": "x\ny"}


def test_dots_in_a_text_are_no_name(tmp_path: Path) -> None:
    text = "1.2.3 " * 1000 + "and so on ... and so on"
    (tmp_path / "a.toml").write_text(f"a = '''{text}'''\n[b.c.d.e]\nf = 1.5\n")
    assert read_toml(tmp_path / "a.toml") == {"a": text, "b": {"c": {"d": {"e": {"f": 1.5}}}}}
