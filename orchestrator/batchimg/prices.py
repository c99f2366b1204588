"""Prices: a table of list prices with its date, from `prices.toml` beside this or from a file of the user's own."""

import datetime
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from batchimg.errors import SettingsError

BUILT_IN = Path(__file__).with_name("prices.toml")
OLD_DAYS = 180
DEFAULT_SIZE = "Standard_D4ads_v5"  # what `pulumi/` makes where nothing else is said
SIZE = re.compile(r"(?i)^standard_(?P<family>[a-z]+?)(?P<vcpus>\d+)(-\d+)?(?P<features>[a-z]*)(?P<version>_v\d+)?$")

Price = Annotated[float, Field(ge=0)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoragePrices(_Row):
    """Blob storage, in USD: a gigabyte (of 10^9 bytes) a month, and 10,000 operations."""

    gb_month: Price
    write_10k: Price
    read_10k: Price

    def operations(self, writes: float, reads: float) -> float:
        """The price of so many."""
        return (writes * self.write_10k + reads * self.read_10k) / 10_000


class Standing(_Row):
    """What costs money a month whether something runs or not."""

    registry: Price = 0.0
    nat_gateway: Price = 0.0
    private_endpoint: Price = 0.0


class Family(_Row):
    """VM sizes of one price a vCPU; ``size`` is a name with `*` for the vCPUs, or one size's whole name."""

    size: str
    vcpu_hour: Price
    vcpu_gib: Price
    spot_vcpu_hour: Price | None = None


class PriceTable(_Row):
    """List prices of one region at one date. ``spot_share`` is what Spot costs of the list price."""

    date: datetime.date
    region: str
    source: str
    spot_share: Annotated[float, Field(gt=0, le=1)]
    storage: StoragePrices
    standing: Standing = Standing()
    family: tuple[Family, ...]

    def is_old(self, today: datetime.date) -> bool:
        """Whether prices may have changed much since."""
        return (today - self.date).days > OLD_DAYS

    def vm(self, size: str, an_hour: float | None = None) -> "VmPrice | None":
        """The price of a VM size, None where the table has none. ``an_hour`` is a dedicated node's, if it is known."""
        found, vcpus = self._family(size), vcpus_of(size)
        if an_hour is not None:
            gib = vcpus * found.vcpu_gib if found and vcpus else None
            return VmPrice(size, vcpus, gib, an_hour, an_hour * self.spot_share)
        if found is None or vcpus is None:
            return None
        hour = vcpus * found.vcpu_hour
        spot = hour * self.spot_share if found.spot_vcpu_hour is None else vcpus * found.spot_vcpu_hour
        return VmPrice(size, vcpus, vcpus * found.vcpu_gib, hour, spot)

    def _family(self, size: str) -> Family | None:
        names = {size.lower(), _pattern(size).lower()}
        return next((one for one in self.family if one.size.lower() in names), None)


@dataclass(frozen=True, slots=True)
class VmPrice:
    """A node of one size, in USD an hour; None where vCPUs and memory are not known."""

    size: str
    vcpus: int | None
    memory_gib: float | None
    dedicated: float
    spot: float


def vcpus_of(size: str) -> int | None:
    """The vCPUs that a VM size's name tells, all of them where it is a constrained one; None for another name."""
    match = SIZE.match(size)
    return int(match["vcpus"]) if match else None


def _pattern(size: str) -> str:
    """The family of a size: `Standard_D*ads_v5` for `Standard_D4ads_v5`."""
    match = SIZE.match(size)
    return size if match is None else f"Standard_{match['family']}*{match['features']}{match['version'] or ''}"


def load_prices(file: Path | None = None) -> PriceTable:
    """Read a price table, the built-in one by default. Raises SettingsError that names what is wrong."""
    path = file or BUILT_IN
    example = f"{BUILT_IN} is one to copy."
    try:
        return PriceTable.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise SettingsError(f"cannot read the price table {str(path)!r}: {error.strerror}", example) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"the price table {str(path)!r}: {where}: {first['msg']}", example) from None
    except ValueError as error:
        raise SettingsError(f"the price table {str(path)!r} is not TOML: {error}", example) from None
