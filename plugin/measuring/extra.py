"""The libraries that measuring needs beyond the base install."""

from __future__ import annotations

from importlib.util import find_spec

from prodsim.plugin.errors import UsageError


def require(*modules: str) -> None:
    """Raises UsageError where one of the modules is not installed."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise UsageError(f"{', '.join(missing)} is not installed: pip install 'prodsim[measuring]'")
