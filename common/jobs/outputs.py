"""What did one step of each of many jobs bring?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from common.database.models import Job, Step


def of_step(session: Session, jobs: Sequence[Job], name: str) -> dict[str, dict[str, Any]]:
    """Map the jobs' ids to the output of the step of this name, where it has one; by one query for all of them."""
    statement = select(Step.job_id, Step.output).where(
        Step.job_id.in_([job.id for job in jobs]), Step.name == name, Step.output.is_not(None)
    )
    return {job_id: output for job_id, output in session.execute(statement) if output}
