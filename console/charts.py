"""The charts' figures, made with Plotly: how things are drawn, without what is drawn.

A page hands a figure to its component once; the browser fills in the bars and later appends to them.  Colours are not
here: the stylesheet gives them, so that one figure serves both themes.  Plotly is imported when the first chart is made,
which takes a moment: call from a thread.
"""

from __future__ import annotations

import functools
from typing import Any

#: trace -> what it is called; in the order in which bars are stacked
OUTCOMES = {"completed": "Completed", "retried": "Retried", "failed": "Failed", "cancelled": "Cancelled"}
HOUR = 3_600


@functools.cache
def throughput(step: int) -> dict[str, Any]:
    """Jobs finished per minute by outcome, as stacked bars of ``step`` seconds."""
    import plotly.graph_objects as go

    bars = [go.Bar(name=label, hovertemplate="%{y:,.3~r}") for label in OUTCOMES.values()]
    figure = go.Figure(bars)
    figure.update_layout(
        template="none",
        barmode="stack",
        bargap=0.28,
        showlegend=False,
        hovermode="x unified",
        dragmode=False,
        autosize=True,
        margin={"l": 44, "r": 6, "t": 10, "b": 26},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font_size=11,
        hoverlabel_align="left",
    )
    _axes(figure, step)
    made: dict[str, Any] = figure.to_plotly_json()
    return made


def _axes(figure: Any, step: int) -> None:
    """Time without a grid, counts from zero; the finer the bars, the finer the words below them."""
    figure.update_xaxes(
        type="date",
        fixedrange=True,
        showgrid=False,
        nticks=7,
        ticks="",
        tickformat="%a %d" if step >= 2 * HOUR else "%H:%M",
        hoverformat="%a %d %b, %H:%M" if step >= HOUR else "%H:%M",
    )
    figure.update_yaxes(
        fixedrange=True,
        rangemode="tozero",
        nticks=4,
        zeroline=True,
        ticklabelstandoff=8,
        separatethousands=True,
        autorangeoptions_minallowed=0,
        tickformat="~r",
    )
