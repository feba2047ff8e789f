"""Commands of the service: serve, keys, audit."""

from pathlib import Path

import click

from vireid.cli.options import EXISTING, EXISTING_FILE, TO_WRITE, examples
from vireid.errors import VireidError

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
        "vireid serve --settings service.toml --host 0.0.0.0",
    ),
)
@click.argument("galleries", type=EXISTING, nargs=-1, metavar="[GALLERY]...")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port.  [default: 8750]")
@SETTINGS
@DATA
@click.option(
    "--sources", multiple=True, type=EXISTING, help="Folder whose pictures jobs may index."
)
@click.option("--log-format", type=click.Choice(["text", "json"]), help="[default: text]")
def serve(
    galleries: tuple[Path, ...],
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

    logs.start(settings.log_format)
    service = Service(settings)
    if settings.needs_keys and not any(key.is_valid for key in service.keys.all()):
        service.close()
        raise VireidError(
            f"bound to {settings.host} everybody needs a key, and there is none; make one: "
            f"vireid keys add NAME --data {settings.data}"
        )
    server.run(service)
