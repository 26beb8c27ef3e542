"""Random block-structured playbooks with random outcomes, for hypothesis."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

OUTCOMES = ("succeeded", "succeeded", "succeeded", "partial", "failed", "refused", "lost")
CONTINUES = "then: continue"


@dataclass
class _Text:
    draw: st.DrawFn
    count: int = 0
    handlers: list[str] = field(default_factory=list[str])

    def name(self) -> str:
        """Return a fresh id."""
        self.count += 1
        return f"s{self.count}"

    def steps(self, depth: int, indent: str) -> list[str]:
        """Return the lines of a list of steps."""
        return [line for _ in range(self.draw(st.integers(1, 3))) for line in self.step(depth, indent)]

    def step(self, depth: int, indent: str) -> list[str]:
        """Return the lines of one step."""
        kind = self.draw(st.sampled_from(("do", "do", "if", "parallel", "call", "each") if depth else ("do",)))
        name = self.name()
        if kind == "do":
            return self.do(name, indent)
        if kind == "if":
            test = self.name()
            wanted = self.draw(st.sampled_from(("true", "false")))
            return [
                f"{indent}- {{id: {test}, do: lab.read, out: {{flag: boolean}}}}",
                f"{indent}- id: {name}",
                f"{indent}  if: ${test}.flag == {wanted}",
                f"{indent}  then:",
                *self.steps(depth - 1, indent + "    "),
                f"{indent}  else:",
                *self.steps(depth - 1, indent + "    "),
            ]
        if kind == "parallel":
            lines = [f"{indent}- id: {name}", f"{indent}  parallel:"]
            for _ in range(2):
                first, *rest = self.steps(depth - 1, indent + "      ")
                lines += [f"{indent}    - {first.strip()}", *rest]
            return lines
        loop = ", for_each: $inputs.list" if kind == "each" else ""
        handler = self.handler()
        return [f'{indent}- {{id: {name}, call: part, with: {{says: "{self.outcome()}"}}{loop}{handler}}}']

    def do(self, name: str, indent: str) -> list[str]:
        """Return an action, perhaps with a handler."""
        action = self.draw(st.sampled_from(("lab.read", "lab.write")))
        return [f'{indent}- {{id: {name}, do: {action}, with: {{says: "{self.outcome()}"}}{self.handler()}}}']

    def outcome(self) -> str:
        """Return what an action is told to do."""
        return self.draw(st.sampled_from(OUTCOMES))

    def handler(self) -> str:
        """Return nothing or an `on_error` with a handler of its own."""
        written = self.draw(st.sampled_from(("", "", "stop", "continue")))
        if not written:
            return ""
        name = self.name()
        self.handlers += [f"  h_{name}:", *self.do(f"{name}h", "    ")]
        return f", on_error: {{run: h_{name}, then: {written}}}"


@st.composite
def playbooks(draw: st.DrawFn) -> str:
    """Return the text of a playbook after its metadata."""
    text = _Text(draw)
    steps = text.steps(2, "  ")
    handlers = ["handlers:", *text.handlers] if text.handlers else []
    return "\n".join(["inputs:", "  list: {type: list, required: true}", "steps:", *steps, *handlers]) + "\n"


PART = """inputs:
  says: {type: string, required: true}
steps:
  - {id: go, do: lab.read, with: {says: $inputs.says}}
  - {id: then_go, do: lab.write}
"""
