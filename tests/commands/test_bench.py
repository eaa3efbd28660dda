"""The benchmark's arithmetic and its rows, at a size that takes no time."""

import json

import pytest
import torch
from cases import each
from torch import nn

from study.base.errors import UserError
from study.cells import CELLS
from study.commands.bench import (
    COLUMNS,
    VANISHING,
    _at_the_last_step,
    _drawn,
    _plain_loop,
    bench_cells,
    flops,
    fused_like,
    print_table,
)
from study.engines import reference
from study.engines.recording import StateGradients
from study.language.nonlinearities import NONLINEARITIES


def test_rows(tmp_path, capsys):
    rows = bench_cells(["elman"], [(2, 3, 4, 1)], repeats=2, json_path=tmp_path / "rows.json")
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert rows == [row]
    assert tuple(row) == COLUMNS
    assert (row["cell"], row["batch"], row["steps"], row["hidden"]) == ("elman", 2, 3, 4)
    ratios = ("seconds", "gflops", "vs_fused", "vs_loop", "share_of_limit")
    assert all(row[key] > 0 for key in ratios)
    assert row["gflops"] == pytest.approx(flops(1, 1, (2, 3, 4, 1)) / row["seconds"] / 1e9)
    print_table(rows)
    assert "elman" in capsys.readouterr().out


def test_the_vanishing_case_is_a_row_of_its_own(tmp_path, capsys):
    case = ("gru-torch", (2, 3, 4, 1))
    rows = bench_cells(
        ["elman", "gru-torch"], [(1, 2, 3, 1)], 2, tmp_path / "rows.json", vanishing=case
    )
    assert json.loads((tmp_path / "rows.json").read_text()) == rows
    assert [(r["cell"], r["loss"]) for r in rows] == [
        ("elman", "every step"),
        ("gru-torch", "every step"),
        ("gru-torch", "last step"),
    ]
    assert [r["vs_every_step"] is None for r in rows] == [True, True, False]
    assert rows[-1]["vs_every_step"] > 0
    assert (rows[-1]["batch"], rows[-1]["steps"], rows[-1]["hidden"]) == (2, 3, 4)
    assert tuple(rows[-1]) == COLUMNS
    print_table(rows)
    out = capsys.readouterr().out
    assert out.count("gru-torch *") == 1
    assert f"alone: {rows[-1]['vs_every_step']:.2f} × the time of every step's" in out


def test_the_vanishing_case_vanishes():
    name, (_, steps, hidden, inputs) = VANISHING
    cell, generator = CELLS[name], torch.Generator().manual_seed(0)
    parameters = _drawn(cell, (2, steps, hidden, inputs), generator, "uniform")
    x = torch.randn(steps, 2, inputs, generator=generator)
    recorder = StateGradients()
    state = {"h": torch.zeros(2, hidden)}
    outputs, _ = reference.run(cell, NONLINEARITIES["tanh"], parameters, x, state, recorder)
    outputs.backward(_at_the_last_step(torch.ones_like(outputs)))
    sizes = recorder["h"].abs()
    denormal = (sizes > 0) & (sizes < torch.finfo(torch.float32).tiny)
    assert denormal.any(2).any(1).sum() > 20  # steps in which a processor would be slow


def test_threads_are_as_before():
    before = torch.get_num_threads()
    bench_cells(["elman"], [(1, 1, 1, 1)], repeats=1)
    assert torch.get_num_threads() == before


def test_an_unknown_cell():
    with pytest.raises(UserError, match="no cell named 'lstmm'"):
        bench_cells(["lstmm"])


def test_operations_are_counted():
    # U h, its two gradients: 2*H*H each; W x and its gradient: 2*H*I each; B*T of them
    assert flops(1, 1, (3, 5, 4, 2)) == 3 * 5 * (3 * 2 * 16 + 2 * 2 * 8)


def test_the_fused_cell_nearest_in_shape():
    kinds = {name: fused_like(CELLS[name]) for name in ("elman", "gru", "gru-torch", "lstm")}
    assert kinds == {"elman": nn.RNN, "gru": nn.GRU, "gru-torch": nn.GRU, "lstm": nn.LSTM}


@each("name", CELLS)
def test_the_plain_loop_is_the_cell(name):
    cell, phi = CELLS[name], NONLINEARITIES["tanh"]
    generator = torch.Generator().manual_seed(0)
    shapes = {n: p.shape(2, 3) for n, p in cell.parameters.items()}
    parameters = {n: torch.randn(*shape, generator=generator) for n, shape in shapes.items()}
    x = torch.randn(4, 2, 2, generator=generator)
    state = {s: torch.zeros(2, 3) for s in cell.states}
    expected, _ = reference.run(cell, phi, parameters, x, state)
    torch.testing.assert_close(_plain_loop(cell, phi, parameters, x, state)[0], expected)
