CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- What was decided and done. Append-only; each row's hash covers the row and the hash before it.
CREATE TABLE entry (
    seq   INTEGER NOT NULL PRIMARY KEY CHECK (seq > 0),
    at    INTEGER NOT NULL, -- milliseconds since 1970, UTC
    epoch INTEGER NOT NULL, -- counts the openings for writing
    kind  TEXT    NOT NULL,
    run   TEXT,
    body  TEXT    NOT NULL, -- JSON
    prev  BLOB    NOT NULL CHECK (length(prev) = 32),
    hash  BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE TRIGGER entry_no_update BEFORE UPDATE ON entry
BEGIN SELECT raise(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry
BEGIN SELECT raise(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER entry_in_order BEFORE INSERT ON entry
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM entry)
BEGIN SELECT raise(ABORT, 'the journal is append-only'); END;

-- What was measured during a run: outside the chain, decides nothing.
CREATE TABLE sample (
    run  TEXT    NOT NULL,
    n    INTEGER NOT NULL,
    body TEXT    NOT NULL, -- JSON
    PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;

-- "Hbrk": this is a journal and not some other SQLite file.
PRAGMA application_id = 1214411371;
PRAGMA user_version = 1;
