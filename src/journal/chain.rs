//! How an entry stands in a journal: one row, chained to the one before by SHA-256.
//!
//! The hash covers, in this order: the text `heartbreak-entry-1`, a zero byte, the hash before
//! (32 bytes), `seq` and `at` (8 bytes each, big-endian), `epoch` (8 bytes), and then `kind`, `run` and
//! `body`, each as its length in bytes (8 bytes) and its UTF-8. An absent run is the length with all
//! bits set and nothing after it. Before the first entry stands SHA-256 of
//! `heartbreak-journal-1|` and the installation.
//!
//! The chain shows that a row was changed, taken out or put in. It cannot show that the last rows
//! are gone or that all of it was written anew: for that, keep the head's hash somewhere else.

use crate::model::entry::{Body, Entry};
use crate::model::ids::Seq;
use crate::model::plan::hex;
use crate::ports::journal::JournalError;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

/// A link of the chain.
pub(super) type Hash = [u8; 32];

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub seq: u64,
    pub at_ms: i64,
    pub epoch: u64,
    pub kind: String,
    pub run: Option<String>,
    pub body: String,
    pub prev: Vec<u8>,
    pub hash: Vec<u8>,
}

/// What stands before the first entry.
pub(super) fn genesis(installation: &str) -> Hash {
    Sha256::digest(format!("heartbreak-journal-1|{installation}")).into()
}

/// Makes the row after `prev`, and the entry as every later reader will see it.
pub(super) fn seal(
    prev: Hash,
    seq: Seq,
    at: DateTime<Utc>,
    epoch: u64,
    body: &Body,
) -> Result<(Row, Entry), JournalError> {
    let unsayable = |error: serde_json::Error| JournalError {
        what: format!(
            "a {:?} entry can't be written so that it can be read again; nothing was appended; this is a \
             defect of heartbreak",
            body.kind()
        ),
        source: Some(error.into()),
    };
    let text = serde_json::to_string(body).map_err(unsayable)?;
    // What the writer goes on with is what a reader will get, to the last bit of a float.
    let read_back = serde_json::from_str(&text).map_err(unsayable)?;
    let mut row = Row {
        seq: seq.0,
        at_ms: at.timestamp_millis(),
        epoch,
        kind: body.kind().to_owned(),
        run: body.run().map(|run| run.as_str().to_owned()),
        body: text,
        prev: prev.to_vec(),
        hash: Vec::new(),
    };
    row.hash = row.digest().to_vec();
    let entry = Entry {
        seq,
        at: row.at()?,
        body: read_back,
    };
    Ok((row, entry))
}

impl Row {
    fn digest(&self) -> Hash {
        let mut hash = Sha256::new();
        hash.update(b"heartbreak-entry-1\0");
        hash.update(&self.prev);
        hash.update(self.seq.to_be_bytes());
        hash.update(self.at_ms.to_be_bytes());
        hash.update(self.epoch.to_be_bytes());
        for field in [Some(&self.kind), self.run.as_ref(), Some(&self.body)] {
            hash.update(field.map_or(u64::MAX, |text| text.len() as u64).to_be_bytes());
            hash.update(field.map_or(&[][..], |text| text.as_bytes()));
        }
        hash.finalize().into()
    }

    fn at(&self) -> Result<DateTime<Utc>, JournalError> {
        DateTime::from_timestamp_millis(self.at_ms)
            .ok_or_else(|| broken(self.seq, "its time is outside of what a clock can say"))
    }

    /// Checks that this row follows the row `(seq, hash)`, and says what the next one has to follow.
    pub(super) fn follows(&self, (seq, hash): (u64, Hash)) -> Result<(u64, Hash), JournalError> {
        if self.seq != seq + 1 {
            return Err(broken(
                seq + 1,
                &format!("it is missing; entry {} comes next", self.seq),
            ));
        }
        if self.prev != hash {
            return Err(broken(self.seq, "it does not follow the entry before it"));
        }
        let digest = self.digest();
        if self.hash != digest {
            let why = format!("its content has hash {}, not {}", hex(&digest), hex(&self.hash));
            return Err(broken(self.seq, &why));
        }
        Ok((self.seq, digest))
    }

    /// The entry; the chain is checked elsewhere.
    pub(super) fn entry(&self) -> Result<Entry, JournalError> {
        let body = serde_json::from_str(&self.body).map_err(|error| JournalError {
            what: format!(
                "entry {} of the journal ({}) can't be understood by this version of heartbreak; nothing was \
                 changed; run the version that wrote it, or a newer one",
                self.seq, self.kind
            ),
            source: Some(error.into()),
        })?;
        Ok(Entry {
            seq: Seq(self.seq),
            at: self.at()?,
            body,
        })
    }
}

/// Checks rows that follow `link` and reads them.
pub(super) fn entries(mut link: (u64, Hash), rows: &[Row]) -> Result<Vec<Entry>, JournalError> {
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        link = row.follows(link)?;
        entries.push(row.entry()?);
    }
    Ok(entries)
}

/// The error about a chain that does not hold.
pub(super) fn broken(seq: u64, why: &str) -> JournalError {
    JournalError {
        what: format!(
            "the journal's chain is broken at entry {seq}: {why}; somebody or something changed the file, so \
             nothing in it is relied on and nothing was changed; restore it from a backup, and look at the \
             cluster for what the backup does not know"
        ),
        source: None,
    }
}
