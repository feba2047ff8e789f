"""Commands of the service: serve, keys, audit."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from vireid import console
from vireid.cli.options import A_GALLERY, EXISTING, EXISTING_FILE, TO_WRITE, age_of, examples
from vireid.errors import VireidError

if TYPE_CHECKING:
    from vireid.gallery.store import Address
    from vireid.service.database import Database
    from vireid.service.keys import Keys, Scope

DATA = click.option(
    "--data",
    type=TO_WRITE,
    help="Folder for keys, audit log, jobs and uploads.  [default: vireid-service]",
)
SETTINGS = click.option("--settings", "file", type=EXISTING_FILE, help="Settings (TOML).")
JSON = click.option("--json", "as_json", is_flag=True, help="Answer for programs.")


@click.command(
    epilog=examples(
        "vireid serve site.gallery                     then open the address that it prints",
        "vireid serve north.gallery south.gallery --sources /data/photos",
        "vireid keys add reception --scope read        keys are needed unless bound to loopback",
        "vireid serve milvus://127.0.0.1:19530/site    a gallery on a Milvus server",
        "vireid serve --settings service.toml --host 0.0.0.0",
    ),
)
@click.argument("galleries", type=A_GALLERY, nargs=-1, metavar="[GALLERY]...")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port.  [default: 8750]")
@SETTINGS
@DATA
@click.option(
    "--sources", multiple=True, type=EXISTING, help="Folder whose pictures jobs may index."
)
@click.option("--log-format", type=click.Choice(["text", "json"]), help="[default: text]")
def serve(
    galleries: "tuple[Address, ...]",
    host: str | None,
    port: int | None,
    file: Path | None,
    data: Path | None,
    sources: tuple[Path, ...],
    log_format: str | None,
) -> None:
    """Serve GALLERIES over HTTP: a page for people, an API for programs.

    Bound to loopback, as it is by default, everybody at this machine may do everything without a
    key. Elsewhere a key is needed; `vireid keys add NAME` makes one. Settings come from a file, the
    environment (VIREID_PORT) and these options, the last one counts.
    """
    from vireid.service.settings import Settings

    settings = Settings.read(
        file,
        host=host,
        port=port,
        data=None if data is None else str(data),
        sources=[str(each) for each in sources] or None,
        log_format=log_format,
    ).with_galleries(galleries)
    if not settings.galleries:
        raise VireidError("there is nothing to serve; name a gallery: vireid serve site.gallery")
    from vireid.service import logs, server
    from vireid.service.service import Service

    with logs.written(settings.log_format):
        service = Service(settings)
        if settings.needs_keys and not any(key.is_valid for key in service.keys.all()):
            service.close_files()
            raise VireidError(
                f"bound to {settings.host} everybody needs a key, and there is none; make one: "
                f"vireid keys add NAME --data {settings.data}"
            )
        server.run(service)


@click.group(
    epilog=examples(
        "vireid keys add reception --scope read --expires 90d",
        "vireid keys add kiosk --rate 60/minute --max-upload 5MB",
        "vireid keys list",
        "vireid keys revoke reception",
    )
)
def keys() -> None:
    """Make, list and revoke the keys of a service, also while it runs."""


def _opened(data: Path | None, file: Path | None, *, make: bool = False) -> "tuple[Database, Keys]":
    from vireid.service.database import Database
    from vireid.service.keys import Keys
    from vireid.service.settings import Settings

    settings = Settings.read(file, data=None if data is None else str(data))
    database = Database(settings.folder, make=make)
    return database, Keys(database)


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(["read", "write", "admin"]),
    default="read",
    show_default=True,
    help="read: search and look. write: also add, label, remove. admin: also index folders of the "
    "service's machine.",
)
@click.option("--expires", help="Age at which it expires: 90d, 12w or forever.  [default: forever]")
@click.option(
    "--rate",
    help="Requests that it may make: 60/minute, 2/second or 500/hour.  [default: "
    "requests_per_minute of the settings]",
)
@click.option(
    "--max-upload",
    help="Size of one picture that it may send: 500kB, 5MB or 20MiB.  [default, and most: "
    "most_bytes of the settings]",
)
@DATA
@SETTINGS
@JSON
def add(
    name: str,
    scope: str,
    expires: str | None,
    rate: str | None,
    max_upload: str | None,
    data: Path | None,
    file: Path | None,
    as_json: bool,
) -> None:
    """Make a key called NAME and show it, this once; the service keeps only a hash of it."""
    from vireid.service.keys import Limits, check_name

    check_name(name)
    lasts = None if expires is None else age_of(expires)
    limits = Limits.from_words(rate, max_upload)
    database, known = _opened(data, file, make=True)
    try:
        key, text = known.add(name, cast("Scope", scope), lasts, limits)
    finally:
        database.close()
    if as_json:
        console.answer({**key.as_dict(), "key": text})
    else:
        console.say(text)
        until = f", valid until {key.expires:%Y-%m-%d}" if key.expires else ""
        console.remark(f"the key {name!r} ({scope}{until}) is shown this once; keep it safe")


@keys.command("list")
@DATA
@SETTINGS
@JSON
def list_(data: Path | None, file: Path | None, as_json: bool) -> None:
    """List all keys: what they may do, and whether they are valid."""
    database, known = _opened(data, file)
    known_keys = known.all()
    database.close()
    if as_json:
        console.answer([key.as_dict() for key in known_keys])
        return
    from rich.table import Table

    table = Table()
    headings = ("name", "scope", "state", "created", "expires")
    for heading in (*headings, "requests a minute", "MB a picture"):
        table.add_column(heading)
    for key in known_keys:
        told = key.as_dict()
        rate, most = key.limits.per_minute, key.limits.most_bytes
        limits = ("" if rate is None else f"{rate:g}", "" if most is None else f"{most / 1e6:.3g}")
        cells = (*(str(told[heading] or "") for heading in headings), *limits)
        table.add_row(*map(console.plain, cells))
    console.show(table)


@keys.command()
@click.argument("name")
@DATA
@SETTINGS
@JSON
def revoke(name: str, data: Path | None, file: Path | None, as_json: bool) -> None:
    """Make the key called NAME invalid, at once and for ever."""
    database, known = _opened(data, file)
    try:
        key = known.revoke(name)
    finally:
        database.close()
    if as_json:
        console.answer({"revoked": key.name})
    else:
        console.say(f"the key {key.name!r} is revoked")


@click.group(
    epilog=examples(
        "vireid audit check                             was a line changed, removed or put in?",
        "vireid audit check --data /var/lib/vireid --json",
    ),
)
def audit() -> None:
    """Look after the audit log of a service."""


@audit.command()
@DATA
@SETTINGS
@JSON
def check(data: Path | None, file: Path | None, as_json: bool) -> None:
    """Check that no line of the log was changed, removed or put in.

    The exit status is 1 if one was. The hash that is shown stands for the whole log: keep it
    elsewhere, and a forged log will not have it.
    """
    from vireid.service import audit as log
    from vireid.service.settings import Settings

    settings = Settings.read(file, data=None if data is None else str(data))
    if not settings.folder.is_dir():
        raise VireidError(f"there is no service in {settings.folder}; give its folder by --data")
    checked = log.check(settings.folder)
    if as_json:
        console.answer({"lines": checked.lines, "hash": checked.hash, "wrong": list(checked.wrong)})
    else:
        console.say(f"{checked.lines} lines, the last one's hash is {checked.hash}")
        if checked.wrong:
            console.say(*checked.wrong)
    if checked.wrong:
        raise VireidError(f"{settings.folder / log.FILE} is not as it was written")
