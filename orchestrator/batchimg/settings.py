"""Every setting, read once: flags, then environment (`BATCHIMG_*`), then `batchimg.toml`, then defaults."""

import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from batchimg.errors import SettingsError
from batchimg.failure_limit import FailureLimit
from batchimg_worker.contract import Limits, Tiles
from batchimg_worker.storage import is_loopback

SETTINGS_FILE = "batchimg.toml"
PREFIX = "BATCHIMG_"
TILE_WORDS = ("auto", "always", "off")
# Environment variables of ours that are no settings: where the local stack lives, and the tests' switch.
OTHER_VARIABLES = {"HOME", "CACHE_DIR", "LIVE", "DEBUG", "CONFIG"}

Port = Annotated[int, Field(ge=1, le=65535)]
Canary = Literal["auto", "never"] | Annotated[int, Field(ge=1)]


class Settings(BaseSettings):
    """What a user may set. With neither endpoint set, the local stack is used."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    batch_endpoint: str | None = Field(None, description="https://ACCOUNT.REGION.batch.azure.com")
    batch_key: SecretStr | None = Field(None, description="for an emulator on loopback only")
    batch_account: str | None = Field(None, description="the account that batch_key belongs to")
    batch_account_id: str | None = Field(None, description="the account's ARM id, from which `doctor` reads its quotas")
    storage_endpoint: str | None = Field(None, description="https://ACCOUNT.blob.core.windows.net")
    storage_key: SecretStr | None = Field(None, description="for Azurite on loopback only")
    pool: str = Field("batchimg", description="the pool that runs the tasks")
    node_identity: str | None = Field(None, description="client id of the identity that tasks sign in as")
    worker_command: str = Field("batchimg-worker", description="what starts the worker on a node")
    worker_image: str | None = Field(None, description="the container image that tasks run in; default: none")
    chunk_images: int | None = Field(None, ge=1, description="images a task; default: by size, 2 to 10 minutes a task")
    max_megapixels: float = Field(200.0, gt=0, description="a larger image is refused before it is decoded")
    memory_mb: int = Field(2048, ge=512, description="memory that one task may use; a larger image is refused")
    image_seconds: float = Field(1800.0, gt=0, description="an image that takes longer is given up")
    allow_truncated: bool = Field(False, description="keep what there is of an image whose end is missing")
    tiles: Tiles = Field(
        "auto", description="images in tiles: auto, always, off, or always and of so many pixels a side"
    )
    split: int | None = Field(
        None, ge=2, le=1000, description="over how many tasks an image goes that is done in tiles; default: one"
    )
    task_retries: int = Field(3, ge=0, le=100, description="how often a failed task is tried again")
    max_hours: float = Field(
        168.0, gt=0, le=4320, description="a run is ended by Azure Batch so long after it began, whatever happens"
    )
    max_task_hours: float = Field(12.0, gt=0, le=4320, description="a task is ended after so long on its node")
    max_cost: float | None = Field(
        None, gt=0, description="USD that a run may cost: a submit that would be dearer is refused, a run is ended"
    )
    max_failures: str | None = Field(
        None, description="a run in which more images fail is ended: a share (5%) or a number; of a canary always: 20%"
    )
    canary: Canary = Field(
        "auto", description="images that are done before the rest of a large run: auto, never, or how many"
    )
    canary_from: int = Field(5000, ge=2, description="images from which a run is large; so is one of 64 tasks by size")
    expected_seconds: float | None = Field(
        None, gt=0, description="seconds that one core takes for an image, for plans; default: measured"
    )
    vm_size: str | None = Field(
        None, description="the size of a node, for prices; default: the pool's, locally Standard_D4ads_v5"
    )
    vm_price: float | None = Field(
        None, ge=0, description="USD that a dedicated node costs an hour; default: its list price"
    )
    prices: Path | None = Field(None, description="a price table; default: the built-in one, see `batchimg prices`")
    notify: SecretStr | None = Field(
        None, description="a URL that is told when a run ends that `submit --wait` or `status --watch` looks at"
    )
    upload_threads: int = Field(16, ge=1, le=256, description="files sent at a time")
    download_threads: int = Field(16, ge=1, le=256, description="files fetched at a time")
    local_idle_minutes: float = Field(30.0, gt=0, description="the local stack ends after so long without work")
    local_nodes: int | None = Field(
        None, ge=1, le=64, description="nodes of the local pool; default: 2, or 1 on one CPU"
    )
    local_slots: int | None = Field(
        None, ge=1, le=256, description="tasks at a time on a local node; default: CPUs over nodes"
    )
    local_blob_port: Port | None = Field(None, description="default: a free one, the same again next time")
    local_queue_port: Port | None = Field(None, description="default: a free one, the same again next time")
    local_batch_port: Port | None = Field(None, description="default: a free one, the same again next time")

    _file: ClassVar[Path | None] = None

    @field_validator("tiles", mode="before")
    @classmethod
    def _tiles(cls, value: object) -> object:
        """The environment has only texts; and one message instead of one for each way to say it."""
        number = int(value) if isinstance(value, str) and value.isdigit() else value
        if number in TILE_WORDS or (isinstance(number, int) and 16 <= number <= 65_536):
            return number
        raise ValueError("use auto, always, off, or a number of pixels from 16 to 65536")

    @field_validator("canary", mode="before")
    @classmethod
    def _canary(cls, value: object) -> object:
        number = int(value) if isinstance(value, str) and value.isdigit() else value
        if number in {"auto", "never"} or (isinstance(number, int) and number >= 1):
            return number
        raise ValueError("use auto, never, or a number of images")

    @field_validator("max_failures", mode="before")
    @classmethod
    def _max_failures(cls, value: object) -> object:
        """A whole number of a settings file is one of images, as its text."""
        text = str(value) if isinstance(value, int) else value
        if isinstance(text, str):
            FailureLimit.parse(text)
        return text

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags before environment before file; no `.env`, no folder of secrets."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, cls._file)

    @property
    def limits(self) -> Limits:
        """What one task may use."""
        return Limits(
            max_megapixels=self.max_megapixels,
            memory_mb=self.memory_mb,
            image_seconds=self.image_seconds,
            allow_truncated=True if self.allow_truncated else None,
            tiles=None if self.tiles == "auto" else self.tiles,
            split=self.split,
        )

    @property
    def is_local(self) -> bool:
        """Whether no Azure account is configured."""
        return self.batch_endpoint is None and self.storage_endpoint is None


def load_settings(file: Path | None = None, **flags: object) -> Settings:
    """Read the settings; a flag that is None was not given.

    ``file`` is the user's own choice and must exist; without it `batchimg.toml` of this folder is read if it is
    there. Raises SettingsError, naming the setting, its value and the nearest one that exists.
    """
    path = _settings_file(file)
    _refuse_unknown((name[len(PREFIX) :] for name in os.environ if name.startswith(PREFIX)), PREFIX, OTHER_VARIABLES)
    given = {name: value for name, value in flags.items() if value is not None}
    bound = type("Settings", (Settings,), {"_file": path, "__module__": __name__})
    try:
        settings: Settings = bound(**given)
    except ValidationError as error:
        raise _translated(error, path) from None
    except ValueError as error:
        raise SettingsError(f"{path} is not TOML: {error}", "Mend the line, or remove the file.") from None
    if (settings.batch_endpoint is None) != (settings.storage_endpoint is None):
        missing = "batch_endpoint" if settings.batch_endpoint is None else "storage_endpoint"
        raise SettingsError(
            f"{missing} is not set, but the other endpoint is",
            f"Set {PREFIX}{missing.upper()} as well, or neither of them to use the local stack.",
        )
    for name, endpoint in (("storage_key", settings.storage_endpoint), ("batch_key", settings.batch_endpoint)):
        if getattr(settings, name) is not None and endpoint is not None and not is_loopback(endpoint):
            raise SettingsError(
                f"{name} is set, but {endpoint} is not on this machine",
                f"Keys are for loopback only: remove {name}, batchimg signs in with your Azure identity.",
            )
    return settings


def chosen_file(file: Path | None) -> Path:
    """The settings file, which need not be there: the user's own choice, BATCHIMG_CONFIG, or this folder's."""
    return file or Path(os.environ.get("BATCHIMG_CONFIG") or SETTINGS_FILE)


def _settings_file(file: Path | None) -> Path | None:
    chosen = chosen_file(file)
    if file is not None or os.environ.get("BATCHIMG_CONFIG"):
        if not chosen.is_file():
            raise SettingsError(f"no settings file {str(chosen)!r}", "Give the path of an existing batchimg.toml.")
        return chosen
    return chosen if chosen.is_file() else None


def _refuse_unknown(names: Iterable[str], prefix: str, others: set[str]) -> None:
    known = {name.upper() for name in Settings.model_fields} | others
    for name in names:
        if name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), sorted(known), n=1)
            hint = f"Did you mean {prefix}{near[0]}?" if near else "docs/settings.md lists all settings."
            raise SettingsError(f"unknown setting {prefix}{name} in the environment", hint)


def _translated(error: ValidationError, path: Path | None) -> SettingsError:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, list(Settings.model_fields), n=1)
        hint = f"Did you mean {near[0]}?" if near else "docs/settings.md lists all settings."
        return SettingsError(f"unknown setting {name!r} in {path}", hint)
    value = "" if "key" in name else f" {first.get('input')!r}"
    message = first["msg"].removeprefix("Value error, ")
    return SettingsError(f"setting {name}{value}: {message}", "docs/settings.md lists all settings.")
