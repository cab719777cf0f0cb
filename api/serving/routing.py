"""Serve declared endpoints: authorize, parse, check the idempotency key, call the view, render the response."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import getdoc

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import MethodNotAllowed

from api.access import auth
from api.contract import parsing
from api.contract.endpoint import BASE, Answer, Endpoint, Policy, Query, RequestBody, ResponseBody
from api.contract.problems import Problem
from api.service import service
from api.serving import idempotency

View = Callable[..., Answer | Response]


def route(
    blueprint: Blueprint,
    method: str,
    path: str,
    *,
    policy: Policy,
    answers: Mapping[int, type[ResponseBody] | None],
    takes: type[RequestBody] | None = None,
    query: type[Query] | None = None,
    raises: Sequence[str] = (),
    name: str | None = None,
    base: str = BASE,
) -> Callable[[View], View]:
    """Declare an endpoint. A view may serve several endpoints, each with its own `name`.

    The OpenAPI document takes the endpoint's summary from the first line of the view's docstring, and its description
    from the rest.
    """

    def declare(view: View) -> View:
        call = Endpoint(
            name=name or view.__name__,
            tag=blueprint.name,
            text=getdoc(view) or "",
            method=method,
            path=base + path,
            policy=policy,
            answers=answers,
            takes=takes,
            query=query,
            raises=raises,
        )

        @wraps(view)
        def serve(**path_values: str) -> Response:
            _authorize(call)
            arguments = parsing.arguments(call)
            try:
                idempotency.begin(call, arguments.get("body"))
                answer = view(**path_values, **arguments)
            except idempotency.Replayed as replayed:
                return replayed.response
            if isinstance(answer, Response):
                return answer
            service().publisher.send(answer.lanes)
            return render(answer)

        serve.__dict__["call"] = call
        blueprint.add_url_rule(call.path, call.name, serve, methods=[method])
        return view

    return declare


def _authorize(call: Endpoint) -> None:
    """Raises Problem, or MethodNotAllowed for a HEAD request to an endpoint that starts a job."""
    if request.method == "HEAD" and 202 in call.answers:
        raise MethodNotAllowed(valid_methods=[call.method])
    if call.policy is Policy.BEARER:
        auth.require_bearer()
    if call.policy is Policy.SCRAPER:
        auth.require_scraper()
    user = auth.require_user() if call.needs_login else None
    if call.takes_person:
        auth.require_scope(call)
    if call.policy is Policy.ADMIN and not (user and user.is_admin):
        raise Problem("not_admin")


def declared_endpoints(app: Flask) -> list[Endpoint]:
    """Return every endpoint of the app. Raises RuntimeError if a view was not declared: such an app must not start."""
    found = [(rule.rule, app.view_functions[rule.endpoint].__dict__.get("call")) for rule in app.url_map.iter_rules()]
    if undeclared := [path for path, call in found if call is None]:
        raise RuntimeError(f"calls without a declared_endpoints policy: {undeclared}")
    return [call for _, call in found if call is not None]


def render(answer: Answer) -> Response:
    """Return the HTTP response for an answer."""
    body = answer.body.model_dump_json() if answer.body is not None else ""
    response = Response(body, answer.status, dict(answer.headers))
    if answer.body is not None:
        response.mimetype = answer.body.media_type
    else:
        del response.headers["Content-Type"]
    return response
