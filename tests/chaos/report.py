"""The story as text for a terminal, and as a page with tables and a picture."""

from __future__ import annotations

from tests.chaos.story import span
from tests.chaos.timeline import picture

PICTURE = "timeline.svg"


def text(story):
    """A few lines, for the end of a run."""
    total, lines = story.total, ["", *(_line(done) for done in story.done), ""]
    width = max((len(kind) for kind in story.by_kind()), default=0)
    lines.append(f"{'':{width}}  alone  in pairs  seconds until served again")
    for kind, (alone, paired) in story.by_kind().items():
        recoveries = span([each.recovery_s for each in [*alone, *paired]])
        lines.append(f"{kind:{width}}  {len(alone):5}  {len(paired):8}  {recoveries}")
    counts = f"{total['instances']} instances, {total['records']} records, {total['retries']} retries"
    steps = f"{len(story.done)} steps in {story.lasted_s:.0f} s, seed {story.seed}"
    lines += ["", f"{steps}; {total['accepted']} starts accepted, {counts}"]
    lines += [f"verdict of round {number}: {each.verdict}" for number, each in enumerate(story.rounds, 1)]
    return "\n".join(lines)


def write(story, folder):
    """report.md and its picture; returns the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PICTURE).write_text(picture(story), encoding="utf-8")
    page = folder / "report.md"
    page.write_text(markdown(story), encoding="utf-8")
    return page


def markdown(story):
    total = story.total
    counts = (
        f"{len(story.done)} steps in {story.lasted_s:.0f} s. {total['accepted']} starts accepted, {total['ended']} ends told "
        f"to clients, {total['instances']} instances with their children, {total['records']} records of history, "
        f"{total['retries']} commands or questions sent again."
    )
    parts = [
        f"# Chaos, seed {story.seed}: {'sound' if story.sound else 'NOT SOUND'}",
        counts,
        f"![what was broken, and workflows ended per second]({PICTURE})",
        "Seconds. *Silence*: the longest time without a commit in one partition, from the beginning of a step until all was "
        "served again. *Served again*: from the moment the last cause was gone. Undisturbed, the same measure takes "
        + span([each.calm_s for each in story.rounds])
        + ".",
        _table(
            ("#", "at", "what", "silence", "served again", "last of it"),
            [
                (number, f"{each.began_s:.0f}", each.step, f"{each.silence_s:.1f}", span([each.recovery_s]), each.last)
                for number, each in enumerate(story.done, 1)
            ],
        ),
        "By kind; least / median / most:",
        _table(
            ("trouble", "alone", "served again", "in pairs", "served again"),
            [
                (kind, len(alone), _recoveries(alone), len(paired), _recoveries(paired))
                for kind, (alone, paired) in story.by_kind().items()
            ],
        ),
        "## Verdict",
        _table(
            ("round", "accepted", "told", "instances", "records", "verdict"),
            [
                (number, each.accepted, each.ended, each.instances, each.records, each.verdict.partition("\n")[0])
                for number, each in enumerate(story.rounds, 1)
            ],
        ),
    ]
    for number, each in enumerate(story.rounds, 1):
        if each.verdict != "sound":
            parts += [f"### Round {number}", f"```\n{each.verdict}\n```", f"```\n{each.said}\n```"]
    return "\n\n".join(parts) + "\n"


def _line(done):
    again = "never" if done.recovery_s is None else f"{done.recovery_s:.1f} s"
    return f"{done.began_s:7.0f} s  {done.step}: served again after {again}, silence {done.silence_s:.1f} s"


def _recoveries(some):
    return span([each.recovery_s for each in some])


def _table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
