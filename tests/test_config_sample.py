from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from snaphold.config import Configuration, load_configuration
from snaphold.config_sample import sample_text


def load(text: str, folder: Path) -> Configuration:
    path = folder / "snaphold.yaml"
    path.write_text(text, encoding="utf-8")
    return load_configuration(path)


def models(annotation: Any, seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation not in seen:
            seen.add(annotation)
            yield annotation
            for info in annotation.model_fields.values():
                yield from models(info.annotation, seen)
        return
    for argument in get_args(annotation):
        yield from models(argument, seen)


def test_the_sample_loads_as_it_is(tmp_path: Path) -> None:
    configuration = load(sample_text(), tmp_path)
    assert [tier.id for tier in configuration.tiers] == ["T0", "T1", "T2"]
    assert configuration.assets[0].application is not None


def test_the_sample_loads_with_everything_that_is_commented_out(tmp_path: Path) -> None:
    everything = re.sub(r"(?m)^(\s*(?:- )?)#(?! )", r"\1", sample_text())
    configuration = load(everything, tmp_path)
    assert configuration.evidence.time_stamping is not None
    assert configuration.pools[0].upload_limit_kib == 20480


def test_every_key_of_every_model_stands_in_the_sample_with_its_description() -> None:
    text = sample_text()
    flowing = " ".join(line.strip().lstrip("#").strip() for line in text.splitlines())
    for model in models(Configuration, set()):
        for name, info in model.model_fields.items():
            assert re.search(rf"(?m)^\s*(- )?#?{name}:", text), f"{model.__name__}.{name} is missing"
            assert (info.description or "?") in flowing, f"{model.__name__}.{name} has no comment"


def test_the_sample_is_the_same_every_time() -> None:
    assert sample_text() == sample_text()
    assert max(len(line) for line in sample_text().splitlines()) <= 130
