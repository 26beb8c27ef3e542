"""The generated class of the Shuffle app: one method per action, each of which leads into `snaphold.soar.shuffle`."""

from __future__ import annotations

import keyword
from collections.abc import Collection, Iterable, Iterator, Sequence

from snaphold import __version__
from snaphold.action import AnyAction, Effect, catalogue
from snaphold.fields import fields_of
from snaphold.soar.shuffle_names import APP, CONTROL, METHODS, POLL_PARAMETERS, STEP_PARAMETERS, Parameter, method_name

AUTHENTICATION = (
    Parameter("url", "Address of the Snaphold service.", "https://snaphold.example:8443", required=True),
    Parameter("token", "API token: snaphold token create.", "*****", required=True),
    Parameter("ca_file", "File in the app's container with the authority to trust.", "/certificates/ca.pem"),
)
TAKEN = frozenset({"body", "self", *(parameter.name for parameter in AUTHENTICATION)})
"""Names that no input of an action can have: Shuffle rewrites `body`, and the authentication has the others."""


def control_parameters(entry: AnyAction) -> Sequence[Parameter]:
    """Return the parameters of a method that are no input of its action."""
    return (*STEP_PARAMETERS, *POLL_PARAMETERS) if entry.effect is Effect.READS else STEP_PARAMETERS


def app_code() -> str:
    """Return src/app.py. Raises ValueError for an input whose name Shuffle does not allow."""
    return class_code(APP, "from snaphold.soar.shuffle import answer, refuse_templates", _methods())


def class_code(app: str, imports: str, methods: Iterable[str]) -> str:
    """Return src/app.py of an app with these methods."""
    return "\n".join([_head(app, imports), *methods, 'if __name__ == "__main__":', f"    {app}.run()", ""])


def _head(app: str, imports: str) -> str:
    return f'''"""{app} {__version__} for Shuffle. Generated from the catalogue of actions; change the action, not this file."""

import shuffle_sdk.shuffle_sdk as sdk

{imports}

# Before the first action runs: text from an alert must never be rendered as a template, because templates run code.
refuse_templates(sdk)


class {app}(sdk.AppBase):
    """One method per action. No method raises; every answer says `success`."""

    __version__ = "{__version__}"
    app_name = "{app}"

    def __init__(self, redis=None, logger=None, console_logger=None):
        super().__init__(redis, logger, console_logger)
'''


def check_names(action: str, inputs: Sequence[str], taken: Collection[str] = TAKEN) -> None:
    """Raise ValueError for an input whose name Shuffle does not allow, or that something else has."""
    wrong = [one for one in inputs if one in taken or keyword.iskeyword(one) or one.startswith(CONTROL)]
    if wrong:
        raise ValueError(f"{action}: Shuffle has no place for inputs called {', '.join(wrong)}")


def _methods() -> Iterator[str]:
    for name, entry in catalogue().items():
        inputs = [shape.name for shape in fields_of(entry.request)]
        check_names(name, inputs)
        parameters = [*(one.name for one in (*AUTHENTICATION, *control_parameters(entry))), *inputs]
        yield _method(method_name(name), name, parameters, entry.title)
    for method in METHODS:
        parameters = [parameter.name for parameter in (*AUTHENTICATION, *method.parameters)]
        yield _method(method.name, method.name, parameters, method.description)


def _method(method: str, action: str, parameters: Sequence[str], title: str) -> str:
    return method_code(method, parameters, title, f'answer(self, "{action}", locals())')


def method_code(method: str, parameters: Sequence[str], title: str, value: str) -> str:
    """Return the code of a method that gives `value`."""
    # Every parameter has a default and unknown ones are taken too: a missing or added one must not raise in the SDK.
    signature = ",\n        ".join(["self", *(f'{name}=""' for name in parameters), "**_ignored"])
    return f'    def {method}(\n        {signature},\n    ):\n        """{title}."""\n        return {value}\n'
