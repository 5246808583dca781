//! Where probes may look, as far as a policy can know it.

use std::net::IpAddr;

/// Reads a web address as the settings and the probes need it. The text is never repeated: it may
/// hold a password.
///
/// # Errors
///
/// What is wrong, and how to mend it.
pub(crate) fn web_address(text: &str) -> Result<url::Url, (String, String)> {
    let help = || "write for example `http://host.example:8080/path`".to_owned();
    let url = url::Url::parse(text).map_err(|e| (format!("this is not a web address: {e}"), help()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err((format!("`{}` is not http or https", url.scheme()), help()));
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || text
            .split(['/', '?', '#'])
            .nth(2)
            .is_some_and(|a| a.contains('@'))
    {
        return Err((
            "the address has a user or password in it".to_owned(),
            "remove them: addresses are logged and shown".to_owned(),
        ));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(("the address has no host".to_owned(), help()));
    }
    Ok(url)
}

/// Hosts that no probe has a reason to ask, and spellings that hide where a request goes.
///
/// Whether a private network is allowed is the settings' to say (`probes.allowHosts`), and is checked
/// again for every address that the name resolves to.
pub(super) fn probe_host(url: &url::Url, text: &str) -> Result<(), (String, String)> {
    let written = text
        .split("://")
        .nth(1)
        .unwrap_or("")
        .split(['/', '?', '#'])
        .next()
        .unwrap_or("");
    let written = match written.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => written,
    };
    let host = url.host_str().unwrap_or("");
    let plainly = "write the host plainly: an ASCII name, or four decimal numbers".to_owned();
    if !written.is_ascii() || written.contains('%') || written.contains("xn--") {
        return Err((
            "the host is not written in plain ASCII: it may look like another".to_owned(),
            plainly,
        ));
    }
    if host.ends_with('.') {
        return Err(("the host ends in a dot".to_owned(), "remove the dot".to_owned()));
    }
    let address: Option<IpAddr> = match url.host() {
        Some(url::Host::Ipv4(v4)) => {
            if written != v4.to_string() {
                return Err((format!("the host is another spelling of {v4}"), plainly));
            }
            Some(v4.into())
        }
        Some(url::Host::Ipv6(v6)) => Some(v6.to_ipv4_mapped().map_or(v6.into(), IpAddr::from)),
        _ => None,
    };
    let Some(address) = address else { return Ok(()) };
    let refused = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.segments()[..2] == [0xfd00, 0x0ec2]
        }
    };
    if refused {
        return Err((
            format!(
                "{address} is a link-local, metadata, multicast or unspecified address: it is never probed"
            ),
            "probe the service at its own address".to_owned(),
        ));
    }
    Ok(())
}
