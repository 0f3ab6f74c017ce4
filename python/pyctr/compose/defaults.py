"""What an object leaves out and always has: a build's context, a port's protocol, a secret's place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyctr.compose.rules import Rules, State

if TYPE_CHECKING:
    from collections.abc import Callable


def defaults(tree: dict[str, Any]) -> dict[str, Any]:
    """The long form with its defaults in it."""

    def walk(value: Any, state: State) -> Any:
        rule = _RULES.at(state)
        if rule is not None and isinstance(value, dict):
            value = rule(value)
        if isinstance(value, dict):
            return {key: walk(each, _RULES.step(state, key)) for key, each in value.items()}
        return [walk(each, _RULES.step(state, "[]")) for each in value] if isinstance(value, list) else value

    result: dict[str, Any] = walk(tree, _RULES.start)
    return result


def _build(build: dict[str, Any]) -> dict[str, Any]:
    return {"context": ".", **build}


def _secret(secret: dict[str, Any]) -> dict[str, Any]:
    return secret if secret.get("target") else {**secret, "target": f"/run/secrets/{secret.get('source')}"}


def _port(port: dict[str, Any]) -> dict[str, Any]:
    return {"mode": "ingress", "protocol": "tcp", **port}


def _device(device: dict[str, Any]) -> dict[str, Any]:
    return device if "count" in device or "device_ids" in device else {**device, "count": "all"}


_RULES: Rules[Callable[[dict[str, Any]], dict[str, Any]]] = Rules(
    {
        "services.*.build": _build,
        "services.*.secrets.[]": _secret,
        "services.*.ports.[]": _port,
        "services.*.deploy.resources.reservations.devices.[]": _device,
        "services.*.gpus.[]": _device,
    }
)
