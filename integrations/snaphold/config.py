"""The configuration file snaphold.yaml: the model, and how it is found and read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo, WithJsonSchema, model_validator

from snaphold.authority_rules import Authority
from snaphold.clock import Duration, Positive
from snaphold.config_examples import EXAMPLES
from snaphold.database_address import DatabaseAddress, given_address, resolve_address
from snaphold.derived import Derived
from snaphold.domain.asset import Asset
from snaphold.domain.classification import ClassificationRule
from snaphold.domain.incident import Incident, Severity
from snaphold.domain.people import Person, Role
from snaphold.domain.tier import Tier
from snaphold.domain.value import Identifier, Value
from snaphold.errors import ConfigurationError, InputError, Problem
from snaphold.secrets import SecretReference
from snaphold.service.settings import ServiceSettings
from snaphold.vault.settings import VaultSettings
from snaphold.webhooks.settings import Trigger, Webhook

if TYPE_CHECKING:
    from snaphold.documents import Document

FILE_NAME = "snaphold.yaml"
HOW_TO_MEND = "mend these lines; snaphold config sample shows every key"
_READ_FROM_FILE: Final[Mapping[str, Any]] = {"source": "file"}


def _check_date(text: str) -> str:
    if text and not (re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) and _is_date(text)):
        raise ValueError(f"{text!r} is not a date: write YYYY-MM-DD in quotes")
    return text


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


Day = Annotated[
    str, AfterValidator(_check_date), WithJsonSchema({"type": "string", "pattern": r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$"})
]
"""A date as text, YYYY-MM-DD; empty when there is none."""


class Organisation(Value):
    """Whose incident it is."""

    name: str = Field(min_length=1, description="Its name, for reports and evidence.", examples=["Example Ltd"])
    contact: str = Field(default="", description="Contact of the security team.", examples=["soc@example.org"])


class BackupKind(str, Enum):
    """How much is backed up."""

    FULL = "full"
    INCREMENTAL = "incremental"


class SeverityRule(Value):
    """Severity (and category, when given) select the playbook and the kind of backup."""

    severity: Severity = Field(description="1 (worst) to 5.", examples=[1])
    category: Identifier | None = Field(default=None, description="Only for this category.", examples=["ransomware"])
    playbook: Identifier = Field(description="The playbook to run.", examples=["ransomware-response"])
    backup: BackupKind = Field(
        default=BackupKind.FULL,
        description="full reads every byte again; incremental trusts what times say. rclone always copies everything.",
        examples=["full"],
    )


class Pool(Value):
    """Where incident backups go. Each incident gets a repository of its own below `location`."""

    name: Identifier = Field(description="The pool's name.", examples=["isolated-01"])
    provider: Identifier = Field(description="The backup engine or product.", examples=["restic"])
    location: str = Field(
        min_length=1,
        description="A folder, relative ones count from this file; with an integration, the storage's name in the product.",
        examples=["pools/isolated-01"],
    )
    password: SecretReference | None = Field(
        default=None,
        description="The repository's password, by reference; engines on this machine (restic, rclone) need it.",
        examples=["file:keys/isolated-01"],
    )
    integration: Identifier | None = Field(
        default=None,
        description="The connection to the backup product; left out for engines on this machine.",
        examples=["backup-server"],
    )
    settings: dict[str, str] = Field(
        default_factory=dict,
        description="Settings of the backup product for this pool; the how-to of each product lists them.",
        examples=[{"locked_repository": "Immutable 01"}],
    )
    isolated: bool = Field(default=True, description="Apart from daily backups and their deletion policies.", examples=[True])
    reserve: float = Field(default=0.1, ge=0, lt=1, description="Share of the storage that must stay free.", examples=[0.1])
    upload_limit_kib: int | None = Field(default=None, ge=1, description="Cap in KiB/s.", examples=[20480])
    program: str = Field(
        default="", description="Path of the engine's program, when it is not on PATH.", examples=["/opt/restic"]
    )
    compromised: bool = Field(default=False, description="Never used while true.", examples=[False])
    owner: str = Field(default="", description="The team that answers for it.", examples=["backup-team"])
    contact: str = Field(default="", description="How to reach the owner.", examples=["backup@example.org"])
    review_by: Day = Field(
        default="", description="When it must be looked at again (YYYY-MM-DD, quoted).", examples=["2027-01-31"]
    )


class Integration(Value):
    """A system of a vendor that Snaphold talks to, and who answers for the connection."""

    name: Identifier = Field(description="The integration's name.", examples=["itsm"])
    kind: Identifier = Field(description="The vendor's system, e.g. servicenow or pagerduty.", examples=["servicenow"])
    url: str = Field(pattern=r"^https?://", description="Its address.", examples=["https://example.service-now.com"])
    credentials: dict[str, SecretReference] = Field(
        default_factory=dict,
        description="What it signs in with, by reference; the how-to of each system lists the names.",
        examples=[{"username": "env:SN_USER", "password": "env:SN_PASSWORD"}],
    )
    settings: dict[str, str] = Field(
        default_factory=dict,
        description="Settings of this kind of system; the how-to of each system lists them.",
        examples=[{"dependency_class": "cmdb_ci"}],
    )
    ca_file: str = Field(default="", description="PEM file of its own authority.", examples=["trust/itsm-ca.pem"])
    timeout: Positive = Field(default=timedelta(seconds=20), description="Longest wait for one answer.", examples=["20s"])
    calls_per_run: int | None = Field(
        default=None,
        ge=1,
        description="Most calls that one run may make; left out: 2000 to a platform, 100000 to a backup product.",
        examples=[2000],
    )
    owner: str = Field(default="", description="The team that answers for it.", examples=["backup-team"])
    contact: str = Field(default="", description="How to reach the owner.", examples=["backup@example.org"])
    review_by: Day = Field(
        default="", description="When it must be looked at again (YYYY-MM-DD, quoted).", examples=["2027-01-31"]
    )


class Route(Value):
    """Which pool serves which tiers, and which one when the first is compromised or full."""

    tiers: tuple[Identifier, ...] = Field(min_length=1, description="Tiers.", examples=[["T0", "T1"]])
    primary: Identifier = Field(description="The pool to use.", examples=["isolated-01"])
    alternate: Identifier | None = Field(default=None, description="The pool to fall back to.", examples=["isolated-02"])


class RetentionRule(Value):
    """How long incident backups of a data class are kept after the case is closed."""

    data_class: Identifier | None = Field(default=None, description="Only for this data class.", examples=["personal-data"])
    keep: Duration = Field(description="How long.", examples=["365d"])
    basis: str = Field(min_length=1, description="The law or policy.", examples=["SOX section 802"])


class Contact(Value):
    """Whom to call."""

    role: Identifier = Field(description="What for.", examples=["backup-team"])
    name: str = Field(min_length=1, description="Who.", examples=["Backup on-call"])
    reach: str = Field(min_length=1, description="How.", examples=["+44 20 5550 0100"])
    review_by: Day = Field(
        default="", description="When this entry must be looked at again (YYYY-MM-DD, quoted).", examples=["2027-01-31"]
    )


class TimeStamping(Value):
    """An RFC 3161 time-stamping authority."""

    url: str = Field(pattern=r"^https?://", description="Where requests are posted.", examples=["https://tsa.example.org/"])
    ca_file: str = Field(description="PEM file with the authority's root.", examples=["trust/tsa-ca.pem"])
    timeout: Positive = Field(default=timedelta(seconds=20), description="Longest wait for an answer.", examples=["20s"])


class EvidenceSettings(Value):
    """Where evidence is kept and who signs it."""

    store: str = Field(default="evidence", description="Folder for packages.", examples=["evidence"])
    trust: str = Field(default="trust", description="Folder handed to verifiers apart from the packages.", examples=["trust"])
    identity: Identifier = Field(
        default="custodian@snaphold", description="The signer's name in allowed_signers.", examples=["custodian@soc"]
    )
    signing_key: SecretReference = Field(
        default="file:keys/custodian", description="Ed25519 key in OpenSSH form.", examples=["file:keys/custodian"]
    )
    vault: VaultSettings = Field(
        default=VaultSettings(),
        description="Where finished packages rest; left out: only in the store.",
        examples=[{"kind": "s3", "bucket": "evidence-vault", "mode": "compliance", "keep": "365d"}],
    )
    time_stamping: TimeStamping | None = Field(
        default=None,
        description="Left out: packages are marked not time-stamped.",
        examples=[{"url": "https://tsa.example.org/", "ca_file": "trust/tsa-ca.pem"}],
    )


class Configuration(Value):
    """The whole of snaphold.yaml."""

    version: Literal[1] = Field(default=1, description="Version of this file's format.", examples=[1])
    organisation: Organisation = Field(description="Whose incident it is.", examples=[EXAMPLES["organisation"]])
    state: str = Field(default="state", description="Folder for the ledger and the runs.", examples=["state"])
    database: DatabaseAddress = Field(
        default="",
        description="For workers on many machines: a PostgreSQL address, as a secret reference, or without a password.",
        examples=["env:SNAPHOLD_DATABASE"],
    )
    tiers: tuple[Tier, ...] = Field(min_length=1, description="From the business impact analysis.", examples=[EXAMPLES["tiers"]])
    assets: tuple[Asset, ...] = Field(default=(), description="What can be hit.", examples=[EXAMPLES["assets"]])
    classification: tuple[ClassificationRule, ...] = Field(
        default=(),
        description="For assets without a tier; the first rule that matches decides.",
        examples=[EXAMPLES["classification"]],
    )
    severities: tuple[SeverityRule, ...] = Field(
        default=(), description="Which playbook and which kind of backup an incident gets.", examples=[EXAMPLES["severities"]]
    )
    pools: tuple[Pool, ...] = Field(default=(), description="Where backups go.", examples=[EXAMPLES["pools"]])
    routes: tuple[Route, ...] = Field(default=(), description="Which pool a tier uses.", examples=[EXAMPLES["routes"]])
    integrations: tuple[Integration, ...] = Field(
        default=(), description="Incident, change and backup systems of vendors.", examples=[EXAMPLES["integrations"]]
    )
    webhooks: tuple[Webhook, ...] = Field(
        default=(), description="Systems that tell the service something by themselves.", examples=[EXAMPLES["webhooks"]]
    )
    triggers: tuple[Trigger, ...] = Field(
        default=(), description="Alerts that make backups more frequent for a while.", examples=[EXAMPLES["triggers"]]
    )
    people: tuple[Person, ...] = Field(default=(), description="Who may act.", examples=[EXAMPLES["people"]])
    roles: tuple[Role, ...] = Field(default=(), description="What they may do.", examples=[EXAMPLES["roles"]])
    authority: Authority = Field(default=Authority(), description="What needs a grant.", examples=[EXAMPLES["authority"]])
    evidence: EvidenceSettings = Field(
        default=EvidenceSettings(), description="Where evidence is kept and who signs it.", examples=[EXAMPLES["evidence"]]
    )
    retention: tuple[RetentionRule, ...] = Field(
        default=(), description="How long backups are kept after the case is closed.", examples=[EXAMPLES["retention"]]
    )
    contacts: tuple[Contact, ...] = Field(default=(), description="Whom to call.", examples=[EXAMPLES["contacts"]])
    service: ServiceSettings = Field(
        default=ServiceSettings(), description="The service as its callers see it.", examples=[EXAMPLES["service"]]
    )
    playbooks: str = Field(
        default="",
        description="Folder of your own playbooks; searched before the shipped ones.",
        examples=["playbooks"],
    )
    _base: Path = PrivateAttr(default_factory=Path.cwd)
    _derived: Derived = PrivateAttr(default_factory=Derived)

    @model_validator(mode="after")
    def _names_resolve(self, info: ValidationInfo) -> Configuration:
        """Names resolve also in a configuration that no file stands behind; a file's faults carry their places."""
        if info.context is _READ_FROM_FILE:
            return self
        from snaphold.cross_references import cross_reference_faults

        faults = cross_reference_faults(self)
        if faults:
            raise ValueError("; ".join(str(fault) for fault in faults))
        return self

    @property
    def base(self) -> Path:
        """The folder from which relative paths count."""
        return self._base

    def placed_at(self, base: Path) -> Configuration:
        """Return this configuration with relative paths counted from `base`."""
        copy = self.model_copy()
        copy._base = base.resolve()
        return copy

    @property
    def derived(self) -> Derived:
        """What was derived from this configuration and is asked for again and again."""
        return self._derived

    @property
    def assets_by_id(self) -> Mapping[str, Asset]:
        """The assets by id."""
        return self._derived.get("assets_by_id", (self.assets,), lambda: {asset.id: asset for asset in self.assets})

    def path(self, text: str) -> Path:
        """Return a path of this configuration as an absolute one."""
        return self._base / Path(text).expanduser()

    def with_database(self, address: str) -> Configuration:
        """Return this configuration with another database. Raises InputError when the address is none."""
        return self.model_copy(update={"database": given_address(address)}).placed_at(self._base)

    def database_url(self) -> str:
        """Return the address of the database with its password. Raises InputError when the reference names nothing."""
        return resolve_address(self.database, self._base)

    @property
    def state_folder(self) -> Path:
        """Where the ledger, the runs and running jobs are kept."""
        return self.path(self.state)


def find_configuration(given: Path | None) -> Path:
    """Return the path of the configuration file: the given one, $SNAPHOLD_CONFIG, or the first of the usual places."""
    if given is not None:
        return given
    from_environment = os.environ.get("SNAPHOLD_CONFIG")
    if from_environment:
        return Path(from_environment)
    places = [Path(FILE_NAME), Path.home() / ".config/snaphold" / FILE_NAME, Path("/etc/snaphold") / FILE_NAME]
    for place in places:
        if place.is_file():
            return place
    raise ConfigurationError(
        "there is no configuration",
        [Problem(f"looked for {', '.join(str(place) for place in places)}")],
        "snaphold config sample > snaphold.yaml, then edit it; or name one with --config",
    )


def load_configuration(given: Path | None = None) -> Configuration:
    """Return the configuration. Raises ConfigurationError with file:line:column and field of every fault."""
    from snaphold.documents import load_document, uncollected

    path = find_configuration(given)
    with uncollected():
        return read_configuration(load_document(path, "configuration")).placed_at(path.parent)


def read_configuration(document: Document) -> Configuration:
    """Return the configuration in a document. Raises ConfigurationError with file:line:column and field of every fault."""
    from snaphold.cross_references import cross_reference_faults
    from snaphold.documents import read_model

    try:
        configuration = read_model(Configuration, document, "configuration", ConfigurationError, _READ_FROM_FILE)
    except ConfigurationError as error:
        error.do = HOW_TO_MEND
        raise
    faults = cross_reference_faults(configuration)
    if faults:
        raise ConfigurationError(
            f"configuration {document.path} has faults", [fault.as_problem(document) for fault in faults], HOW_TO_MEND
        )
    return configuration


def select_playbook(configuration: Configuration, incident: Incident) -> SeverityRule:
    """Return the rule of the incident's severity; one for its category wins. Raises InputError when there is none."""
    fitting = [rule for rule in configuration.severities if rule.severity == incident.severity]
    for category in (incident.category, None):
        for rule in fitting:
            if rule.category == category:
                return rule
    others = ", ".join(str(rule.category) for rule in fitting)
    why = f"its category is {incident.category!r}; rules of that severity are for: {others}" if fitting else None
    raise InputError(
        f"no playbook is configured for an incident of severity {incident.severity}",
        why,
        "add a rule under severities in snaphold.yaml, or name the playbook",
    )
