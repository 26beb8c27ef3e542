"""The picture of a playbook as SVG, with the state of each step. The states stand in words in the table beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from html import escape

from snaphold.cli.output import printable
from snaphold.targets.flow import ERROR, Edge, Flow, FlowNode, NodeKind

CELL_WIDTH, CELL_HEIGHT = 210, 92
BOX_WIDTH, BOX_HEIGHT = 178, 56
LINE_CHARACTERS = 25
_TIP = (
    '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 8 4 0 8z"/></marker>'
)
_ROUND = frozenset({NodeKind.START, NodeKind.END, NodeKind.FAILED, NodeKind.STOP, NodeKind.JOIN, NodeKind.SPLIT})
_QUESTION = frozenset({NodeKind.CONDITION, NodeKind.SWITCH, NodeKind.APPROVAL, NodeKind.ESCALATION})


def draw(flow: Flow, states: Mapping[str, str], title: str) -> str:
    """Return the picture. Colours come from the page's style sheet by class; every text is escaped."""
    width = int((max(node.column for node in flow.nodes) + 1) * CELL_WIDTH) + 20
    height = (max(node.row for node in flow.nodes) + 1) * CELL_HEIGHT + 20
    by_id = {node.id: node for node in flow.nodes}
    lines = [_edge(edge, by_id[edge.source], by_id[edge.target]) for edge in flow.edges]
    boxes = [_box(node, states.get(node.id, "")) for node in flow.nodes]
    return (
        f'<svg class="flow" role="img" aria-label="{_text(title)}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><defs>{_TIP}</defs>{"".join(lines)}{"".join(boxes)}</svg>'
    )


def _middle(node: FlowNode) -> tuple[float, float]:
    return node.column * CELL_WIDTH + CELL_WIDTH / 2 + 10, node.row * CELL_HEIGHT + CELL_HEIGHT / 2 + 10


def _edge(edge: Edge, source: FlowNode, target: FlowNode) -> str:
    (x, y), (to_x, to_y) = _middle(source), _middle(target)
    y, to_y = y + BOX_HEIGHT / 2, to_y - BOX_HEIGHT / 2
    bend = min(y + 14, to_y - 8) if to_y > y else y + 14
    kind = " error" if edge.label == ERROR else ""
    path = f'<path class="edge{kind}" marker-end="url(#tip)" d="M{x:.0f} {y:.0f}V{bend:.0f}H{to_x:.0f}V{to_y:.0f}"/>'
    if not edge.label:
        return path
    return f'{path}<text class="label{kind}" x="{(x + to_x) / 2 + 4:.0f}" y="{bend - 4:.0f}">{_text(edge.label)}</text>'


def _box(node: FlowNode, state: str) -> str:
    x, y = _middle(node)
    radius = BOX_HEIGHT / 2 if node.kind in _ROUND else 4
    kind = "question" if node.kind in _QUESTION else "step"
    words = textwrap.wrap(printable(node.title or node.id.rstrip("-")), LINE_CHARACTERS)[:2]
    shown = [*words, *([state] if state else [])]
    top = y - (len(shown) - 1) * 8 + 4
    texts = "".join(
        f'<text class="{"state" if state and number == len(shown) - 1 else "name"}" x="{x:.0f}" y="{top + number * 16:.0f}">'
        f"{_text(line)}</text>"
        for number, line in enumerate(shown)
    )
    box = (
        f'<rect x="{x - BOX_WIDTH / 2:.0f}" y="{y - BOX_HEIGHT / 2:.0f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" '
        f'rx="{radius:.0f}"/>'
    )
    return f'<g class="node {kind} {_text(state)}">{box}{texts}</g>'


def _text(text: str) -> str:
    return escape(printable(text))
