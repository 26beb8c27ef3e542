"""Builds the XSOAR pack: an SDK-layout tree below build/xsoar, and dist/Snaphold-xsoar-VERSION.zip. `make packs` runs it.

Pure up to the writing: the same sources give the same bytes, whenever and wherever. The zip needs no SDK; a test holds it
against what the SDK makes of the tree.

Usage: xsoar_pack.py [--build FOLDER] [--dist FOLDER] [--docker-image IMAGE]
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import shutil
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

import xsoar_items as items
from snaphold import __version__
from snaphold.playbook.load import LoadedPlaybook, load_parts, load_playbook, playbook_files
from snaphold.soar.vendors import VENDORS, brand
from snaphold.soar.xsoar_fields import FIELDS
from snaphold.soar.xsoar_names import BRAND
from snaphold.targets.write import write_outputs
from snaphold.targets.xsoar import compile_xsoar
from xsoar_embed import ROOT, package_sources, script, vendor_sources
from xsoar_image import image
from xsoar_integration import DOCKER_IMAGE, integration
from xsoar_pages import PACK_ABOUT, description, integration_readme, pack_readme, release_notes
from xsoar_vendors import vendor_description, vendor_integration, vendor_readme_intro, vendor_script

PACK = "Snaphold"
FIRST_VERSION = "1.0.0"
CREATED = "2026-11-22T00:00:00Z"
LAST = "99.99.99"
UNIX = 3
"""The zip's `create_system`: it must not depend on where it is made."""
CATEGORIES = ("Utilities",)
MARKETPLACES = ["xsoar"]
Files = dict[str, bytes]
# The same bytes in a tenth of the time, where PyYAML was built with libyaml; a test holds one against the other.
_FAST_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_FAST_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def build_tree(version: str = __version__, docker_image: str = DOCKER_IMAGE) -> Files:
    """Return the content tree in the layout of the SDK: Packs/Snaphold and the Config that its validation reads."""
    compiled = compile_playbooks()
    playbooks = [_read(content) for path, content in sorted(compiled.items()) if path.endswith(".yml")]
    yml = integration(docker_image)
    sources = package_sources()
    size = sum(len(source.encode()) for source in sources.values())
    travelling = {brand(kind): vendor_sources(kind) for kind in sorted(VENDORS)}
    sizes = {name: (len(inside), sum(len(text.encode()) for text in inside.values())) for name, inside in travelling.items()}
    pack: dict[str, bytes | str] = {
        "pack_metadata.json": _json(metadata(version)),
        "README.md": pack_readme(playbooks, size, len(sources), sizes),
        ".pack-ignore": "",
        ".secrets-ignore": "",
        "Integrations/Snaphold/Snaphold.yml": _yaml(yml),
        "Integrations/Snaphold/Snaphold.py": script(expected_items(version, playbooks)),
        "Integrations/Snaphold/Snaphold_test.py": TEST,
        "Integrations/Snaphold/Snaphold_description.md": description(),
        "Integrations/Snaphold/Snaphold_image.png": image(),
        "Integrations/Snaphold/README.md": integration_readme(yml),
        **{f"Playbooks/{path}": content for path, content in compiled.items()},
        "IncidentTypes/incidenttype-Snaphold_Request.json": _json(items.incident_type()),
        "Layouts/layoutscontainer-Snaphold_Request.json": _json(items.layout()),
        f"Lists/list-{items.TIERS_LIST}/list-{items.TIERS_LIST}.json": _json(items.tier_list()),
        f"Lists/list-{items.TIERS_LIST}/list-{items.TIERS_LIST}_data.json": items.tier_data(),
        "Dashboards/dashboard-Snaphold.json": _json(items.dashboard()),
        "Classifiers/classifier-Snaphold.json": _json(items.classifier()),
        "Classifiers/classifier-mapper-incoming-Snaphold.json": _json(items.mapper()),
    }
    for kind in sorted(VENDORS):
        pack |= _vendor_files(kind, docker_image)
    for field in FIELDS:
        pack[f"IncidentFields/incidentfield-{field.cli_name}.json"] = _json(items.incident_field(field))
    if version != FIRST_VERSION:
        pack[f"ReleaseNotes/{version.replace('.', '_')}.md"] = release_notes([playbook["name"] for playbook in playbooks])
    config: dict[str, Any] = {
        "approved_categories.json": {"approved_list": list(CATEGORIES)},
        "approved_tags.json": {"approved_list": {"common": [], "xsoar": [], "marketplacev2": [], "xpanse": []}},
        "approved_usecases.json": {"approved_list": []},
        "compliant_policies.json": {"policies": []},
    }
    tree = {f"Packs/{PACK}/{path}": content for path, content in pack.items()}
    tree |= {f"Config/{name}": _json(content) for name, content in config.items()}
    return {path: content.encode() if isinstance(content, str) else content for path, content in sorted(tree.items())}


def _vendor_files(kind: str, docker_image: str) -> dict[str, bytes | str]:
    """Return the files of a vendor's integration, by their place in the pack."""
    name, yml = brand(kind), vendor_integration(kind, docker_image)
    base = f"Integrations/{name}/{name}"
    return {
        f"{base}.yml": _yaml(yml),
        f"{base}.py": vendor_script(kind),
        f"{base}_test.py": TEST.replace("Snaphold.py", f"{name}.py"),
        f"{base}_description.md": vendor_description(kind),
        f"{base}_image.png": image(),
        f"Integrations/{name}/README.md": integration_readme(yml, vendor_readme_intro(kind)),
    }


TEST = '''"""The tests of this integration are those of the package: tests/packaging and tests/soar in its repository."""


def test_the_integration_carries_the_package():
    from pathlib import Path

    source = Path(__file__).with_name("Snaphold.py").read_text(encoding="utf-8")
    assert "SNAPHOLD_SOURCES" in source
'''


def compile_playbooks() -> Files:
    """Return the shipped playbooks and their parts as XSOAR reads them, by file name."""
    files: Files = {}
    for path in playbook_files(ROOT / "playbooks"):
        loaded: LoadedPlaybook = load_playbook(path)
        files |= compile_xsoar(loaded, load_parts(loaded)).files
    return files


def metadata(version: str) -> dict[str, Any]:
    """Return pack_metadata.json."""
    return {
        "name": PACK, "description": PACK_ABOUT, "support": "community", "currentVersion": version, "author": "Snaphold authors",
        "url": "", "email": "", "created": CREATED, "categories": list(CATEGORIES), "tags": [], "useCases": [],
        "keywords": ["backup", "evidence", "legal hold", "ransomware", "snapshot"], "githubUser": [],
        "marketplaces": MARKETPLACES,
    }  # fmt: skip


def expected_items(version: str, playbooks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the self-check looks for: names, and for playbooks the digest that this version's description holds."""
    kinds: dict[str, dict[str, str]] = {
        "integration": dict.fromkeys([BRAND, *(brand(kind) for kind in sorted(VENDORS))], ""),
        "playbook": {
            playbook["name"]: str(playbook["description"]).rpartition("sha256 ")[2].rstrip(".") for playbook in playbooks
        },
        "incident field": {f"incident_{field.cli_name}": "" for field in FIELDS},
        "incident type": {items.TYPE: ""},
        "layout": {items.LAYOUT: ""},
        "classifier": {items.CLASSIFIER: "", items.MAPPER: ""},
        "list": {items.TIERS_LIST: ""},
        "dashboard": {items.DASHBOARD: ""},
    }
    return {"version": version, "items": kinds}


def unify(tree: Mapping[str, bytes]) -> Files:
    """Return the pack as a server takes it: code, image and description inside the integration's yml."""
    version = str(_load(tree[f"Packs/{PACK}/pack_metadata.json"])["currentVersion"])
    files: Files = {}
    for path, content in tree.items():
        if not path.startswith(f"Packs/{PACK}/"):
            continue
        inner = path.removeprefix(f"Packs/{PACK}/")
        folder, _, name = inner.rpartition("/")
        if folder.startswith("Integrations/"):
            own = folder.partition("/")[2]
            if name == f"{own}.yml":
                files[f"Integrations/integration-{own}.yml"] = _unified(tree, own, version)
        elif folder.startswith("Lists/"):
            if not name.endswith("_data.json"):
                files[f"Lists/{name}"] = _filled_list(tree, path)
        elif folder == "Layouts":
            files[inner] = _json(_load(content) | {"fromServerVersion": items.FROM_VERSION, "toServerVersion": LAST}).encode()
        elif not name.endswith("_README.md") and name not in (".pack-ignore", ".secrets-ignore"):
            files[inner] = content
    files["metadata.json"] = _json(pack_listing(tree, files, version)).encode()
    return dict(sorted(files.items()))


def _unified(tree: Mapping[str, bytes], name: str, version: str) -> bytes:
    """Return the integration with everything folded in, in the order and form of the SDK."""
    base = f"Packs/{PACK}/Integrations/{name}/{name}"
    yml = _read(tree[f"{base}.yml"])
    code = tree[f"{base}.py"].decode()
    code = code.replace("import demistomock as demisto\n", "").replace("from CommonServerPython import *\n", "", 1)
    start = f"register_module_line('{name}', 'start', __line__())\n"
    end = f"\nregister_module_line('{name}', 'end', __line__())\n"
    constant = f"CONSTANT_PACK_VERSION = '{version}'\ndemisto.debug('pack id = {PACK}, pack version = {version}')\n"
    yml["script"]["script"] = f"{start}{constant}{code}{end}"
    encoded = base64.b64encode(tree[f"{base}_image.png"]).decode()
    yml["image"] = f"data:image/png;base64,{encoded}"
    yml["detaileddescription"] = tree[f"{base}_description.md"].decode()
    return _yaml(yml).encode()


def _filled_list(tree: Mapping[str, bytes], path: str) -> bytes:
    data = tree[path.removesuffix(".json") + "_data.json"].decode()
    return _json(_load(tree[path]) | {"data": data}).encode()


def pack_listing(tree: Mapping[str, bytes], files: Mapping[str, bytes], version: str) -> dict[str, Any]:
    """Return metadata.json: the pack's description and what it holds."""
    own = _load(tree[f"Packs/{PACK}/pack_metadata.json"])
    listed = content_items(files)
    # The SDK leaves these out of what a server gets.
    shown = {key: value for key, value in own.items() if key not in ("created", "email", "githubUser", "url")}
    return shown | {
        "id": PACK, "currentVersion": version, "serverMinVersion": "6.0.0", "firstCreated": own["created"], "updated": CREATED,
        "commit": "", "marketplaces": [*MARKETPLACES, "xsoar_saas"], "price": 0, "dependencies": {}, "deprecated": False,
        "hidden": False, "contentItems": listed, "contentDisplays": {kind: _DISPLAYS[kind] for kind in listed},
    }  # fmt: skip


_DISPLAYS = {
    "classifier": "Classifiers", "dashboard": "Dashboard", "incidentfield": "Incident Fields", "incidenttype": "Incident Type",
    "integration": "Integrations", "layoutscontainer": "Layouts Container", "list": "List", "playbook": "Playbooks",
}  # fmt: skip


def content_items(files: Mapping[str, bytes]) -> dict[str, list[dict[str, Any]]]:
    """Return name and description of every item, by kind."""
    kinds = {
        "Integrations": "integration", "Playbooks": "playbook", "Lists": "list", "IncidentFields": "incidentfield",
        "IncidentTypes": "incidenttype", "Layouts": "layoutscontainer", "Dashboards": "dashboard", "Classifiers": "classifier",
    }  # fmt: skip
    found: dict[str, list[dict[str, Any]]] = {}
    for path, content in files.items():
        kind = kinds.get(path.partition("/")[0])
        if kind is None:
            continue
        item = _read(content) if path.endswith(".yml") else _load(content)
        listed = {
            "id": item.get("id") or item["commonfields"]["id"],
            "name": item.get("display") or item["name"],
            "description": str(item.get("description", "")),
            "fromversion": item.get("fromversion") or item["fromVersion"],
            "toversion": "",
            "deprecated": False,
        }
        if kind in ("incidentfield", "classifier"):
            listed["type"] = item["type"]
        if kind == "integration":
            listed["commands"] = [
                {"name": command["name"], "description": command["description"]} for command in item["script"]["commands"]
            ]
        found.setdefault(kind, []).append(listed)
    return dict(sorted(found.items()))


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    """Return a zip that depends on nothing but the files: sorted, of 1980, not compressed by a changing library."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            entry.create_system = UNIX
            archive.writestr(entry, content)
    return stream.getvalue()


def main(arguments: list[str] | None = None) -> int:
    """Write tree and zip, say what was written, and return 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "xsoar")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist")
    parser.add_argument("--docker-image", default=DOCKER_IMAGE, help=f"the image of the integration (default {DOCKER_IMAGE})")
    options = parser.parse_args(arguments)
    tree = build_tree(docker_image=options.docker_image)
    write_outputs(tree, options.build)
    packed = zip_bytes(unify(tree))
    path: Path = options.dist / f"{PACK}-xsoar-{__version__}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(packed)
    shutil.move(fresh, path)
    code = tree[f"Packs/{PACK}/Integrations/Snaphold/Snaphold.py"]
    sources = package_sources()
    print(f"{options.build}: {len(tree)} files")
    print(f"{path}: {len(packed)} bytes, sha256 {hashlib.sha256(packed).hexdigest()}")
    print(f"the integration's script: {len(code)} bytes, {len(sources)} modules of the package inside")
    return 0


def _json(value: Any) -> str:
    return json.dumps(value, indent=4, ensure_ascii=False) + "\n"


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(_FAST_DUMPER):
    """Writes text of several lines as a block, so that code stays readable."""


def _text(dumper: Any, value: str) -> yaml.Node:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _read(content: bytes) -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.load(content, Loader=_FAST_LOADER))  # noqa: S506  it is the safe one, in C


def _load(content: bytes) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(content))


if __name__ == "__main__":
    sys.exit(main())
