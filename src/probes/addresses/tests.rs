use super::*;
use std::sync::Mutex;

/// Knows a few names; everything else has no address.
struct Names;

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found: &[&str] = match host {
            "public.example.net" => &["93.184.216.34"],
            "cart.example.net" | "cart.example.net.evil.com" => &["10.1.2.3"],
            "localhost" | "metadata-to-self.example.net" => &["127.0.0.1"],
            "metadata.example.net" | "metadata.google.internal" => &["169.254.169.254"],
            "mixed.example.net" => &["93.184.216.34", "127.0.0.1"],
            "marathon.example.net" => &["10.9.9.9"],
            "empty.example.net" => &[],
            look_alike if look_alike.starts_with("xn--") => &["10.6.6.6"],
            _ => return Err(io::Error::other("no such host")),
        };
        Ok(found
            .iter()
            .map(|ip| SocketAddr::new(ip.parse().unwrap(), port))
            .collect())
    }
}

fn door(allow: &[&str]) -> Door {
    Door {
        allow: AllowList::parse(allow).unwrap(),
        denied: [
            "http://marathon.example.net:8080",
            "0.0.0.0:9999",
            "127.0.0.1:9091",
        ]
        .map(|text| Denied::parse(text).unwrap())
        .into(),
        resolver: Box::new(Names),
    }
}

async fn judge(door: &Door, url: &str) -> Result<Vec<SocketAddr>, String> {
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    door.url(&url).await.map_err(|why| why.to_string())
}

#[tokio::test]
async fn without_settings_only_public_addresses_are_reached() {
    let door = door(&[]);
    for url in [
        "http://93.184.216.34/",
        "https://public.example.net/",
        "https://public.example.net.:8443/x?y",
        "http://[2606:2800:220:1:248:1893:25c8:1946]/",
        "http://PUBLIC.example.NET/",
        "http://[64:ff9b::93.184.216.34]/",
        "http://[::ffff:93.184.216.34]/",
    ] {
        assert!(
            judge(&door, url).await.is_ok(),
            "{url}: {:?}",
            judge(&door, url).await
        );
    }
    for url in [
        // Loopback, in all its spellings.
        "http://127.0.0.1/",
        "http://127.1/",
        "http://127.255.255.254/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://[::1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b:1::7f00:1]/",
        "http://①②⑦.⓪.⓪.①/",
        "http://metadata-to-self.example.net/",
        // Metadata and link-local.
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://metadata.google.internal/",
        "http://metadata.example.net/",
        "http://168.63.129.16/",
        "http://100.100.100.200/",
        // Private, shared, unique local.
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://172.31.255.255/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://198.18.0.1/",
        "http://[fc00::1]/",
        "http://[fd12:3456::1]/",
        "http://[fec0::1]/",
        "http://cart.example.net/",
        // Never.
        "http://0.0.0.0/",
        "http://0/",
        "http://224.0.0.1/",
        "http://239.1.1.1/",
        "http://240.0.0.1/",
        "http://255.255.255.255/",
        "http://192.0.2.1/",
        "http://192.88.99.1/",
        "http://[::]/",
        "http://[ff02::1]/",
        "http://[2002:7f00:1::]/",
        "http://[2001:0:7f00:1::]/",
        "http://[2001:db8::1]/",
        // One bad address among good ones.
        "http://mixed.example.net/",
        // No address at all.
        "http://empty.example.net/",
        "http://nowhere.example.net/",
        // Other tongues and hidden names.
        "file:///etc/passwd",
        "gopher://93.184.216.34/",
        "ftp://93.184.216.34/",
        "unix:///run/docker.sock",
        "data:text/plain,hello",
        "http://user@93.184.216.34/",
        "http://user:word@93.184.216.34/",
        "http://:word@93.184.216.34/",
        "http://93.184.216.34@127.0.0.1/",
        "http://93.184.216.34\\@127.0.0.1:9091/",
        "http://127.0.0.1\\@93.184.216.34/",
        "http:///",
        "93.184.216.34",
    ] {
        // The one backslash that the URL standard turns into a path reaches its public host.
        let fine = url == "http://93.184.216.34\\@127.0.0.1:9091/";
        assert_eq!(
            judge(&door, url).await.is_ok(),
            fine,
            "{url}: {:?}",
            judge(&door, url).await
        );
    }
}

#[tokio::test]
async fn settings_open_what_they_name_and_nothing_else() {
    let named = door(&[
        "*.example.net",
        "192.168.7.0/24",
        "127.0.0.0/8",
        "169.254.7.7",
        "fd12::/16",
    ]);
    for (url, fine) in [
        ("http://cart.example.net/", true),
        ("http://public.example.net/", true),
        ("http://192.168.7.9/", true),
        ("http://192.168.8.1/", false),
        ("http://127.0.0.1:8000/", true),
        ("http://[::ffff:127.0.0.1]:8000/", true),
        ("http://169.254.7.7/", true),
        ("http://[fd12::1]/", true),
        ("http://[fd13::1]/", false),
        // A host pattern opens no metadata, and with a list the rest of the world is closed.
        ("http://metadata.example.net/", false),
        ("http://93.184.216.34/", false),
        ("http://cart.example.net.evil.com/", false),
        ("http://example.net/", false),
    ] {
        let found = judge(&named, url).await;
        assert_eq!(found.is_ok(), fine, "{url}: {found:?}");
    }
    let everything = door(&["0.0.0.0/0", "::/0"]);
    for url in [
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://[::]/",
    ] {
        assert!(judge(&everything, url).await.is_err(), "{url}");
    }
    assert!(
        judge(&door(&["localhost"]), "http://localhost/")
            .await
            .unwrap_err()
            .contains("as an address")
    );
}

#[tokio::test]
async fn the_operator_and_marathon_are_denied_whatever_is_allowed() {
    let open = door(&["*.example.net", "0.0.0.0/0", "::/0"]);
    for (url, fine) in [
        ("http://marathon.example.net:8080/", false),
        ("http://MARATHON.example.net.:8080/", false),
        ("http://10.9.9.9:8080/v2/apps", false),
        ("http://[::ffff:10.9.9.9]:8080/", false),
        ("http://10.9.9.9:8081/", true),
        ("http://127.0.0.1:9999/", false),
        ("http://127.0.0.2:9999/", false),
        ("http://127.0.0.1:9091/", false),
        ("http://127.0.0.1:9092/", true),
    ] {
        assert_eq!(
            judge(&open, url).await.is_ok(),
            fine,
            "{url}: {:?}",
            judge(&open, url).await
        );
    }
}

#[tokio::test]
async fn addresses_of_tcp_probes_are_checked_alike() {
    let door = door(&["10.0.0.0/8"]);
    for (address, fine) in [
        ("10.1.2.3:80", true),
        ("cart.example.net:80", true),
        ("127.0.0.1:80", false),
        ("0x7f.1:80", false),
        ("[::1]:80", false),
        ("10.1.2.3", false),
        ("10.1.2.3:0", false),
        ("10.1.2.3:99999", false),
        ("::1:80", false),
        ("user@10.1.2.3:80", false),
        ("http://10.1.2.3:80", false),
        ("10.9.9.9:8080", false),
    ] {
        assert_eq!(
            door.address(address).await.is_ok(),
            fine,
            "{address}: {:?}",
            door.address(address).await
        );
    }
}

/// Says something else every time it is asked.
struct Rebinding(Mutex<Vec<&'static str>>);

#[async_trait]
impl Resolver for Rebinding {
    async fn resolve(&self, _host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let next = self
            .0
            .lock()
            .unwrap()
            .pop()
            .ok_or_else(|| io::Error::other("asked too often"))?;
        Ok(vec![SocketAddr::new(next.parse().unwrap(), port)])
    }
}

#[tokio::test]
async fn a_name_is_asked_once_and_its_answer_is_what_is_reached() {
    let door = Door {
        allow: AllowList::default(),
        denied: vec![],
        resolver: Box::new(Rebinding(Mutex::new(vec!["127.0.0.1", "93.184.216.34"]))),
    };
    let found = judge(&door, "http://rebinding.example/").await.unwrap();
    assert_eq!(found, ["93.184.216.34:80".parse().unwrap()]);
    assert!(
        judge(&door, "http://rebinding.example/")
            .await
            .unwrap_err()
            .contains("loopback")
    );
}

#[test]
fn stars_stand_for_something() {
    for (pattern, host, expected) in [
        ("*.example.net", "a.example.net", true),
        ("*.example.net", "a.b.example.net", true),
        ("*.example.net", ".example.net", false),
        ("*.example.net", "example.net", false),
        ("*.example.net", "a.example.net.evil", false),
        ("cart-*.example.net", "cart-1.example.net", true),
        ("cart-*.example.net", "shop-1.example.net", false),
        ("cart*shop*net", "cart-1-shop.example.net", true),
        ("cart.example.net", "cart.example.net", true),
        ("cart.example.net", "cart.example.net2", false),
    ] {
        assert_eq!(matches(pattern, host), expected, "{pattern} {host}");
    }
}

#[test]
fn bad_settings_are_named_one_by_one() {
    let problems =
        AllowList::parse(&["10.0.0.0/33", "*", "http://x/", "good.example", "a b", ""]).unwrap_err();
    assert_eq!(problems.len(), 5, "{problems:?}");
    assert!(Denied::parse("nonsense").is_err());
    assert!(Denied::parse("https://marathon").is_ok());
}
