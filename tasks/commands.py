"""``audiometry corpora audit`` and ``audiometry gaps``: who is in a corpus, and who fares worse in a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

__all__ = ["register"]

HELP = """Look into corpora: who is in them."""

AUDIT_HELP = """Count a corpus by language, speaker, gender and every other fact that it tells.

Shares are of minutes. The effective number of groups is how many groups of equal size would be as diverse.

\b
Examples:
  audiometry corpora audit asterisk-en
  audiometry corpora audit asterisk-en asterisk-fr asterisk-it --by language,gender
  audiometry corpora audit manifest:path=train.jsonl --json
"""

GAPS_HELP = """Compare the groups of speakers in a run: worst group, gap with its interval, and a test.

Every slice of the run's tasks is a way to group its samples, or those named by --by. The p-values are those of
permutations of the groups, adjusted over all comparisons of a task (Holm).

\b
Examples:
  audiometry gaps runs/X
  audiometry gaps runs/X::whisper --by gender,accent
  audiometry gaps runs/X --json
"""

SHOWN = 10
"""Groups of a dimension that the table lists; --json lists all."""


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    corpora = typer.Typer(help=HELP, rich_markup_mode=None, no_args_is_help=False)
    corpora.callback()(_corpora)
    corpora.command("audit", help=AUDIT_HELP)(audit_corpora)
    app.add_typer(corpora, name="corpora")
    app.command("gaps", help=GAPS_HELP)(gaps)


def _corpora() -> None:
    """Keep ``audit`` a command under ``corpora`` though it is the only one."""


def audit_corpora(
    names: Annotated[list[str], typer.Argument(help="Corpora, with settings after a colon; several are joined.")],
    by: Annotated[str, typer.Option(help="Facts to group by, with commas. [default: all]")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count corpora."""
    from audiometry.benchmark.registry import parse_spec
    from audiometry.tasks.corpora.audit import as_rows, audit
    from audiometry.tasks.corpora.utterance import load_corpus

    specs = [parse_spec(name) for name in names]
    spoken = [utterance for spec in specs for utterance in load_corpus(spec.name, **dict(spec.settings))]
    found = audit(spoken, by=[name for name in by.split(",") if name])
    if as_json:
        totals = {"utterances": found.utterances, "minutes": found.minutes, "unmeasured": found.unmeasured}
        typer.echo(json.dumps({"corpora": names, **totals, "dimensions": as_rows(found)}, indent=2))
        return
    unknown = f", {found.unmeasured} of unknown length" if found.unmeasured else ""
    typer.echo(f"{', '.join(names)}: {found.utterances} utterances, {found.minutes:.1f} minutes{unknown}")
    for dimension in found.dimensions:
        typer.echo(
            f"\n{_safe(dimension.name)}: known for {dimension.known:.1%} of minutes, largest group "
            f"{dimension.largest:.1%}, effective number of groups {dimension.effective_entropy:.2f} (entropy), "
            f"{dimension.effective_simpson:.2f} (Simpson)"
        )
        rows = [
            (
                _safe(group.name),
                f"{group.utterances}",
                f"{group.speakers}",
                f"{group.minutes:.1f}",
                f"{group.share:.1%}",
            )
            for group in dimension.groups[:SHOWN]
        ]
        _print_table(("group", "utterances", "speakers", "minutes", "share"), rows)
        if len(dimension.groups) > SHOWN:
            typer.echo(f"  and {len(dimension.groups) - SHOWN} more")


def gaps(
    run: Annotated[str, typer.Argument(help="A run folder or its id, with ::MODEL where it holds several.")],
    by: Annotated[str, typer.Option(help="Slices to compare by, with commas. [default: all]")] = "",
    seed: Annotated[int, typer.Option(help="Seed of resamples and permutations.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare groups in a run."""
    from audiometry.benchmark.compare import open_side
    from audiometry.tasks.gaps import NOTHING, as_row, run_gaps

    found = run_gaps(open_side(run), by=[name for name in by.split(",") if name], seed=seed)
    for task in (task for task, lines in found.items() if not lines):
        typer.echo(f"{task} has nothing to compare: {NOTHING}", err=True)
    if as_json:
        rows = [{"task": task, **as_row(gap)} for task, lines in found.items() for gap in lines]
        typer.echo(json.dumps(rows, indent=2))
        return
    for task, lines in found.items():
        if not lines:
            continue
        typer.echo(f"{task}")
        table = [_gap_line(as_row(gap)) for gap in lines]
        _print_table(("by", "metric", "groups", "worst", "best", "gap", "interval", "p", "adjusted", "notes"), table)


def _gap_line(row: dict[str, Any]) -> tuple[str, ...]:
    values = row["values"]
    interval = f"{row['low']:.4f} to {row['high']:.4f}"
    return (
        _safe(row["by"]), row["metric"], str(len(values)), f"{_safe(row['worst'])} {values[row['worst']]:.4f}",
        f"{_safe(row['best'])} {values[row['best']]:.4f}", f"{row['gap']:.4f}", interval, f"{row['p']:.4f}",
        f"{row['p_adjusted']:.4f}", "; ".join(row["notes"]),
    )  # fmt: skip


def _safe(text: str) -> str:
    """A name from outside without what would steer the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[place]) for line in [header, *rows]) for place in range(len(header))]
    for line in [header, *rows]:
        typer.echo("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
