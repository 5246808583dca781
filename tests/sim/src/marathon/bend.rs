//! Answers that go wrong.

use std::sync::LazyLock;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use hyper::Response;
use serde_json::{Value, json};

use super::http::{Context, dropped, lock, page};
use super::routes::{Answer, Asked};
use crate::mischief::Trouble;

/// What a trouble answers before anything is done; nothing, when the request is carried out.
pub(super) async fn before(
    trouble: &Trouble,
    path: &str,
    accept: Option<&str>,
    leader: &str,
) -> Option<Response<Body>> {
    Some(match trouble {
        Trouble::Delay(d) => {
            tokio::time::sleep(*d).await;
            return None;
        }
        Trouble::Hang => std::future::pending().await,
        Trouble::CloseBefore => dropped(),
        Trouble::Status(status, body, content_type) => {
            let mut answer = Answer::text(*status, content_type, body);
            if *status == 401 {
                let challenge = "Basic realm=\"Mesosphere\"".to_owned();
                answer.headers.push(("WWW-Authenticate", challenge));
            }
            answer.into_response(leader, false)
        }
        Trouble::Page(status, reason) => page(*status, reason, path, accept),
        Trouble::Redirect(to) => {
            let mut answer = Answer::empty(302);
            answer.headers.push(("Location", to.clone()));
            answer.into_response(leader, false)
        }
        Trouble::Html200 => {
            let page = "<!DOCTYPE html><html><body>Please sign in</body></html>";
            Answer::text(200, "text/html; charset=utf-8", page).into_response(leader, false)
        }
        Trouble::EmptyApps => Answer::json(200, &json!({"apps": []})).into_response(leader, false),
        Trouble::Endless => endless(leader),
        _ => return None,
    })
}

/// A list of apps that never comes to its first app.
fn endless(leader: &str) -> Response<Body> {
    let parts = stream::unfold(false, |begun| async move {
        let part = if begun {
            // As fast as any reader wants it, and no faster than this machine can bear.
            tokio::time::sleep(Duration::from_millis(1)).await;
            Bytes::from_static(&[b' '; 64 * 1024])
        } else {
            Bytes::from_static(b"{\"apps\":[")
        };
        Some((Ok::<_, std::convert::Infallible>(part), true))
    });
    let mut response = Answer::text(200, "application/json", "").into_response(leader, false);
    *response.body_mut() = Body::from_stream(parts);
    response
}

/// Numbers for strings and strings for the rest, names untouched.
fn scramble(v: &Value) -> Value {
    match v {
        Value::Object(o) => o.iter().map(|(k, v)| (k.clone(), scramble(v))).collect(),
        Value::Array(a) => a.iter().map(scramble).collect(),
        Value::String(_) => json!(7),
        Value::Null => Value::Null,
        other => json!(format!("<{other}>")),
    }
}

/// A field more in every object.
fn enrich(v: &mut Value) {
    match v {
        Value::Object(o) => {
            o.values_mut().for_each(enrich);
            o.insert("notInThisVersion".to_owned(), json!({"new": [1, null, "x"]}));
        }
        Value::Array(a) => a.iter_mut().for_each(enrich),
        _ => {}
    }
}

/// Every task id with the next incarnation, or another UUID where ids have none.
fn other_incarnation(body: &str) -> String {
    static NEW: LazyLock<Option<regex::Regex>> =
        LazyLock::new(|| regex::Regex::new(r#"("id":"[^"]+\._app\.)(\d+)""#).ok());
    static OLD: LazyLock<Option<regex::Regex>> = LazyLock::new(|| {
        regex::Regex::new(r#"("id":"[^"]+\.)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}""#)
            .ok()
    });
    let (Some(new), Some(old)) = (NEW.as_ref(), OLD.as_ref()) else {
        return body.to_owned();
    };
    if new.is_match(body) {
        let next = |found: &regex::Captures<'_>| {
            let n: u64 = found[2].parse().unwrap_or(0);
            format!("{}{}\"", &found[1], n + 1)
        };
        new.replace_all(body, next).into_owned()
    } else {
        let another = |found: &regex::Captures<'_>| format!("{}{}\"", &found[1], uuid::Uuid::new_v4());
        old.replace_all(body, another).into_owned()
    }
}

/// Carries a request out, and bends the answer. Without an answer, the connection is dropped.
pub(super) fn answer(context: &Context, asked: &Asked, trouble: Option<Trouble>) -> Option<Answer> {
    let held = matches!(trouble, Some(Trouble::AcceptNever | Trouble::ExecuteLate(_)));
    let mut a = if let Some(Trouble::Stale(frozen)) = &trouble {
        asked.answer(&mut lock(&frozen.0), held)
    } else {
        let mut state = lock(&context.state);
        state.advance(context.clock.now());
        asked.answer(&mut state, held)
    };
    let parsed = || serde_json::from_str::<Value>(&a.body).ok();
    match trouble {
        Some(Trouble::CloseAfter) => return None,
        Some(Trouble::ExecuteLate(delay) | Trouble::Twice(delay)) => {
            let (context, asked) = (context.clone(), asked.clone());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let mut state = lock(&context.state);
                state.advance(context.clock.now());
                let _ = asked.answer(&mut state, false);
            });
        }
        Some(Trouble::Truncated) => {
            let mut half = a.body.len() / 2;
            while !a.body.is_char_boundary(half) {
                half -= 1;
            }
            a.body.truncate(half);
        }
        Some(Trouble::WrongTypes) => {
            if let Some(v) = parsed() {
                a.body = scramble(&v).to_string();
            }
        }
        Some(Trouble::UnknownFields) => {
            if let Some(mut v) = parsed() {
                enrich(&mut v);
                a.body = v.to_string();
            }
        }
        Some(Trouble::Huge(mib)) => {
            let blank = " ".repeat(1024 * 1024 * mib as usize);
            a.body.insert_str(1.min(a.body.len()), &blank);
        }
        Some(Trouble::OtherIncarnation) => a.body = other_incarnation(&a.body),
        Some(Trouble::OtherFramework(id)) => {
            if let Some(mut v) = parsed()
                && v.is_object()
            {
                v["frameworkId"] = json!(id);
                a.body = v.to_string();
            }
        }
        _ => {}
    }
    Some(a)
}
