//! What an error of Slack's means for us (`facts` of the Web API: almost every failure is a 200 with a code).
//!
//! Pure. Not here: doing something about it.

use slack_morphism::errors::SlackClientError;
use std::time::Duration;

/// Slack names no time with its limit: this long.
const WAIT_DEFAULT: Duration = Duration::from_secs(30);
/// The longest that a `Retry-After` is believed: a notice must not sleep for a day because of a header.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// What to do about a failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Too many calls of this method: not before this long.
    Wait(Duration),
    /// An outage, or an answer that makes no sense. Whether it was done is not known.
    Outage(String),
    /// The bot is out: nobody can be told or asked until a person mends it.
    BotIsOut(String),
    /// The app is not set up as it must be.
    SetUp(String),
    /// The channel does not take it, and could again: the bot was not invited.
    NotInvited(String),
    /// The channel takes nothing any more.
    PlaceGone(String),
    /// The message that was to be edited is gone, or can't be edited any more.
    MessageGone,
    /// We sent something that Slack refuses: a bug of ours.
    Ours(String),
    /// Our own pace: not before this long. Slack was not asked.
    Pace(Duration),
    /// The user clicked too long ago.
    TriggerExpired,
    /// A refusal that we do not know.
    Other(String),
}

impl Trouble {
    /// In one sentence, without anything that was sent.
    pub fn sentence(&self) -> String {
        match self {
            Self::Pace(time) => format!("our own pace for Slack leaves room in {} ms", time.as_millis()),
            Self::Wait(time) => format!("Slack asks to wait for {} s", time.as_secs()),
            Self::Outage(why) => why.clone(),
            Self::BotIsOut(code) => {
                format!("Slack does not let the bot in ({code}): install the app again or give it its token")
            }
            Self::SetUp(what) => {
                format!("the Slack app is not set up as deploy/slack-manifest.json says: {what}")
            }
            Self::NotInvited(code) => {
                format!("the bot is not in the channel ({code}): invite it with /invite")
            }
            Self::PlaceGone(code) => format!("the channel takes no messages ({code})"),
            Self::MessageGone => "the message is gone".to_owned(),
            Self::Ours(what) => format!("Slack refuses the form of the message ({what})"),
            Self::TriggerExpired => "the click was too long ago".to_owned(),
            Self::Other(code) => format!("Slack refuses it ({code})"),
        }
    }
}

/// What an error means.
pub fn of(error: &SlackClientError) -> Trouble {
    match error {
        SlackClientError::RateLimitError(limit) => Trouble::Wait(
            limit
                .retry_after
                .unwrap_or(WAIT_DEFAULT)
                .clamp(Duration::from_secs(1), WAIT_MAX),
        ),
        SlackClientError::ApiError(api) => {
            code(&api.code, api.http_response_body.as_deref().unwrap_or_default())
        }
        SlackClientError::HttpError(http) => {
            Trouble::Outage(format!("Slack answered {} and no JSON", http.status_code))
        }
        SlackClientError::SystemError(system) => Trouble::Outage(
            system
                .message
                .clone()
                .unwrap_or_else(|| "Slack can't be reached".to_owned()),
        ),
        SlackClientError::ProtocolError(_) => Trouble::Outage("Slack's answer can't be read".to_owned()),
        SlackClientError::HttpProtocolError(_)
        | SlackClientError::EndOfStream(_)
        | SlackClientError::SocketModeProtocolError(_) => {
            Trouble::Outage("Slack can't be reached".to_owned())
        }
    }
}

/// What a code in `{"ok":false,"error":"…"}` means.
fn code(code: &str, body: &str) -> Trouble {
    let said = || code.to_owned();
    match code {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => Trouble::Wait(WAIT_DEFAULT),
        "internal_error"
        | "service_unavailable"
        | "request_timeout"
        | "fatal_error"
        | "team_added_to_org" => Trouble::Outage(format!("Slack has trouble of its own ({code})")),
        "invalid_auth"
        | "not_authed"
        | "account_inactive"
        | "token_revoked"
        | "token_expired"
        | "access_denied"
        | "accesslimited"
        | "org_login_required"
        | "ekm_access_denied"
        | "two_factor_setup_required" => Trouble::BotIsOut(said()),
        "missing_scope" => Trouble::SetUp(match needed(body) {
            Some(scope) => format!("the scope {scope} is missing"),
            None => "a scope is missing".to_owned(),
        }),
        "not_allowed_token_type" | "plan_upgrade_required" | "no_permission" => Trouble::SetUp(said()),
        // A private channel that the bot is not in answers as if it did not exist.
        "channel_not_found" | "not_in_channel" => Trouble::NotInvited(said()),
        "is_archived" | "is_inactive" => Trouble::PlaceGone(said()),
        code if code.starts_with("restricted_action") => Trouble::PlaceGone(said()),
        "message_not_found" | "cant_update_message" | "edit_window_closed" | "thread_not_found" => {
            Trouble::MessageGone
        }
        "msg_too_long"
        | "msg_blocks_too_long"
        | "no_text"
        | "block_mismatch"
        | "invalid_arguments"
        | "invalid_arg_name"
        | "invalid_form_data"
        | "invalid_json"
        | "invalid_charset" => Trouble::Ours(pointed(code, body)),
        code if code.starts_with("invalid_blocks") || code.starts_with("metadata_") => {
            Trouble::Ours(pointed(code, body))
        }
        "expired_trigger_id"
        | "trigger_expired"
        | "exchanged_trigger_id"
        | "trigger_exchanged"
        | "invalid_trigger_id" => Trouble::TriggerExpired,
        _ => Trouble::Other(said()),
    }
}

fn needed(body: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    Some(body["needed"].as_str()?.chars().take(100).collect())
}

/// With Slack's pointer to what is wrong, where it gives one: it holds no part of the message.
fn pointed(code: &str, body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let lists = [&body["response_metadata"]["messages"], &body["errors"]];
    let first = lists.into_iter().find_map(|list| list[0].as_str());
    first.map_or_else(
        || code.to_owned(),
        |text| format!("{code}: {}", text.chars().take(300).collect::<String>()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use slack_morphism::errors::*;

    fn api(code: &str, body: &str) -> Trouble {
        of(&SlackClientError::ApiError(
            SlackClientApiError::new(code.into()).with_http_response_body(body.into()),
        ))
    }

    #[test]
    fn every_code_of_the_documents_has_its_class() {
        #[track_caller]
        fn check(codes: &str, same: fn(&Trouble) -> bool) {
            for code in codes.split(' ') {
                assert!(same(&api(code, "{}")), "{code}: {:?}", api(code, "{}"));
            }
        }
        check("ratelimited rate_limited", |t| matches!(t, Trouble::Wait(_)));
        check(
            "internal_error service_unavailable request_timeout fatal_error",
            |t| matches!(t, Trouble::Outage(_)),
        );
        check(
            "invalid_auth not_authed account_inactive token_revoked token_expired access_denied",
            |t| matches!(t, Trouble::BotIsOut(_)),
        );
        check(
            "missing_scope not_allowed_token_type plan_upgrade_required no_permission",
            |t| matches!(t, Trouble::SetUp(_)),
        );
        check("channel_not_found not_in_channel", |t| {
            matches!(t, Trouble::NotInvited(_))
        });
        check(
            "is_archived is_inactive restricted_action restricted_action_read_only_channel",
            |t| matches!(t, Trouble::PlaceGone(_)),
        );
        check("message_not_found cant_update_message edit_window_closed", |t| {
            *t == Trouble::MessageGone
        });
        check(
            "invalid_blocks invalid_blocks_format msg_too_long msg_blocks_too_long no_text metadata_too_large invalid_arguments",
            |t| matches!(t, Trouble::Ours(_)),
        );
        check(
            "expired_trigger_id trigger_expired exchanged_trigger_id trigger_exchanged invalid_trigger_id",
            |t| *t == Trouble::TriggerExpired,
        );
        check("brand_new_error unknown", |t| matches!(t, Trouble::Other(_)));
    }

    #[test]
    fn what_slack_points_at_is_kept() {
        let scope = api(
            "missing_scope",
            r#"{"needed":"usergroups:read","provided":"chat:write"}"#,
        );
        assert_eq!(
            scope,
            Trouble::SetUp("the scope usergroups:read is missing".into())
        );
        let body = r#"{"response_metadata":{"messages":["[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]"]}}"#;
        assert!(
            matches!(api("invalid_blocks", body), Trouble::Ours(what) if what.contains("/blocks/0/text/text"))
        );
    }

    #[test]
    fn a_wait_has_bounds() {
        let limit = |secs: Option<u64>| {
            let after = secs.map(Duration::from_secs);
            of(&SlackClientError::RateLimitError(
                SlackRateLimitError::new().opt_retry_after(after),
            ))
        };
        assert_eq!(limit(Some(7)), Trouble::Wait(Duration::from_secs(7)));
        assert_eq!(limit(None), Trouble::Wait(WAIT_DEFAULT));
        assert_eq!(limit(Some(0)), Trouble::Wait(Duration::from_secs(1)));
        assert_eq!(limit(Some(u64::MAX)), Trouble::Wait(WAIT_MAX));
    }
}
