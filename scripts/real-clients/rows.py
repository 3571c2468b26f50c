"""Prints the rows of an audit log as one JSON array, oldest first: rows.py DATABASE."""

import json
import pathlib
import sqlite3
import sys

database = sqlite3.connect(pathlib.Path(sys.argv[1]).resolve().as_uri() + "?mode=ro", uri=True)
database.row_factory = sqlite3.Row
rows = [dict(row) for row in database.execute("SELECT * FROM audit_log ORDER BY id")]
json.dump(rows, sys.stdout, default=bytes.hex)
