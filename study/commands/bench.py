"""What the native engine gains, cell by cell: seconds, GFLOP/s, and how near the machine's limit.

Each row is one cell at one of `SIZES`, forward and backward with gradients to all parameters, in
float32 on one thread. Cell, fused cell and limit are timed in turn, repeat after repeat, so that
what else the machine does hits all of them; medians are compared.

``vs_fused`` is the cell's rate of floating-point operations over that of torch's fused cell nearest
in shape: one matrix on the state is `torch.nn.RNN`, two or three are `GRU`, more are `LSTM`.
``vs_loop`` is the time of a plain Python loop over the same cell, as one would write it by hand,
over the cell's. The limit is the best that the machine's BLAS does at the step's three products
(forward, backward, and the gradient of the matrices, all steps at once), whichever of torch's and
numpy's is faster at each. The engine's own products work on panels packed once a pass, with no
BLAS, and can be faster still.

The loss is one at every step, so that the gradient does not vanish. One more row is `VANISHING`, where
it does: weights as torch's layers draw them, and a loss at the last step alone. float32 has no normal
number for such a gradient a few hundred steps back. ``vs_every_step`` is the time of that pass over that
of the same weights with a loss at every step: 1, or else what vanishing costs. torch's cell is timed as
its users run it, with denormal numbers.

Where the time goes, measured with a sampling profiler on a server core with 512-bit vectors whose
limit is about 118 GFLOP/s, LSTM, gcc 12:

    (batch, steps, hidden)         (32,100,64)   (64,200,128)
    matrix products                       71 %           82 %   at 106 to 115 GFLOP/s by themselves
    element-wise part, forward            16 %            9 %   about 60 ns for 16 units
    element-wise part, backward,          13 %            9 %   of which packing rows for the
      and packing                                               matrices' gradient is about a third

- Of the 60 ns the five exponentials and divisions need perhaps 35 at full throughput; the rest is
  latency, because i, f, g, o, c' and phi(c') hang on each other and hardly two rows are in flight
  at once. Working on the gates of all rows of a tile before their new states should give some back.
- Keeping the history for the backward pass costs nothing that could be measured, now that its
  memory is used again: with fresh pages the forward pass took twice as long at 784 steps.
- Hidden sizes are padded to whole vectors: 100 units cost what 112 do.
- Everything before and after the loop, in Python and autograd, takes 0.15 ms a pass.
- More rows a chunk of the backward pass (64 to 512) make no difference.
"""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from study.base.errors import UserError
from study.base.limits import shown
from study.base.threads import one_thread
from study.cells import CELLS
from study.commands.writable import check_writable, write
from study.engines.lowering import lower
from study.engines.native import engine as native
from study.engines.native.compiler import NativeUnavailable
from study.engines.prelude import operands
from study.engines.select import check_engine
from study.language.cell import Cell
from study.language.nonlinearities import ARGUMENT, NONLINEARITIES, Nonlinearity
from study.language.notation import INPUT, PRIME

Size = tuple[int, int, int, int]  # batch, steps, hidden, inputs
SIZES: tuple[Size, ...] = (
    (32, 100, 64, 2),
    (64, 200, 128, 2),
    (20, 400, 128, 10),
    (64, 200, 256, 32),
    (64, 784, 100, 1),
)
VANISHING: tuple[str, Size] = ("gru-torch", (32, 400, 64, 2))
COLUMNS = (
    "cell",
    "phi",
    "batch",
    "steps",
    "hidden",
    "inputs",
    "loss",
    "engine",
    "seconds",
    "gflops",
    "vs_fused",
    "vs_loop",
    "share_of_limit",
    "vs_every_step",
)
_LIMIT_REPEATS = 20
_MOST_NUMBERS = 10**8  # 400 MB, of which a pass keeps several


def bench_cells(
    cells: Sequence[str] | None = None,
    sizes: Sequence[Size] = SIZES,
    repeats: int = 7,
    json_path: str | Path | None = None,
    phi: str = "tanh",
    told: Callable[[dict[str, Any]], None] = lambda row: None,
    vanishing: tuple[str, Size] = VANISHING,
) -> list[dict[str, Any]]:
    """One row for each cell (None: all) and size, keys as in `COLUMNS`; ratios above 1: faster.

    The ``vanishing`` case comes last, where its cell is among them. A row is ``told``, and the file
    written again, as soon as it is measured. Raises UserError for an unknown cell, for a file that
    cannot be written, before anything is measured, and without a C compiler.
    """
    chosen = [CELLS[name] for name in (cells if cells is not None else CELLS)]
    check_engine("native")
    if json_path is not None:
        check_writable(Path(json_path))
    cases = [(cell, size, "every step") for cell in chosen for size in sizes]
    cases += [(c, vanishing[1], "last step") for c in chosen if c.name == vanishing[0]]
    rows: list[dict[str, Any]] = []
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # sklearn has it

    with one_thread(), threadpool_limits(1):
        for cell, size, loss in cases:
            try:
                rows.append(_row(cell, NONLINEARITIES[phi], size, repeats, loss))
            except NativeUnavailable as error:
                raise UserError(str(error)) from None
            told(rows[-1])
            if json_path is not None:
                write(Path(json_path), json.dumps(rows, indent=1) + "\n")
    return rows


def read_size(text: str) -> Size:
    """``64,200,128,2`` -> batch, steps, hidden, inputs. Raises UserError."""
    parts = [part.strip() for part in text.split(",")]
    numbers = [int(part) if part.isdecimal() and len(part) < 10 else 0 for part in parts]
    if len(numbers) != 4 or min(numbers) < 1:
        raise UserError(
            f"a size is BATCH,STEPS,HIDDEN,INPUTS, such as 64,200,128,2 (got {shown(text)})"
        )
    batch, steps, hidden, inputs = numbers
    if max(batch * steps * (hidden + inputs), hidden * (hidden + inputs)) > _MOST_NUMBERS:
        raise UserError(f"size {text}: its states have more than {_MOST_NUMBERS:,} numbers")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """The rows as a table on the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Native engine, forward and backward, float32, one thread")
    for heading in ("cell", "B, T, H, I", "ms", "GFLOP/s", "× fused", "× loop", "of the limit"):
        table.add_column(heading, justify="left" if heading in ("cell", "B, T, H, I") else "right")
    for row in rows:
        sizes = ", ".join(str(row[key]) for key in ("batch", "steps", "hidden", "inputs"))
        table.add_row(
            row["cell"] + ("" if row["vs_every_step"] is None else " *"),
            sizes,
            f"{1000 * row['seconds']:.2f}",
            f"{row['gflops']:.1f}",
            f"{row['vs_fused']:.2f}",
            f"{row['vs_loop']:.1f}",
            f"{row['share_of_limit']:.2f}",
        )
    Console().print(table)
    for ratio in (row["vs_every_step"] for row in rows if row["vs_every_step"] is not None):
        print(
            f"* vanishing, by a loss at the last step alone: {ratio:.2f} × the time of every step's"
        )


def fused_like(cell: Cell) -> type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]:
    """torch's fused cell with about as many matrix products in a step."""
    products = _matrices(cell, "H")
    return nn.RNN if products <= 1 else nn.GRU if products <= 3 else nn.LSTM


def flops(products: int, inputs: int, size: Size) -> float:
    """Of the matrix products in one pass: forward, backward, and the matrices' gradients.

    ``products`` H×H matrices and ``inputs`` H×I ones; nobody asks for the input's gradient.
    """
    batch, steps, hidden, width = size
    return 2.0 * batch * steps * hidden * (3 * products * hidden + 2 * inputs * width)


def _row(
    cell: Cell, phi: Nonlinearity, size: Size, repeats: int, loss: str = "every step"
) -> dict[str, Any]:
    batch, steps, hidden, width = size
    vanishing = loss == "last step"
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(steps, batch, width, generator=generator)
    every = torch.randn(steps, batch, hidden, generator=generator)
    weights = _at_the_last_step(every) if vanishing else every
    state = {name: torch.zeros(batch, hidden) for name in cell.states}
    parameters = _drawn(cell, size, generator, "uniform" if vanishing else "normal")
    kind = fused_like(cell)
    fused = kind(width, hidden)

    def through(
        way: Callable[..., tuple[Tensor, Any]], given: Tensor = weights
    ) -> Callable[[], None]:
        def run() -> None:
            outputs, _ = way(cell, phi, parameters, x, state)
            torch.autograd.grad(outputs, list(parameters.values()), given, allow_unused=True)

        return run

    def through_fused() -> None:
        torch.autograd.grad(fused(x)[0], list(fused.parameters()), weights)

    runs = {"native": through(native.run), "fused": through_fused}
    if vanishing:
        runs["every step"] = through(native.run, every)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repeats):
        for name, run in runs.items():
            times[name].append(_seconds(run))
    # Slow, so fewer; the ratio is several times larger than what varies.
    loops = [_seconds(through(_plain_loop)) for _ in range(max(1, min(3, repeats // 2)))]
    seconds, fused_seconds = (statistics.median(times[n]) for n in ("native", "fused"))
    # A cell without matrices on its state is measured as if it had one: it should take no longer.
    products = max(1, _matrices(cell, "H"))
    work = flops(products, _matrices(cell, "I"), size)
    gates = 1 if kind is nn.RNN else 3 if kind is nn.GRU else 4
    fused_rate = flops(gates, gates, size) / fused_seconds
    limit = _limit(products, size)
    return {
        "cell": cell.name,
        "phi": phi.name,
        "batch": batch,
        "steps": steps,
        "hidden": hidden,
        "inputs": width,
        "loss": loss,
        "engine": "native",
        "seconds": seconds,
        "gflops": work / seconds / 1e9,
        "vs_fused": work / seconds / fused_rate,
        "vs_loop": statistics.median(loops) / seconds,
        "share_of_limit": work / seconds / limit,
        "vs_every_step": seconds / statistics.median(times["every step"]) if vanishing else None,
    }


def _drawn(cell: Cell, size: Size, generator: torch.Generator, spread: str) -> dict[str, Tensor]:
    """ "normal": N(0, 1/H). "uniform": U(-1/√H, 1/√H), as torch's recurrent layers start."""
    _, _, hidden, width = size
    drawn = {}
    for name, parameter in cell.parameters.items():
        value = torch.empty(parameter.shape(width, hidden))
        if spread == "normal":
            value.normal_(0, hidden**-0.5, generator=generator)
        else:
            value.uniform_(-(hidden**-0.5), hidden**-0.5, generator=generator)
        drawn[name] = value.requires_grad_()
    return drawn


def _at_the_last_step(weights: Tensor) -> Tensor:
    """(T,B,H), zero but at the last step."""
    last = torch.zeros_like(weights)
    last[-1] = weights[-1]
    return last


def _plain_loop(
    cell: Cell,
    phi: Nonlinearity,
    parameters: Mapping[str, Tensor],
    x: Tensor,
    state: Mapping[str, Tensor],
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Every equation at every step, every matrix by itself."""
    parameters = operands(cell, parameters)
    equations = [
        (a.target, lower(a.expression), sorted(a.expression.free_symbols, key=str))
        for a in cell.bind(phi.expression, ARGUMENT)
    ]
    products = {s: (p.matrix, lower(p.operand)) for s, p in cell.products.items()}
    outputs, now = [], dict(state)
    for step in x:
        values: dict[str, Any] = {**parameters, **now, INPUT: step}
        for target, evaluate, symbols in equations:
            for symbol in symbols:
                if symbol in products and symbol.name not in values:
                    matrix, operand = products[symbol]
                    values[symbol.name] = nn.functional.linear(operand(values), parameters[matrix])
            values[target] = evaluate(values)
        now = {name: values[name + PRIME] for name in cell.states}
        outputs.append(now[cell.output])
    return torch.stack(outputs), now


def _matrices(cell: Cell, columns: str) -> int:
    return sum(p.columns == columns for p in cell.parameters.values())


def _limit(products: int, size: Size) -> float:
    """Operations a second that BLAS reaches at a step's products, of `products` H×H matrices."""
    batch, steps, hidden, _ = size
    wide = products * hidden
    rows = batch * min(steps, 50)  # of the matrices' gradient; more rows are not faster
    shapes = [
        (torch.randn(batch, hidden), torch.randn(wide, hidden).t(), 1.0),
        (torch.randn(batch, wide), torch.randn(wide, hidden), 1.0),
        (torch.randn(rows, wide).t(), torch.randn(rows, hidden), batch / rows),
    ]
    seconds = sum(share * _fastest_product(a, b) for a, b, share in shapes)
    return 3 * 2.0 * batch * wide * hidden / seconds


def _fastest_product(a: Tensor, b: Tensor) -> float:
    out = torch.empty(a.shape[0], b.shape[1])
    arrays = a.numpy(), b.numpy(), out.numpy()
    ways = (lambda: torch.mm(a, b, out=out), lambda: np.matmul(arrays[0], arrays[1], out=arrays[2]))
    return min(statistics.median(_seconds(w) for _ in range(_LIMIT_REPEATS)) for w in ways)


def _seconds(run: Callable[[], Any]) -> float:
    before = time.perf_counter()
    run()
    return time.perf_counter() - before
