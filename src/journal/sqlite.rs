//! The journal on disk: one SQLite file, one connection, one process.
//!
//! Write-ahead log with `synchronous = FULL`: an append that came back is on the disk. A bare connection
//! and no pool, because there is one writer anyway and a pool's timers do not agree with paused time.

use super::chain::{self, Hash, Row};
use super::place::{Lock, refusal, refuse_network};
use crate::model::entry::{Body, Entry, FORMAT};
use crate::model::ids::{RunId, Seq};
use crate::model::plan::hex;
use crate::ports::journal::{AppendError, Journal, JournalError, Measured};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, query, query_as, query_scalar, raw_sql};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// Each brings the schema from the version that is its index to the next, and says so in `user_version`.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_journal.sql")];
/// `PRAGMA application_id`: "Hbrk".
const APPLICATION: i64 = 0x4862_726B;
/// Nobody else writes, so only a reader's checkpoint can be in the way.
const BUSY: Duration = Duration::from_secs(5);

/// The journal on disk. Clones share it.
#[derive(Clone, Debug)]
pub struct SqliteJournal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    installation: String,
    /// Counts the openings for writing; 0 when opened for reading only.
    epoch: i64,
    /// Device and inode at the opening: a file that was swapped under us takes no more entries.
    file: Option<(u64, u64)>,
    /// `None` once closed.
    connection: Mutex<Option<SqliteConnection>>,
    /// After the connection, so that it is given back last.
    _lock: Option<Lock>,
}

/// What [`SqliteJournal::verify`] found: a chain that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many entries.
    pub entries: u64,
    /// The last entry's hash in hex (before the first entry: the hash of the installation). Compare it
    /// with one noted elsewhere to know that nothing is missing at the end.
    pub head: String,
}

impl SqliteJournal {
    /// Opens the journal for writing, and makes it where there is none. Reads all of it once.
    ///
    /// # Errors
    ///
    /// Refuses a journal that another process has open, one on a network file system, one that a newer
    /// heartbreak has written, a file that is no journal, one whose chain is broken, and an empty place
    /// where there was a journal before.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref();
        refuse_network(path)?;
        let mut lock = Lock::take(path)?;
        let fresh = std::fs::metadata(path).map_or(true, |about| about.len() == 0);
        if let (true, Some(installation)) = (fresh, &lock.noted) {
            let what = format!(
                "the journal {} of installation {installation} is gone or empty, and without it nobody knows \
                 what was already sent; nothing was made; restore it from a backup, or remove {} to begin a \
                 new one",
                path.display(),
                super::place::beside(path).display()
            );
            return Err(refusal(what, None));
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .busy_timeout(BUSY);
        let doing = "opened";
        let mut connection = connect(path, &options).await?;
        let version = schema_version(path, &mut connection).await?;
        prepare(path, &mut connection, version).await?;
        let installation = installation(path, &mut connection).await?;
        if lock.noted.as_ref().is_some_and(|noted| *noted != installation) {
            let what = format!(
                "the journal {} belongs to installation {installation}, and another one was here before; it \
                 was not opened; put the right file back, or remove {} if this one is meant",
                path.display(),
                super::place::beside(path).display()
            );
            return Err(refusal(what, None));
        }
        walk(path, &mut connection, &installation).await?;
        let epoch = begin_epoch(&mut connection)
            .await
            .map_err(|e| trouble(path, doing, e))?;
        lock.note(&installation)?;
        Ok(Self::with(path, installation, epoch, connection, Some(lock)))
    }

    /// Opens a journal to look at, without the lock: also beside a running operator.
    ///
    /// # Errors
    ///
    /// When it is not there, not a journal, or newer than this version. The chain is checked as it is read.
    pub async fn read_only(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let path = path.as_ref();
        if let Err(error) = std::fs::metadata(path) {
            let what = format!(
                "the journal {} can't be read ({error}); check the path",
                path.display()
            );
            return Err(refusal(what, Some(error.into())));
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(BUSY);
        let found = match connect_to_look(path, &options).await {
            // A log beside it has to be read as well, and then the folder has to be writable.
            Err(_) if !with_suffix(path, "-wal").exists() => {
                connect_to_look(path, &options.immutable(true)).await
            }
            other => other,
        };
        let (mut connection, version) = found?;
        if version == 0 {
            return Err(no_journal(path));
        }
        let installation = installation(path, &mut connection).await?;
        Ok(Self::with(path, installation, 0, connection, None))
    }

    /// Checks a journal from its first entry to its last, without the lock and without changing it.
    ///
    /// # Errors
    ///
    /// Those of [`read_only`](Self::read_only), and a broken chain with the entry where it breaks.
    pub async fn verify(path: impl AsRef<Path>) -> Result<Verified, JournalError> {
        let journal = Self::read_only(&path).await?;
        let mut held = journal.inner.connection.lock().await;
        let connection = journal.inner.open_one(&mut held)?;
        let (entries, hash) = walk(path.as_ref(), connection, &journal.inner.installation).await?;
        Ok(Verified {
            entries,
            head: hex(&hash),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The place of the last entry; 0 when there is none.
    ///
    /// # Errors
    ///
    /// When it can't be read.
    pub async fn head(&self) -> Result<Seq, JournalError> {
        let mut held = self.inner.connection.lock().await;
        let connection = self.inner.open_one(&mut held)?;
        let head = head(connection)
            .await
            .map_err(|error| trouble(self.path(), "read", error))?;
        Ok(Seq(head.map_or(0, |(seq, _)| seq.cast_unsigned())))
    }

    /// Writes the log back into the file and closes it. What comes after is refused.
    ///
    /// # Errors
    ///
    /// When SQLite can't; the entries are safe in the log beside the file.
    pub async fn close(&self) -> Result<(), JournalError> {
        match self.inner.connection.lock().await.take() {
            Some(mut connection) => {
                if self.inner.epoch > 0 {
                    // A reader beside us keeps SQLite from doing it by itself.
                    let flushed = raw_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                        .execute(&mut connection)
                        .await;
                    flushed.map_err(|error| trouble(self.path(), "closed", error))?;
                }
                connection
                    .close()
                    .await
                    .map_err(|error| trouble(self.path(), "closed", error))
            }
            None => Ok(()),
        }
    }

    fn with(
        path: &Path,
        installation: String,
        epoch: i64,
        connection: SqliteConnection,
        lock: Option<Lock>,
    ) -> Self {
        let inner = Inner {
            path: path.to_owned(),
            installation,
            epoch,
            file: identity(path),
            connection: Mutex::new(Some(connection)),
            _lock: lock,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Does something that writes, to its end: a caller that goes away half-way must not leave a
    /// transaction open or undone.
    async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, AppendError>> + Send + 'static,
    ) -> Result<T, AppendError> {
        tokio::spawn(work).await.unwrap_or_else(|error| {
            let what = format!(
                "writing to the journal {} ended in a defect",
                self.path().display()
            );
            Err(AppendError::Failed(refusal(what, Some(error.into()))))
        })
    }
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn installation(&self) -> Result<String, JournalError> {
        Ok(self.inner.installation.clone())
    }

    async fn read(&self, after: Seq, most: usize) -> Result<Vec<Entry>, JournalError> {
        let mut held = self.inner.connection.lock().await;
        let connection = self.inner.open_one(&mut held)?;
        let failed = |error| trouble(self.path(), "read", error);
        let Ok(from) = i64::try_from(after.0) else {
            return Ok(Vec::new());
        };
        let link = if from == 0 {
            (0, chain::genesis(&self.inner.installation))
        } else {
            let hash: Option<Vec<u8>> = query_scalar("SELECT hash FROM entry WHERE seq = ?")
                .bind(from)
                .fetch_optional(&mut *connection)
                .await
                .map_err(failed)?;
            let Some(hash) = hash else { return Ok(Vec::new()) };
            (after.0, link_hash(after.0, &hash)?)
        };
        let rows: Vec<Stored> = query_as(
            "SELECT seq, at, epoch, kind, run, body, prev, hash FROM entry WHERE seq > ? ORDER BY seq LIMIT ?",
        )
        .bind(from)
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await
        .map_err(failed)?;
        chain::entries(link, &rows.into_iter().map(Row::from).collect::<Vec<_>>())
    }

    async fn append(
        &self,
        expected: Seq,
        at: DateTime<Utc>,
        bodies: &[Body],
    ) -> Result<Vec<Entry>, AppendError> {
        let (inner, bodies) = (self.inner.clone(), bodies.to_vec());
        self.to_the_end(async move { inner.append(expected, at, &bodies).await })
            .await
    }

    async fn keep(&self, run: &RunId, measured: &[Measured]) -> Result<(), JournalError> {
        let (inner, run, measured) = (self.inner.clone(), run.clone(), measured.to_vec());
        let work = async move { inner.keep(&run, &measured).await.map_err(AppendError::Failed) };
        self.to_the_end(work).await.map_err(|error| match error {
            AppendError::Failed(error) => error,
            AppendError::Conflict { .. } => refusal(error.to_string(), None),
        })
    }

    async fn kept(&self, run: &RunId) -> Result<Vec<Measured>, JournalError> {
        let mut held = self.inner.connection.lock().await;
        let connection = self.inner.open_one(&mut held)?;
        let rows: Vec<String> = query_scalar("SELECT body FROM sample WHERE run = ? ORDER BY n")
            .bind(run.as_str())
            .fetch_all(connection)
            .await
            .map_err(|error| trouble(self.path(), "read", error))?;
        let read = |text: &String| {
            serde_json::from_str(text).map_err(|error| {
                let what = format!("a measurement of run {run} can't be understood; its chart has no data");
                refusal(what, Some(error.into()))
            })
        };
        rows.iter().map(read).collect()
    }
}

impl Inner {
    fn open_one<'a>(
        &self,
        held: &'a mut MutexGuard<'_, Option<SqliteConnection>>,
    ) -> Result<&'a mut SqliteConnection, JournalError> {
        held.as_mut().ok_or_else(|| {
            let what = format!(
                "the journal {} is closed; nothing was read or written",
                self.path.display()
            );
            refusal(what, None)
        })
    }

    fn writable(&self) -> Result<(), JournalError> {
        if self.epoch == 0 {
            let what = format!(
                "the journal {} is open for reading only; nothing was written",
                self.path.display()
            );
            return Err(refusal(what, None));
        }
        if identity(&self.path) != self.file {
            let what = format!(
                "the journal {} was removed or replaced while it was open; nothing was written; stop \
                 heartbreak, put the file back, and start again",
                self.path.display()
            );
            return Err(refusal(what, None));
        }
        Ok(())
    }

    async fn append(
        &self,
        expected: Seq,
        at: DateTime<Utc>,
        bodies: &[Body],
    ) -> Result<Vec<Entry>, AppendError> {
        let failed = |error| trouble(&self.path, "written to, and nothing was appended", error);
        let mut held = self.connection.lock().await;
        let connection = self.open_one(&mut held)?;
        self.writable()?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let epoch = epoch(&mut transaction).await.map_err(failed)?;
        if epoch != self.epoch {
            let what = format!(
                "another process has opened the journal {} since (opening {epoch}, ours was {}); nothing was \
                 appended; stop one of them",
                self.path.display(),
                self.epoch
            );
            return Err(refusal(what, None).into());
        }
        let (mut seq, mut prev) = match head(&mut transaction).await.map_err(failed)? {
            None => (0, chain::genesis(&self.installation)),
            Some((seq, hash)) => (seq.cast_unsigned(), link_hash(seq.cast_unsigned(), &hash)?),
        };
        if Seq(seq) != expected {
            return Err(AppendError::Conflict { head: Seq(seq) });
        }
        let mut entries = Vec::with_capacity(bodies.len());
        for body in bodies {
            let (row, entry) = chain::seal(prev, Seq(seq + 1), at, self.epoch.cast_unsigned(), body)?;
            (seq, prev) = row.follows((seq, prev))?;
            query("INSERT INTO entry (seq, at, epoch, kind, run, body, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
                .bind(row.seq.cast_signed())
                .bind(row.at_ms)
                .bind(self.epoch)
                .bind(row.kind)
                .bind(row.run)
                .bind(row.body)
                .bind(row.prev)
                .bind(row.hash)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            entries.push(entry);
        }
        let doubtful = "written to for certain: the last entries may or may not be there";
        transaction
            .commit()
            .await
            .map_err(|error| trouble(&self.path, doubtful, error))?;
        Ok(entries)
    }

    async fn keep(&self, run: &RunId, measured: &[Measured]) -> Result<(), JournalError> {
        let failed = |error| {
            trouble(
                &self.path,
                "written to, and a run's measurements are not kept",
                error,
            )
        };
        let mut held = self.connection.lock().await;
        let connection = self.open_one(&mut held)?;
        self.writable()?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        for one in measured {
            let text = serde_json::to_string(one).map_err(|error| {
                refusal(
                    format!("a measurement of run {run} can't be written; not kept"),
                    Some(error.into()),
                )
            })?;
            query("INSERT INTO sample (run, n, body) SELECT ?1, coalesce(max(n), 0) + 1, ?2 FROM sample WHERE run = ?1")
                .bind(run.as_str())
                .bind(text)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }
}

type Stored = (i64, i64, i64, String, Option<String>, String, Vec<u8>, Vec<u8>);

impl From<Stored> for Row {
    fn from((seq, at_ms, epoch, kind, run, body, prev, hash): Stored) -> Self {
        Self {
            seq: seq.cast_unsigned(),
            at_ms,
            epoch: epoch.cast_unsigned(),
            kind,
            run,
            body,
            prev,
            hash,
        }
    }
}

fn link_hash(seq: u64, hash: &[u8]) -> Result<Hash, JournalError> {
    hash.try_into()
        .map_err(|_| chain::broken(seq, "its hash is not 32 bytes long"))
}

async fn connect(path: &Path, options: &SqliteConnectOptions) -> Result<SqliteConnection, JournalError> {
    options
        .connect()
        .await
        .map_err(|error| trouble(path, "opened", error))
}

async fn connect_to_look(
    path: &Path,
    options: &SqliteConnectOptions,
) -> Result<(SqliteConnection, usize), JournalError> {
    let mut connection = connect(path, options).await?;
    let version = schema_version(path, &mut connection).await?;
    Ok((connection, version))
}

/// The version of the journal in this file, 0 for an empty file, or why it is none of ours. Changes nothing.
async fn schema_version(path: &Path, connection: &mut SqliteConnection) -> Result<usize, JournalError> {
    let look = async |connection: &mut SqliteConnection| -> Result<(i64, i64, i64), sqlx::Error> {
        Ok((
            query_scalar("PRAGMA application_id")
                .fetch_one(&mut *connection)
                .await?,
            query_scalar("PRAGMA user_version")
                .fetch_one(&mut *connection)
                .await?,
            query_scalar("SELECT count(*) FROM sqlite_master")
                .fetch_one(&mut *connection)
                .await?,
        ))
    };
    match look(connection)
        .await
        .map_err(|error| trouble(path, "opened", error))?
    {
        (0, 0, 0) => Ok(0),
        (APPLICATION, version, _) => match usize::try_from(version) {
            Ok(version) if version > MIGRATIONS.len() => {
                Err(newer(path, "schema", version, MIGRATIONS.len()))
            }
            Ok(version) if version > 0 => Ok(version),
            _ => Err(no_journal(path)),
        },
        _ => Err(no_journal(path)),
    }
}

/// Sets the connection up for writing and brings the schema up to date.
async fn prepare(path: &Path, connection: &mut SqliteConnection, version: usize) -> Result<(), JournalError> {
    let failed = |error| trouble(path, "prepared", error);
    let mode: String = query_scalar("PRAGMA journal_mode = WAL")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if mode != "wal" {
        let what = format!(
            "the journal {} can't have a write-ahead log here (SQLite says {mode:?}); it was not opened; put \
             it on a local disk",
            path.display()
        );
        return Err(refusal(what, None));
    }
    raw_sql("PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF")
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    for step in &MIGRATIONS[version..] {
        raw_sql(*step).execute(&mut *transaction).await.map_err(failed)?;
    }
    if version == 0 {
        query("INSERT INTO meta (key, value) VALUES ('installation', ?), ('format', ?), ('epoch', '0')")
            .bind(name().map_err(|e| refusal(format!("no random numbers for a new journal ({e})"), None))?)
            .bind(FORMAT.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// A random name of 26 characters (128 bits).
fn name() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("i-{}", hex(&bytes)))
}

/// The installation, if this version may read what its journal holds.
async fn installation(path: &Path, connection: &mut SqliteConnection) -> Result<String, JournalError> {
    let failed = |error| trouble(path, "opened", error);
    let meta: Vec<(String, String)> = query_as("SELECT key, value FROM meta")
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    let field = |name: &str| meta.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let format = field("format").and_then(|text| text.parse::<u32>().ok());
    match (field("installation"), format) {
        (Some(_), Some(format)) if format > FORMAT => {
            Err(newer(path, "format", format as usize, FORMAT as usize))
        }
        (Some(installation), Some(_)) => Ok(installation.clone()),
        _ => Err(no_journal(path)),
    }
}

/// Counts this opening and notes the format that is written from now on.
async fn begin_epoch(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let epoch = epoch(&mut transaction).await? + 1;
    for (key, value) in [("epoch", epoch.to_string()), ("format", FORMAT.to_string())] {
        query("UPDATE meta SET value = ? WHERE key = ?")
            .bind(value)
            .bind(key)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(epoch)
}

async fn epoch(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    query_scalar("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'epoch'")
        .fetch_one(connection)
        .await
}

async fn head(connection: &mut SqliteConnection) -> Result<Option<(i64, Vec<u8>)>, sqlx::Error> {
    query_as("SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1")
        .fetch_optional(connection)
        .await
}

/// Follows the whole chain; the last link.
async fn walk(
    path: &Path,
    connection: &mut SqliteConnection,
    installation: &str,
) -> Result<(u64, Hash), JournalError> {
    let mut link = (0, chain::genesis(installation));
    let mut rows =
        query_as::<_, Stored>("SELECT seq, at, epoch, kind, run, body, prev, hash FROM entry ORDER BY seq")
            .fetch(connection);
    while let Some(row) = rows
        .try_next()
        .await
        .map_err(|error| trouble(path, "read to its end", error))?
    {
        link = Row::from(row).follows(link)?;
    }
    Ok(link)
}

/// Which file this is, whatever its name.
fn identity(path: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path)
            .ok()
            .map(|about| (about.dev(), about.ino()))
    }
    #[cfg(not(unix))]
    {
        std::fs::metadata(path).ok().map(|_| (0, 0))
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn no_journal(path: &Path) -> JournalError {
    let what = format!(
        "{} is not a journal of heartbreak; it was not changed; check the path, or restore the journal from a backup",
        path.display()
    );
    refusal(what, None)
}

fn newer(path: &Path, what: &str, theirs: usize, ours: usize) -> JournalError {
    let what = format!(
        "the journal {} has {what} {theirs}, and this version of heartbreak knows {what} {ours} and older; it was \
         not changed; run the version that wrote it, or a newer one",
        path.display()
    );
    refusal(what, None)
}

/// What SQLite's error means (<https://www.sqlite.org/rescode.html>), in a sentence.
fn trouble(path: &Path, doing: &str, error: sqlx::Error) -> JournalError {
    let code = error
        .as_database_error()
        .and_then(|error| error.code()?.parse::<u32>().ok());
    let why = match code.map(|code| code & 0xFF) {
        Some(26) => return refusal(no_journal(path).what, Some(error.into())),
        Some(13) => "the disk is full; make room".to_owned(),
        Some(8) => "the file or its folder is read-only; make both writable for this user".to_owned(),
        Some(3 | 14) => {
            "the file or its folder can't be opened; check the path and its permissions".to_owned()
        }
        Some(10) => "the disk answers with an I/O error; look at the kernel's log and at the disk".to_owned(),
        Some(11) => "the file is damaged; restore it from a backup".to_owned(),
        Some(5 | 6) => "another process holds it; find out which (`fuser`) and stop it".to_owned(),
        _ => format!("SQLite says: {error}"),
    };
    refusal(
        format!("the journal {} could not be {doing}: {why}", path.display()),
        Some(error.into()),
    )
}

#[cfg(test)]
impl SqliteJournal {
    /// Does to the file what no code of ours would.
    pub(super) async fn tamper(&self, sql: &'static str) -> Result<(), sqlx::Error> {
        let mut held = self.inner.connection.lock().await;
        raw_sql(sql)
            .execute(held.as_mut().expect("open"))
            .await
            .map(|_| ())
    }
}
