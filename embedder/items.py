"""From the inputs of a request to what a model encodes: texts, image files, and parts of fused vectors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .encoder import BadItem, Item, Modality
from .fused_model import FusedModel
from .held import Held
from .images.content import ImageLimits, check_image, decode_base64, is_url
from .images.fetch import FetchRules, ImageFetcher, parse_networks
from .served_model import ServedModel
from .settings import LimitSettings
from .wire import Input, Refused, refuse


class ItemReader:
    """Reads the inputs of requests within the limits."""

    def __init__(self, limits: LimitSettings) -> None:
        self.limits = limits
        self.image_limits = ImageLimits(limits.max_image_bytes, limits.max_image_pixels)
        rules = FetchRules(
            limits.image_hosts, parse_networks(limits.image_networks), limits.image_timeout_s, limits.max_image_bytes
        )
        self.fetcher = ImageFetcher(rules)

    async def read(self, inputs: Sequence[Input], names: Sequence[str], model: ServedModel, held: Held) -> list[Any]:
        """What `model.embed` takes, in order: items, or mappings of part names to items where the model is fused.

        Raises:
            Refused: an input is not one that the model takes, named by its place.
            Overloaded: images of other requests fill the memory.
        """
        if isinstance(model, FusedModel):
            taken = model.takes()
            found = [self.parts(value, name, taken) for value, name in zip(inputs, names, strict=True)]
            slots = [slot for parts in found for slot in parts.values()]
            items = iter(await self.load(slots, held))
            return [{part: next(items) for part in parts} for parts in found]
        card = model.card
        modalities: Sequence[Modality] = card.modalities if card else ("text",)
        slots = [self.slot(value, name, modalities) for value, name in zip(inputs, names, strict=True)]
        return await self.load(slots, held)

    def slot(self, value: Input, name: str, modalities: Sequence[Modality]) -> Slot:
        """A plain string is a text, unless the model takes images alone; an object says which it is."""
        if isinstance(value, str):
            return self.checked(value, name, "text" if "text" in modalities else "image")
        known = [modality for modality in modalities if modality in value]
        if len(value) != 1 or not known:
            choices = " or ".join(f'{{"{modality}": …}}' for modality in modalities)
            refuse(name, f"{name} must be a text or {choices} for this model")
        return self.checked(value[known[0]], f"{name}.{known[0]}", known[0])

    def parts(self, value: Input, name: str, taken: Mapping[str, Modality]) -> dict[str, Slot]:
        """The parts that are there; null and blank ones are missing."""
        if isinstance(value, str):
            refuse(name, f"{name} must be an object of {', '.join(taken)}: this model is fused of them")
        if unknown := sorted(set(value) - set(taken)):
            part = unknown[0][:60]
            refuse(f"{name}.{part}", f"{name} has no part {part!r}: its parts are {', '.join(taken)}")
        given = {part: text for part, text in value.items() if text is not None and text.strip()}
        return {part: self.checked(text, f"{name}.{part}", taken[part]) for part, text in given.items()}

    def checked(self, value: str | None, name: str, modality: Modality) -> Slot:
        if value is None:
            refuse(name, f"{name} must be a text")
        if modality == "text":
            if len(value) > self.limits.max_characters:
                most = self.limits.max_characters
                message = f"{name} has {len(value)} characters, at most {most} are read"
                raise Refused(413, message, name, "too_large")
            if "\0" in value:
                refuse(name, f"{name} contains a NUL character")
        return Slot(value, name, modality)

    async def load(self, slots: Sequence[Slot], held: Held) -> list[Item]:
        if all(slot.modality == "text" for slot in slots):
            return [slot.value for slot in slots]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(outcome(self.item(slot, held))) for slot in slots]
        items: list[Item] = []
        for slot, task in zip(slots, tasks, strict=True):
            result = task.result()
            if isinstance(result, BadItem):
                raise refusal(result, slot.name)
            items.append(result)
        return items

    async def item(self, slot: Slot, held: Held) -> Item:
        if slot.modality == "text":
            return slot.value
        if is_url(slot.value):
            content = await self.fetcher.fetch(slot.value)
            held.take(len(content))
        else:
            content = decode_base64(slot.value, self.image_limits)
        await asyncio.to_thread(check_image, content, self.image_limits)
        return content


@dataclass(frozen=True)
class Slot:
    """An input before it is loaded; `name` is what an error calls it."""

    value: str
    name: str
    modality: Modality


async def outcome(loading: Any) -> Item | BadItem:
    """A bad item as a value, so that the others are not given up half-way, and the first bad one is named."""
    try:
        item: Item = await loading
    except BadItem as bad:
        return bad
    return item


def refusal(bad: BadItem, name: str) -> Refused:
    """As the client reads it."""
    code = "too_large" if bad.too_large else "invalid_request"
    return Refused(413 if bad.too_large else 400, f"{name} {bad.message}", name, code)
