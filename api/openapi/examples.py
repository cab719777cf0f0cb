"""Examples of request and response bodies; a test validates them against their schemas."""

from __future__ import annotations

from typing import Any

JOB_ID = "01a20680-c483-751f-9394-c54e28bf16d9"
APP_ID = "01a20682-1d3b-7c52-8d27-0a4f6b9e7c10"
PROJECT_ID = "01a20681-77aa-7e0f-a1b2-5c3d4e5f6071"
AT, LATER = "2026-03-14T09:26:53.589793Z", "2026-03-14T09:27:04.118201Z"

SUMMARY: dict[str, Any] = {
    "job_id": JOB_ID,
    "kind": "signup",
    "title": "Sign-up of ada",
    "state": "running",
    "team": "dev",
    "app_id": None,
    "app": None,
    "subject": "ada",
    "user": "ada",
    "waiting_on": [],
    "errors": [],
    "created_at": AT,
    "started_at": AT,
    "finished_at": None,
}
ATTEMPT: dict[str, Any] = {
    "number": 1,
    "outcome": "succeeded",
    "polls": 0,
    "code": None,
    "reason": None,
    "started_at": AT,
    "finished_at": LATER,
}
STEP: dict[str, Any] = {
    "name": "create_kibana_user",
    "upstream": "elasticsearch",
    "state": "succeeded",
    "attempts_allowed": 12,
    "expected_s": None,
    "code": None,
    "reason": None,
    "remedy": [],
    "started_at": AT,
    "finished_at": LATER,
    "attempts": [ATTEMPT],
}
UPSTREAM: dict[str, Any] = {
    "name": "jenkins",
    "title": "Jenkins",
    "state": "paused",
    "since": AT,
    "reason": "Upgrade to 2.541",
    "remedy": None,
    "paused_by": "grace",
    "next_look_at": None,
    "at_work": 2,
    "at_once": 12,
    "calls_per_second": 0,
    "parked": 40,
    "checks": [
        {
            "check": "version",
            "question": "Is it new enough?",
            "state": "well",
            "said": "2.528.3",
            "remedy": "",
        }
    ],
}
PERSON: dict[str, Any] = {
    "id": "ada",
    "email": "ada@example.com",
    "name": "Ada Lovelace",
    "team": "dev",
    "is_admin": False,
}
SESSION: dict[str, Any] = {
    "session_id": "6b86b273ff34fce19d6b804eff5a3f57",
    "created_at": AT,
    "last_used_at": LATER,
    "expires_at": "2026-03-14T21:26:53.589793Z",
    "address": "192.0.2.7",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "current": True,
}
TOKEN: dict[str, Any] = {
    "token_id": "01a20684-0b1c-7d2e-8f30-4a5b6c7d8e9f",
    "name": "deployments of the shop",
    "scope": "deploy",
    "created_at": AT,
    "expires_at": "2026-04-13T09:26:53.589793Z",
    "last_used_at": None,
}
PROJECT: dict[str, Any] = {
    "project_id": PROJECT_ID,
    "name": "webshop",
    "description": "Apps of the online shop",
    "team": "dev",
    "created_at": AT,
}
ITEM: dict[str, Any] = {
    "upstream": "gitlab",
    "kind": "project",
    "name": "dev/storefront",
    "url": "https://git.example.com/dev/storefront",
    "reason": "Created by Slipway.",
}

PART: dict[str, Any] = {
    "upstream": "gitlab",
    "kind": "project",
    "name": "dev/storefront",
    "state": "created",
    "url": "https://git.example.com/dev/storefront",
    "clone_url": "https://git.example.com/dev/storefront.git",
}
BUILD: dict[str, Any] = {
    "job_id": JOB_ID,
    "state": "succeeded",
    "image_tag": "17-b2c3d4e5",
    "branch": "main",
    "number": 17,
    "url": "https://jenkins.example.com/job/dev/job/storefront/17/",
    "commit": "91c0de5d6e7f8091920a4f6b9e7c10b1b2c3d4e5",
    "image": "registry.example.com/apps/storefront:17-b2c3d4e5",
    "created_at": AT,
    "finished_at": LATER,
    "user": "ada",
}
DEPLOY: dict[str, Any] = {
    "job_id": JOB_ID,
    "state": "succeeded",
    "image_tag": "17-b2c3d4e5",
    "revision": "5d6e7f8091920a4f6b9e7c10b1b2c3d4e5f60718",
    "commit": BUILD["commit"],
    "images": ["registry.example.com/apps/storefront:17-b2c3d4e5"],
    "rollback_of": None,
    "created_at": AT,
    "finished_at": LATER,
    "user": "ada",
}
REVIEW: dict[str, Any] = {
    "signup_id": JOB_ID,
    "id": "ada",
    "email": "ada@example.com",
    "name": "Ada Lovelace",
    "team": "dev",
    "is_invited": False,
    "state": "waiting",
    "created_at": AT,
    "expires_at": "2026-03-21T09:26:53.589793Z",
    "decided_at": None,
    "decided_by": None,
    "reason": None,
}
APP: dict[str, Any] = {
    "app_id": APP_ID,
    "project_id": PROJECT_ID,
    "name": "storefront",
    "type": "Spring",
    "team": "dev",
    "namespace": "dev-storefront",
    "description": "Online shop",
    "created_at": AT,
    "created_by": "ada",
    "state": "ready",
    "running": {
        "image_tag": DEPLOY["image_tag"],
        "revision": DEPLOY["revision"],
        "commit": BUILD["commit"],
        "since": LATER,
        "by": "ada",
        "health": "healthy",
        "job_id": JOB_ID,
    },
    "last_build": BUILD,
    "last_deploy": DEPLOY,
    "last_drift": {"job_id": JOB_ID, "at": LATER, "drifted": False, "repairable": False, "parts": 0},
}
ACTION: dict[str, Any] = {
    "action_id": "01a20685-4c2d-7b1a-9e0f-6d7c8b9a0f1e",
    "at": AT,
    "action": "job.cancel",
    "actor": "grace",
    "channel": "session",
    "address": "192.0.2.7",
    "request_id": "01a20683-5d6e-7f80-9192-a3b4c5d6e7f8",
    "object_kind": "job",
    "object_id": JOB_ID,
    "object_name": "build storefront",
    "team": "dev",
    "job_id": JOB_ID,
    "reason": None,
    "before": {"state": "running"},
    "after": {"state": "cancelling"},
}
TEAM: dict[str, Any] = {"team_id": "dev", "title": "Development", "self_join": True}
LAST_PAGE: dict[str, Any] = {"next": None, "total": 1, "total_is_capped": False}

EXAMPLES: dict[str, dict[str, Any]] = {
    "Signup": {
        "id": "ada",
        "email": "ada@example.com",
        "name": "Ada Lovelace",
        "password": "engines weave numbers",
        "team": "dev",
    },
    "ForgottenPassword": {"email": "ada@example.com"},
    "LinkToken": {"token": "x1mPzV0bU3Ck9wq7RrYtGhJ2LsDfNa4QeWv8XyTzKoM"},
    "Resend": {"email": "ada@example.com"},
    "Credentials": {"id": "ada", "password": "engines weave numbers"},
    "Person": PERSON,
    "LoggedIn": {"token": "shown once; store it safely", "expires_at": LATER, "user": PERSON},
    "Signups": {**LAST_PAGE, "signups": [REVIEW]},
    "SignupShown": {
        **REVIEW,
        "state": "rejected",
        "decided_at": LATER,
        "decided_by": "grace",
        "reason": "Nobody of this name works here",
    },
    "Approve": {},
    "Reject": {"reason": "Nobody of this name works here"},
    "Sessions": {"sessions": [SESSION]},
    "SessionsEnded": {"ended": 2},
    "PasswordChange": {"password": "engines weave numbers", "new_password": "looms weave flowers"},
    "ResetCode": {"reset_code": "shown once; give it to the person", "expires_at": LATER},
    "NewPasswordByCode": {
        "id": "ada",
        "reset_code": "x1mPzV0bU3Ck9wq7RrYtGhJ2LsDfNa4QeWv8XyTzKoM",
        "password": "looms weave flowers",
    },
    "NewToken": {"name": "deployments of the shop", "scope": "deploy", "expires_in_days": 30},
    "Tokens": {"tokens": [TOKEN]},
    "TokenCreated": {**TOKEN, "token": "slp_ shown once; store it safely"},
    "Teams": {"teams": [TEAM]},
    "TeamShown": {
        **TEAM,
        "gitlab_group": "dev",
        "jenkins_folder": "dev",
        "kibana_role": "dev",
        "argocd_project": "dev",
        "cluster": "in-cluster",
        "namespace": "{team}-{app}",
        "members": 12,
        "projects": 3,
    },
    "Members": {
        "next": None,
        "members": [{"id": "ada", "name": "Ada Lovelace", "is_admin": False, "created_at": AT}],
    },
    "AppTypes": {
        "types": [
            {
                "type": "Spring",
                "source_template": "templates/spring",
                "helm_template": "templates/spring_helm",
                "jenkinsfile": "Jenkinsfile",
            }
        ]
    },
    "Users": {
        "next": None,
        "users": [{**PERSON, "created_at": AT, "admitted_at": LATER, "left_at": None}],
    },
    "StuckJobs": {
        "jobs": [
            {
                "job_id": JOB_ID,
                "kind": "provision",
                "team": "dev",
                "app": "storefront",
                "why": "overdue",
                "since": AT,
                "step": "fork_source",
                "upstream": "gitlab",
                "code": None,
                "reason": None,
                "advice": "No worker has dispatched it. Start workers: celery -A worker worker",
            }
        ]
    },
    "NewProject": {"name": "webshop", "description": "Apps of the online shop"},
    "ProjectShown": PROJECT,
    "Projects": {**LAST_PAGE, "projects": [PROJECT]},
    "NewApp": {
        "project_id": PROJECT_ID,
        "name": "storefront",
        "type": "Spring",
        "description": "Online shop",
    },
    "AppShown": APP,
    "AppDetail": {**APP, "parts": [PART], "job_id": JOB_ID, "job_state": "succeeded"},
    "Apps": {**LAST_PAGE, "apps": [APP]},
    "NewBuild": {"branch": "main"},
    "Builds": {**LAST_PAGE, "builds": [BUILD]},
    "NewDeploy": {"image_tag": "17-b2c3d4e5"},
    "Deploys": {**LAST_PAGE, "deploys": [DEPLOY]},
    "NewRollback": {},
    "RollbackTargets": {"targets": [DEPLOY]},
    "Nothing": {},
    "Retry": {},
    "RetryAll": {"kind": "provision", "code": "upstream_unavailable", "limit": 20},
    "Retries": {
        "retried": [{"job_id": JOB_ID, "status_url": f"/api/v1/jobs/{JOB_ID}"}],
        "refused": [],
        "more": False,
        "next": None,
    },
    "Cancel": {},
    "Poll": {},
    "Skip": {"reason": "Added to the group by hand"},
    "Checkup": {},
    "PauseUpstream": {"reason": "Upgrade to 2.541"},
    "ResumeUpstream": {},
    "Upstreams": {"upstreams": [UPSTREAM], "others": [], "checkup": JOB_ID, "checked_at": LATER},
    "UpstreamShown": UPSTREAM,
    "StatusShown": {
        "is_well": False,
        "problems": ["1 job has failed in the last hour."],
        "upstreams": [
            {
                "name": "gitlab",
                "title": "GitLab",
                "state": "open",
                "since": None,
                "reason": None,
                "at_work": 2,
                "parked": 0,
            }
        ],
        "workers": [
            {
                "name": "worker-1:4711:0a1b2c3d",
                "started_at": AT,
                "seen_at": LATER,
                "is_running": True,
                "concurrency": 16,
                "at_work": 2,
            }
        ],
        "queues": [{"upstream": "gitlab", "due": 1, "oldest_s": 0.4}],
        "failures": [
            {
                "at": LATER,
                "job_id": JOB_ID,
                "kind": "build",
                "team": "dev",
                "app": "storefront",
                "user": "ada",
                "step": "await_result",
                "upstream": "jenkins",
                "code": "build_failed",
                "reason": "Build 5 failed.",
            }
        ],
        "targets": [
            {
                "host": "ops.example.com",
                "waiting": 0,
                "failures": 0,
                "failing_since": None,
                "reason": None,
                "retry_at": None,
            }
        ],
        "checkup": {"job_id": JOB_ID, "at": LATER, "failed": 0},
    },
    "Start": {
        "name": "Slipway",
        "console": "/console",
        "documentation": "/docs",
        "openapi": "/openapi.json",
        "api": "/api/v1",
        "health": "/readyz",
    },
    "Actions": {**LAST_PAGE, "actions": [ACTION]},
    "JobAccepted": {"job_id": JOB_ID, "status_url": f"/api/v1/jobs/{JOB_ID}", "app_id": None, "is_new": True},
    "JobSummary": SUMMARY,
    "Jobs": {**LAST_PAGE, "jobs": [SUMMARY]},
    "JobShown": {
        **SUMMARY,
        "version": 7,
        "image_tag": None,
        "result": None,
        "progress": {"done": 1, "total": 5, "remaining": {"p50_s": 3.2, "p90_s": 9.5}},
        "interventions": [
            {
                "at": AT,
                "action": "job.retry",
                "channel": "session",
                "user": "grace",
                "step": None,
                "reason": None,
            }
        ],
        "lanes": [{"name": "kibana", "steps": [STEP]}],
        "links": [],
    },
    "JobCounts": {"counts": [{"kind": "build", "state": "failed", "jobs": 3, "is_capped": False}]},
    "JobEvent": {
        "number": 7,
        "at": LATER,
        "state": "running",
        "steps": [{"name": "create_kibana_user", "state": "succeeded", "code": None, "reason": None}],
    },
    "StreamTicket": {
        "ticket": "valid_for_a_minute",
        "expires_at": LATER,
        "events_url": f"/api/v1/jobs/{JOB_ID}/events?ticket=valid_for_a_minute",
    },
    "Log": {"text": "Started by user provisioner\n", "start": 0, "next_start": 28, "more": True, "truncated": False},
    "Preview": {"goes": [ITEM], "stays": [], "job_id": JOB_ID, "status_url": f"/api/v1/jobs/{JOB_ID}"},
    "Health": {"status": "ok", "broker": "not known to be away"},
    "ProblemShown": {
        "type": "urn:slipway:problem:invalid_fields",
        "title": "Some fields are invalid",
        "status": 422,
        "code": "invalid_fields",
        "remedy": "Correct the fields listed in `errors` and send the request again.",
        "instance": "/api/v1/app",
        "request_id": "01a20683-5d6e-7f80-9192-a3b4c5d6e7f8",
        "errors": [{"field": "name", "code": "reserved", "message": "This name is reserved. Choose another name."}],
    },
}
