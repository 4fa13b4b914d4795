"""What each grid offers: a model, its connector, its price. Worked out once, at start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import msgspec

from tabgrid_models.connectors.base import AnyConnector, Comparison, InvalidInput, Thresholds
from tabgrid_models.manifest import Manifest
from tabgrid_models.runtime import Tokenizer

from ..settings import GridSettings, SettingsError
from .pricing import Price, check_of, quote, with_check

#: Bytes of input that are tokenised in less than a millisecond or two.
COUNTED_AT_ONCE = 16 * 1024
#: Of a model that nobody calibrated.
NO_THRESHOLDS: Mapping[str, float] = MappingProxyType({})


class Priced(msgspec.Struct, frozen=True):
    """A checked input, as it will travel, with what it costs."""

    input: msgspec.Struct
    encoded: bytes
    units: int
    usage: dict[str, int]
    price: Price
    #: What it costs more to have the answer checked before it is delivered.
    check: int

    def cost(self, checked: bool) -> Price:
        return with_check(self.price, self.check) if checked else self.price


class Offer:
    """One model on one grid."""

    def __init__(
        self,
        grid: str,
        settings: GridSettings,
        manifest: Manifest,
        connector: AnyConnector,
        tokenizer: Tokenizer | None,
        thresholds: Mapping[str, float] = NO_THRESHOLDS,
        step_thresholds: Mapping[str, float] = NO_THRESHOLDS,
    ) -> None:
        self.grid = grid
        self.settings = settings
        self.manifest = manifest
        self.digest = manifest.digest()
        self.connector = connector
        self._tokenizer = tokenizer
        self._thresholds = thresholds
        self._step_thresholds = step_thresholds
        self._encoder = msgspec.msgpack.Encoder()
        self._input = msgspec.msgpack.Decoder(connector.Input)
        self._output = msgspec.msgpack.Decoder(connector.Output)

    def convert(self, raw: object) -> msgspec.Struct:
        """The connector's input from plain JSON values. Raises ``InvalidInput``."""
        try:
            input: msgspec.Struct = msgspec.convert(raw, self.connector.Input)
        except msgspec.ValidationError as error:
            raise InvalidInput(str(error), "input") from error
        return input

    def price(self, input: msgspec.Struct) -> Priced:
        """Check and price. Raises ``InvalidInput``."""
        self.connector.validate(input, self.manifest)
        usage = self.connector.usage(input, self.manifest, self._tokenizer)
        price = quote(usage.units, self.settings.price_per_unit, self.settings.fee_bps)
        check = check_of(price, self.settings.check_bps)
        encoded = self._encoder.encode(input)
        return Priced(input, encoded, usage.units, usage.details, price, check)

    async def price_in_time(self, input: msgspec.Struct) -> Priced:
        """``price``, in a thread where counting tokens would hold up everybody else."""
        if len(self._encoder.encode(input)) <= COUNTED_AT_ONCE:
            return self.price(input)
        return await asyncio.to_thread(self.price, input)

    def input(self, encoded: bytes) -> msgspec.Struct:
        return self._input.decode(encoded)  # type: ignore[no-any-return]

    def output(self, encoded: bytes) -> msgspec.Struct:
        """Raises ``msgspec.DecodeError`` or ``ValidationError`` on what a node made up."""
        return self._output.decode(encoded)  # type: ignore[no-any-return]

    def compare(
        self, reference: msgspec.Struct, candidate: msgspec.Struct, dtype: str, reference_dtype: str
    ) -> Comparison:
        """By the threshold that the model was calibrated to, or the connector's own.

        Honest answers in two dtypes may lie far beyond it, so those meet a wide one.
        """
        threshold = self._thresholds.get(dtype)
        if dtype != reference_dtype:
            threshold = self.connector.mixed
        return self.connector.compare(reference, candidate, dtype, threshold)

    def thresholds(self, dtype: str) -> Thresholds:
        """What the model was calibrated to, for an answer of this dtype that came in steps."""
        return Thresholds(self._thresholds.get(dtype), self._step_thresholds.get(dtype))


class Offers:
    """All offers of a coordinator, by grid and by model."""

    def __init__(self, offers: Iterable[Offer]) -> None:
        self.all = tuple(offers)
        self._by_model = {offer.manifest.id: offer for offer in reversed(self.all)}
        self._by_place = {(offer.grid, offer.digest): offer for offer in self.all}

    def for_model(self, model: str) -> Offer | None:
        """The offer of this model; of the grid that stands first in the settings."""
        return self._by_model.get(model)

    def at(self, grid: str, digest: str) -> Offer | None:
        return self._by_place.get((grid, digest))

    def of_grid(self, grid: str) -> tuple[Offer, ...]:
        return tuple(offer for offer in self.all if offer.grid == grid)


def build(
    grids: Mapping[str, GridSettings],
    find: Callable[[str], Manifest | None],
    connector_of: Callable[[Manifest], AnyConnector],
    tokenizer_of: Callable[[Manifest], Tokenizer | None],
    thresholds_of: Callable[[Manifest], Mapping[str, float]] = lambda manifest: NO_THRESHOLDS,
    step_thresholds_of: Callable[[Manifest], Mapping[str, float]] = lambda manifest: NO_THRESHOLDS,
) -> Offers:
    """Join grids with the model library. Raises ``SettingsError`` for a model that is not there."""
    offers = []
    for grid, settings in grids.items():
        for model in settings.models:
            manifest = find(model)
            if manifest is None:
                raise SettingsError(
                    f"Grid {grid!r} offers model {model!r}, which the model library does not have; "
                    "add it with 'tabgrid models add' or change grids." + grid + ".models."
                )
            offers.append(
                Offer(
                    grid,
                    settings,
                    manifest,
                    connector_of(manifest),
                    tokenizer_of(manifest),
                    thresholds_of(manifest),
                    step_thresholds_of(manifest),
                )
            )
    return Offers(offers)
