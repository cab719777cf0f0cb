"""Look before the first job, and when something is odd: `python -m worker.doctor`.

Exit 0: all well; 1: something is wrong; 78: the settings do not hold together.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time

from common.config import catalog, settings
from common.config.settings import SettingsError, WorkerSettings
from worker.doctor import report, run
from worker.doctor.catalogue import groups_for

WITHIN_S = 12.0
NOT_WELL = 1
EX_CONFIG = 78


def main() -> int:
    options = _options()
    logging.disable()  # what goes wrong is in the report
    try:
        config = settings.load(WorkerSettings)
        groups = groups_for(config, catalog.load(config))
    except SettingsError as problem:
        sys.stderr.write(f"{problem}\n")
        return EX_CONFIG
    began_s = time.monotonic()
    findings = report.without_secrets(run.look(groups, within_s=options.seconds), config)
    written = report.as_json if options.json else report.as_text
    sys.stdout.write(written(findings, took_s=time.monotonic() - began_s))
    return 0 if report.is_well(findings) else NOT_WELL


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m worker.doctor",
        description="Check every setting and every upstream, and say what to do about what is wrong. Only reads.",
        epilog="Exit 0: all well. 1: something is wrong. 78: the settings do not hold together.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")
    parser.add_argument(
        "--seconds", type=float, default=WITHIN_S, metavar="N", help="how long to wait for all of it (default: 12)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
