"""The command line: ``audiometry COMMAND``.

Every error that users can mend is one line on stderr. Exit codes: 0 done; 1 a judgement that fails; 2 bad input or
an unfinished result; 130 interrupted. Commands of other packages join through the entry-point group
``audiometry.commands``: each names a module with a function ``register(app)``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated

import typer

from audiometry.benchmark import (
    cli_again,
    cli_compare,
    cli_data,
    cli_gate,
    cli_list,
    cli_run,
    cli_store,
    cli_validate,
    logs,
)
from audiometry.benchmark.errors import AudiometryError, PluginError

__all__ = ["build", "main"]

GROUP = "audiometry.commands"

ABOUT = """Measure audio language models: accuracy, quality and safety, with intervals.

\b
Examples:
  audiometry data prepare asterisk-en
  audiometry run -m whisper,pocketsphinx -t wer-asterisk-en
  audiometry ls models
"""


def build() -> typer.Typer:
    """The application, with the commands of every installed package."""
    app = typer.Typer(
        name="audiometry", help=ABOUT, rich_markup_mode=None, add_completion=False, no_args_is_help=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        pretty_exceptions_enable=False,
    )  # fmt: skip

    @app.callback(invoke_without_command=True)
    def about(
        context: typer.Context,
        show_version: bool = typer.Option(False, "--version", help="Print the version and end."),
    ) -> None:
        if show_version:
            typer.echo(version("audiometry"))
            raise typer.Exit
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    for module in (cli_run, cli_compare, cli_gate, cli_again, cli_validate, cli_list, cli_data, cli_store):
        module.register(app)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            importlib.import_module(point.value).register(app)
        except Exception as error:  # a stranger's module may raise anything; it is told when its command is used
            _register_broken(app, point, error)
    return app


def _register_broken(app: typer.Typer, point: EntryPoint, error: Exception) -> None:
    problem = f"command {point.name!r} ({point.value}) failed to import: {type(error).__name__}: {error}"

    @app.command(point.name, help="(failed to import)", context_settings={"ignore_unknown_options": True})
    def broken(_words: Annotated[list[str] | None, typer.Argument()] = None) -> None:
        raise PluginError(problem) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; the console script's entry."""
    words = [_hyphens(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    try:
        logs.configure()
        code = typer.main.get_command(build())(args=words, prog_name="audiometry", standalone_mode=False)
    except typer.TyperException as error:
        return _complain(error.format_message(), 2)
    except AudiometryError as error:
        return _complain(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("stopped", 130)
    except BrokenPipeError:
        # The reader went away (`| head`): nothing more can be said. Point stdout elsewhere, or exit complains.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def _hyphens(word: str) -> str:
    """``--batch_size=4`` → ``--batch-size=4``: hyphen and underscore are alike in flags."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def _complain(message: str, code: int) -> int:
    print(f"audiometry: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
