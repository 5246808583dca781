//! The trouble the pretend world makes, and the record of what was asked of it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::marathon::http::Shared;

/// Which requests a trouble befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum On {
    /// `/v2/info`.
    Info,
    /// `/v2/apps`, `/v2/tasks`, `/v2/deployments`, `/v2/queue` and the like.
    Reads,
    /// `/v2/apps/{id}` and `/v2/apps/{id}/tasks`.
    OneApp,
    /// `/v2/tasks/delete`, and `DELETE` of the tasks of an app or the instances of a pod.
    Kills,
    /// `/v2/events`.
    Events,
}

/// What a Marathon knew at some moment, shown instead of what it knows.
#[derive(Clone)]
pub struct Frozen(pub(crate) Shared);

impl PartialEq for Frozen {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Frozen {}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Frozen")
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The answer comes late, and is right.
    Delay(Duration),
    /// This status, body and content type.
    Status(u16, String, String),
    /// The web server's own error page: this status and reason.
    Page(u16, String),
    /// 302 to this URL.
    Redirect(String),
    /// 200 with a web page.
    Html200,
    /// The JSON is cut in half.
    Truncated,
    /// The JSON has numbers for strings and strings for numbers and booleans.
    WrongTypes,
    /// The JSON has a field more in every object.
    UnknownFields,
    /// The JSON is right, and so many MiB longer than need be.
    Huge(u32),
    /// A body that begins and never ends.
    Endless,
    /// `{"apps":[]}`.
    EmptyApps,
    /// What was true when the trouble was made. On a node that does not lead, it answers so itself,
    /// as a leader that does not know that it has been replaced.
    Stale(Frozen),
    /// The framework id in `/v2/info` is this.
    OtherFramework(String),
    /// No answer ever.
    Hang,
    /// The connection is dropped and nothing done.
    CloseBefore,
    /// The request is carried out, then the connection dropped without an answer.
    CloseAfter,
    /// A kill is answered with 200 and its tasks, and never carried out.
    AcceptNever,
    /// A kill is answered with 200 and its tasks, and carried out this much later.
    ExecuteLate(Duration),
    /// A kill is carried out, and its answer names the tasks' next incarnations.
    OtherIncarnation,
    /// The request arrives a second time, this much after the first.
    Twice(Duration),
}

/// A POST, PUT or DELETE as it arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query string.
    pub query: Option<String>,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// When it arrived.
    pub at: DateTime<Utc>,
}

impl Recorded {
    /// The value of a header, by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

/// A trouble that has been made and has not ended.
#[derive(Clone, Debug)]
pub struct Bespoken {
    /// Which one it is.
    pub number: u64,
    /// The requests it befalls.
    pub on: On,
    /// What goes wrong.
    pub trouble: Trouble,
    /// How many requests are left to it; without this, all.
    pub left: Option<u32>,
    /// When it ends, by the time of the pretend world.
    pub until: Option<DateTime<Utc>>,
    /// The node it is on; without this, whichever leads.
    pub node: Option<String>,
}

/// Who asks for trouble.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Victim<'a> {
    pub(crate) node: &'a str,
    pub(crate) leads: bool,
    pub(crate) now: DateTime<Utc>,
}

impl Victim<'_> {
    fn is_meant(&self, b: &Bespoken) -> bool {
        b.node.as_deref().map_or(self.leads, |node| node == self.node)
    }
}

#[derive(Default)]
struct Inner {
    troubles: VecDeque<Bespoken>,
    made: u64,
    requests: Vec<Recorded>,
    reads: VecDeque<String>,
    read: u64,
}

/// How many reads are remembered.
const READS: usize = 10_000;

/// A handle on the trouble; clones share it.
#[derive(Clone, Default)]
pub struct Mischief(Arc<Mutex<Inner>>);

impl Mischief {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a trouble; its number is given to it here.
    pub fn make(&self, mut bespoken: Bespoken) -> u64 {
        let mut inner = self.lock();
        inner.made += 1;
        bespoken.number = inner.made;
        if bespoken.left != Some(0) {
            inner.troubles.push_back(bespoken);
        }
        inner.made
    }

    fn plain(&self, on: On, left: Option<u32>, trouble: Trouble) {
        self.make(Bespoken {
            number: 0,
            on,
            trouble,
            left,
            until: None,
            node: None,
        });
    }

    /// The next `times` requests of this kind, after those already bespoken, go wrong so.
    pub fn next(&self, on: On, times: u32, trouble: Trouble) {
        self.plain(on, Some(times), trouble);
    }

    /// All requests of this kind go wrong so until [`Mischief::clear`].
    pub fn always(&self, on: On, trouble: Trouble) {
        self.plain(on, None, trouble);
    }

    /// No more trouble with requests of this kind.
    pub fn clear(&self, on: On) {
        self.lock().troubles.retain(|b| b.on != on);
    }

    /// No more trouble.
    pub fn clear_all(&self) {
        self.lock().troubles.clear();
    }

    /// Ends one trouble. Says whether it was there.
    pub fn end(&self, number: u64) -> bool {
        let mut inner = self.lock();
        let before = inner.troubles.len();
        inner.troubles.retain(|b| b.number != number);
        inner.troubles.len() < before
    }

    /// The troubles there are at a time.
    #[must_use]
    pub fn troubles(&self, now: DateTime<Utc>) -> Vec<Bespoken> {
        let mut inner = self.lock();
        inner.troubles.retain(|b| b.until.is_none_or(|until| now < until));
        inner.troubles.iter().cloned().collect()
    }

    /// The trouble due to a request of this kind, used up by asking.
    #[must_use]
    pub(crate) fn take(&self, on: On, victim: Victim<'_>) -> Option<Trouble> {
        let mut inner = self.lock();
        inner
            .troubles
            .retain(|b| b.until.is_none_or(|until| victim.now < until));
        let n = inner
            .troubles
            .iter()
            .position(|b| b.on == on && victim.is_meant(b))?;
        let bespoken = &mut inner.troubles[n];
        let trouble = bespoken.trouble.clone();
        if let Some(left) = &mut bespoken.left {
            *left -= 1;
            if *left == 0 {
                inner.troubles.remove(n);
            }
        }
        Some(trouble)
    }

    /// Whether trouble waits for the next request of this kind.
    #[must_use]
    pub(crate) fn awaits(&self, on: On, victim: Victim<'_>) -> bool {
        let inner = self.lock();
        let mut troubles = inner.troubles.iter();
        troubles.any(|b| b.on == on && victim.is_meant(b) && b.until.is_none_or(|until| victim.now < until))
    }

    /// Puts a request on record.
    pub fn record(&self, request: Recorded) {
        self.lock().requests.push(request);
    }

    /// Puts a read on record.
    pub fn record_read(&self, path_and_query: &str) {
        let mut inner = self.lock();
        inner.read += 1;
        inner.reads.push_back(path_and_query.to_owned());
        if inner.reads.len() > READS {
            inner.reads.pop_front();
        }
    }

    /// The path and query of the last reads, as they arrived; the oldest are forgotten.
    #[must_use]
    pub fn reads(&self) -> Vec<String> {
        self.lock().reads.iter().cloned().collect()
    }

    /// How many reads there have been in all.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.lock().read
    }

    /// The requests on record.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.lock().requests.clone()
    }

    /// Forgets every request on record.
    pub fn forget_requests(&self) {
        let mut inner = self.lock();
        inner.requests.clear();
        inner.reads.clear();
        inner.read = 0;
    }
}
