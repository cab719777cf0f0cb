"""Execution of a Jenkinsfile: its stages and steps, what they print, what they leave behind.

    Jenkinsfile ─ groovy ─▶ statements ─ Execution ─▶ Outcome: lines, result, checkouts, images, parameters

The Jenkinsfile is the one of the fork, read from git at the commit that is built. What of Groovy and of the steps is
understood is what the bundled templates and their former versions use; an unknown step fails as an unknown step does.
"""

from __future__ import annotations

from collections.abc import Sequence

from harbour.jenkins import groovy
from harbour.jenkins.evaluation import StepError, text_of
from harbour.jenkins.steps import NOTE, Outcome, Steps, Task, calls_in
from harbour.jenkins.syntax_tree import Assign, Call, Name, Statement

AGENTS = {"docker": "docker-workflow", "dockerfile": "docker-workflow", "kubernetes": "kubernetes"}
SECTIONS = frozenset({"agent", "options", "stages", "post", "tools", "triggers", "input"})


def execute(task: Task) -> Outcome:
    """Run a pipeline to its end."""
    return Execution(task).run()


class Execution(Steps):
    """One run of a whole Jenkinsfile, declarative or scripted. A failed step ends it, as on Jenkins."""

    def run(self) -> Outcome:
        outcome = self._outcome
        try:
            statements = groovy.parse(self._script())
            outcome.lines += [f"{NOTE}[Pipeline] {step}" for step in ("Start of Pipeline", "node")]
            outcome.lines.append(f"Running on Jenkins in {self._env['WORKSPACE']}")
            self._run(statements)
        except groovy.SyntaxProblem as problem:
            outcome.lines.append("org.codehaus.groovy.control.MultipleCompilationErrorsException: startup failed:")
            self._fail(f"WorkflowScript: {problem}")
        except StepError as error:
            self._fail(f"ERROR: {error}")
        if outcome.result == "SUCCESS" and self._task.tests == "UNSTABLE":
            outcome.result = "UNSTABLE"
        outcome.images = self._task.agent.pushed
        description = self._current.get("description")
        outcome.description = str(description) if description else None
        return outcome

    def _script(self) -> str:
        task = self._task
        if task.script is not None:
            return task.script
        checkout = self._fetched(task.repository, task.branch, task.credential)
        script = self._workspace.read(checkout, task.path)
        if script is None:
            raise StepError(f"Unable to find {task.path} from git {task.repository}")
        self._say(f"Obtained {task.path} from git {task.repository}")
        return script

    def _step_pipeline(self, call: Call) -> None:
        for section in calls_in(call.body or ()):
            if section.name == "agent":
                self._require_agent(section)
            elif section.name == "environment":
                self._run_environment(section.body or ())
            elif section.name == "parameters":
                self._declare(section.body or (), is_set_by_step=False)
            elif section.name not in SECTIONS:
                raise groovy.SyntaxProblem(f'Undefined section "{section.name}"')
        sections = {section.name: section.body or () for section in calls_in(call.body or ())}
        has_failed = True
        try:
            self._run_stages(sections.get("stages", ()))
            has_failed = False
        finally:
            self._run_post(sections.get("post", ()), "failure" if has_failed else "success")

    def _run_post(self, conditions: Sequence[Statement], outcome: str) -> None:
        for condition in calls_in(conditions):
            if condition.name in ("always", "cleanup", outcome):
                self._run(condition.body or ())

    def _require_agent(self, section: Call) -> None:
        for kind in calls_in(section.body or ()):
            plugin = AGENTS.get(kind.name)
            if plugin is not None and plugin not in self._task.plugins:
                raise groovy.SyntaxProblem(
                    f'Invalid agent type "{kind.name}" specified. Must be one of [any, label, none]'
                )

    def _run_environment(self, statements: Sequence[Statement]) -> None:
        for statement in statements:
            if isinstance(statement, Assign) and isinstance(statement.target, Name):
                self._env[statement.target.name] = text_of(self._value(statement.value))

    def _run_stages(self, stages: Sequence[Statement]) -> None:
        for call in calls_in(stages):
            for section in calls_in(call.body or ()):
                if section.name == "agent":
                    self._require_agent(section)
        problem: StepError | None = None
        for call in calls_in(stages):
            title = self._given(call, "name").get("name")
            with self._framed(str(title)):
                if problem is not None:
                    self._say(f'Stage "{title}" skipped due to earlier failure(s)')
                    continue
                try:
                    self._run_stage(call, str(title))
                except StepError as error:
                    problem = error
        if problem is not None:
            raise problem

    def _run_stage(self, call: Call, title: str) -> None:
        sections = calls_in(call.body or ())
        agents = [kind.name for each in sections if each.name == "agent" for kind in calls_in(each.body or ())]
        self._is_contained = "docker" in agents
        try:
            self._run_sections(sections, title)
        finally:
            self._is_contained = False

    def _run_sections(self, sections: Sequence[Call], title: str) -> None:
        for section in sections:
            if section.name == "environment":
                self._run_environment(section.body or ())
            elif section.name == "when" and not self._is_wanted(section):
                self._say(f'Stage "{title}" skipped due to when conditional')
                return
            elif section.name == "stages":
                self._run_stages(section.body or ())
            elif section.name == "steps":
                self._run(section.body or ())
        if title == "Test":
            self._report_tests()

    def _is_wanted(self, when: Call) -> bool:
        return all(bool(self._run(each.body or ())) for each in calls_in(when.body or ()) if each.name == "expression")
