"""The page of a running training: it asks for its state every second, draws the curves and sends what is clicked."""

from dataclasses import dataclass

from caviar.report.page import script_hash, template_of, text_of


@dataclass(frozen=True)
class Page:
    """A page and what may run in it.

    Attributes:
        html: The page as text; it loads nothing from elsewhere.
        policy: Its content security policy, for the header.
    """

    html: str
    policy: str


def render(table: str, rows: int, task: str, model: str, folder: str) -> Page:
    """The page, without numbers: those it asks for.

    Args:
        table: What is learned from.
        rows: Of the table.
        task: What is predicted.
        model: What the person calls the model.
        folder: Where log and model are kept.
    """
    script = text_of("panda.js")
    html = template_of("panda.html.jinja").render(
        css=text_of("page.css") + text_of("panda.css"),
        js=script,
        table=table,
        rows=rows,
        task=task,
        model=model,
        folder=folder,
    )
    policy = (
        f"default-src 'none'; script-src '{script_hash(script)}'; style-src 'unsafe-inline'; connect-src 'self'; "
        f"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html, policy)
