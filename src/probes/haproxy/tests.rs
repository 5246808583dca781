use super::*;

const HEAD: &str = "# pxname,svname,stot,econ,eresp,wretr,wredis,status,lastchg,req_tot,hrsp_5xx,";

/// One statistics row, our own backend and another one.
fn csv(backend: &str, servers: &[(&str, u64)], looks: u64) -> Vec<u8> {
    let mut text = format!("{HEAD}\nstats,FRONTEND,{looks},,,,,OPEN,,{looks},0,\n");
    for (name, lastchg) in servers {
        text.push_str(&format!("cart,{name},9,0,0,0,0,UP,{lastchg},9,0,\n"));
    }
    text.push_str(&format!("cart,BACKEND,{backend}\n"));
    text.push_str("other,BACKEND,7,0,0,0,0,UP,99,7,0,\n");
    text.into_bytes()
}

/// `stot,econ,eresp,wretr,wredis,status,lastchg,req_tot,hrsp_5xx` of the backend.
fn look(backend: &str, lastchg: u64, looks: u64) -> Look {
    let servers = [("a", lastchg), ("b", lastchg)];
    read(&csv(backend, &servers, looks), "cart").unwrap()
}

fn between(before: &Look, now: &Look) -> Result<(u32, u32, Option<Masked>), String> {
    if let Some(why) = new_origin(before, now) {
        return Err(why);
    }
    let mut sum = Sum::default();
    sum.add(before, now);
    match sum.reading("cart") {
        Reading::Blind { why } => Err(why),
        Reading::Seen {
            observed,
            bad,
            detail,
            ..
        } => Ok((observed, bad, detail.and_then(|d| d.masked))),
    }
}

#[test]
fn failures_are_those_of_the_answers_and_never_counted_twice() {
    // As measured when one of two servers was killed and then the other: 150 econ and 1 eresp are among the 151.
    let before = look("1000,0,1,0,349,UP,50,1000,1,", 50, 3);
    let now = look("1200,150,2,0,849,UP,54,1200,152,", 54, 4);
    let masked = Masked {
        retries: 0,
        redispatches: 500,
    };
    assert_eq!(between(&before, &now), Ok((200, 151, Some(masked))));
}

#[test]
fn in_tcp_mode_failures_are_those_of_connections() {
    let before = look("10,1,0,0,0,UP,50,,,", 50, 3);
    let now = look("30,3,1,2,0,UP,51,,,", 51, 4);
    let masked = Some(Masked {
        retries: 2,
        redispatches: 0,
    });
    assert_eq!(between(&before, &now), Ok((20, 3, masked)));
    // Long sessions that end badly began before the last look.
    let now = look("12,1,9,0,0,UP,51,,,", 51, 4);
    assert_eq!(between(&before, &now), Ok((9, 9, None)));
}

#[test]
fn a_reload_is_seen_however_it_hides() {
    let before = look("1000,0,0,0,0,UP,50,1000,5,", 50, 3);
    for (now, words) in [
        // A counter of the backend, of any other row, and none at all: only the servers' last changes.
        (look("20,0,0,0,0,UP,2,20,0,", 60, 4), "cart/BACKEND run backwards"),
        (
            look("1010,0,0,0,0,UP,2,1010,5,", 60, 1),
            "stats/FRONTEND run backwards",
        ),
        (
            look("1010,0,0,0,0,UP,2,1010,5,", 2, 4),
            "last change is more recent",
        ),
    ] {
        let why = between(&before, &now).unwrap_err();
        assert!(why.contains(words), "{why}");
    }
    let other = read(
        &csv("1010,0,0,0,0,UP,9,1010,5,", &[("a", 60), ("c", 60)], 4),
        "cart",
    )
    .unwrap();
    assert!(between(&before, &other).unwrap_err().contains("other servers"));
    // One server that changes its state is no reload.
    let one = read(
        &csv("1010,0,0,0,0,UP,9,1010,5,", &[("a", 60), ("b", 1)], 4),
        "cart",
    )
    .unwrap();
    assert_eq!(between(&before, &one), Ok((10, 0, None)));
}

#[test]
fn no_traffic_is_nothing_seen() {
    let before = look("1000,0,0,0,0,UP,50,1000,5,", 50, 3);
    let now = look("1000,0,0,0,0,UP,51,1000,5,", 51, 4);
    assert!(
        between(&before, &now)
            .unwrap_err()
            .contains("no request went to cart")
    );
}

#[test]
fn what_is_not_the_statistics_of_haproxy_is_said_to_be_so() {
    let whole = csv("1,0,0,0,0,UP,5,1,0,", &[], 1);
    let text = String::from_utf8(whole.clone()).unwrap();
    for column in [
        "stot", "econ", "eresp", "wretr", "wredis", "lastchg", "req_tot", "hrsp_5xx", "svname",
    ] {
        let without = text.replacen(column, "x", 1);
        let why = read(without.as_bytes(), "cart").unwrap_err();
        assert!(why.contains(&format!("the column {column} is missing")), "{why}");
    }
    for (bytes, words) in [
        (b"<html>no".to_vec(), "is missing"),
        (vec![], "is missing"),
        (
            csv("1,0,0,0,0,UP,5,many,0,", &[], 1),
            "the req_tot of cart/BACKEND is no number",
        ),
        (csv("1,0,0,0,0,UP,5,-3,0,", &[], 1), "is no number"),
        (csv("1", &[], 1), "the row of cart has no econ"),
    ] {
        let why = read(&bytes, "cart").unwrap_err();
        assert!(why.contains(words), "{why}");
    }
    let why = read(&whole, "basket").unwrap_err();
    assert_eq!(why, "there is no backend basket; there are cart, other");
}

#[test]
fn the_statistics_are_at_their_usual_place_unless_another_is_written() {
    for (written, asked) in [
        ("http://lb1:9090", "http://lb1:9090/haproxy?stats;csv"),
        ("http://lb1:9090/", "http://lb1:9090/haproxy?stats;csv"),
        (
            "http://lb1:9090/admin?stats;csv",
            "http://lb1:9090/admin?stats;csv",
        ),
    ] {
        assert_eq!(address(written).unwrap().as_str(), asked);
    }
}

#[test]
fn a_server_is_pooled_where_every_balancer_sends_it_requests_and_only_news_is_told() {
    let pool = |rows: &[(&str, &str, u64)]| {
        let mut text = format!("{HEAD}\nstats,FRONTEND,1,,,,,OPEN,,1,0,\n");
        for (name, status, sessions) in rows {
            text.push_str(&format!(
                "cart,{name},{sessions},0,0,0,0,{status},9,{sessions},0,\n"
            ));
        }
        text.push_str("cart,BACKEND,1,0,0,0,0,UP,9,1,0,\n");
        read(text.as_bytes(), "cart").unwrap()
    };
    let left = pool(&[
        ("a", "UP", 3),
        ("b", "UP 9/11", 0),
        ("c", "no check", 1),
        ("d", "DOWN", 9),
        ("e", "MAINT", 9),
        ("f", "UP", 1),
    ]);
    let right = pool(&[("a", "UP", 0), ("b", "UP", 0), ("c", "UP", 0), ("d", "UP", 1)]);
    let both = pool_of(&[&left, &right]);
    let told = |before: &BTreeMap<String, Pooled>, now| -> Vec<(String, Pooled)> {
        news(before, now)
            .into_iter()
            .map(|n| (n.server, n.state))
            .collect()
    };
    let first = [("a", Pooled::Serving), ("b", Pooled::Up), ("c", Pooled::Serving)];
    let first = first.map(|(server, state)| (server.to_owned(), state));
    assert_eq!(told(&BTreeMap::new(), &both), first);
    assert_eq!(told(&both, &both), []);
    let later = pool_of(&[&pool(&[("b", "UP", 2), ("c", "UP", 1)])]);
    assert_eq!(
        told(&both, &later),
        [("a".to_owned(), Pooled::Out), ("b".to_owned(), Pooled::Serving)]
    );
    assert_eq!(pool_of(&[]), BTreeMap::new());
}
