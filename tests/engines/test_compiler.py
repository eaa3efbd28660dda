"""The kernel cache and its faults: each ends in a working kernel or in one clear line."""

import ctypes
import os
import stat
import subprocess
import sys
import threading

import pytest
import torch
from passes import LANGUAGE, Case, distance

from study.base.errors import UserError
from study.cells import CELLS
from study.engines import select
from study.engines.native import compiler, kernel
from study.engines.native.compiler import NativeUnavailable, cache_folder, library

SOURCE = "int answer(void) { return ANSWER; }"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "longlag"


def answer(number=1, key="key"):
    return library(key, lambda: SOURCE, (f"-DANSWER={number}",)).answer()


def refuse():
    raise AssertionError("the cache should have had it")


def test_compiled_once(folder):
    assert answer(7) == 7
    assert library("key", refuse, ("-DANSWER=7",)).answer() == 7


def test_only_the_owner_can_look(folder):
    answer()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0


def test_what_changes_the_code_changes_the_name(folder, monkeypatch):
    answer(1)
    answer(2)
    answer(1, key="other")
    monkeypatch.setattr(compiler, "FLAGS", ("-O1",))
    answer(1)
    monkeypatch.setattr(compiler, "_processor", lambda: "another processor")
    answer(1)
    assert len(list(folder.iterdir())) == 5


@pytest.mark.parametrize("damage", ["truncated", "empty", "foreign", "another kernel", "a link"])
def test_a_damaged_file_is_built_again(folder, tmp_path, damage):
    answer(3)
    (file,) = folder.iterdir()
    content = file.read_bytes()
    file.unlink()  # the loaded one stays mapped; writing into it would change running code
    if damage == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        file.touch()
    elif damage == "foreign":
        file.write_text("not a library")
    elif damage == "another kernel":
        answer(4)
        (other,) = folder.iterdir()
        other.rename(file)
    else:
        file.symlink_to(tmp_path / "nowhere")
    assert answer(3) == 3
    assert file.is_file()
    assert not file.is_symlink()


def test_workers_may_race(folder):
    found, barrier = [], threading.Barrier(4)

    def work():
        barrier.wait()
        found.append(answer(5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [5] * 4
    assert len(list(folder.iterdir())) == 1  # and nothing half-built is left


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert answer(6) == 6


def test_no_place_at_all_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(compiler.tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(NativeUnavailable, match="no place for compiled kernels") as caught:
        answer()
    assert "\n" not in str(caught.value)


def test_a_full_disk(folder, monkeypatch):
    def full(source, command, output):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiler, "_compile", full)
    with pytest.raises(NativeUnavailable, match="No space left"):
        answer()
    assert list(folder.iterdir()) == []


def test_a_folder_of_another_user_is_refused(folder, monkeypatch):
    folder.mkdir(parents=True, mode=0o700)
    uid = os.geteuid()
    monkeypatch.setattr(compiler.os, "geteuid", lambda: uid + 1)
    with pytest.raises(PermissionError, match="another user"):
        cache_folder()


def test_a_folder_that_others_can_write_is_not_trusted(folder):
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="written by others"):
        cache_folder()
    assert answer(8) == 8
    assert list(folder.iterdir()) == []


def test_errors_of_the_compiler_are_one_line(folder):
    with pytest.raises(NativeUnavailable, match="error") as caught:
        library("key", lambda: "not C", ())
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []


def test_cc_is_respected(folder, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    with pytest.raises(NativeUnavailable, match="no-such-compiler"):
        answer()


def test_without_a_compiler(folder, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NativeUnavailable, match="no C compiler"):
        answer()


@pytest.fixture
def no_compiler(monkeypatch):
    def absent():
        raise NativeUnavailable("no C compiler: install gcc or clang, or set CC")

    monkeypatch.setattr(compiler, "compiler", absent)
    monkeypatch.setattr(kernel, "_kernels", {})
    monkeypatch.setattr(select, "_said", set())


def test_auto_falls_back_and_says_so_once(no_compiler, recwarn):
    case = Case(CELLS["lstm"])
    expected = case.run("reference")
    for _ in range(3):
        found = case.run("auto")
    assert all(torch.equal(value, found[key]) for key, value in expected.items())
    (said,) = [w for w in recwarn if w.category is RuntimeWarning]
    assert "no C compiler" in str(said.message)


def test_native_without_a_compiler_is_an_error(no_compiler):
    with pytest.raises(UserError, match="cannot run here: no C compiler"):
        Case(CELLS["lstm"]).run("native")


def test_other_dtypes_and_devices_go_to_the_reference(recwarn):
    case = Case(CELLS["elman"], dtype=torch.bfloat16)
    assert case.run("auto")["outputs"].dtype == torch.bfloat16
    with pytest.raises(UserError, match="float32 and float64"):
        case.run("native")


def test_an_unknown_engine():
    with pytest.raises(UserError, match="no engine named 'nativ'; did you mean 'native'"):
        Case(CELLS["elman"]).run("nativ")


def test_an_empty_batch():
    found = Case(CELLS["elman"], sizes=(3, 0, 2, 5)).run("auto", record=False)
    assert found["outputs"].shape == (3, 0, 5)


def _child(queue):
    torch.set_num_threads(1)  # the threads of the parent do not survive a fork
    case = Case(CELLS["lstm"], sizes=(20, 40, 3, 64))
    queue.put({key: value.numpy() for key, value in case.run("native").items()})


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_in_another_process(method):
    case = Case(CELLS["lstm"], sizes=(20, 40, 3, 64))
    expected = case.run("native")
    context = torch.multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=_child, args=(queue,))
    process.start()
    found = queue.get(timeout=120)
    process.join()
    assert process.exitcode == 0
    for key, value in expected.items():
        assert distance(value, torch.from_numpy(found[key])) == 0, key


@pytest.mark.skipif(compiler.shutil.which("clang") is None, reason="clang is not installed")
def test_clang_and_gcc_agree(folder, monkeypatch):
    case = Case(LANGUAGE["three stages and every function"], sizes=(5, 9, 3, 21))
    expected = case.run("reference")
    monkeypatch.setenv("CC", "clang")
    monkeypatch.setattr(kernel, "_kernels", {})
    found = case.run("native")
    assert all(distance(value, found[key]) <= 1e-10 for key, value in expected.items())


@pytest.mark.skipif(compiler.platform.machine() != "x86_64", reason="names x86's vector widths")
@pytest.mark.parametrize("processor", ["x86-64", "haswell"])
def test_narrower_vectors(folder, monkeypatch, processor):
    if processor == "haswell" and torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("this processor has no AVX2")
    monkeypatch.setattr(compiler, "_architecture", lambda: (f"-march={processor}",))
    monkeypatch.setattr(kernel, "_kernels", {})
    for cell in ("lstm", "gru", "elman"):
        case = Case(CELLS[cell], sizes=(5, 20, 3, 37))
        expected, found = case.run("reference"), case.run("native")
        for key, value in expected.items():
            assert distance(value, found[key]) <= 1e-10, (cell, key)


def test_loading_needs_no_derivation(folder):
    """A cached kernel is loaded without generating its source."""
    code = (
        "import study.engines.native.kernel as k, torch; from study.cells import CELLS\n"
        "from study.language.nonlinearities import NONLINEARITIES\n"
        "if {second}: k.generate = None\n"
        "k.kernel(CELLS['elman'], NONLINEARITIES['tanh'], torch.float32)\n"
    )
    for second in (False, True):
        subprocess.run([sys.executable, "-c", code.format(second=second)], check=True)


def test_the_loaded_library_is_plain_ctypes(folder):
    assert isinstance(library("key", lambda: SOURCE, ("-DANSWER=1",)), ctypes.CDLL)
