"""What a step computes on its way, against the reference engine's step and torch's own LSTM."""

import torch
from cases import each
from passes import LANGUAGE, Case

from study.cells import CELLS
from study.engines import reference
from study.engines.intermediates import intermediates
from study.language.nonlinearities import NONLINEARITIES
from study.language.notation import PRIME

ALL = {**dict(CELLS.items()), **LANGUAGE}


@each("name", ALL)
def test_the_new_states_are_those_of_the_step(name: str) -> None:
    case = Case(ALL[name], sizes=(3, 4, 2, 5))
    given = case.cell, NONLINEARITIES[case.phi], case.parameters
    state, states = case.state, [case.state]
    for t in range(3):
        _, state = reference.run(*given, case.x[t : t + 1], state)
        states.append(state)
    before = {s: torch.stack([each[s] for each in states[:-1]]) for s in case.cell.states}
    found = intermediates(*given, case.x, before)
    for s in case.cell.states:
        after = torch.stack([each[s] for each in states[1:]])
        torch.testing.assert_close(found[s + PRIME], after, rtol=1e-12, atol=1e-12)
    assert {v.shape for v in found.values()} == {torch.Size([3, 4, 5])}


def test_the_gates_of_an_lstm_are_those_of_torchs() -> None:
    case = Case(CELLS["lstm"], sizes=(1, 4, 2, 5))
    p = case.parameters
    found = intermediates(case.cell, NONLINEARITIES["tanh"], p, case.x[0], case.state)
    w, u = (torch.cat([p[f"{kind}_{g}"] for g in "ifgo"]) for kind in "WU")
    b = torch.cat([p[f"b_{g}"] for g in "ifgo"])
    i, f, g, o = (case.x[0] @ w.T + case.state["h"] @ u.T + b).chunk(4, dim=1)
    for name, value in (
        ("i", i.sigmoid()),
        ("f", f.sigmoid()),
        ("g", g.tanh()),
        ("o", o.sigmoid()),
    ):
        torch.testing.assert_close(found[name], value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found["U_f[h]"], case.state["h"] @ p["U_f"].T)
