"""One run of a command: what the global flags said, and how to get at the project and the daemon from there."""

import argparse
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from engine.process.records import NamedTuple
from orchestrator import client, errors, settings
from orchestrator.command_line import launch

if TYPE_CHECKING:
    from orchestrator import protocol
    from orchestrator.command_line import progress
    from specs import errors as spec_errors
    from specs import loader
    from specs.files import surroundings
    from specs.history import History

_Read = TypeVar("_Read")


class Invocation(NamedTuple):
    options: argparse.Namespace
    environ: Mapping[str, str]
    out: TextIO
    err: TextIO

    # ----------------------------------------------------------------------------------------------- the project

    def load(
        self,
        services: tuple[str, ...] = (),
        *,
        any_image: bool = False,
        scale: Mapping[str, int] | None = None,
        over: str = "",
    ) -> "loader.Loaded":
        """The compose files, canonical, for as many replicas as `scale` asks for, with the document `over` laid over them. Notes
        go to standard error. Raises InvalidFiles."""
        from specs import loader

        options = self._load_options(services, any_image=any_image, scale=scale)._replace(over=over)
        return self.of_files(lambda: loader.load(options))

    def prepare(
        self, services: tuple[str, ...] = (), *, fill_in: bool = True, history: "History | None" = None
    ) -> "loader.Prepared":
        """The compose files made one, for who wants more than one thing of them. Raises InvalidFiles."""
        from specs import loader

        options = self._load_options(services, any_image=True)
        return self.of_files(lambda: loader.prepare(options, fill_in=fill_in, history=history))

    def of_files(self, read: Callable[[], _Read]) -> _Read:
        """What is read; what there is to note about it goes to standard error. Raises InvalidFiles."""
        from specs import errors as spec_errors

        try:
            found = read()
        except spec_errors.SpecErrors as error:
            raise invalid_files(error) from error
        for note in getattr(found, "notes", ()):
            self.note(note)
        return found

    def _load_options(
        self, services: tuple[str, ...] = (), *, any_image: bool = False, scale: Mapping[str, int] | None = None
    ) -> "loader.LoadOptions":
        """What the global flags say of the files."""
        from specs import loader

        said = self.options
        return loader.LoadOptions(
            files=tuple(said.file),
            project_name=said.project_name,
            project_directory=said.project_directory,
            env_files=tuple(said.env_file),
            profiles=tuple(said.profile),
            services=services,
            any_image=any_image,
            environment=self.environ,
            scale=scale or {},
            all_resources=said.all_resources,
        )

    def project_name(self) -> str:
        """The project's name, without reading more of its files than it takes. Raises InvalidFiles."""
        given: str = self.options.project_name or self.environ.get("COMPOSE_PROJECT_NAME", "")
        if given:
            return given
        from orchestrator.command_line import written_name
        from specs import errors as spec_errors
        from specs.files import surroundings

        try:
            around = self._around()
            written = "" if around.variables.get("COMPOSE_PROJECT_NAME") else written_name.of(around.files)
            if written is None:
                return self.load(any_image=True).project_name
            return surroundings.project_name("", written, around)
        except spec_errors.SpecErrors as error:
            raise invalid_files(error) from error

    def files(self) -> tuple[str, ...]:
        """Where the compose files are; "-" is standard input. Raises InvalidFiles."""
        from specs import errors as spec_errors

        try:
            return self._around().files
        except spec_errors.SpecErrors as error:
            raise invalid_files(error) from error

    def service_names(self) -> frozenset[str]:
        """Of all services of the files, active or not; none where the files cannot be read."""
        try:
            document = self.prepare().document.get("services")
        except InvalidFiles:
            return frozenset()
        return frozenset(document.mapping() if document is not None else ())

    def variable(self, name: str) -> str:
        """What the shell says of it, or the project's env file; "" for nothing."""
        if (said := self.environ.get(name)) is not None:
            return said
        from specs import errors as spec_errors

        try:
            return self._around().variables.get(name, "")
        except spec_errors.SpecErrors:  # who needs the files says what is wrong with them
            return ""

    def switch(self, name: str) -> bool:
        """Whether a variable says yes.  # docker/compose pkg/utils/stringutils.go, StringToBool"""
        return self.variable(name).strip().lower() in ("1", "t", "true", "y", "yes")

    def _around(self) -> "surroundings.Surroundings":
        """Raises SpecErrors."""
        from specs.files import surroundings

        said = self.options
        return surroundings.look(
            surroundings.Given(
                os.getcwd(), self.environ, tuple(said.file), said.project_directory, tuple(said.env_file)
            )
        )

    def note(self, text: str) -> None:
        """Tell the user, unless he wants quiet."""
        if self.options.progress not in ("quiet", "json"):
            from orchestrator.command_line import output

            self.err.write(f"corral: {output.clean(text)}\n")

    # ------------------------------------------------------------------------------------------------ the daemon

    @property
    def places(self) -> settings.Places:
        return settings.places(self.environ, self.options.root, self.options.run)

    def ask(self, verb: str, url: str, request: Any = None) -> dict[str, Any]:
        """The daemon's answer; it is started, or replaced, if need be. Raises Refused, DaemonError."""
        places = self.places
        return launch.with_daemon(places, lambda: client.ask(places.socket, verb, url, request))

    def follow(self, url: str, request: Any) -> client.Events:
        """A stream of the daemon's events. Raises Refused, DaemonError."""
        places = self.places
        return launch.with_daemon(places, lambda: client.follow(places.socket, url, request))

    def receive_descriptor(self, url: str, request: Any) -> int:
        places = self.places
        return launch.with_daemon(places, lambda: client.receive_descriptor(places.socket, url, request))

    # ------------------------------------------------------------------------------------------------- the output

    def display(self, title: str) -> "progress.Display":
        from orchestrator.command_line import progress

        return progress.display_of(self.options.progress, title, self.err, self.environ, ansi=self.options.ansi)

    def may_colour(self, stream: TextIO) -> bool:
        """As --ansi says; where it leaves it open, as the terminal and NO_COLOR do."""
        from orchestrator.command_line import output

        return output.may_colour(stream, self.environ, ansi=self.options.ansi)

    def foretell(self, url: str, request: Any) -> int:
        """Show what the request would make happen."""
        from orchestrator.command_line import output

        project, _, verb = url.rpartition("/")
        text = self.ask("POST", f"{project}/plan/{verb}", request)["text"]
        self.out.write("".join(f"{output.clean(line)}\n" for line in text.splitlines()))
        return 0

    def watch(self, title: str, url: str, request: Any) -> int:
        """Show what the request makes happen until it has settled; the exit code. With --dry-run: what it would."""
        if self.options.dry_run:
            return self.foretell(url, request)
        events = self.follow(url, request)
        try:
            return report(self, show(events, self.display(title)))
        finally:
            events.close()


def show(events: client.Events, display: "progress.Display") -> "protocol.Settled":
    """Show the events up to the first Settled. Raises DaemonError where the stream breaks off before it."""
    from orchestrator import protocol
    from orchestrator.command_line import progress

    try:
        while not events.over:
            event = events.next(progress.REDRAW_S)
            if event is None:
                display.tick()
                continue
            display.show(event)
            if isinstance(event, protocol.Settled):
                return event
    finally:
        display.finish()
    raise errors.DaemonError("the daemon ended in the middle of it", hint="the same command again goes on where it was")


def report(invocation: Invocation, settled: "protocol.Settled") -> int:
    """Say what did not come to pass; the exit code."""
    from orchestrator.command_line import output

    for note in settled.notes:
        invocation.err.write(f"corral: {output.clean(note)}\n")
    if settled.outcome:
        for each in settled.waiting:
            invocation.err.write(output.clean(f"{each.id}: cannot {each.verb}: {each.reason}") + "\n")
            invocation.err.writelines(f"    {output.clean(line)}\n" for line in each.output)
    return settled.outcome


class InvalidFiles(errors.OrchestratorError):
    """The compose files are not valid: one line an error, with file, line and column."""


def invalid_files(error: "spec_errors.SpecErrors") -> InvalidFiles:
    """The errors as one, all of them in its text."""
    if len(error.errors) == 1:
        return InvalidFiles(str(error))
    return InvalidFiles("the project is not valid:", hint=str(error))


def look_up_machine(loaded: "loader.Loaded", *, make: bool) -> None:
    """Look up what is to be mounted, with the rights of whoever calls, and limits that not every machine has. `make`: make
    folders that are missing. Raises InvalidFiles."""
    from orchestrator.command_line import bind_sources, machine_limits
    from specs import errors as spec_errors

    refusals = [*machine_limits.refusals(loaded.canonical)]
    refusals += bind_sources.refusals(loaded.canonical, make=make and not refusals)
    if refusals:
        raise invalid_files(spec_errors.SpecErrors(refusals).located(loaded))


def located(error: errors.Refused, loaded: "loader.Loaded") -> errors.OrchestratorError:
    """The daemon's refusal with file, line and column of what it points at."""
    if not error.problems or isinstance(error, errors.Damaged):
        return error
    from specs import errors as spec_errors

    found = spec_errors.SpecErrors(
        spec_errors.SpecError(each.path, each.message, hint=each.hint) for each in error.problems
    )
    return invalid_files(found.located(loaded))
