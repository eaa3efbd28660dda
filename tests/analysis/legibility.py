"""A figure drawn as a report draws it, and whether its texts can be read."""

import itertools

from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis.data.runs import Results
from analysis.figures import FIGURES, Drawing, Missing, style


def draw(figure: str, results: Results) -> Drawing | Missing:
    try:
        with style.page():
            drawing = FIGURES[figure].draw(results)
            layout = drawing.figure.get_layout_engine()
            assert layout is not None
            layout.execute(drawing.figure)  # as a report does
            drawing.figure.set_layout_engine("none")
            drawing.figure.draw_without_rendering()
            return drawing
    except Missing as reason:
        return reason


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes share more than a pixel in both directions; ticks not drawn left out."""
    page = figure.bbox
    # Of an annotation the words, without the line that leads to them.
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in seen(figure)]
    boxes = [(text, box) for text, box in boxes if page.overlaps(box)]
    return [
        (first, other)
        for (first, one), (other, two) in itertools.combinations(boxes, 2)
        if min(one.x1, two.x1) - max(one.x0, two.x0) > 1
        and min(one.y1, two.y1) - max(one.y0, two.y0) > 1
    ]


def seen(figure: Figure) -> list[Text]:
    """The texts, but for labels of ticks that lie outside their axis's limits."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            drawn = axis._update_ticks()
            hidden |= {id(t.label1) for t in ticks if t not in drawn}
    found = figure.findobj(Text)
    return [t for t in found if t.get_text().strip() and t.get_visible() and id(t) not in hidden]


def assert_inside(figure: Figure) -> None:
    inside, size = figure.get_tightbbox(), figure.get_size_inches()
    assert min(inside.x0, inside.y0) > -0.01
    assert inside.x1 < size[0] + 0.01
    assert inside.y1 < size[1] + 0.01
