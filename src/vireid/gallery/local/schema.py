"""The tables of a gallery's catalogue, and how those of earlier formats become them.

Formats 1 and 2 are read as they are, through views that look like the tables of today. The first
change turns them into these tables, as `vireid gallery migrate` does.
"""

import json
import zlib

FORMAT = 3
TABLES = {
    "about": "(key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "vectors": """(
        modality TEXT PRIMARY KEY,
        file TEXT NOT NULL,
        rows INTEGER NOT NULL,
        gone INTEGER NOT NULL,
        sum INTEGER
    )""",
    "blocks": """(
        modality TEXT NOT NULL,
        block INTEGER NOT NULL,
        sum INTEGER NOT NULL,
        PRIMARY KEY (modality, block)
    ) WITHOUT ROWID""",
    "pictures": """(
        modality TEXT NOT NULL,
        row INTEGER NOT NULL,
        path TEXT NOT NULL,
        box TEXT NOT NULL,
        identity INTEGER,
        person TEXT,
        camera TEXT,
        tracklet TEXT,
        time TEXT,
        moment INTEGER,
        size INTEGER,
        mtime_ns INTEGER,
        content TEXT,
        source TEXT,
        by_hand INTEGER NOT NULL,
        sum INTEGER,
        PRIMARY KEY (modality, row),
        UNIQUE (path, box)
    ) WITHOUT ROWID""",
    "tags": """(
        modality TEXT NOT NULL,
        row INTEGER NOT NULL,
        tag TEXT NOT NULL,
        PRIMARY KEY (modality, row, tag)
    ) WITHOUT ROWID""",
    "notes": """(
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID""",
}
"""Columns of the tables.

`vectors` names the file of each spectrum, how many rows of it are committed, and how many of those
belong to no picture. A box is `left,top,right,bottom`, or empty where the whole picture shows one
person; `time` is as given (ISO 8601), `moment` is the number by which times are compared; `by_hand`
says that somebody has named the person in the gallery. `notes` holds JSON; see `Store.notes`. Every
`sum` is the checksum of the rest of its row, see `row_sum`; that of a block covers its vectors.
"""
INDICES = (
    "CREATE INDEX by_camera ON pictures (camera, modality)",
    "CREATE INDEX by_identity ON pictures (identity, modality)",
    "CREATE INDEX by_person ON pictures (person) WHERE person IS NOT NULL",
    "CREATE INDEX by_tracklet ON pictures (tracklet) WHERE tracklet IS NOT NULL",
    "CREATE INDEX by_moment ON pictures (moment) WHERE moment IS NOT NULL",
    "CREATE INDEX by_content ON pictures (content) WHERE content IS NOT NULL",
    "CREATE INDEX by_source ON pictures (source) WHERE source IS NOT NULL",
    "CREATE INDEX by_tag ON tags (tag, modality)",
)
SCHEMA = (*(f"CREATE TABLE {name} {columns}" for name, columns in TABLES.items()), *INDICES)

_SINCE_3 = (
    """CREATE TEMP VIEW vectors AS SELECT modality, modality || '.' || (
        SELECT trim(value, '"') FROM about WHERE key = 'storage'
    ) AS file, rows, gone, NULL AS sum FROM main.vectors""",
    "CREATE TEMP VIEW blocks AS SELECT '' AS modality, 0 AS block, 0 AS sum WHERE 0",
    "CREATE TEMP VIEW notes AS SELECT '' AS kind, '' AS key, '' AS value WHERE 0",
)
VIEWS = {
    1: (
        """CREATE TEMP VIEW pictures AS SELECT modality, row, path, '' AS box, identity,
            NULL AS person, camera, NULL AS tracklet, NULL AS time, NULL AS moment,
            size, mtime_ns, NULL AS content,
            NULL AS source, 0 AS by_hand, NULL AS sum FROM main.pictures""",
        "CREATE TEMP VIEW tags AS SELECT '' AS modality, 0 AS row, '' AS tag WHERE 0",
        *_SINCE_3,
    ),
    2: (
        """CREATE TEMP VIEW pictures AS SELECT modality, row, path, box, identity,
            NULL AS person, camera, tracklet, time, moment, size, mtime_ns, content,
            NULL AS source, 0 AS by_hand, NULL AS sum FROM main.pictures""",
        *_SINCE_3,
    ),
}
"""Views by which tables of earlier formats are read, by format."""
TABLES_OF = {1: ("vectors", "pictures"), 2: ("vectors", "pictures", "tags")}
"""Tables of earlier formats that are made anew."""


def without_views(format_: int) -> list[str]:
    """Return the statements that take the views of an earlier format away."""
    names = [view.split()[3] for view in VIEWS[format_]]
    return [f"DROP VIEW temp.{name}" for name in names]


def migration(format_: int) -> list[str]:
    """Return the statements that turn an earlier format, seen through its views, into today's."""
    new = [name for name in TABLES if name != "about"]
    return [
        *(f"CREATE TABLE new_{name} {TABLES[name]}" for name in new),
        *(f"INSERT INTO new_{name} SELECT * FROM {name}" for name in new),
        *without_views(format_),
        *(f"DROP TABLE {name}" for name in TABLES_OF[format_]),
        *(f"ALTER TABLE new_{name} RENAME TO {name}" for name in new),
        *INDICES,
        f"UPDATE about SET value = '{FORMAT}' WHERE key = 'format'",
    ]


def row_sum(*values: object) -> int:
    """Return the checksum (CRC-32) of the values of a row: numbers, texts and NULL."""
    return zlib.crc32(json.dumps(values).encode())
