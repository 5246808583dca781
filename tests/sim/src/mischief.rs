//! The trouble the pretend world makes, and the record of what was asked of it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

/// Which requests a trouble befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum On {
    /// `/v2/info`.
    Info,
    /// `/v2/apps`, `/v2/tasks`, `/v2/deployments`, `/v2/queue` and the like.
    Reads,
    /// `/v2/apps/{id}` and `/v2/apps/{id}/tasks`.
    OneApp,
    /// `/v2/tasks/delete`.
    Kills,
    /// `/v2/events`.
    Events,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The answer comes late, and is right.
    Delay(Duration),
    /// This status, body and content type.
    Status(u16, String, String),
    /// 200 with a web page.
    Html200,
    /// The JSON is cut in half.
    Truncated,
    /// The JSON has numbers for strings and strings for numbers and booleans.
    WrongTypes,
    /// `{"apps":[]}`.
    EmptyApps,
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

#[derive(Default)]
struct Inner {
    troubles: HashMap<On, VecDeque<(Trouble, Option<u32>)>>,
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

    /// The next `times` requests of this kind, after those already bespoken, go wrong so.
    pub fn next(&self, on: On, times: u32, trouble: Trouble) {
        if times > 0 {
            let mut inner = self.lock();
            let queue = inner.troubles.entry(on).or_default();
            queue.push_back((trouble, Some(times)));
        }
    }

    /// All requests of this kind go wrong so until [`Mischief::clear`].
    pub fn always(&self, on: On, trouble: Trouble) {
        let mut inner = self.lock();
        let queue = inner.troubles.entry(on).or_default();
        queue.push_back((trouble, None));
    }

    /// No more trouble with requests of this kind.
    pub fn clear(&self, on: On) {
        self.lock().troubles.remove(&on);
    }

    /// No more trouble.
    pub fn clear_all(&self) {
        self.lock().troubles.clear();
    }

    /// The trouble due to a request of this kind, used up by asking.
    #[must_use]
    pub fn take(&self, on: On) -> Option<Trouble> {
        let mut inner = self.lock();
        let queue = inner.troubles.get_mut(&on)?;
        let (trouble, left) = queue.front_mut()?;
        let trouble = trouble.clone();
        if let Some(n) = left {
            *n -= 1;
            if *n == 0 {
                queue.pop_front();
            }
        }
        Some(trouble)
    }

    /// Whether trouble waits for the next request of this kind.
    #[must_use]
    pub fn awaits(&self, on: On) -> bool {
        self.lock()
            .troubles
            .get(&on)
            .is_some_and(|queue| !queue.is_empty())
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
}
