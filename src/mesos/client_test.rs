use super::*;
use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;

const ONE: &str = r#"{"slaves":[{"id":"S1","hostname":"a1","active":true,"attributes":{"rack":4.0}}],"recovered_slaves":[]}"#;

/// A master that answers `GET /slaves`, and under `/mesos` too.
async fn master<F, R>(answer: F) -> Url
where
    F: Fn(HeaderMap) -> R + Clone + Send + Sync + 'static,
    R: IntoResponse,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let again = answer.clone();
    let router = Router::new()
        .route("/slaves", get(move |head: HeaderMap| async move { answer(head) }))
        .route(
            "/mesos/slaves",
            get(move |head: HeaderMap| async move { again(head) }),
        );
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn options(urls: Vec<Url>) -> Options {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Options {
        cluster: "prod".into(),
        urls,
        login: None,
        tls: Arc::new(tls),
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(10),
    }
}

async fn asked(urls: Vec<Url>) -> Result<Vec<String>, String> {
    let agents = Client::new(options(urls)).unwrap().agents().await?;
    Ok(agents.iter().map(|a| a.host.clone()).collect())
}

/// A redirect as a master writes it: without a scheme.
fn to(
    leader: &Url,
) -> impl Fn(HeaderMap) -> (StatusCode, [(&'static str, String); 1]) + Clone + Send + Sync + 'static {
    let location = format!(
        "//{}:{}/slaves",
        leader.host_str().unwrap(),
        leader.port().unwrap()
    );
    move |_| (StatusCode::TEMPORARY_REDIRECT, [("location", location.clone())])
}

#[tokio::test]
async fn another_master_sends_to_the_leader_without_naming_a_scheme() {
    let leader = master(|_| ONE).await;
    let other = master(to(&leader)).await;
    assert_eq!(asked(vec![other.clone(), leader.clone()]).await.unwrap(), ["a1"]);
    let why = asked(vec![other]).await.unwrap_err();
    assert!(why.contains("is not among `clusters[].mesos.urls`"), "{why}");
}

#[tokio::test]
async fn a_master_that_cannot_answer_is_passed_over_and_all_are_named_when_none_can() {
    let starting = master(|_| (StatusCode::SERVICE_UNAVAILABLE, "No leader elected")).await;
    let broken = master(|_| "<html>").await;
    let good = master(|_| ONE).await;
    assert_eq!(
        asked(vec![starting.clone(), broken.clone(), good]).await.unwrap(),
        ["a1"]
    );
    let why = asked(vec![starting.clone(), broken.clone()]).await.unwrap_err();
    assert!(why.contains(&place(&starting)) && why.contains("503"), "{why}");
    assert!(
        why.contains(&place(&broken)) && why.contains("is not one"),
        "{why}"
    );
}

#[tokio::test]
async fn the_one_that_led_last_is_asked_first() {
    let count = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = count.clone();
    let dead = master(move |_| {
        counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    let client = Client::new(options(vec![dead, master(|_| ONE).await])).unwrap();
    client.agents().await.unwrap();
    client.agents().await.unwrap();
    assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn masters_that_send_to_each_other_end_after_a_few_hops() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let itself = to(&url);
    let router = Router::new().route("/slaves", get(move |head| async move { itself(head) }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    assert!(asked(vec![url]).await.unwrap_err().contains("in a circle"));
}

struct Token(std::sync::atomic::AtomicU32);

#[async_trait]
impl Login for Token {
    async fn authorization(&self) -> Result<Option<header::HeaderValue>, String> {
        let number = self.0.load(std::sync::atomic::Ordering::SeqCst);
        Ok(Some(format!("token=t{number}").parse().unwrap()))
    }
    fn forget(&self) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}

#[tokio::test]
async fn credentials_go_along_where_the_settings_say_and_are_renewed_once() {
    let door = |head: HeaderMap| match head.get("authorization") {
        Some(value) if value == "token=t1" => (StatusCode::OK, ONE),
        _ => (StatusCode::UNAUTHORIZED, ""),
    };
    let mut url = master(door).await;
    url.set_path("/mesos");
    let mut options = options(vec![url.clone()]);
    assert!(asked(vec![url]).await.unwrap_err().contains("401"));
    let login = Arc::new(Token(std::sync::atomic::AtomicU32::new(0)));
    options.login = Some(login.clone());
    let client = Client::new(options.clone()).unwrap();
    assert_eq!(client.agents().await.unwrap().len(), 1);
    login.forget();
    assert!(client.agents().await.unwrap_err().contains("401"));
    assert_eq!(
        login.0.load(std::sync::atomic::Ordering::SeqCst),
        3,
        "renewed once, not for ever"
    );
}

#[test]
fn addresses_that_carry_secrets_are_refused() {
    #[track_caller]
    fn check(url: &str) {
        assert!(Client::new(options(vec![Url::parse(url).unwrap()])).is_err());
    }
    check("http://u:p@m1:5050");
    check("http://m1:5050/?token=x");
    check("ftp://m1");
    assert!(Client::new(options(vec![])).is_err());
}
