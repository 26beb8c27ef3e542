"""Assets: what can be hit, what it depends on, how it is protected."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

from pydantic import Field

from snaphold.clock import Duration
from snaphold.domain.value import Identifier, Value
from snaphold.secrets import SecretReference


class AssetKind(str, Enum):
    """What an asset is."""

    APPLICATION = "application"
    CLOUD_ACCOUNT = "cloud-account"
    DATABASE = "database"
    FILE_SHARE = "file-share"
    NETWORK_DEVICE = "network-device"
    SERVER = "server"
    VIRTUAL_MACHINE = "virtual-machine"


class Application(Value):
    """How an asset's application is brought to a consistent state, and how a copy of it is proved."""

    quiesce: Identifier = Field(description="The quiesce adapter.", examples=["sqlite"])
    location: str = Field(description="Where the application's data is: a path or an address.", examples=["app/orders.db"])
    consistency_query: str = Field(
        default="",
        description="A query whose answer must hold in every copy.",
        examples=["select sum(amount) from entry"],
    )
    expected: str = Field(default="", description="The answer that proves the copy.", examples=["0"])
    freeze_deadline: Duration = Field(
        default=timedelta(minutes=2), description="The copy must end within this time.", examples=["2m"]
    )
    secret: SecretReference | None = Field(default=None, description="Credentials, by reference.", examples=["env:ORDERS_DB"])


class Protection(Value):
    """What of an asset is backed up."""

    paths: tuple[str, ...] = Field(
        default=(),
        description="Files and folders; relative ones count from the configuration file.",
        examples=[["share"]],
    )
    pool: Identifier | None = Field(default=None, description="A pool that overrides the route.", examples=["isolated-01"])
    workloads: dict[str, str] = Field(
        default_factory=dict,
        description="The asset's name in backup products, by integration; left out: the asset's id.",
        examples=[{"backup-server": "ORDERS-VM01"}],
    )


class Asset(Value):
    """Something that an incident can hit."""

    id: Identifier = Field(description="The asset's id.", examples=["orders-db"])
    kind: AssetKind = Field(description="What it is.", examples=["database"])
    tier: Identifier | None = Field(default=None, description="Its tier; rules decide when it has none.", examples=["T0"])
    owner: str = Field(min_length=1, description="Who answers for it.", examples=["team-orders"])
    data_classes: tuple[Identifier, ...] = Field(
        default=(), description="Classes of data that it holds.", examples=[["personal-data"]]
    )
    depends_on: tuple[Identifier, ...] = Field(default=(), description="Assets that it needs to work.", examples=[["orders-db"]])
    tags: dict[str, str] = Field(default_factory=dict, description="Free tags.", examples=[{"site": "north"}])
    application: Application | None = Field(
        default=None,
        description="For an application-consistent backup.",
        examples=[{"quiesce": "sqlite", "location": "app/orders.db"}],
    )
    protection: Protection = Field(default=Protection(), description="What is backed up.", examples=[{"paths": ["share"]}])
