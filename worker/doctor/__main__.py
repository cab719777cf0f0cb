"""Check everything that jobs need, before the first job or after a problem: `python -m worker.doctor`.

Exit 0: no check failed; 1: a check failed; 78: a setting is missing or wrong.
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
CHECK_FAILED = 1
EX_CONFIG = 78


def main() -> int:
    options = _options()
    logging.disable()  # the report has every problem
    try:
        config = settings.load(WorkerSettings)
        groups = groups_for(config, catalog.load(config))
    except SettingsError as problem:
        sys.stderr.write(f"{problem}\n")
        return EX_CONFIG
    began_s = time.monotonic()
    findings = report.without_secrets(run.run_checks(groups, within_s=options.seconds), config)
    written = report.as_json if options.json else report.as_text
    sys.stdout.write(written(findings, took_s=time.monotonic() - began_s))
    return 0 if report.is_well(findings) else CHECK_FAILED


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m worker.doctor",
        description="Check every setting and every upstream, and print what to correct. Only reads.",
        epilog="Exit 0: no check failed. 1: a check failed. 78: a setting is missing or wrong.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")
    parser.add_argument(
        "--seconds",
        type=float,
        default=WITHIN_S,
        metavar="N",
        help="time limit for all checks, in seconds (default: 12)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
