//! Reading: several nodes, one answer, and a sentence for everything that could not be read.

use super::asks::{Ask, asks};
use super::auth::{Auth, with_token};
use super::convert::{Seen, app};
use super::dcos::Session;
use super::decode::{AppList, Found};
use super::pods::pod;
use super::probe::Probed;
use super::tls::{TlsFiles, advice, configure};
use super::wire;
use crate::model::ids::{AppId, ClusterName};
use crate::model::snapshot::{App, Gap, GapKind, Snapshot};
use crate::ports::clock::Clock;
use crate::ports::cluster::Query;
use reqwest::header::{self, HeaderMap};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

/// A cluster that had no pods is asked for pods again after this long.
const PODS_EVERY: Duration = Duration::from_secs(60);
/// Redirects followed by hand before giving up.
const HOPS: usize = 3;

/// Everything a client needs.
#[derive(Clone)]
pub struct Options {
    /// Name of the cluster in the settings.
    pub cluster: ClusterName,
    /// Base addresses of the nodes, tried in this order; a path in front of `/v2` is allowed.
    pub urls: Vec<Url>,
    /// Who we are.
    pub auth: Auth,
    /// Files for TLS.
    pub tls: TlsFiles,
    /// `host` or `host:port` beside those of `urls` to which credentials may go: for redirects and for
    /// the leader that Marathon names.
    pub allowed_hosts: BTreeSet<String>,
    /// For a connection with its TLS handshake; 5 s is usual.
    pub connect_timeout: Duration,
    /// For one whole read; at least 30 s for big clusters.
    pub read_timeout: Duration,
    /// Silence after which an event stream counts as dead; 30 s, Marathon says something every 10 s.
    pub event_silence: Duration,
    /// Most bytes of the app list, unpacked; 512 MiB is usual.
    pub max_list_bytes: usize,
    /// Most bytes of any other answer; 8 MiB is usual.
    pub max_body_bytes: usize,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Why no client could be made. Nothing was sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Marathon {cluster}: {why}")]
pub struct SetupError {
    /// Which cluster.
    pub cluster: ClusterName,
    /// In a sentence.
    pub why: String,
}

/// One Marathon. Cheap to share by reference; remembers who leads, what the leader is and which pods there
/// are, never an app.
pub struct Client {
    pub(super) options: Options,
    pub(super) tls: Arc<rustls::ClientConfig>,
    pub(super) http: reqwest::Client,
    leader: Mutex<Option<String>>,
    pub(super) probed: Mutex<Option<Probed>>,
    /// Which pods there were, and when.
    pods: Mutex<Option<(Duration, BTreeSet<AppId>)>>,
    /// Big lists are read one at a time: several at once only slow Marathon down.
    listing: tokio::sync::Mutex<()>,
    pub(super) session: Session,
}

/// An answer, whatever its status.
pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Client {
    /// Makes a client; sends nothing.
    ///
    /// # Errors
    ///
    /// When the addresses, files or credentials cannot be used, in a sentence.
    pub fn new(options: Options) -> Result<Self, SetupError> {
        let refuse = |why: String| SetupError {
            cluster: options.cluster.clone(),
            why,
        };
        if options.urls.is_empty() {
            return Err(refuse("no address is configured".to_owned()));
        }
        for url in &options.urls {
            let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
            if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !plain {
                return Err(refuse(format!(
                    "the address of {} must be http:// or https://, without credentials or a query",
                    url.host_str().unwrap_or("a node")
                )));
            }
        }
        match &options.auth {
            Auth::DcosServiceAccount(account) => {
                let url = &account.login_url;
                let plain = options.urls.iter().all(|u| u.scheme() == "http");
                if url.scheme() != "https" && !(plain && url.scheme() == "http") {
                    return Err(refuse(
                        "the login URL of DC/OS must be https://, as the masters are".to_owned(),
                    ));
                }
            }
            Auth::Basic { user, .. } if user.contains(':') => {
                return Err(refuse("the user name must not contain a colon".to_owned()));
            }
            auth => auth.header().map(drop).map_err(refuse)?,
        }
        let tls = configure(&options.tls).map_err(refuse)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .connect_timeout(options.connect_timeout)
            .user_agent(super::changes::AGENT)
            .build()
            .map_err(|e| refuse(format!("the HTTP client could not be made: {}", sentence(&e))))?;
        Ok(Self {
            session: Session::new(options.clock.clone()),
            options,
            tls,
            http,
            leader: Mutex::new(None),
            probed: Mutex::new(None),
            pods: Mutex::new(None),
            listing: tokio::sync::Mutex::default(),
        })
    }

    /// Base addresses, the leader's first where credentials may go there.
    pub(super) fn nodes(&self) -> Vec<Url> {
        let leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut nodes = self.options.urls.clone();
        if let Some(leader) = leader
            .and_then(|l| Url::parse(&l).ok())
            .filter(|l| self.may_go_to(l))
        {
            match nodes.iter().position(|n| n.origin() == leader.origin()) {
                Some(place) => nodes[..=place].rotate_right(1),
                None => nodes.insert(0, leader),
            }
        }
        nodes
    }

    /// Whether credentials may go to this address: a configured node or a listed host, and never in
    /// plain text when the nodes are configured with TLS.
    pub(super) fn may_go_to(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        if self.options.urls.iter().any(|u| u.origin() == url.origin()) {
            return true;
        }
        let scheme = url.scheme() == "https"
            || (url.scheme() == "http" && self.options.urls.iter().all(|u| u.scheme() == "http"));
        let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or(0));
        scheme
            && (self.options.allowed_hosts.contains(host) || self.options.allowed_hosts.contains(&with_port))
    }

    pub(super) fn remember_leader(&self, headers: &HeaderMap) {
        if let Some(told) = headers.get("x-marathon-leader").and_then(|v| v.to_str().ok()) {
            *self.leader.lock().unwrap_or_else(PoisonError::into_inner) = Some(told.to_owned());
        }
    }

    pub(super) fn told_leader(&self) -> Option<String> {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The value of `Authorization`; logs in first where that has to be.
    ///
    /// # Errors
    ///
    /// A sentence without any secret; nothing was asked of Marathon then.
    pub async fn authorization(&self) -> Result<Option<hyper::http::HeaderValue>, String> {
        match &self.options.auth {
            Auth::DcosServiceAccount(account) => {
                with_token(&self.session.token(&self.http, account).await?).map(Some)
            }
            auth => auth.header(),
        }
    }

    /// What was given as authorization was not taken: the next question logs in anew, where there is a
    /// login.
    pub fn forget_login(&self) {
        self.session.forget();
    }

    /// The certificates that it trusts and shows.
    pub fn certificates(&self) -> Arc<rustls::ClientConfig> {
        self.tls.clone()
    }

    /// One GET, redirects followed by hand with credentials, to listed hosts only. The body is not read.
    ///
    /// # Errors
    ///
    /// A sentence, and whether another node may do better.
    pub(super) async fn open(
        &self,
        mut url: Url,
        accept: &'static str,
        timeout: Option<Duration>,
    ) -> Result<reqwest::Response, (String, bool)> {
        for _ in 0..=HOPS {
            let mut request = self.http.get(url.clone()).header(header::ACCEPT, accept);
            if let Some(value) = self.authorization().await.map_err(|why| (why, false))? {
                request = request.header(header::AUTHORIZATION, value);
            }
            if let Some(timeout) = timeout {
                request = request.timeout(timeout);
            }
            let response = request
                .send()
                .await
                .map_err(|e| (sentence(&e.without_url()), true))?;
            self.remember_leader(response.headers());
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let target = response
                .headers()
                .get(header::LOCATION)
                .and_then(|l| l.to_str().ok());
            let target = target
                .and_then(|t| url.join(t).ok())
                .ok_or_else(|| (format!("{} redirects to nowhere", place(&url)), true))?;
            if !self.may_go_to(&target) {
                return Err((
                    format!(
                        "{} redirects to {}, which is not among the hosts that may get our credentials: \
                         list it if it is a Marathon node",
                        place(&url),
                        place(&target)
                    ),
                    true,
                ));
            }
            url = target;
        }
        Err((format!("{} redirects in a circle", place(&url)), true))
    }

    /// One GET, with a token that is renewed once.
    async fn get(&self, url: &Url) -> Result<reqwest::Response, (String, bool)> {
        let mut renewed = false;
        loop {
            let response = self
                .open(url.clone(), "application/json", Some(self.options.read_timeout))
                .await
                .map_err(|(why, again)| (format!("{}: {why}", place(url)), again))?;
            // A token may have been renewed while the request was under way: once more, and only once.
            if response.status() != 401 || renewed || matches!(self.options.auth, Auth::None) {
                return Ok(response);
            }
            self.session.forget();
            renewed = true;
        }
    }

    async fn read_from(&self, url: Url, most: usize) -> Result<Answer, (String, bool)> {
        let response = self.get(&url).await?;
        whole(&place(&url), response, most).await
    }

    /// Reads a list of apps while it arrives, from the first node that can send all of it.
    async fn list(&self, ask: &Ask, queries: &[Query]) -> Result<(Found, Option<String>), String> {
        let label = ask.label();
        let mut params: Vec<(&str, &str)> = Vec::new();
        params.extend(label.as_deref().map(|l| ("label", l)));
        params.extend(ask.id().map(|id| ("id", id)));
        params.extend(["apps.tasks", "apps.counts", "apps.deployments"].map(|e| ("embed", e)));
        let mut all = Vec::new();
        for node in self.nodes() {
            match self
                .list_from(address(&node, &["v2", "apps"], &params), queries)
                .await
            {
                Ok(found) => return Ok(found),
                Err((why, again)) => {
                    all.push(why);
                    if !again {
                        break;
                    }
                }
            }
        }
        Err(all.join("; "))
    }

    async fn list_from(
        &self,
        url: Url,
        queries: &[Query],
    ) -> Result<(Found, Option<String>), (String, bool)> {
        let node = place(&url);
        let mut response = self.get(&url).await?;
        if response.status() != 200 {
            let answer = whole(&node, response, self.options.max_body_bytes).await?;
            return Err((refused(answer.status, &answer.body), false));
        }
        let mut list = AppList::new(queries, self.options.max_list_bytes);
        let unread = |why: String| (format!("{node}: {why}"), false);
        while let Some(piece) = next(&node, &mut response).await? {
            list.take(&piece).map_err(unread)?;
        }
        let leader = leader_of(response.headers());
        list.end().map_err(unread).map(|found| (found, leader))
    }

    /// Reads from the first node that can answer.
    async fn read(&self, path: &[&str], query: &[(&str, &str)], most: usize) -> Result<Answer, String> {
        let mut all = Vec::new();
        for node in self.nodes() {
            match self.read_from(address(&node, path, query), most).await {
                Ok(answer) => return Ok(answer),
                Err((why, again)) => {
                    all.push(why);
                    if !again {
                        break;
                    }
                }
            }
        }
        Err(all.join("; "))
    }

    pub(super) async fn read_ok(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        most: usize,
    ) -> Result<Answer, String> {
        let answer = self.read(path, query, most).await?;
        if answer.status == 200 {
            Ok(answer)
        } else {
            Err(refused(answer.status, &answer.body))
        }
    }

    /// Whether a node answers `/ping`, with whatever status: a node that has lost its leader is no sign that
    /// we are cut off.
    pub(super) async fn answers(&self) -> Result<(), String> {
        let mut all = Vec::new();
        for node in self.nodes() {
            match self.get(&address(&node, &["ping"], &[])).await {
                Ok(_) => return Ok(()),
                Err((why, again)) => {
                    all.push(why);
                    if !again {
                        break;
                    }
                }
            }
        }
        Err(all.join("; "))
    }

    pub(super) async fn look_at_all(&self, queries: &[Query]) -> Snapshot {
        let _one_at_a_time = self.listing.lock().await;
        let taken_at = self.options.clock.now();
        let mut seen = Seen::default();
        let mut leaders = BTreeSet::new();
        let first = self.info().await;
        for ask in asks(queries) {
            match self.list(&ask, queries).await {
                Ok((found, leader)) => {
                    leaders.extend(leader);
                    seen.add(found);
                }
                Err(why) => seen.gaps.push(gap(GapKind::Apps, "the app list", &why)),
            }
        }
        self.look_at_pods(queries, &mut seen, &mut leaders).await;
        let most = self.options.max_body_bytes;
        match self.read_ok(&["v2", "deployments"], &[], most).await {
            Ok(answer) => {
                leaders.extend(leader_of(&answer.headers));
                seen.take_deployments(&answer.body);
            }
            Err(why) => seen
                .gaps
                .push(gap(GapKind::Deployments, "the list of deployments", &why)),
        }
        match self.read_ok(&["v2", "queue"], &[], most).await {
            Ok(answer) => {
                leaders.extend(leader_of(&answer.headers));
                seen.take_queue(&answer.body);
            }
            Err(why) => seen.gaps.push(gap(GapKind::Queue, "the launch queue", &why)),
        }
        // Known already, unless somebody else leads by now. What two of them said is not one view.
        let info = match (first, self.info().await) {
            (Ok(first), Ok(last)) if first.framework_id != last.framework_id => Err(format!(
                "it was framework {:?} when the look began and {:?} when it ended",
                first.framework_id, last.framework_id
            )),
            (_, last) => last,
        };
        if leaders.len() > 1 {
            let all = leaders.into_iter().collect::<Vec<_>>().join(" and ");
            let why = format!("parts of it come from different leaders ({all})");
            seen.gaps.push(gap(GapKind::Apps, "one whole view", &why));
        }
        let info = info
            .map_err(|why| seen.gaps.push(gap(GapKind::Info, "/v2/info", &why)))
            .ok();
        Snapshot {
            cluster: self.options.cluster.clone(),
            taken_at,
            info,
            apps: seen.apps,
            agents: None,
            gaps: seen.gaps,
        }
    }

    /// One list, and nothing else.
    pub(super) async fn list_once(&self, query: &Query) -> Result<usize, String> {
        let _one_at_a_time = self.listing.lock().await;
        let queries = std::slice::from_ref(query);
        let ask = asks(queries).into_iter().next().ok_or("nothing is asked for")?;
        let (found, _) = self.list(&ask, queries).await?;
        match found.gaps.into_iter().next() {
            None => Ok(found.apps.len()),
            Some(gap) => Err(gap.why),
        }
    }

    /// Pods that a query lets through. A cluster without pods is not asked again for a while: a pod that is
    /// seen a minute late is a target a minute late.
    async fn look_at_pods(&self, queries: &[Query], seen: &mut Seen, leaders: &mut BTreeSet<String>) {
        let now = self.options.clock.elapsed();
        let young = |at: Duration| now.saturating_sub(at) < PODS_EVERY;
        let none = {
            let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
            pods.as_ref()
                .is_some_and(|(at, ids)| ids.is_empty() && young(*at))
        };
        if queries.is_empty() || none {
            return;
        }
        let unseen = |why: String| gap(GapKind::Pods, "the list of pods", &why);
        let most = self.options.max_list_bytes;
        let ids = match self.read(&["v2", "pods", "::status"], &[], most).await {
            Ok(answer) if answer.status == 200 => {
                leaders.extend(leader_of(&answer.headers));
                seen.take_pods(&answer.body, queries)
            }
            // A Marathon, or a door before it, that does not know pods has none.
            Ok(answer) if matches!(answer.status, 404 | 405) || is_unknown_url(&answer) => {
                Some(BTreeSet::new())
            }
            Ok(answer) => {
                seen.gaps.push(unseen(refused(answer.status, &answer.body)));
                None
            }
            Err(why) => {
                seen.gaps.push(unseen(why));
                None
            }
        };
        *self.pods.lock().unwrap_or_else(PoisonError::into_inner) = ids.map(|ids| (now, ids));
    }

    async fn look_at_pod(&self, id: &AppId) -> Result<Option<App>, String> {
        let last = format!("{id}::status");
        let path: Vec<&str> = ["v2", "pods"]
            .into_iter()
            .chain(last.split('/').skip(1))
            .collect();
        let answer = self.read(&path, &[], self.options.max_body_bytes).await?;
        let gone = format!("Pod '{id}' does not exist");
        match answer.status {
            200 => {
                let text = std::str::from_utf8(&answer.body)
                    .map_err(|e| format!("the answer is {}: {e}", wire::said(&answer.body)))?;
                let seen = pod(text).map_err(|gap| gap.why)?;
                if seen.id == *id {
                    Ok(Some(seen))
                } else {
                    Err(format!("Marathon answered about {}", seen.id))
                }
            }
            // The message is a JSON text of its own.
            404 if wire::message(&answer.body).is_some_and(|m| m.contains(&gone)) => Ok(None),
            status => Err(refused(status, &answer.body)),
        }
    }

    pub(super) async fn look_at_one(&self, id: &AppId) -> Result<Option<App>, Gap> {
        let unseen = |why: String| Gap {
            app: Some(id.clone()),
            what: GapKind::Apps,
            why: format!("{id}: {why}"),
        };
        AppId::parse(id.as_str()).map_err(unseen)?;
        let is_pod = {
            let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
            pods.as_ref().is_some_and(|(_, ids)| ids.contains(id))
        };
        if is_pod {
            return self.look_at_pod(id).await.map_err(unseen);
        }
        let mut path = vec!["v2", "apps"];
        path.extend(id.as_str().split('/').skip(1));
        let answer = self
            .read(&path, &[], self.options.max_body_bytes)
            .await
            .map_err(unseen)?;
        match answer.status {
            200 => {
                let one: wire::OneApp<'_> = serde_json::from_slice(&answer.body)
                    .map_err(|e| unseen(format!("the answer is {}: {e}", wire::said(&answer.body))))?;
                let seen = app(one.app.get()).map_err(|gap| unseen(gap.why))?;
                if seen.id == *id {
                    Ok(Some(seen))
                } else {
                    Err(unseen(format!("Marathon answered about {}", seen.id)))
                }
            }
            404 if wire::message(&answer.body).is_some_and(|m| m == format!("App '{id}' does not exist")) => {
                Ok(None)
            }
            status => Err(unseen(refused(status, &answer.body))),
        }
    }
}

/// 1.6 and later say 500 to an address they do not have.
fn is_unknown_url(answer: &Answer) -> bool {
    answer.status == 500 && wire::message(&answer.body).is_some_and(|m| m.starts_with("URI not found"))
}

/// The leader that an answer names.
fn leader_of(headers: &HeaderMap) -> Option<String> {
    let told = headers.get("x-marathon-leader")?;
    told.to_str().ok().map(str::to_owned)
}

/// A number of bytes, for people.
pub(super) fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 {
        format!("{} MiB", bytes >> 20)
    } else {
        format!("{bytes} bytes")
    }
}

/// The next bytes of a body; `None` when it is whole.
async fn next(node: &str, response: &mut reqwest::Response) -> Result<Option<bytes::Bytes>, (String, bool)> {
    response.chunk().await.map_err(|e| {
        let why = sentence(&e.without_url());
        (format!("{node} broke off its answer: {why}"), true)
    })
}

/// The whole of a small answer.
async fn whole(node: &str, mut response: reqwest::Response, most: usize) -> Result<Answer, (String, bool)> {
    let mut body = Vec::new();
    while let Some(piece) = next(node, &mut response).await? {
        if body.len() + piece.len() > most {
            return Err((
                format!("{node} sent more than {}, and no more is read of it", size(most)),
                false,
            ));
        }
        body.extend_from_slice(&piece);
    }
    let status = response.status().as_u16();
    let fault = matches!(status, 502..=504) || (status == 500 && wire::message(&body).is_none());
    if fault {
        return Err((
            format!("{node} answered {status} with {}", wire::said(&body)),
            true,
        ));
    }
    Ok(Answer {
        status,
        headers: response.headers().clone(),
        body,
    })
}

fn gap(what: GapKind, name: &str, why: &str) -> Gap {
    Gap {
        app: None,
        what,
        why: format!("{name} could not be read: {why}"),
    }
}

/// `base` with these path segments (encoded) and this query.
pub(super) fn address(base: &Url, path: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url.set_fragment(None);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// Where, without anything secret.
pub(super) fn place(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// What a status other than 200 means, in a sentence.
pub(super) fn refused(status: u16, body: &[u8]) -> String {
    let said = wire::said(body);
    let busy = wire::message(body).is_some_and(|m| m.contains("running deployments"));
    match status {
        401 => format!("Marathon does not know us (401, {said}): check the credentials"),
        403 if busy => format!("Marathon has too many running deployments (403, {said})"),
        403 => format!("Marathon knows us but does not allow it (403, {said}): check the permissions"),
        404 => format!("there is no such thing at this address (404, {said})"),
        409 => format!("a deployment holds the lock (409, {said})"),
        _ => format!("Marathon answered {status} with {said}"),
    }
}

/// An error with its causes, in one line.
pub(super) fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    match advice(&text) {
        Some(advice) => format!("{text}: {advice}"),
        None => text,
    }
}

#[cfg(test)]
#[path = "client_test.rs"]
mod tests;
