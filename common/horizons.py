"""How far ahead a time in the database may lie. What lies further was written before the database's clock was set back.

The clock of the database's host may be put back, and a failover may lead to a host whose clock is behind. Every time
that somebody waits for counts as reached when no policy can have set it so far ahead: otherwise all would stand still
for as long as the clock was put back.
"""

from __future__ import annotations

from common.workflows import DELAY_AT_MOST_S, WORKFLOWS, StepPlan

SKEW_S = 2.0  # by so much may the clocks of two processes differ: each reads the host's again after some seconds
FORMER_GRACE_S = 5.0  # leases of the version before last as long as the attempt may, and this
CALL_S = 10.0  # the next call to an upstream: the limits give each step that runs there a turn every few seconds
DELAY_S = DELAY_AT_MOST_S + SKEW_S


def lease_s(plan: StepPlan) -> float:
    """Return how far ahead a lease of this step may end."""
    return plan.limit_s + FORMER_GRACE_S + SKEW_S


LEASE_S = max(lease_s(plan) for workflow in WORKFLOWS.values() for plan in workflow.steps)
