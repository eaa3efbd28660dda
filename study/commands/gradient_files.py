"""The files of `longlag gradient`: pictures, and the numbers."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG

from analysis.figures import style
from study.base.errors import UserError
from study.commands.gradient import Measured
from study.commands.gradient_pictures import PICTURES
from study.commands.gradient_wording import picture_sentences, sentences

DPI = 150


def write_files(networks: Sequence[Measured], folder: Path) -> list[Path]:
    """A PNG and an SVG for each of PICTURES, and gradient.json: how to read each of them, and each
    network's sentences, configuration and numbers.

    Raises UserError where they cannot be written.
    """
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in PICTURES.items():
            png, svg = (folder / f"{name}.{suffix}" for suffix in ("png", "svg"))
            with style.page():
                figure = draw(networks)
                figure.set_dpi(DPI)
                FigureCanvasAgg(figure).print_png(str(png))
                figure.set_dpi(72)
                FigureCanvasSVG(figure).print_svg(str(svg), metadata={"Date": None})
            paths += [png, svg]
        numbers = folder / "gradient.json"
        told = {
            "pictures": picture_sentences(networks),
            "networks": [_entry(network) for network in networks],
        }
        numbers.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from None
    return [*paths, numbers]


def _entry(network: Measured) -> dict[str, Any]:
    return {
        "network": network.name,
        "is_trained": network.is_trained,
        "sentences": sentences(network),
        "config": network.config.flat(),
        "state_gradients": network.gradients and network.gradients.as_dict(),
        "lyapunov": network.exponents and network.exponents.as_dict(),
        "jacobians": network.jacobians and network.jacobians.as_dict(),
    }
