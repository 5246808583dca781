//! Which addresses a probe may reach.
//!
//! Whoever may write a policy could otherwise use probes to reach whatever the operator can reach:
//! cloud metadata, its own API, Marathon. So a host is resolved here, every address it has is
//! checked, and the connection goes to a checked address and to no other: a name that resolves
//! differently a moment later (rebinding) finds nobody who asks it again.

use async_trait::async_trait;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::{Host, Url};

/// Turns a host name into addresses.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// All addresses of a name.
    ///
    /// # Errors
    ///
    /// When there are none, or when nobody could be asked.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The resolver of the machine: `/etc/hosts`, then DNS.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// What the settings allow, `probes.allowHosts`.
///
/// # Guarantees
///
/// - Without any entry only public addresses may be reached.
/// - With entries only what they name: a host by `cart.example.net` or `*.example.net`, an address
///   by `10.0.0.0/8`, `10.1.2.3` or `fd00::/8`.
/// - A host name opens private networks, because probes usually are internal, but never loopback or
///   link-local addresses (cloud metadata): those need to be named as addresses.
/// - Unspecified, multicast, broadcast and reserved addresses are never reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    hosts: Vec<String>,
    networks: Vec<Network>,
}

/// A span of addresses with a common beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    base: IpAddr,
    bits: u8,
}

impl AllowList {
    /// Reads the entries of the settings.
    ///
    /// # Errors
    ///
    /// One sentence for each entry that can't be read; none of them is used.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, Vec<String>> {
        let (mut list, mut problems) = (Self::default(), vec![]);
        for entry in entries.iter().map(|entry| entry.as_ref().trim()) {
            match (Network::parse(entry), is_host_pattern(entry)) {
                (Some(network), _) => list.networks.push(network),
                (None, true) => list.hosts.push(entry.trim_end_matches('.').to_ascii_lowercase()),
                (None, false) => problems.push(format!(
                    "`{entry}` in probes.allowHosts is neither a host like *.example.net nor a network like 10.0.0.0/8"
                )),
            }
        }
        if problems.is_empty() {
            Ok(list)
        } else {
            Err(problems)
        }
    }

    /// Whether `address`, found under `host`, may be reached; otherwise why not.
    fn judge(&self, host: &str, address: IpAddr) -> Result<(), String> {
        // An IPv4 address in IPv6 clothes ends where the IPv4 address does.
        let address = unwrapped(address);
        let kind = Kind::of(address);
        let named = self.networks.iter().any(|network| network.contains(address));
        let host_named = self.hosts.iter().any(|pattern| matches(pattern, host));
        let fine = match kind {
            Kind::Never => false,
            Kind::Public => named || host_named || (self.hosts.is_empty() && self.networks.is_empty()),
            Kind::Private => named || host_named,
            Kind::Own | Kind::Link => named,
        };
        if fine {
            return Ok(());
        }
        let todo = match kind {
            Kind::Never => "probes never go there",
            Kind::Own | Kind::Link => "an administrator can allow it as an address in probes.allowHosts",
            Kind::Public | Kind::Private => "an administrator can allow it in probes.allowHosts",
        };
        Err(format!(
            "{host} is at {address}, a {kind} address that probes may not reach; {todo}"
        ))
    }
}

impl Network {
    /// `10.0.0.0/8`, `fd00::/8`, `10.1.2.3`.
    fn parse(text: &str) -> Option<Self> {
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let base: IpAddr = base.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { base, bits })
    }

    fn contains(self, address: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u8| {
            let rest = u32::from(width - self.bits);
            rest >= 128 || a >> rest == b >> rest
        };
        match (self.base, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(b).into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128),
            _ => false,
        }
    }
}

/// Letters, digits, dots, hyphens, underscores, and stars for whole or part labels; not only stars.
fn is_host_pattern(text: &str) -> bool {
    text.chars().any(|c| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.*".contains(c))
        && !text.starts_with('.')
        && !text.contains("..")
}

/// Whether a host fits a pattern, where `*` stands for anything within it, dots included.
fn matches(pattern: &str, host: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = host.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(place) = rest.find(part) else {
            return false;
        };
        rest = &rest[place + part.len()..];
    }
    // A star stands for at least one character, so that `*.example.net` is not `.example.net`.
    rest.len() > last.len() && rest.ends_with(last)
}

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Public,
    /// Private, shared (CGNAT) or unique local.
    Private,
    /// This machine.
    Own,
    /// Link-local; cloud metadata lives here.
    Link,
    /// Nothing that a probe could mean.
    Never,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Own => "loopback",
            Self::Link => "link-local or metadata",
            Self::Never => "reserved",
        })
    }
}

impl Kind {
    /// By the special-purpose address registries of IANA.
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            [127, ..] => Self::Own,
            [169, 254, ..] => Self::Link,
            // Metadata and host services of Azure and Alibaba Cloud.
            [168, 63, 129, 16] | [100, 100, 100, 200] => Self::Link,
            [10, ..] | [192, 168, ..] => Self::Private,
            [172, b, ..] if (16..32).contains(&b) => Self::Private,
            [100, b, ..] if (64..128).contains(&b) => Self::Private,
            // Benchmarks (RFC 2544): some clusters use it as one more private network.
            [198, 18 | 19, ..] => Self::Private,
            [0, ..] | [224..=255, ..] | [192, 0, 0, _] => Self::Never,
            [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => Self::Never,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        if address == Ipv6Addr::LOCALHOST {
            return Self::Own;
        }
        match address.segments() {
            // fd00:ec2::254, Amazon's metadata on IPv6.
            [0xfd00, 0x0ec2, ..] => Self::Link,
            [0xfe80..=0xfebf, ..] => Self::Link,
            [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Self::Private,
            // Teredo, documentation, 6to4: each may carry another address.
            [0x2001, 0x0000..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x2002, ..] => Self::Never,
            [0x3fff, 0x0000..=0x0fff, ..] => Self::Never,
            [0x2000..=0x3fff, ..] => Self::Public,
            _ => Self::Never,
        }
    }
}

/// The IPv4 address inside an IPv4-mapped, IPv4-compatible or NAT64 one; any other as it is.
fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let low = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] => low(a, b),
        [0x64, 0xff9b, 1, _, _, _, a, b] => low(a, b),
        [0, 0, 0, 0, 0, 0, a, b] if a != 0 => low(a, b),
        _ => address,
    }
}

/// A host and port that no probe may reach, whatever the settings allow: our own listener, Marathon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    host: String,
    port: u16,
}

impl Denied {
    /// Reads `host:port` or a URL.
    ///
    /// # Errors
    ///
    /// A sentence when it is neither: it would deny nothing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither a URL nor host:port, so it can't be kept from probes");
        if text.contains("://") {
            let url = Url::parse(text).map_err(|_| wrong())?;
            let host = url.host_str().ok_or_else(wrong)?;
            let port = url.port_or_known_default().ok_or_else(wrong)?;
            return Ok(Self {
                host: plain(host),
                port,
            });
        }
        let (host, port) = split_address(text).ok_or_else(wrong)?;
        Ok(Self {
            host: plain(&host),
            port,
        })
    }
}

/// Lower case, no brackets, no dot at the end.
fn plain(host: &str) -> String {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .trim_end_matches('.')
        .to_ascii_lowercase()
}

/// `host:port`, with IPv6 in brackets.
fn split_address(text: &str) -> Option<(String, u16)> {
    if text.contains(['/', '@', '?', '#', '%', ' ']) {
        return None;
    }
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    if bare.is_none() && host.contains(':') {
        return None;
    }
    // The URL standard's reading, so that 0x7f.1 is 127.0.0.1 here, too.
    let host = Host::parse(host).ok()?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    Some((plain(&host.to_string()), port))
}

/// Why there is no address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoAddress {
    /// The name could not be resolved.
    Unresolved(String),
    /// It may not be reached, or it makes no sense.
    Refused(String),
}

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved(why) | Self::Refused(why) => f.write_str(why),
        }
    }
}

/// Checks where probes go.
pub(super) struct Door {
    pub allow: AllowList,
    pub denied: Vec<Denied>,
    pub resolver: Box<dyn Resolver>,
}

impl Door {
    /// The addresses that a URL may be fetched from; never empty.
    ///
    /// # Errors
    ///
    /// A sentence: what is wrong with the URL, or which address may not be reached. One bad address
    /// among several refuses all of them: which of them is used would be up to chance.
    pub async fn url(&self, url: &Url) -> Result<Vec<SocketAddr>, NoAddress> {
        let refused = |why: &str| Err(NoAddress::Refused(why.to_owned()));
        if !matches!(url.scheme(), "http" | "https") {
            return refused(&format!("probes speak http and https, not {}", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("the URL carries a user name or a password; take it out");
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return refused("the URL names no host");
        };
        self.host(&plain(host), port).await
    }

    /// The addresses that `host:port` may be reached at; never empty.
    ///
    /// # Errors
    ///
    /// As for [`url`](Self::url).
    pub async fn address(&self, text: &str) -> Result<Vec<SocketAddr>, NoAddress> {
        let (host, port) =
            split_address(text).ok_or_else(|| NoAddress::Refused(format!("`{text}` is not host:port")))?;
        self.host(&host, port).await
    }

    async fn host(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, NoAddress> {
        let found = self.resolve(host, port).await.map_err(NoAddress::Unresolved)?;
        for address in &found {
            self.allow.judge(host, address.ip()).map_err(NoAddress::Refused)?;
        }
        for denied in self.denied.iter().filter(|denied| denied.port == port) {
            let same =
                denied.host == host || self.is_denied(denied, &found).await.map_err(NoAddress::Refused)?;
            if same {
                return Err(NoAddress::Refused(format!(
                    "{host}:{port} is the operator's own or Marathon's, which probes never reach"
                )));
            }
        }
        Ok(found)
    }

    async fn is_denied(&self, denied: &Denied, found: &[SocketAddr]) -> Result<bool, String> {
        let theirs = self.resolve(&denied.host, denied.port).await?;
        let theirs: Vec<IpAddr> = theirs.iter().map(|address| unwrapped(address.ip())).collect();
        Ok(found.iter().map(|address| unwrapped(address.ip())).any(|ip| {
            // A listener on every interface is at each of this machine's addresses.
            theirs.contains(&ip) || (theirs.iter().any(IpAddr::is_unspecified) && is_ours(ip))
        }))
    }

    async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let found = self.resolver.resolve(host, port).await;
        let mut found = found.map_err(|error| format!("{host} could not be resolved: {error}"))?;
        found.iter_mut().for_each(|address| address.set_port(port));
        if found.is_empty() {
            Err(format!("{host} has no address"))
        } else {
            Ok(found)
        }
    }
}

/// Whether an address is this machine's: only those can be bound. Sends nothing.
fn is_ours(ip: IpAddr) -> bool {
    ip.is_loopback() || std::net::UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests;
