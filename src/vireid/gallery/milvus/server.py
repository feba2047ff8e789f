"""A connection to a Milvus server: what is asked again after a failure, and errors with a way out.

Every request is one that may be sent twice: rows are written under keys of their own (`upsert`),
what is gone may be deleted again, and what was renamed already is found out.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import grpc
import pymilvus
from pymilvus import MilvusClient, MilvusException

from vireid.gallery.milvus.access import PREFIX, Access
from vireid.gallery.milvus.address import MilvusAddress
from vireid.gallery.store import GalleryError

T = TypeVar("T")
Row = dict[str, Any]

OLDEST, FIRST_UNKNOWN = (2, 3), (4, 0)
"""Versions of servers: the oldest that has what is needed (upsert, arrays, renaming), and the first
that may be anything."""
CONNECTING = 5.0
"""Seconds for a server to answer at first."""
AT_MOST = 30.0
"""Seconds for a server to answer a request."""
RESTARTING = 90.0
"""Seconds for which requests are sent again while a server that did answer is away."""
UNKNOWN = 65535
"""Code of an error that the server has no code for."""
UNSURE = 5.0
"""Seconds for which a request is sent again after such an error."""
NOT_FOUND = (100, 1600)
"""Codes of a collection and of an alias that are not there."""
OWN_FAULTS = (
    range(100, 101),
    range(700, 900),
    range(1100, 1200),
    range(1400, 1500),
    range(1600, 1800),
)
"""Codes of errors that stay when the same is asked again."""
NO_ACCESS = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
ROWS_AT_ONCE = 4_000
"""Rows of one answer."""
BYTES_AT_ONCE = 2**24
"""Bytes of one request; a server takes 64 MiB."""

logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # errors are told here, in one line


class Server:
    """A Milvus server. Threads may share it."""

    def __init__(self, address: MilvusAddress, access: Access) -> None:
        """Connect.

        Raises:
            GalleryError: Nobody answers, or refuses user or version.
        """
        self.address, self.access = address, access
        scheme = "https" if access.secure else "http"
        host = f"[{address.host}]" if ":" in address.host else address.host
        secrets = {
            "user": access.user,
            "password": access.password,
            "token": access.token,
            "ca_pem_path": access.ca if access.certificate else "",
            "server_pem_path": access.ca if not access.certificate else "",
            "client_pem_path": access.certificate,
            "client_key_path": access.key,
        }
        given: dict[str, Any] = {name: value for name, value in secrets.items() if value}
        try:
            self.client = MilvusClient(
                f"{scheme}://{host}:{address.port}",
                db_name=access.database,
                timeout=CONNECTING,
                dedicated=True,
                secure=access.secure,
                **given,
            )
            self.version = str(self.client.get_server_version(timeout=CONNECTING))
        except (MilvusException, grpc.RpcError) as error:
            raise self._refused(error) from error
        self._check_version()

    def _refused(self, error: Exception) -> GalleryError:
        place = f"{self.address.host}:{self.address.port}"
        if is_about_access(error):
            who = f"user {self.access.user!r}" if self.access.user else "this access"
            return GalleryError(
                f"the Milvus server at {place} refuses {who}; set {PREFIX}USER and "
                f"{PREFIX}PASSWORD, or {PREFIX}TOKEN"
            )
        how = " by TLS" if self.access.secure else ""
        other = f"unset {PREFIX}TLS" if self.access.secure else f"set {PREFIX}TLS=1"
        return GalleryError(
            f"no Milvus server answers at {place}{how}; start it, correct the address, or "
            f"{other} if it speaks otherwise"
        )

    def _check_version(self) -> None:
        numbers = self.version.removeprefix("v").replace("-", ".").split(".")[:2]
        if not all(number.isdigit() for number in numbers):
            return  # built from source
        if not OLDEST <= tuple(map(int, numbers)) < FIRST_UNKNOWN:
            self.close()
            raise GalleryError(
                f"the server at {self.address.host}:{self.address.port} is Milvus {self.version}; "
                f"pymilvus {pymilvus.__version__} and this vireid need 2.3 to 3.x: use such a "
                "server, or a gallery in a folder"
            )

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    def ask(self, question: Callable[[MilvusClient], T]) -> T:
        """Ask, and ask again while the server is away or not ready.

        Args:
            question: What to do; it may be done twice.

        Raises:
            MissingError: A collection or an alias is not there.
            GalleryError: It was given up, or the server refuses.
        """
        started, pause = time.monotonic(), 0.05
        while True:
            try:
                return question(self.client)
            except (MilvusException, grpc.RpcError, OSError) as error:
                code = getattr(error, "code", UNKNOWN)
                if code in NOT_FOUND:
                    raise MissingError(f"{self.address}: {_words(error)}") from error
                if is_about_access(error):
                    raise self._refused(error) from error
                lasting = any(code in codes for codes in OWN_FAULTS if isinstance(code, int))
                limit = UNSURE if code == UNKNOWN else RESTARTING
                if lasting or time.monotonic() - started > limit:
                    raise self._given_up(error, time.monotonic() - started) from error
                time.sleep(pause)
                pause = min(2 * pause, 2.0)

    def _given_up(self, error: Exception, seconds: float) -> GalleryError:
        what = f"after {seconds:.0f} s of trying" if seconds > 1 else "at once"
        return GalleryError(
            f"{self.address}: the server failed {what} ({_words(error)}); see whether it is well, "
            "then do it again: what was said to be done is safe"
        )

    def call(self, name: str, *given: Any, **named: Any) -> Any:
        """Call a method of `MilvusClient`, as `ask` does."""
        return self.ask(lambda client: getattr(client, name)(*given, timeout=AT_MOST, **named))

    def write(self, collection: str, partition: str, rows: Sequence[Row], row_bytes: int) -> int:
        """Write rows, over those of the same ids; return the timestamp of the last one."""
        step = max(1, min(5_000, BYTES_AT_ONCE // row_bytes))
        timestamp = 0
        for start in range(0, len(rows), step):
            some = list(rows[start : start + step])
            timestamp = self.ask(partial(_upsert, collection, partition, some))
        return timestamp

    def delete(self, collection: str, ids: Sequence[int]) -> None:
        """Delete rows by their ids."""
        for start in range(0, len(ids), 5_000):
            self.call("delete", collection, ids=list(ids[start : start + 5_000]))

    def delete_between(self, collection: str, first: int, last: int) -> None:
        """Delete the rows whose ids lie between two, these included."""
        self.call("delete", collection, filter=f"id >= {first} and id <= {last}")

    def rows(
        self,
        collection: str,
        partitions: Sequence[str],
        condition: str,
        wanted: Sequence[str],
        timestamp: int,
        after: int = -1,
        most: int | None = None,
    ) -> Iterator[Row]:
        """Yield rows by rising ids.

        Args:
            collection: Name of the collection.
            partitions: Partitions to look in.
            condition: Condition on the rows, as Milvus writes it.
            wanted: Fields to return; the id comes too.
            timestamp: Everything that was written up to then is seen.
            after: Id after which to begin.
            most: Largest number of rows.
        """
        left = most
        while left is None or left > 0:
            limit = ROWS_AT_ONCE if left is None else min(left, ROWS_AT_ONCE)
            asked = " and ".join([f"id > {after}", *([f"({condition})"] if condition else [])])
            found = self._some(collection, partitions, asked, wanted, timestamp, limit)
            yield from found
            if len(found) < limit:
                return
            after = found[-1]["id"]
            left = None if left is None else left - len(found)

    def count(
        self, collection: str, partitions: Sequence[str], condition: str, timestamp: int
    ) -> int:
        """Return the number of rows that meet a condition; see `rows`."""
        (found,) = self.call(
            "query",
            collection,
            filter=condition,
            output_fields=["count(*)"],
            partition_names=list(partitions),
            consistency_level="Customized",
            guarantee_timestamp=timestamp,
        )
        return int(found["count(*)"])

    def _some(
        self,
        collection: str,
        partitions: Sequence[str],
        condition: str,
        wanted: Sequence[str],
        timestamp: int,
        limit: int,
    ) -> list[Row]:
        """Return the rows of the lowest ids that meet a condition."""
        found = self.call(
            "query",
            collection,
            filter=condition,
            output_fields=["id", *wanted],
            partition_names=list(partitions),
            limit=limit,
            consistency_level="Customized",
            guarantee_timestamp=timestamp,
        )
        return sorted(found, key=lambda row: row["id"])


class MissingError(GalleryError):
    """A collection or an alias is not there, or no longer."""


def _upsert(collection: str, partition: str, rows: list[Row], client: MilvusClient) -> int:
    # `MilvusClient.upsert` does the same, and keeps the timestamp to itself.
    done = client._get_connection().upsert_rows(
        collection,
        rows,
        partition_name=partition,
        timeout=AT_MOST,
        context=client._generate_call_context(),
    )
    return int(done.timestamp)


def is_about_access(error: Exception) -> bool:
    """Whether a server has refused user, password or token."""
    each: BaseException | None = error
    seen: list[BaseException] = []
    while each is not None and each not in seen:  # pymilvus has errors that are their own cause
        code = each.code() if isinstance(each, grpc.RpcError) else None
        words = _words(each).lower()
        if code in NO_ACCESS or "auth check failure" in words or "permission deny" in words:
            return True
        seen.append(each)
        each = each.__cause__
    return False


def _words(error: BaseException) -> str:
    message = getattr(error, "message", None) or str(error)
    return " ".join(str(message).split())[:200]
