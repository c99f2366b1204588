"""An order: what a user asked for, from the dataset's name to a run on its way."""

from dataclasses import dataclass, replace

from batchimg import budget
from batchimg.chunk import Cut
from batchimg.connect import Services, check_pool
from batchimg.containers import create_containers
from batchimg.damaged import as_if_mended, mend_damaged
from batchimg.dataset import Dataset
from batchimg.estimate import Estimate
from batchimg.events import Observer, Told, nobody
from batchimg.incremental import Reduced, check_is_there, foresee, reduce_plan
from batchimg.line import Line
from batchimg.plan import Plan, check_name, clean_name, is_canary, make_plan
from batchimg.quote import quote
from batchimg.recipes import Instructions
from batchimg.scan import is_url, scan, scan_blobs, source_of
from batchimg.settings import Settings
from batchimg.split import with_bands
from batchimg.submit import Submitted, finish_submit, nothing_new
from batchimg.tiles import check_tiles
from batchimg.upload import place_of, upload
from batchimg.words import count
from batchimg_worker.contract import Limits, Source
from batchimg_worker.naming import check_paths
from batchimg_worker.storage import Container


@dataclass(frozen=True, slots=True)
class Order:
    """A dataset, a recipe, and how to cut and name the run. ``everything``: also what an earlier run has done."""

    dataset: str
    instructions: Instructions
    limits: Limits
    name: str | None
    chunk_images: int | None
    everything: bool = False

    @staticmethod
    def of(settings: Settings, dataset: str, instructions: Instructions, name: str | None = None) -> "Order":
        """An order with the settings' limits. Raises SettingsError for a name that a run cannot have."""
        return Order(
            dataset=dataset,
            instructions=instructions,
            limits=settings.limits,
            name=None if name is None else check_name(name),
            chunk_images=settings.chunk_images,
        )

    @property
    def is_url(self) -> bool:
        """Whether the dataset lies in blob storage already."""
        return is_url(self.dataset)

    def scan_folder(self) -> Dataset | None:
        """The images of a folder, None for a URL; wrong input is found before any service is asked."""
        return None if self.is_url else self._scanned()

    def plan_folder(self) -> Plan:
        """The plan of a folder: nothing is sent, and nothing is read but the headers of large files."""
        return self._plan(self._scanned())

    def reduced_folder(self, services: Services, plan: Plan) -> Reduced:
        """The plan of a folder without what is done, by names and sizes: checksums are compared when it is sent."""
        return self.reduced(services, plan, place_of(plan.dataset))

    def plan_blobs(self, services: Services) -> tuple[Plan, Source]:
        """The plan of a dataset in blob storage: its container is listed."""
        source = source_of(self.dataset, services.store.endpoint)
        store = services.store_of(source)
        found = self._checked(scan_blobs(self.dataset, source, store), (store.container(source.container), source))
        return self._plan(found), source

    def foreseen(
        self, services: Services, plan: Plan, source: Source, observer: Observer = nobody
    ) -> tuple[Services, Plan]:
        """What a submit would do: its plan, and the services as it would find them. Nothing is written.

        The observer is told of damage that the submit would mend, or work around.
        """
        services = replace(services, looks_only=True)
        if not self.everything:
            services = as_if_mended(services, plan, self._name(plan), source, observer)
            reduced = foresee(services, plan, self._name(plan), source, self.chunk_images)
            _tell_of_damage(reduced, observer)
            plan = reduced.plan
        return services, plan

    def reduced(self, services: Services, plan: Plan, source: Source) -> Reduced:
        """The plan without what the latest run over these images has, unless everything is wanted."""
        if self.everything:
            return Reduced(plan, None)
        return reduce_plan(services, plan, self._name(plan), source, self.chunk_images)

    def place(
        self,
        services: Services,
        observer: Observer = nobody,
        found: Dataset | None = None,
        *,
        resume: bool = False,
    ) -> Submitted:
        """Upload what is missing and start the run, or go on with it; ``found`` is a scan that was made before.

        A large run waits for its canary first. With ``resume`` only a run that is there already: raises InputError
        where there is none. Raises SettingsError for a run dearer than `max_cost`, RunFailed after a bad canary.
        """
        priced = None
        if self.is_url:
            plan, source = self.plan_blobs(services)
            _check(services)
            self._mend(services, plan, source, observer)
        else:
            found = found or self._scanned()
            _check(services)
            first = self._plan(found)
            self._mend(services, first, place_of(first.dataset), observer)
            priced = self._affordable(services, first)
            sent, source = upload(found, services.store, services.settings.upload_threads, observer)
            plan = self._plan(sent)
        reduced = self.reduced(services, plan, source)
        _tell_of_damage(reduced, observer)
        if reduced.base is not None:
            finish_submit(services, reduced.base)
        if reduced.base is not None and reduced.nothing_new:
            return nothing_new(reduced.base, reduced.plan)
        name = self._name(plan)
        if resume and not (reduced.base is not None and is_canary(reduced.base.run)):
            check_is_there(services, reduced.plan, name, source)
        return Line(services, plan, source, name, self.chunk_images, observer).start(reduced, priced)

    def _mend(self, services: Services, plan: Plan, source: Source, observer: Observer) -> None:
        """See to the runs that the plan would go on from, were their descriptions not damaged."""
        if not self.everything:
            mend_damaged(services, plan, self._name(plan), source, observer)

    def _affordable(self, services: Services, plan: Plan) -> Estimate | None:
        """A folder's estimate where `max_cost` is set, before it is sent. Raises SettingsError if it is dearer."""
        rest = self.reduced_folder(services, plan).plan if services.settings.max_cost is not None else None
        if rest is None or services.settings.max_cost is None or not len(rest.dataset):
            return None
        return budget.check(quote(services.settings, rest, services), services.settings.max_cost)

    def _name(self, plan: Plan) -> str:
        return self.name or _default_name(plan.dataset)

    def _scanned(self) -> Dataset:
        return self._checked(scan(self.dataset))

    def _checked(self, dataset: Dataset, blobs: tuple[Container, Source] | None = None) -> Dataset:
        """Raises RecipeError where two pictures would get one name, or a step cannot be done in tiles."""
        check_paths(self.instructions.recipe, dataset.paths)
        check_tiles(self.instructions.recipe, self.limits, dataset, blobs)
        return with_bands(dataset, self.instructions.recipe, self.limits, blobs)

    def _plan(self, dataset: Dataset) -> Plan:
        return make_plan(dataset, self.instructions, self.limits, Cut(self.chunk_images))


def _tell_of_damage(reduced: Reduced, observer: Observer) -> None:
    for message, images in sorted(reduced.damage.items()):
        observer(Told(f"{message}: what became of {count(images, 'image')} is not known, so that is done again."))


def _check(services: Services) -> None:
    """The pool is there; so are the local stack's containers, which a killed Azurite may have forgotten."""
    check_pool(services)
    if services.is_local:
        create_containers(services.store)


def _default_name(dataset: Dataset) -> str:
    """The folder's or the container's name, without the hash that tells datasets apart."""
    if dataset.root is not None:
        return clean_name(dataset.root.resolve().name)
    return clean_name(dataset.name.rsplit("-", 1)[0])
