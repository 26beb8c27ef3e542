"""The completion scripts, asked through the real shells."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import pytest

from snaphold.cli.completion import SHELLS
from snaphold.cli.parsers import Parser, finish
from snaphold.cli.words import places_of
from support.needs import need_program

LONGEST_SECONDS = 240
QUESTIONS = [
    ("", {"actions", "do", "evidence"}),
    ("act", {"actions"}),
    ("actions ", {"list", "show"}),
    ("actions show ba", {"backup.start", "backup.status"}),
    ("do ev", {"evidence.seal"}),
    ("do evidence.seal --con", {"--config", "--content"}),
    ("do evidence.seal --content ", {"full", "inventory"}),
    ("do evidence.seal --config do --content inv", {"inventory"}),
    ("do evidence.seal --config in", {"incident file.json"}),
    ("evidence verify in", {"incident file.json"}),
    ("do evidence.seal --note ", set()),
    ("do --as evidence.seal ev", {"evidence.seal"}),
]


def command_line() -> Parser:
    parser = Parser(prog="snaphold")
    commands = parser.add_subparsers()
    actions = commands.add_parser("actions", help="List the actions, or show one").add_subparsers()
    actions.add_parser("list", help="list: all of them")
    actions.add_parser("show", help="show 'one' $HOME `x`").add_argument("name", choices=["backup.start", "backup.status"])
    doing = commands.add_parser("do", help="Run one")
    doing.add_argument("--as", help="a person")
    do = doing.add_subparsers()
    seal = do.add_parser("evidence.seal", help="Seal")
    seal.add_argument("--content", choices=["full", "inventory"], help="what; 100%% of it")
    seal.add_argument("--config", "-c", type=Path, help="a file")
    seal.add_argument("--note", help="a text")
    evidence = commands.add_parser("evidence", help="Verify").add_subparsers()
    evidence.add_parser("verify", help="verify").add_argument("folder", type=Path)
    finish(parser)
    return parser


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, make in SHELLS.items():
        (tmp_path / f"_snaphold.{name}").write_text(make(places_of(command_line())))
    (tmp_path / "incident file.json").write_text("{}")
    return tmp_path


def ask(argv: list[str], folder: Path) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, env=environment, timeout=LONGEST_SECONDS, check=False)
    assert done.stderr == ""
    return done.stdout


def test_bash_offers_what_fits(folder: Path) -> None:
    need_program("bash")
    script = "source ./_snaphold.bash\n"
    for line, _ in QUESTIONS:
        words = ["snaphold", *line.split(" ")]
        quoted = " ".join(f"'{word}'" for word in words)
        script += f'COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _snaphold; echo "Q"; printf "%s\\n" "${{COMPREPLY[@]}}"\n'
    answers = ask(["bash", "--norc", "-c", script], folder).split("Q\n")[1:]
    for (line, expected), answer in zip(QUESTIONS, answers, strict=True):
        assert set(answer.split("\n")) - {""} == expected, line


def test_bash_offers_values_behind_an_equals_sign(folder: Path) -> None:
    need_program("bash")
    words = "COMP_WORDS=(snaphold do evidence.seal --content = inv); COMP_CWORD=5; _snaphold; echo ${COMPREPLY[@]}"
    assert ask(["bash", "--norc", "-c", "source ./_snaphold.bash; " + words], folder) == "inventory\n"


def test_fish_offers_what_fits(folder: Path) -> None:
    need_program("fish")
    lines = "\n".join(f"echo Q; complete -C 'snaphold {line}'" for line, _ in QUESTIONS)
    answers = ask(["fish", "--no-config", "-c", f"source ./_snaphold.fish\n{lines}"], folder).split("Q\n")[1:]
    for (line, expected), answer in zip(QUESTIONS, answers, strict=True):
        offered = {part.partition("\t")[0].replace("\\ ", " ") for part in answer.split("\n")} - {""}
        assert offered == expected, line


def test_fish_shows_the_summaries(folder: Path) -> None:
    need_program("fish")
    shown = ask(["fish", "--no-config", "-c", "source ./_snaphold.fish; complete -C 'snaphold actions '"], folder)
    assert "show\tshow 'one' $HOME `x`" in shown


def type_into(argv: list[str], folder: Path, setup: str, line: str) -> str:
    """Type a line with TAB into an interactive shell and return what the stand-in for snaphold was called with."""
    (folder / "setup").write_text(setup + "\n")
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvpe(  # noqa: S606  an interactive shell on a terminal of its own
            argv[0], argv, {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", "LC_ALL": "C.UTF-8"}
        )
    shown = b""
    try:
        for text, wanted in ((". ./setup; echo REA''DY\n", b"READY\r"), (line, b""), ("\n", b"GOT<.*>")):
            os.write(terminal, text.encode())
            end = time.monotonic() + (LONGEST_SECONDS if wanted else 0.7)
            while time.monotonic() < end and not (wanted and re.search(wanted, shown)):
                if select.select([terminal], [], [], 0.1)[0]:
                    shown += os.read(terminal, 65536)
    finally:
        os.close(terminal)
        os.kill(child, 9)
        os.waitpid(child, 0)
    found = re.search(rb"GOT<(.*)>", shown)
    assert found, shown
    return found[1].decode()


TYPED = [
    ("snaphold acti\t", "actions"),
    ("snaphold do ev\t--conte\tinv\t", "do|evidence.seal|--content|inventory"),
    ("snaphold evidence verify inci\t", "evidence|verify|incident file.json"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("typed", "expected"), TYPED)
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_completes_on_a_terminal(shell: str, typed: str, expected: str, folder: Path) -> None:
    need_program(shell)
    argv = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
    prepare = {"bash": "", "zsh": "autoload -U compinit; compinit -u -D; "}[shell]
    setup = prepare + f"source ./_snaphold.{shell}; snaphold() {{ local IFS='|'; echo \"GOT<$*>\"; }}"
    assert type_into(argv, folder, setup, typed) == expected


@pytest.mark.slow
def test_zsh_finds_the_script_on_its_function_path(folder: Path) -> None:
    need_program("zsh")
    (folder / "functions").mkdir()
    (folder / "_snaphold.zsh").rename(folder / "functions/_snaphold")
    setup = 'fpath=($PWD/functions $fpath); autoload -U compinit; compinit -u -D; snaphold() { echo "GOT<$*>"; }'
    assert type_into(["zsh", "-f", "-i"], folder, setup, "snaphold actions sh\tbackup.star\t") == "actions show backup.start"


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_the_script_of_the_whole_command_line_is_sound(shell: str, tmp_path: Path) -> None:
    need_program(shell)
    from snaphold.cli.main import build_parser

    (tmp_path / "script").write_text(SHELLS[shell](places_of(build_parser("*"))))
    assert ask([shell, "-n", "script"], tmp_path) == ""


@pytest.mark.slow
def test_the_options_of_an_action_are_offered(tmp_path: Path) -> None:
    need_program("bash")
    from snaphold.cli.main import build_parser

    (tmp_path / "script").write_text(SHELLS["bash"](places_of(build_parser("*"))))
    words = 'COMP_WORDS=(snaphold do evidence.seal --content ""); COMP_CWORD=4; _snaphold; echo ${COMPREPLY[@]}'
    assert ask(["bash", "--norc", "-c", f"source ./script; {words}"], tmp_path) == "full inventory\n"
