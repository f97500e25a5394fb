"""Loads into a catalog: where they write, how they go on after an interruption, and how they end."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prodsim.loaders.account import Account
from prodsim.loaders.bulk.write_alias import CatalogMoved
from prodsim.loaders.bulk.writer import BulkWriter
from prodsim.loaders.checkpoint import Checkpoint, Duplicate, Run, new_version
from prodsim.loaders.load import Progress, load_rows
from prodsim.loaders.rejects import RejectsFile
from prodsim.loaders.removal import remove_missing
from prodsim.loaders.request import Request
from prodsim.loaders.target import Target, count_products, last_writes
from prodsim.loaders.waiting import Waiting

from . import indexes
from .building import new_index, open_checked
from .errors import CatalogError, EngineError, NotFound, UsageError
from .indexes import ProductIndex
from .setup import setup
from .shop import Shop

Say = Callable[[str], None]
LISTED_DUPLICATES = 20


@dataclass(frozen=True)
class Outcome:
    """`index` is the one behind the alias now, `previous` the one that was, if it changed.

    `duplicates` are the first of the rows that a later one replaced. `rejects` is the file of rejected rows, if any.
    """

    index: str
    previous: str | None
    account: Account
    rejects: Path | None = None
    duplicates: tuple[Duplicate, ...] = ()


def load(shop: Shop, request: Request, progress: Progress, say: Say) -> Outcome:
    """Loads into the alias's index; a catalog that does not exist yet is made, and shown once it is complete.

    Raises:
        NotFound: there is no catalog to update or delete from.
        EngineError: the index was made with another model.
    """
    alias = shop.settings.alias
    serving = indexes.find_serving_index(shop.client, alias)
    if serving is None:
        if request.options.mode in ("update", "delete") or request.retry:
            raise NotFound(f"there is no catalog {alias}: load one with 'prodsim-admin load FILE --alias {alias}'")
        setup(shop.client, shop.settings, shop.model)
        return rebuild(shop, request, None, progress, say)
    require_model(shop, serving)
    with one_load(request, alias):
        checkpoint = find_interrupted(shop, request, say, "load", serving.name)
        if checkpoint is None:
            run = Run(new_version(), serving.name, False, last_writes(shop.client, serving.name))
            checkpoint = begin(shop, request, "load", run)
        with checkpoint, told_how_to_go_on(checkpoint, say), rejects_of(request, checkpoint) as rejects:
            while True:
                try:
                    account = loaded_into(shop, serving.name, request, checkpoint, rejects, progress, say)
                    break
                except CatalogMoved:
                    serving = moved_meanwhile(shop, checkpoint, request, say)
            waiting = Waiting(request.options.patience_s, say)
            waiting.outlast(lambda: count_products(shop.client, serving.name))  # refreshes: all is found now
            return ended(request, checkpoint, rejects, Outcome(serving.name, None, account))


def loaded_into(
    shop: Shop,
    index: str,
    request: Request,
    checkpoint: Checkpoint,
    rejects: RejectsFile,
    progress: Progress,
    say: Say,
) -> Account:
    """The rows in the index, and with mode full what the source lacks out of it."""
    target = replace(shop.target(index), behind=shop.settings.alias)
    account = rows_loaded(target, request, checkpoint, rejects, progress, say)
    if request.options.mode == "full":
        with writer_for(shop, request, index, say) as writer:
            removed = remove_missing(target, checkpoint, writer, request.options.max_delete_share)
        account = replace(account, removed=removed)
    return account


def moved_meanwhile(shop: Shop, checkpoint: Checkpoint, request: Request, say: Say) -> ProductIndex:
    """The index that the alias points at now; the load goes on there after what is settled, which was carried over.

    Raises:
        EngineError: it was made with another model.
    """
    serving = indexes.serving_index(shop.client, shop.settings.alias)
    require_model(shop, serving)
    checkpoint.move_to(serving.name)
    say(f"{shop.settings.alias} was moved to {serving.name} meanwhile: the load goes on there")
    if request.options.mode == "full":
        say("what the source lacks is not removed this time: load it again for that")
    return serving


def rebuild(shop: Shop, request: Request, replaces: str | None, progress: Progress, say: Say) -> Outcome:
    """Loads into a new index, checks its count and points the alias at it.

    An interrupted one goes on where it stopped; one that fails for what it read leaves no index behind.
    """
    alias = shop.settings.alias
    if request.options.mode not in ("upsert", "full"):
        raise UsageError(f"a new index can't be built by --mode {request.options.mode}")
    with one_load(request, alias):
        checkpoint = find_interrupted(shop, request, say, f"build {replaces}", None)
        if checkpoint is None:
            checkpoint = begin(shop, request, f"build {replaces}", run_into_new_index(shop, request, say))
        run = checkpoint.run
        target = shop.target(run.index)
        with checkpoint, told_how_to_go_on(checkpoint, say), rejects_of(request, checkpoint) as rejects:
            try:
                account = rows_loaded(target, request, checkpoint, rejects, progress, say)
                with writer_for(shop, request, run.index, say) as writer:
                    remove_missing(target, checkpoint, writer, most_share=1)
                Waiting(request.options.patience_s, say).outlast(lambda: open_checked(shop, run.index, account))
            except CatalogError:
                checkpoint.finish()
                indexes.delete_index(shop.client, run.index)
                raise
            indexes.swap(shop.client, alias, run.index, replaces)
            return ended(request, checkpoint, rejects, Outcome(run.index, replaces, account))


def rows_loaded(
    target: Target, request: Request, checkpoint: Checkpoint, rejects: RejectsFile, progress: Progress, say: Say
) -> Account:
    return load_rows(
        request.sources(),
        request.catalog,
        target,
        rejects,
        checkpoint,
        request.options,
        progress,
        say,
        request.size_bytes(),
    )


def run_into_new_index(shop: Shop, request: Request, say: Say) -> Run:
    """A run into a new index, or into one that an earlier load with the same checkpoint left unfinished.

    What is in there and still fits is not embedded again, and what the source does not have is removed at the end.
    """
    owner = owner_of(request)
    for index in indexes.product_indexes(shop.client, shop.settings.alias):
        if index.unfinished and not index.aliases and owner is not None and index.owner == owner:
            if index.model == shop.model and not request.start_over:
                say(f"{index.name}, which an interrupted load left unfinished, is used again")
                return Run(new_version(), index.name, True, last_writes(shop.client, index.name))
            say(f"{index.name}, which an interrupted load left unfinished, is removed")
            indexes.delete_index(shop.client, index.name)
    return Run(new_version(), new_index(shop, owner), True, {})


def require_model(shop: Shop, serving: ProductIndex) -> None:
    """Raises EngineError where the index can't hold the vectors that this shop's models make."""
    if serving.model != shop.model:
        raise EngineError(
            f"{serving.name} behind {shop.settings.alias} holds {serving.model.dimension}-d vectors of "
            f"{serving.model.stamp}, the embedder serves {shop.model.stamp} ({shop.model.dimension}-d): serve the old "
            f"model, or rebuild with 'prodsim-admin reindex --alias {shop.settings.alias}'"
        )
    if missing := [leg for leg in shop.legs if leg.vector not in serving.vectors]:
        needed = " and ".join(f"{leg.vector} of model {leg.model.name}" for leg in missing)
        raise EngineError(
            f"{serving.name} behind {shop.settings.alias} has no field {needed}: "
            f"rebuild with 'prodsim-admin reindex --alias {shop.settings.alias}'"
        )


@contextmanager
def one_load(request: Request, alias: str) -> Iterator[None]:
    """Raises CatalogError where another process loads with the same checkpoint."""
    if request.checkpoint is None:
        yield
        return
    lock = request.checkpoint.with_name(request.checkpoint.name + ".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise CatalogError(f"no checkpoint can be kept in {lock.parent}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CatalogError(f"another load into {alias} is running here: wait for it or stop it") from None
        yield
    finally:
        os.close(descriptor)


def find_interrupted(shop: Shop, request: Request, say: Say, purpose: str, index: str | None) -> Checkpoint | None:
    if request.checkpoint is None or request.start_over:
        return None
    try:
        checkpoint = Checkpoint.reopen(request.checkpoint)
    except CatalogError as error:
        say(f"{error}: the load starts over")
        return None
    if checkpoint is None:
        return None
    identity = identity_of(shop, request, purpose)
    run = checkpoint.run
    if identity is None or checkpoint.identity != identity:
        say("an interrupted load is given up: its sources, its catalog.yaml or its options changed")
    elif run.index != (index or run.index) or not shop.client.indices.exists(index=run.index):
        say(f"an interrupted load into {run.index} is given up: that is not the catalog's index any more")
    else:
        account = checkpoint.account
        say(f"going on with an interrupted load: {account.read:,} rows are done")
        return checkpoint
    checkpoint.close()
    return None


def identity_of(shop: Shop, request: Request, purpose: str) -> dict[str, Any] | None:
    return request.identity(purpose=purpose, alias=shop.settings.alias, model=shop.model.stamp)


def begin(shop: Shop, request: Request, purpose: str, run: Run) -> Checkpoint:
    return Checkpoint.begin(request.checkpoint, identity_of(shop, request, purpose) or {}, run)


def rejects_of(request: Request, checkpoint: Checkpoint) -> RejectsFile:
    """The file for this run's rejects; a retry writes beside the file that it reads until it is through."""
    path = request.rejects.with_name(request.rejects.name + ".new") if request.retry else request.rejects
    return RejectsFile(path, checkpoint.rejects_bytes)


def ended(request: Request, checkpoint: Checkpoint, rejects: RejectsFile, outcome: Outcome) -> Outcome:
    duplicates = tuple(checkpoint.duplicates(LISTED_DUPLICATES))
    rejects.close()
    if request.retry:
        if rejects.size_bytes:
            rejects.path.replace(request.rejects)
        else:
            request.rejects.unlink(missing_ok=True)
    checkpoint.finish()
    return replace(outcome, duplicates=duplicates, rejects=request.rejects if rejects.size_bytes else None)


def writer_for(shop: Shop, request: Request, index: str, say: Say) -> BulkWriter:
    return BulkWriter(shop.client, index, say=say, give_up_after_s=request.options.patience_s)


@contextmanager
def told_how_to_go_on(checkpoint: Checkpoint, say: Say) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if checkpoint.path is not None and checkpoint.path.exists() and checkpoint.account.read:
            say(f"{checkpoint.account.read:,} rows are done: the same command goes on after them")
        raise


def owner_of(request: Request) -> str | None:
    """Names the machine and the checkpoint that an unfinished index belongs to."""
    return f"{socket.gethostname()}:{request.checkpoint.absolute()}" if request.checkpoint else None
