"""Waits until an engine does what it is for: search answers, and ML Commons takes a connector."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from prodsim.plugin.errors import LocalEngineError

POLL_S = 0.1
PROBE_NAME = "prodsim-engine-up-probe"
CONNECTORS = "/_plugins/_ml/connectors"


def wait_until_ready(url: str, with_ml_commons: bool, still_starting: Callable[[], None], timeout_s: float) -> None:
    """Returns once `url` searches and, where it has ML Commons, has stored an encrypted connector.

    For some seconds after a first start ML Commons answers 503 to those while it makes its key. What is created to
    find out is deleted again. `still_starting` is called between tries and raises when waiting has become pointless.

    Raises:
        LocalEngineError: not ready within `timeout_s`; the message has the last answer.
    """
    give_up = time.monotonic() + timeout_s
    checks = [search_answers, cluster_recovered, *([connector_is_accepted] if with_ml_commons else [])]
    with httpx.Client(base_url=url, timeout=10.0) as client:
        for check in checks:
            while (problem := attempt(check, client)) is not None:
                still_starting()
                if time.monotonic() > give_up:
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


def cluster_recovered(client: httpx.Client) -> None:
    """Every shard that can start has started.

    The engine itself waits some seconds for what it can reach. A red index that nothing is being done about after
    that, because its files are damaged, does not hold `up` back: `status` shows it.
    """
    response = client.get("/_cluster/health", params={"wait_for_status": "yellow", "timeout": "3s"})
    if response.status_code != 408:  # the engine's answer to a wait that ran out
        response.raise_for_status()
    health = response.json()
    if health["status"] == "red" and (health["initializing_shards"] or health["number_of_pending_tasks"]):
        raise NotYet("shards are still starting")


def search_answers(client: httpx.Client) -> None:
    """Raises until the cluster's state is loaded; before that its health says nothing about the indices to come."""
    client.post("/_search", json={"size": 0}, params={"allow_partial_search_results": "true"}).raise_for_status()


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
