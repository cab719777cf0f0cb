"""How is a running job shown?  A table that redraws itself in a terminal; one line a change anywhere else."""

from __future__ import annotations

import sys
from typing import IO, Any

SIGNS = {
    "pending": "·",
    "ready": "·",
    "running": "▸",
    "waiting": "…",
    "retrying": "↻",
    "succeeded": "✓",
    "failed": "✗",
    "skipped": "-",
    "cancelled": "-",
}


class Progress:
    """Show one job; call `show` with each answer of `GET /jobs/{id}`."""

    def __init__(self, title: str, stream: IO[str] = sys.stdout) -> None:
        self._title = title
        self._stream = stream
        self._drawn = 0
        self._seen: dict[str, str] = {}
        self._stream.write(f"\n{title}\n")

    def show(self, job: dict[str, Any]) -> None:
        if self._stream.isatty():
            self._redraw(job)
        else:
            self._append(job)
        self._stream.flush()

    def _redraw(self, job: dict[str, Any]) -> None:
        lines = [
            f"  {lane['name']:<8} " + "  ".join(f"{SIGNS[step['state']]} {step['name']}" for step in lane["steps"])
            for lane in job["lanes"]
        ]
        lines.append(f"  {job['state']}, {job['progress']['done']} of {job['progress']['total']} steps done")
        lines += [f"  waiting on {wait['upstream']}: {wait['reason']}" for wait in job["waiting_on"]]
        if self._drawn:
            self._stream.write(f"\x1b[{self._drawn}A")
        for line in lines:
            self._stream.write(f"\x1b[2K{line}\n")
        self._stream.write("\x1b[J")
        self._drawn = len(lines)

    def _append(self, job: dict[str, Any]) -> None:
        for lane in job["lanes"]:
            for step in lane["steps"]:
                if step["state"] in ("pending", "ready") or self._seen.get(step["name"]) == step["state"]:
                    continue
                self._seen[step["name"]] = step["state"]
                why = f"  ({step['reason']})" if step["reason"] else ""
                self._stream.write(
                    f"  {SIGNS[step['state']]} {lane['name']:<8} {step['name']:<22} {step['state']}{why}\n"
                )
