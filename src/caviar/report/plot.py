"""One figure by itself: its numbers as Plotly takes them, a page that opens offline, or a notebook's output."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

from caviar.report.figures import Figure
from caviar.report.page import filled
from caviar.run.files import write_text


@dataclass(frozen=True, eq=False)
class Plot:
    """A figure.

    Attributes:
        title: What it shows, in few words.
        description: The same in a sentence.
        figure: `data` and `layout` as Plotly takes them: `plotly.graph_objects.Figure(plot.figure)`.
    """

    title: str
    description: str
    figure: Figure

    def __repr__(self) -> str:
        return f"<Plot: {self.description}>"

    def html(self) -> str:
        """The figure as a page that needs no network."""
        return filled(
            "plot.html.jinja",
            {"plot": {"wide": self.figure, "description": self.description}},
            {},
            title=self.title,
            description=self.description,
        )

    def write(self, path: str | Path) -> Path:
        """Write the page.

        Raises:
            RunError: It cannot be written.
        """
        write_text(Path(path), self.html())
        return Path(path)

    def _repr_html_(self) -> str:
        height = int(self.figure["layout"]["height"]) + 110
        return f'<iframe srcdoc="{escape(self.html())}" width="100%" height="{height}" style="border:0"></iframe>'
