//! `forecast`: the calendar, for the owner's eyes and for other programs.

use super::{Out, Tone, clean, many, table};
use crate::model::forecast::{Forecast, Moment};
use crate::model::policy::Mode;
use chrono::{DateTime, TimeDelta, Utc};

/// Most moments that are printed for people.
const MOMENTS_SHOWN: usize = 400;

/// For people: what each month comes to, then the moments.
pub fn forecast(forecast: &Forecast, out: &Out) -> String {
    let Forecast {
        from,
        to,
        seed_sha256,
        months,
        moments,
        remarks,
    } = forecast;
    let mut parts = vec![out.pen.paint(Tone::Strong, &format!("From {from} to {to}"))];
    if months.is_empty() {
        parts.push("No policy runs by itself in that time.".to_owned());
    } else {
        let rows: Vec<_> = months
            .iter()
            .map(|m| {
                let kills = match m.mode {
                    Mode::Enforce => (format!("{:.1}", m.kills), m.kills_max.to_string()),
                    Mode::Off | Mode::Rehearse => ("none".to_owned(), "0".to_owned()),
                };
                vec![
                    m.policy.to_string(),
                    m.app.clone(),
                    m.month.clone(),
                    m.days.to_string(),
                    format!("{:.1}", m.runs),
                    m.drawn.map_or_else(|| "-".to_owned(), |drawn| drawn.to_string()),
                    kills.0,
                    match m.drawn {
                        Some(_) => kills.1,
                        // Without a draw nobody knows how many there can be.
                        None if m.mode == Mode::Enforce => "-".to_owned(),
                        None => kills.1,
                    },
                ]
            })
            .collect();
        let heads = [
            "POLICY", "APP", "MONTH", "DAYS", "RUNS", "DRAWN", "KILLS", "AT MOST",
        ];
        parts.push(table(&heads, &rows));
        let (runs, kills) = months
            .iter()
            .fold((0.0, 0.0), |sum, m| (sum.0 + m.runs, sum.1 + m.kills));
        parts.push(match kills > 0.0 {
            true => format!("In all {runs:.1} runs and {kills:.1} kills are to be expected."),
            false => format!("In all {runs:.1} runs are to be expected, and no kills."),
        });
    }
    if !moments.is_empty() {
        let rows: Vec<_> = moments.iter().take(MOMENTS_SHOWN).map(row).collect();
        parts.push(table(&["WHEN", "POLICY", "APP", "WHAT"], &rows));
    }
    if moments.len() > MOMENTS_SHOWN {
        parts.push(format!(
            "And {} moments more; all of them with -o csv, -o ics or -o json.",
            moments.len() - MOMENTS_SHOWN
        ));
    }
    if let Some(digest) = seed_sha256 {
        parts.push(format!("SHA-256 of the seed: {digest}"));
    }
    let remarks: Vec<String> = remarks.iter().map(|remark| clean(remark)).collect();
    parts.push(out.pen.paint(Tone::Soft, &remarks.join("\n")));
    parts.join("\n\n")
}

fn row(moment: &Moment) -> Vec<String> {
    vec![
        moment.local.clone(),
        moment.policy.to_string(),
        moment.app.clone(),
        what(moment),
    ]
}

fn what(moment: &Moment) -> String {
    match (&moment.held_back, moment.mode) {
        (Some(why), _) => format!("no run; {why}"),
        (None, Mode::Enforce) => format!("up to {}", many(moment.kills_max, "kill")),
        (None, Mode::Off | Mode::Rehearse) => "rehearsal".to_owned(),
    }
}

/// Comma-separated (RFC 4180): one line for each moment; without a seed one for each month. The columns have the names of
/// the fields in JSON.
pub fn csv(forecast: &Forecast) -> String {
    let mut lines = vec![];
    if forecast.seed_sha256.is_some() {
        lines.push("at,local,policy,app,mode,killsMax,heldBack".to_owned());
        lines.extend(forecast.moments.iter().map(|m| {
            let at = m.at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
            let held_back = m.held_back.clone().unwrap_or_default();
            let (kills, mode) = (m.kills_max.to_string(), m.mode.to_string());
            line(&[
                &at,
                &m.local,
                m.policy.as_str(),
                &m.app,
                &mode,
                &kills,
                &held_back,
            ])
        }));
    } else {
        lines.push("month,policy,app,mode,days,runs,kills,killsMax".to_owned());
        lines.extend(forecast.months.iter().map(|m| {
            let (days, most) = (m.days.to_string(), m.kills_max.to_string());
            let (runs, kills) = (format!("{:.3}", m.runs), format!("{:.3}", m.kills));
            let mode = m.mode.to_string();
            line(&[
                &m.month,
                m.policy.as_str(),
                &m.app,
                &mode,
                &days,
                &runs,
                &kills,
                &most,
            ])
        }));
    }
    lines.join("\r\n")
}

fn line(cells: &[&str]) -> String {
    let cell = |text: &&str| {
        // What a spreadsheet takes for a formula is a text here.
        let text = match text.chars().next() {
            Some('=' | '+' | '-' | '@') => format!("'{text}"),
            _ => (*text).to_owned(),
        };
        if text.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text
        }
    };
    cells.iter().map(cell).collect::<Vec<_>>().join(",")
}

/// A calendar (RFC 5545) of the moments at which runs will begin.
pub fn ics(forecast: &Forecast, now: DateTime<Utc>) -> String {
    let stamp = |at: DateTime<Utc>| at.format("%Y%m%dT%H%M%SZ").to_string();
    let mut lines = vec![
        "BEGIN:VCALENDAR".to_owned(),
        "VERSION:2.0".to_owned(),
        "PRODID:-//Heartbreak//forecast//EN".to_owned(),
    ];
    for moment in forecast.moments.iter().filter(|m| m.held_back.is_none()) {
        let length = i64::try_from(moment.longest_s).unwrap_or(0);
        let end = moment
            .at
            .checked_add_signed(TimeDelta::seconds(length))
            .unwrap_or(moment.at);
        lines.extend([
            "BEGIN:VEVENT".to_owned(),
            format!(
                "UID:{}-{}@heartbreak",
                moment.policy,
                moment.at.timestamp_millis()
            ),
            format!("DTSTAMP:{}", stamp(now)),
            format!("DTSTART:{}", stamp(moment.at)),
            format!("DTEND:{}", stamp(end)),
            format!(
                "SUMMARY:{}",
                escaped(&format!("{}: {}", moment.policy, what(moment)))
            ),
            format!(
                "DESCRIPTION:{}",
                escaped(&format!(
                    "App: {}. At the longest until the end shown.",
                    moment.app
                ))
            ),
            "TRANSP:TRANSPARENT".to_owned(),
            "END:VEVENT".to_owned(),
        ]);
    }
    lines.push("END:VCALENDAR\r\n".to_owned());
    lines.iter().map(|l| folded(l)).collect::<Vec<_>>().join("\r\n")
}

fn escaped(text: &str) -> String {
    clean(text)
        .replace('\\', "\\\\")
        .replace(';', "\\;")
        .replace(',', "\\,")
}

/// No line is longer than 75 octets; what does not fit goes on after a blank.
fn folded(line: &str) -> String {
    let (mut text, mut octets) = (String::with_capacity(line.len()), 0);
    for c in line.chars() {
        if octets + c.len_utf8() > 74 {
            text.push_str("\r\n ");
            octets = 1;
        }
        text.push(c);
        octets += c.len_utf8();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::show::{Format, Pen};
    use crate::model::forecast::MonthAhead;

    fn ahead() -> Forecast {
        let at = DateTime::from_timestamp(1_774_877_400, 0).unwrap();
        let moment = Moment {
            at,
            local: "Mon 2026-03-30 15:30 CEST".into(),
            longest_s: 900,
            policy: "cart".into(),
            mode: Mode::Enforce,
            app: "/shop/cart".into(),
            kills_max: 1,
            held_back: None,
        };
        let held = Moment {
            at: at + TimeDelta::days(1),
            local: "Tue 2026-03-31 15:30 CEST".into(),
            held_back: Some("too soon: \"yesterday\", so".into()),
            ..moment.clone()
        };
        Forecast {
            from: "2026-03-30".parse().unwrap(),
            to: "2026-03-31".parse().unwrap(),
            seed_sha256: Some("ab".repeat(32)),
            months: vec![MonthAhead {
                policy: "cart".into(),
                mode: Mode::Enforce,
                cluster: "prod".into(),
                app: "/shop/cart".into(),
                month: "2026-03".into(),
                days: 2,
                runs: 0.4,
                drawn: Some(1),
                kills: 0.4,
                kills_max: 1,
            }],
            moments: vec![moment, held],
            remarks: vec!["A remark.".into()],
        }
    }

    #[test]
    fn people_see_the_months_and_then_the_moments() {
        let out = Out {
            format: Format::Table,
            pen: Pen::default(),
            now: DateTime::UNIX_EPOCH,
        };
        insta::assert_snapshot!(forecast(&ahead(), &out), @r#"
        From 2026-03-30 to 2026-03-31

        POLICY   APP          MONTH     DAYS   RUNS   DRAWN   KILLS   AT MOST
        cart     /shop/cart   2026-03   2      0.4    1       0.4     1

        In all 0.4 runs and 0.4 kills are to be expected.

        WHEN                        POLICY   APP          WHAT
        Mon 2026-03-30 15:30 CEST   cart     /shop/cart   up to 1 kill
        Tue 2026-03-31 15:30 CEST   cart     /shop/cart   no run; too soon: "yesterday", so

        SHA-256 of the seed: abababababababababababababababababababababababababababababababab

        A remark.
        "#);
    }

    #[test]
    fn what_kills_nothing_is_not_counted_as_kills() {
        let out = Out {
            format: Format::Table,
            pen: Pen::default(),
            now: DateTime::UNIX_EPOCH,
        };
        let mut ahead = ahead();
        (ahead.months[0].mode, ahead.months[0].kills) = (Mode::Rehearse, 0.0);
        ahead.months[0].kills_max = 0;
        for moment in &mut ahead.moments {
            (moment.mode, moment.kills_max, moment.held_back) = (Mode::Rehearse, 0, None);
        }
        let text = forecast(&ahead, &out);
        assert!(text.contains("0.4    1       none    0"), "{text}");
        assert!(
            text.contains("In all 0.4 runs are to be expected, and no kills."),
            "{text}"
        );
        assert_eq!(text.matches("/shop/cart   rehearsal").count(), 2, "{text}");
    }

    #[test]
    fn the_most_kills_are_not_told_where_no_draw_says_how_many_runs_there_are() {
        let out = Out {
            format: Format::Table,
            pen: Pen::default(),
            now: DateTime::UNIX_EPOCH,
        };
        let mut blind = ahead();
        (blind.seed_sha256, blind.moments, blind.months[0].drawn) = (None, vec![], None);
        let text = forecast(&blind, &out);
        assert!(text.contains("0.4    -       0.4     -"), "{text}");
    }

    #[test]
    fn a_spreadsheet_gets_one_line_a_moment_or_one_a_month() {
        insta::assert_snapshot!(csv(&ahead()).replace('\r', ""), @r#"
        at,local,policy,app,mode,killsMax,heldBack
        2026-03-30T13:30:00Z,Mon 2026-03-30 15:30 CEST,cart,/shop/cart,enforce,1,
        2026-03-31T13:30:00Z,Tue 2026-03-31 15:30 CEST,cart,/shop/cart,enforce,1,"too soon: ""yesterday"", so"
        "#);
        let mut blind = ahead();
        (blind.seed_sha256, blind.moments) = (None, vec![]);
        blind.months[0].app = "=cmd|' /C calc'!A0".into();
        insta::assert_snapshot!(csv(&blind).replace('\r', ""), @"
        month,policy,app,mode,days,runs,kills,killsMax
        2026-03,cart,'=cmd|' /C calc'!A0,enforce,2,0.400,0.400,1
        ");
    }

    #[test]
    fn a_calendar_gets_what_will_begin_in_short_lines() {
        let mut ahead = ahead();
        ahead.moments[0].app =
            "/shop/cart-with-ä-very-long-name/that-does-not-fit-into-one-line; of, it".into();
        let text = ics(&ahead, DateTime::UNIX_EPOCH);
        assert!(text.split("\r\n").all(|line| line.len() <= 75), "{text}");
        assert_eq!(
            text.matches("BEGIN:VEVENT").count(),
            1,
            "what is held back will not begin"
        );
        let whole = text.replace("\r\n ", "");
        assert!(whole.contains("one-line\\; of\\, it"), "{whole}");
        assert!(
            whole.contains("DTSTART:20260330T133000Z\r\nDTEND:20260330T134500Z"),
            "{whole}"
        );
    }
}
