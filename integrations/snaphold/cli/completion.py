"""Completion scripts for bash, zsh and fish.

The scripts are static: pressing TAB starts no Python. Each walks the words to the subcommand that they reach, then
offers its subcommands, its options, or the values of the option before the cursor.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence

from snaphold.cli.words import Option, Place, Values


def _header(name: str) -> str:
    return f"# {name} completion for snaphold; made by `snaphold completion {name}`."


def bash_script(places: Sequence[Place]) -> str:
    """Return the script for bash 4 or newer: `source` it, or put it into bash-completion's folder."""
    return "\n".join(
        [
            _header("bash"),
            "_snaphold() {",
            "  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} place='' value='' word index",
            "  COMPREPLY=()",
            "  if [[ $current == '=' ]]; then current=''; elif [[ $before == '=' ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi",
            "  for ((index = 1; index < COMP_CWORD; index++)); do",
            "    word=${COMP_WORDS[index]}",
            "    if [[ -n $value ]]; then value=''; continue; fi",
            *_walk(places),
            "  done",
            '  case "$place|$before" in',
            *_value_cases(places, _bash_words, _BASH_FILES),
            "  esac",
            '  case "$place" in',
            *(line for place in places for line in _bash_place(place)),
            "  esac",
            "}",
            "complete -F _snaphold snaphold",
            "",
        ]
    )


def _bash_words(words: Iterable[str]) -> str:
    return f'mapfile -t COMPREPLY < <(compgen -W {shlex.quote(" ".join(words))} -- "$current")'


_BASH_FILES = 'compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current")'


def _walk(places: Sequence[Place]) -> Iterable[str]:
    """Lines that follow one word: into a subcommand, or past an option whose next word is its value."""
    yield '    case "$place|$word" in'
    for place in places:
        here = " ".join(place.path)
        for name in place.subcommands:
            yield f"      {shlex.quote(here + '|' + name)}) place={shlex.quote(' '.join((*place.path, name)))} ;;"
        taking = [name for option in place.options if option.values is not None for name in option.names]
        if taking:
            yield f"      {' | '.join(shlex.quote(here + '|' + name) for name in taking)}) value=yes ;;"
    yield "    esac"


def _value_cases(places: Sequence[Place], choices: Callable[[Iterable[str]], str], files: str) -> Iterable[str]:
    """Case branches for the word after an option that takes a value."""
    for place in places:
        for option in place.options:
            if option.values is None:
                continue
            yield f"    {' | '.join(shlex.quote(' '.join(place.path) + '|' + name) for name in option.names)})"
            if option.values.choices:
                yield f"      {choices(option.values.choices)}"
            elif option.values.files:
                yield f"      {files}"
            yield "      return ;;"


def _bash_place(place: Place) -> Iterable[str]:
    words = [*place.subcommands, *place.positional.choices]
    options = [name for option in place.options for name in option.names]
    yield f"    {shlex.quote(' '.join(place.path))})"
    yield "      if [[ $current == -* ]]; then"
    yield f"        {_bash_words(options)}"
    if words:
        yield f"      else\n        {_bash_words(words)}"
    elif place.positional.files:
        yield f"      else\n        {_BASH_FILES}"
    yield "      fi ;;"


def zsh_script(places: Sequence[Place]) -> str:
    """Return the script for zsh: put it as `_snaphold` into a folder of $fpath, or source it after compinit."""
    return "\n".join(
        [
            "#compdef snaphold",
            _header("zsh"),
            "_snaphold() {",
            "  local current=$words[CURRENT] before=$words[CURRENT-1] place='' value='' word",
            "  local -a offered",
            "  for word in ${words[2,CURRENT-1]}; do",
            "    if [[ -n $value ]]; then value=''; continue; fi",
            *_walk(places),
            "  done",
            '  case "$place|$before" in',
            *_value_cases(places, _zsh_words, "_files"),
            "  esac",
            '  case "$place" in',
            *(line for place in places for line in _zsh_place(place)),
            "  esac",
            "}",
            'if [[ $funcstack[1] == _snaphold ]]; then _snaphold "$@"; else compdef _snaphold snaphold; fi',
            "",
        ]
    )


def _zsh_words(words: Iterable[str]) -> str:
    return f"offered=({shlex.join(words)}); compadd -a offered"


def _zsh_place(place: Place) -> Iterable[str]:
    options = [(name, option.summary) for option in place.options for name in option.names]
    words = [*place.subcommands.items(), *((word, "") for word in place.positional.choices)]
    yield f"    {shlex.quote(' '.join(place.path))})"
    yield "      if [[ $current == -* ]]; then"
    yield f"        offered=({_zsh_described(options)}); _describe -o option offered"
    if words:
        yield f"      else\n        offered=({_zsh_described(words)}); _describe command offered"
    elif place.positional.files:
        yield "      else\n        _files"
    yield "      fi ;;"


def _zsh_described(words: Iterable[tuple[str, str]]) -> str:
    return " ".join(shlex.quote(word.replace(":", "\\:") + (":" + summary if summary else "")) for word, summary in words)


def fish_script(places: Sequence[Place]) -> str:
    """Return the script for fish 3 or newer: put it as `snaphold.fish` into ~/.config/fish/completions."""
    return "\n".join(
        [
            _header("fish"),
            "function __snaphold_place",
            "  set -l place ''",
            "  set -l value ''",
            "  set -l tokens (commandline -opc)",
            "  for word in $tokens[2..-1]",
            "    if test -n \"$value\"; set value ''; continue; end",
            '    switch "$place|$word"',
            *_fish_walk(places),
            "    end",
            "  end",
            '  test "$place" = "$argv[1]"',
            "end",
            "complete -c snaphold -f",
            *(line for place in places for line in _fish_place(place)),
            "",
        ]
    )


def _fish_walk(places: Sequence[Place]) -> Iterable[str]:
    for place in places:
        here = " ".join(place.path)
        for name in place.subcommands:
            yield f"      case {_fish(here + '|' + name)}; set place {_fish(' '.join((*place.path, name)))}"
        taking = [name for option in place.options if option.values is not None for name in option.names]
        if taking:
            yield f"      case {' '.join(_fish(here + '|' + name) for name in taking)}; set value yes"


def _fish_place(place: Place) -> Iterable[str]:
    start = f"complete -c snaphold -n {_fish('__snaphold_place ' + _fish(' '.join(place.path)))}"
    for name, summary in place.subcommands.items():
        yield f"{start} -a {_fish(name)} -d {_fish(summary)}"
    yield from _fish_values(start, place.positional)
    for option in place.options:
        names = " ".join(("-l " if name.startswith("--") else "-s ") + name.lstrip("-") for name in option.names)
        yield from _fish_option(f"{start} {names} -d {_fish(option.summary)}", option)


def _fish_values(start: str, values: Values) -> Iterable[str]:
    if values.choices:
        yield f"{start} -a {_fish(' '.join(values.choices))}"
    elif values.files:
        yield f"{start} -F"


def _fish_option(start: str, option: Option) -> Iterable[str]:
    if option.values is None:
        yield start
    elif option.values.choices:
        yield f"{start} -x -a {_fish(' '.join(option.values.choices))}"
    else:
        yield f"{start} -r -F" if option.values.files else f"{start} -x"


def _fish(text: str) -> str:
    """Quote for fish, where a backslash counts inside single quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS = {"bash": bash_script, "fish": fish_script, "zsh": zsh_script}
