"""Waits until an engine does what it is for: search answers, and ML Commons takes a connector."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from prodsim.plugin.errors import LocalEngineError

POLL_S = 0.1
PROBE_NAME = "prodsim-engine-up-probe"
SEARCH = "/_search?size=0"
SHARDS_FAILED = "search_phase_execution_exception"
CONNECTORS = "/_plugins/_ml/connectors"


def wait_until_ready(
    client: httpx.Client, with_ml_commons: bool, still_starting: Callable[[], None], timeout_s: float
) -> None:
    """Returns once the engine searches and, where it has ML Commons, has stored an encrypted connector.

    For some seconds after a first start ML Commons answers 503 to those while it makes its key. What is created to
    find out is deleted again. `still_starting` is called between tries and raises when waiting has become pointless.

    Raises:
        LocalEngineError: not ready within `timeout_s`; the message has the last answer.
    """
    give_up = time.monotonic() + timeout_s
    checks = [search_answers, *([connector_is_accepted] if with_ml_commons else [])]
    for check in checks:
        while (problem := attempt(check, client)) is not None:
            still_starting()
            if time.monotonic() > give_up:
                url = str(client.base_url).rstrip("/")
                raise LocalEngineError(f"the engine at {url} was not ready after {timeout_s:g} s: {problem}")
            time.sleep(POLL_S)


def attempt(check: Callable[[httpx.Client], None], client: httpx.Client) -> str | None:
    """None when the check passed, else the problem in one line."""
    try:
        check(client)
    except httpx.HTTPStatusError as error:
        return f"{error.request.url.path} answered {error.response.status_code} {one_line(error.response.text)}"
    except (httpx.HTTPError, NotYet) as error:
        return one_line(str(error)) or type(error).__name__
    return None


class NotYet(Exception):
    """The engine answers, and says that it is not there yet."""


def search_answers(client: httpx.Client) -> None:
    """Every shard that can start has started, and a search over all of them is answered.

    Before the cluster's state is loaded its health says nothing about the indices to come, but a search is refused.
    After that the engine itself waits some seconds for what it can reach. A red index that nothing is being done about
    then, because its files are damaged, does not hold `up` back.
    """
    refuse(client.post(SEARCH), but_not=SHARDS_FAILED)
    health = client.get("/_cluster/health", params={"wait_for_status": "yellow", "timeout": "3s"})
    if health.status_code != 408:  # the engine's answer to a wait that ran out
        refuse(health)
    shards = health.json()
    if shards["status"] == "red" and (shards["initializing_shards"] or shards["number_of_pending_tasks"]):
        raise NotYet("shards are still starting")
    refuse(client.post(SEARCH), but_not=SHARDS_FAILED if shards["status"] == "red" else None)


def refuse(response: httpx.Response, but_not: str | None = None) -> None:
    """Raises httpx.HTTPStatusError for an error, unless it is of the engine's error type `but_not`."""
    if response.is_error and (but_not is None or f'"{but_not}"' not in response.text):
        response.raise_for_status()


def connector_is_accepted(client: httpx.Client) -> None:
    connector = {
        "name": PROBE_NAME,
        "description": "made and deleted by engine up, to see that ML Commons is ready",
        "version": 1,
        "protocol": "http",
        "parameters": {},
        "credential": {"key": "none"},
        "actions": [
            {"action_type": "predict", "method": "POST", "url": f"{client.base_url}", "request_body": "{}"},
        ],
    }
    created = client.post(f"{CONNECTORS}/_create", json=connector)
    created.raise_for_status()
    client.delete(f"{CONNECTORS}/{created.json()['connector_id']}").raise_for_status()


def one_line(text: str, longest: int = 300) -> str:
    return " ".join(text.split())[:longest]
