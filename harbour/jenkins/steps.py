"""Steps of a pipeline: what they print, and what they leave behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from harbour.jenkins import xml
from harbour.jenkins.evaluation import Evaluation, StepError, shown, text_of
from harbour.jenkins.shell import Agent, Shell, ShellError
from harbour.jenkins.syntax_tree import Call, Many, Member, Name, Statement
from harbour.jenkins.workspace import NO_BRANCH, Account, Checkout, GitError, Workspace

NOTE = "\x1b[8mha:////4Kq0Zm9yLXRoZS1wYWdlLW9ubHk=\x1b[0m"
STEP_PLUGINS = {
    "pipeline": "pipeline-model-definition",
    "git": "git",
    "checkout": "git",
    "sh": "durable-task",
    "cleanWs": "ws-cleanup",
    "withCredentials": "credentials-binding",
    "container": "kubernetes",
}
PARAMETER_KINDS = {
    "text": "hudson.model.TextParameterDefinition",
    "booleanParam": xml.BOOLEAN,
    "choice": xml.CHOICE,
    "password": xml.PASSWORD,
}
IGNORED = frozenset({"cleanWs", "deleteDir", "junit", "archiveArtifacts", "milestone", "sleep", "input", "library"})
WRAPPERS = frozenset({"node", "script", "container", "timeout", "retry", "timestamps", "withEnv", "catchError", "lock"})


@dataclass(kw_only=True)
class Outcome:
    """What a run leaves behind. `images` maps each pushed image to its commit.

    `parameters` are those that the Jenkinsfile declares, by a `properties` step (`is_set_by_step`) or in the
    declarative section; None where it says nothing.
    """

    result: str = "SUCCESS"
    lines: list[str] = field(default_factory=list)
    checkouts: list[Checkout] = field(default_factory=list)
    images: dict[str, str | None] = field(default_factory=dict)
    description: str | None = None
    parameters: tuple[xml.Parameter, ...] | None = None
    is_set_by_step: bool = False


@dataclass(frozen=True, kw_only=True)
class Task:
    """What an execution is given: the job's source, the build's values, and what this Jenkins has.

    `script` is the text of an inline pipeline, None for one that is read from `repository`. `account` returns the
    account of a credential id, None for an unknown one. `tests` is how the tests of the app end.
    """

    repository: str
    credential: str
    branch: str
    path: str
    script: str | None
    parameters: Mapping[str, Any]
    variables: Mapping[str, str]
    started_ms: int
    account: Callable[[str], Account | None]
    plugins: frozenset[str]
    agent: Agent
    tests: str = "SUCCESS"


class Steps(Evaluation):
    """The steps of one run. Each adds its lines; one that fails raises StepError."""

    def __init__(self, task: Task) -> None:
        current = {"startTimeInMillis": task.started_ms, "number": task.variables["BUILD_NUMBER"]}
        super().__init__(parameters=task.parameters, env=task.variables, current=current)
        self._task = task
        self._outcome = Outcome()
        self._workspace: Workspace = task.agent.workspace
        self._directory = "."
        self._is_contained = False  # by docker-workflow
        self._git_account: Account | None = None
        self._secrets: list[str] = []

    def _fail(self, line: str) -> None:
        self._outcome.result = "FAILURE"
        self._outcome.lines += line.splitlines()

    def _say(self, text: str) -> None:
        for secret in filter(None, self._secrets):
            text = text.replace(secret, "****")
        self._outcome.lines += text.splitlines()

    def _fetched(self, url: str, branch: str, credential: str) -> Checkout:
        account = self._account(credential) if credential else None
        try:
            return self._workspace.fetch(url, branch, account)
        except GitError as error:
            if "Remote branch" in str(error):
                raise StepError(NO_BRANCH) from None
            self._say(f"stderr: {error}")
            raise StepError(f"Error cloning remote repo 'origin': {url}") from None

    def _account(self, credential: str) -> Account:
        account = self._task.account(credential)
        if account is None:
            raise StepError(f"Could not find credentials entry with ID '{credential}'")
        return account

    def _check_out(self, url: str, branch: str, credential: str) -> None:
        self._say(f"using credential {credential}" if credential else "No credentials specified")
        self._say(f"Cloning repository {url}")
        self._say(f" > git fetch --tags --force --progress -- {url} +refs/heads/*:refs/remotes/origin/*")
        checkout = self._fetched(url, branch, credential)
        self._workspace.directories[self._directory] = checkout
        self._outcome.checkouts.append(checkout)
        self._say(f"Checking out Revision {checkout.commit} (refs/remotes/origin/{branch})")
        self._say(f" > git checkout -f {checkout.commit}")

    def _call(self, call: Call) -> Any:
        if isinstance(call.target, Member):
            given = [self._value(each.value) for each in call.arguments]
            return self._method(self._value(call.target.target), call.target.name, given)
        name = call.name
        plugin = STEP_PLUGINS.get(name)
        step = getattr(self, f"_step_{name}", None)
        if name in IGNORED or name in WRAPPERS or name == "stages":
            step = self._step_wrapper
        if step is None or (plugin is not None and plugin not in self._task.plugins):
            raise StepError(f"java.lang.NoSuchMethodError: No such DSL method '{name}' found among steps")
        return step(call)

    def _step_wrapper(self, call: Call) -> Any:
        return self._run(call.body) if call.body else None

    @contextmanager
    def _framed(self, title: str) -> Iterator[None]:
        self._outcome.lines += [f"{NOTE}[Pipeline] stage", f"{NOTE}[Pipeline] {{ ({title})"]
        yield
        self._outcome.lines.append(f"{NOTE}[Pipeline] }}")

    def _report_tests(self) -> None:
        failures = 1 if self._task.tests in ("UNSTABLE", "FAILURE") else 0
        self._say(f"Tests run: 12, Failures: {failures} {'✘' if failures else '✔'}")
        if self._task.tests == "FAILURE":
            raise StepError("script returned exit code 1")

    def _step_stage(self, call: Call) -> None:
        """Run a stage of a scripted pipeline."""
        title = str(self._given(call, "name").get("name"))
        with self._framed(title):
            self._run(call.body or ())
            if title == "Test":
                self._report_tests()

    def _step_git(self, call: Call) -> None:
        given = self._given(call, "url")
        self._check_out(
            text_of(given.get("url")), text_of(given.get("branch")) or "master", text_of(given.get("credentialsId"))
        )

    def _step_checkout(self, call: Call) -> None:
        """Check out `scm`, the job's own source; other forms are not understood."""
        if self._given(call, "scm").get("scm") != "scm":
            raise StepError("this form of checkout is not understood")
        self._check_out(self._task.repository, self._task.branch, self._task.credential)

    def _step_echo(self, call: Call) -> None:
        self._say(text_of(self._given(call, "message").get("message")))

    def _step_error(self, call: Call) -> None:
        raise StepError(text_of(self._given(call, "message").get("message")))

    def _step_dir(self, call: Call) -> None:
        before, self._directory = self._directory, text_of(self._given(call, "path").get("path"))
        try:
            self._run(call.body or ())
        finally:
            self._directory = before

    def _step_properties(self, call: Call) -> None:
        for entry in call.arguments:
            for each in entry.value.entries if isinstance(entry.value, Many) else ():
                if isinstance(each.value, Call) and each.value.name == "parameters":
                    listed = each.value.arguments[0].value if each.value.arguments else Many(())
                    entries = listed.entries if isinstance(listed, Many) else ()
                    self._declare([entry.value for entry in entries], is_set_by_step=True)

    def _declare(self, declarations: Sequence[Statement], *, is_set_by_step: bool) -> None:
        declared = []
        for call in calls_in(declarations):
            given = self._given(call)
            choices = given.get("choices", ())
            listed = choices.splitlines() if isinstance(choices, str) else [text_of(each) for each in choices]
            parameter = xml.Parameter(
                kind=PARAMETER_KINDS.get(call.name, xml.STRING),
                name=text_of(given.get("name")),
                default=text_of(given.get("defaultValue")),
                description=text_of(given.get("description")),
                choices=tuple(listed),
            )
            declared.append(parameter)
        self._outcome.parameters, self._outcome.is_set_by_step = tuple(declared), is_set_by_step

    def _step_withCredentials(self, call: Call) -> None:  # noqa: N802 - Jenkins' word
        """Bind the accounts of credentials to variables, or to git, while the block runs."""
        env, account = dict(self._env), self._git_account
        for entry in call.arguments:
            for each in entry.value.entries if isinstance(entry.value, Many) else ():
                if isinstance(each.value, Call):
                    self._bind(each.value)
        try:
            self._run(call.body or ())
        finally:
            self._env, self._git_account = env, account

    def _bind(self, binding: Call) -> None:
        given = {key: text_of(value) for key, value in self._given(binding).items()}
        account = self._account(given.get("credentialsId", ""))
        self._secrets.append(account.password)
        if binding.name == "gitUsernamePassword":
            self._git_account = account
        self._env[given.get("usernameVariable", "")] = account.username
        self._env[given.get("passwordVariable", given.get("variable", ""))] = account.password

    def _step_sh(self, call: Call) -> Any:
        given = self._given(call, "script")
        texts = {name: shown(value) for name, value in self._task.parameters.items()}
        shell = Shell(
            agent=self._task.agent,
            directory=self._directory,
            variables={**texts, **self._env},
            account=self._git_account,
            is_contained=self._is_contained,
        )
        printed = []
        try:
            for command, output in shell.run(text_of(given.get("script"))):
                self._say(f"+ {command}" if command else "")
                printed.append(output)
                if not given.get("returnStdout"):
                    self._say(output)
        except ShellError as error:
            self._say(str(error))
            raise StepError(f"script returned exit code {error.code}") from None
        return "\n".join(filter(None, printed)) if given.get("returnStdout") else None


def calls_in(statements: Sequence[Statement]) -> list[Call]:
    """Return the calls among statements; a bare name, `agent any` written alone, is one without arguments."""
    return [each if isinstance(each, Call) else Call(each) for each in statements if isinstance(each, Call | Name)]
