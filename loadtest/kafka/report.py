"""What a scenario found, on the screen and as JSON."""

from dataclasses import asdict, dataclass, field

from rich.table import Table

PROCESSES = ("client", "orchestrator", "activity-worker", "timer", "gateway", "subscriber", "kafka", "cassandra")
FORMS = {
    "ms": "{:,.1f} ms",
    "s": "{:,.2f} s",
    "/s": "{:,.0f}/s",
    "bytes": "{:,.0f} bytes",
    "MB": "{:,.0f} MB",
    "": "{:,.1f}",
}


@dataclass
class Figure:
    name: str
    value: float
    unit: str = ""

    @property
    def text(self):
        return FORMS[self.unit].format(self.value)


@dataclass
class Found:
    """`splits`: by what was measured, CPU by process; `of` says in which unit."""

    figures: list[Figure] = field(default_factory=list)
    splits: dict[str, dict[str, float]] = field(default_factory=dict)
    of: str = "CPU, ms a workflow"

    def add(self, name, value, unit=""):
        self.figures.append(Figure(name, value, unit))

    def split(self, name, spent, per, unit=1e3):
        """`spent` seconds by process, over `per` pieces of work. Returns the sum that is added as a figure."""
        self.splits[name] = {process: seconds / per * unit for process, seconds in spent.items()}
        return sum(self.splits[name].values())

    def as_json(self):
        return asdict(self)


def figures_table(found, title):
    table = Table("scenario", "figure", "value", title=title)
    table.columns[2].justify = "right"
    for scenario, each in found.items():
        for figure in each.figures:
            table.add_row(scenario, figure.name, figure.text)
        table.add_section()
    return table


def splits_table(found):
    """CPU by process: a row a measurement."""
    named = {process for each in found.values() for split in each.splits.values() for process in split}
    columns = [process for process in PROCESSES if process in named] + sorted(named - set(PROCESSES))
    table = Table("CPU by process", "unit", *columns, "all", title="all CPU counted, by process")
    for column in table.columns[2:]:
        column.justify = "right"
    for scenario, each in found.items():
        for name, split in each.splits.items():
            cells = [f"{split[process]:.2f}" if process in split else "" for process in columns]
            table.add_row(f"{scenario}, {name}", each.of, *cells, f"{sum(split.values()):.2f}")
    return table
