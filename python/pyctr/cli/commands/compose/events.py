"""`events`: what happens to a project's containers."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from pyctr.cli.commands.compose import common
from pyctr.compose.plan import labels

if TYPE_CHECKING:
    from pyctr.cli.commands.compose.context import ComposeContext

_OWN = "com.docker.compose."


def events(context: ComposeContext, values: dict[str, Any], arguments: list[str]) -> int:
    """Print events as they come, until Ctrl-C or ``--until``."""
    from pyctr.engine.events import read_events

    project = context.present()
    common.check_services(project, arguments)
    filters = {"type": ["container"], "label": [f"{labels.PROJECT}={project.name}"]}
    found = read_events(context.engine, values.get("since"), values.get("until"), filters, follow=True)
    try:
        for event in found:
            attributes = event["Actor"]["Attributes"]
            service = attributes.get(labels.SERVICE, "")
            if attributes.get(labels.ONEOFF) == "True" or (arguments and service not in arguments):
                continue
            sys.stdout.write(render(event, service, as_json=bool(values.get("json"))))
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 0
    return 0


def render(event: dict[str, Any], service: str, *, as_json: bool) -> str:
    """An event without compose's own labels, in docker compose's form."""
    attributes = {
        name: value for name, value in sorted(event["Actor"]["Attributes"].items()) if not name.startswith(_OWN)
    }
    seconds, nanoseconds = divmod(int(event["timeNano"]), 1_000_000_000)
    if as_json:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09d}Z"
        shown = {
            "action": event["Action"],
            "attributes": attributes,
            "id": event["Actor"]["ID"],
            "service": service,
            "time": moment,
            "type": "container",
        }
        return json.dumps(shown, separators=(",", ":")) + "\n"
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) + f".{nanoseconds // 1000:06d}"
    listed = ", ".join(f"{name}={value}" for name, value in attributes.items())
    return f"{moment} container {event['Action']} {event['Actor']['ID']} ({listed})\n"
