"""Arguments, options and help that several commands share."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from vireid.errors import VireidError
from vireid.records import LEAST_ROWS

EXISTING = click.Path(exists=True, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class _PathToWrite(click.Path):
    """The path of what is to be written, which has a name."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        """Return the path."""
        if not value:
            self.fail("it is empty; name a file or a folder", parameter, context)
        return super().convert(value, parameter, context)


TO_WRITE = _PathToWrite(path_type=Path)


class _Gallery(click.Path):
    """The folder of a gallery, or `milvus://HOST:PORT/NAME` for one on a server."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        """Return a path, or an address."""
        if "://" in str(value):
            from vireid.gallery.addresses import parsed

            return parsed(value)
        if not value:
            self.fail("it is empty; name a folder or an address", parameter, context)
        return super().convert(value, parameter, context)


A_GALLERY = _Gallery(exists=True, path_type=Path)
A_GALLERY_TO_WRITE = _Gallery(path_type=Path)
TRUST_CODE = click.option(
    "--trust-code",
    is_flag=True,
    help="Run the code of a model's method or data set that is not vireid's.",
)
ROOT = click.option("--root", type=EXISTING, help="Where that data set lies.")
VALIDATION_DATA = click.option(
    "--data", help="Data set with validation people.  [default: the one of MODEL]"
)
MIN_HEIGHT = click.option(
    "--min-height",
    type=click.IntRange(8),
    default=LEAST_ROWS,
    show_default=True,
    help="Leave out people who are fewer pixels high.",
)
MODALITIES = click.Choice(["visible", "infrared"])


def recipe_file(context: click.Context, parameter: click.Parameter, name: str) -> Path:
    """Return the file of a recipe or a sweep, which may be named if it comes with vireid."""
    from vireid import recipes

    try:
        return recipes.find(name)
    except VireidError as error:
        raise click.BadParameter(str(error), context, parameter) from error


def examples(*lines: str) -> str:
    r"""Return the end of a command's help; `\b` keeps click from rewrapping the lines."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class OnGallery(click.Command):
    """A command on a gallery, which is its first or last argument or `--gallery`."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters, also `--gallery`."""
        found = super().get_params(ctx)
        return found if self._place() is None else [*found[:-1], NAMED_GALLERY, found[-1]]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; a gallery that is named comes to its place among them."""
        place = self._place()
        if place is not None:
            named, rest = _gallery_apart(ctx, args)
            args = [*named, *rest] if place == 0 else [*rest, *named]
        return super().parse_args(ctx, args)

    def _place(self) -> int | None:
        """Return the place of the gallery among the arguments; None where there is none."""
        names = [each.name for each in self.params if isinstance(each, click.Argument)]
        return names.index("gallery") if "gallery" in names else None


NAMED_GALLERY = click.Option(
    ["--gallery"],
    expose_value=False,
    metavar="GALLERY",
    help="The same as GALLERY as an argument.",
)


def _gallery_apart(context: click.Context, arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the gallery that is named by `--gallery`, if one is, and the other arguments."""
    rest, named = list[str](), list[str]()
    told = iter(arguments)
    for word in told:
        if word == "--":
            rest += [word, *told]
        elif word == "--gallery":
            named += [next(told, "")]
        elif word.startswith("--gallery="):
            named += [word.partition("=")[2]]
        else:
            rest.append(word)
    if len(named) > 1 or "" in named:
        raise click.UsageError("Give one gallery after --gallery.", context)
    return named, rest


def age_of(text: str) -> timedelta | None:
    """Return an age in words: `30d`, `12w`, or `forever` for None.

    Raises:
        VireidError: It is none.
    """
    days = {"d": 1, "w": 7}
    number = text[:-1]
    if text == "forever":
        return None
    if (
        number.isascii()
        and number.isdigit()
        and len(number) < 6
        and int(number)
        and text[-1] in days
    ):
        return timedelta(days=int(number) * days[text[-1]])
    raise VireidError(f"{text!r} is no age; write 30d (days), 12w (weeks) or forever")
