"""The generated class of the Shuffle app: one method per action, each of which leads into `snaphold.soar.shuffle`."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Sequence

from snaphold import __version__
from snaphold.action import AnyAction, Effect, catalogue
from snaphold.fields import fields_of
from snaphold.soar.shuffle_names import APP, METHODS, POLL_PARAMETERS, STEP_PARAMETERS, Parameter, method_name

AUTHENTICATION = (
    Parameter("url", "Address of the Snaphold service.", "https://snaphold.example:8443", required=True),
    Parameter("token", "API token: snaphold token create.", "*****", required=True),
    Parameter("ca_file", "File in the app's container with the authority to trust.", "/certificates/ca.pem"),
)
TAKEN = frozenset({"body", "self", *(parameter.name for parameter in AUTHENTICATION)})
"""Names that no input of an action can have: Shuffle rewrites `body`, and the authentication has the others."""
_HEAD = f'''"""Snaphold {__version__} for Shuffle. Generated from the catalogue of actions; change the action, not this file."""

import shuffle_sdk.shuffle_sdk as sdk

from snaphold.soar.shuffle import answer, refuse_templates

# Before the first action runs: text from an alert must never be rendered as a template, because templates run code.
refuse_templates(sdk)


class Snaphold(sdk.AppBase):
    """One method per action. No method raises; every answer says `success`."""

    __version__ = "{__version__}"
    app_name = "{APP}"

    def __init__(self, redis=None, logger=None, console_logger=None):
        super().__init__(redis, logger, console_logger)
'''


def control_parameters(entry: AnyAction) -> Sequence[Parameter]:
    """Return the parameters of a method that are no input of its action."""
    return (*STEP_PARAMETERS, *POLL_PARAMETERS) if entry.effect is Effect.READS else STEP_PARAMETERS


def app_code() -> str:
    """Return src/app.py. Raises ValueError for an input whose name Shuffle does not allow."""
    return "\n".join([_HEAD, *_methods(), 'if __name__ == "__main__":', "    Snaphold.run()", ""])


def _methods() -> Iterator[str]:
    for name, entry in catalogue().items():
        inputs = [shape.name for shape in fields_of(entry.request)]
        wrong = [one for one in inputs if one in TAKEN or keyword.iskeyword(one) or one.startswith("snaphold_")]
        if wrong:
            raise ValueError(f"{name}: Shuffle has no place for inputs called {', '.join(wrong)}")
        parameters = [*(one.name for one in (*AUTHENTICATION, *control_parameters(entry))), *inputs]
        yield _method(method_name(name), name, parameters, entry.title)
    for method in METHODS:
        parameters = [parameter.name for parameter in (*AUTHENTICATION, *method.parameters)]
        yield _method(method.name, method.name, parameters, method.description)


def _method(method: str, action: str, parameters: Sequence[str], title: str) -> str:
    # Every parameter has a default and unknown ones are taken too: a missing or added one must not raise in the SDK.
    signature = ",\n        ".join(["self", *(f'{name}=""' for name in parameters), "**_ignored"])
    body = f'        """{title}."""\n        return answer(self, "{action}", locals())\n'
    return f"    def {method}(\n        {signature},\n    ):\n{body}"
