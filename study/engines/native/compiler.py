"""C source to a loaded library, through a cache on disk.

The cache lies in the user's cache folder, readable by nobody else. A file ends with a checksum of
itself and its key, so one that is truncated, or that another program wrote, is noticed and built
again. Files appear under their name complete or not at all, so workers may race.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from study.base.user_cache import cache_folder

# Vectors and unrolled loops are written out in the source: -O3 is no faster, and compiles longer.
FLAGS = ("-O2", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math")
_BUILD = ("-std=gnu11", "-shared", "-fPIC", "-pipe", "-w", "-x", "c", "-")
_DIGEST_BYTES = 32
_LONGEST_COMPILE_SECONDS = 300


class NativeUnavailable(RuntimeError):
    """The native engine cannot be used here; the text is one line that says why."""


def library(key: str, source: Callable[[], str], definitions: tuple[str, ...]) -> ctypes.CDLL:
    """The library of ``source()``, compiled with ``definitions`` (-D…) unless the cache has it.

    ``key`` stands for the source, which is only asked for when it must be compiled. Raises
    NativeUnavailable.
    """
    command = (*compiler(), *FLAGS, *_architecture(), *definitions)
    parts = (key, *command, _identity(command[0]), _processor())
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    try:
        folder = cache_folder()
        path = folder / f"{digest}.so"
        found = _load(path, digest)
        if found is None:
            _build(path, digest, source(), command)
            found = _load(path, digest)
        if found is not None:
            return found
        problem = f"what was written to {path} cannot be read back"
    except OSError as error:
        problem = str(error)
    # Loaded code stays when its file is removed, so the folder need not outlive this call.
    try:
        with tempfile.TemporaryDirectory(prefix="longlag-") as private:
            path = Path(private) / f"{digest}.so"
            _build(path, digest, source(), command)
            found = _load(path, digest)
    except OSError as error:
        raise NativeUnavailable(f"no place for compiled kernels: {problem}; {error}") from None
    if found is None:
        raise NativeUnavailable(f"no place for compiled kernels: {problem}")
    return found


def compiler() -> tuple[str, ...]:
    """$CC if set, else gcc, clang or cc, as a command. Raises NativeUnavailable."""
    text = os.environ.get("CC", "")
    try:
        given = shlex.split(text)
    except ValueError as error:  # a quote that is not closed
        raise NativeUnavailable(f"no C compiler: CC is no command ({error}): {text!r}") from None
    if given:
        path = shutil.which(given[0])
        if path is None:
            raise NativeUnavailable(f"no C compiler: CC names {given[0]!r}, which is no program")
        return (path, *given[1:])
    for name in ("gcc", "clang", "cc"):
        if path := shutil.which(name):
            return (path,)
    raise NativeUnavailable("no C compiler: install gcc or clang, or set CC")


def _architecture() -> tuple[str, ...]:
    return ("-march=native",) if platform.machine() in ("x86_64", "AMD64", "aarch64") else ()


def _identity(path: str) -> str:
    """Changes when the compiler does; asking it for its version would start a process."""
    real = os.path.realpath(path)
    status = os.stat(real)
    return f"{real} {status.st_size} {status.st_mtime_ns}"


@cache
def _processor() -> str:
    """What -march=native depends on; a home folder may be shared by unlike machines."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            wanted = ("vendor_id", "cpu family", "model", "flags", "Features", "CPU part")
            found: dict[str, str] = {}
            for line in lines:
                name, _, value = line.partition(":")
                if not line.strip() and found:
                    break
                if name.strip() in wanted:
                    found[name.strip()] = value.strip()
            return platform.machine() + repr(sorted(found.items()))
    except OSError:
        return f"{platform.machine()} {platform.processor()} {platform.node()}"


def _checksum(body: bytes, digest: str) -> bytes:
    return hashlib.sha256(digest.encode() + body).digest()


def _load(path: Path, digest: str) -> ctypes.CDLL | None:
    """None when there is no such file, or it is not what was written under this name."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode) or path.lstat().st_uid != os.geteuid():
            return None
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    body, checksum = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if checksum != _checksum(body, digest):
        return None
    return ctypes.CDLL(str(path))


def _build(path: Path, digest: str, source: str, command: tuple[str, ...]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".building-")
    os.close(handle)
    try:
        _compile(source, command, temporary)
        body = Path(temporary).read_bytes()
        with open(temporary, "ab") as file:
            file.write(_checksum(body, digest))
        os.chmod(temporary, 0o600)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _compile(source: str, command: tuple[str, ...], output: str) -> None:
    try:
        done = subprocess.run(
            [*command, *_BUILD, "-o", output],
            input=source.encode(),
            capture_output=True,
            timeout=_LONGEST_COMPILE_SECONDS,
            check=False,
            start_new_session=True,  # a Ctrl-C is ours, and no failure of the compiler
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NativeUnavailable(f"C compiler {command[0]}: {error}") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        reasons = [line for line in lines if "error" in line.lower()] or lines or ["no message"]
        if any("No space left" in line for line in lines):
            raise OSError(f"no space left for {output}")
        raise NativeUnavailable(f"C compiler {command[0]} failed: {reasons[0].strip()}")
    if not os.path.getsize(output):
        raise NativeUnavailable(f"C compiler {command[0]} wrote no library; it may be none")
