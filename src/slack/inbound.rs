//! What Slack sends us, read tolerantly: a new field, a missing one or a `null` must not lose a click.

use serde::Deserialize;
use serde_json::Value;

/// A slash command: the form's fields that count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed {
    pub team: String,
    pub app: String,
    pub user: String,
    pub channel: String,
    pub text: String,
    pub trigger: String,
    pub response_url: String,
}

impl Typed {
    /// Reads the form; a field that is given twice counts once, the first time.
    pub fn read(form: &str) -> Self {
        let mut typed = Self::default();
        for (key, value) in url::form_urlencoded::parse(form.as_bytes()) {
            let field = match key.as_ref() {
                "team_id" => &mut typed.team,
                "api_app_id" => &mut typed.app,
                "user_id" => &mut typed.user,
                "channel_id" => &mut typed.channel,
                "text" => &mut typed.text,
                "trigger_id" => &mut typed.trigger,
                "response_url" => &mut typed.response_url,
                _ => continue,
            };
            if field.is_empty() {
                *field = value.into_owned();
            }
        }
        typed
    }
}

/// The first field of this name in a form.
pub fn field(form: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(form.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Something with an id; Slack writes `null` for a team of an organisation-wide installation.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Named {
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub team_id: Option<String>,
}

/// A click or a submitted dialog.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Interaction {
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub api_app_id: Option<String>,
    #[serde(default)]
    pub team: Option<Named>,
    #[serde(default)]
    pub user: Option<Named>,
    #[serde(default)]
    pub channel: Option<Named>,
    #[serde(default)]
    pub trigger_id: Option<String>,
    #[serde(default)]
    pub response_url: Option<String>,
    #[serde(default)]
    pub actions: Option<Vec<Action>>,
    #[serde(default)]
    pub view: Option<View>,
}

impl Interaction {
    pub fn user_id(&self) -> &str {
        self.user
            .as_ref()
            .and_then(|user| user.id.as_deref())
            .unwrap_or_default()
    }

    /// The workspace it comes from: of the person where it is given, because in a shared channel the
    /// payload's team is ours and the person is not.
    pub fn teams(&self) -> impl Iterator<Item = &str> {
        let of_payload = self.team.as_ref().and_then(|team| team.id.as_deref());
        let of_user = self.user.as_ref().and_then(|user| user.team_id.as_deref());
        [of_payload, of_user].into_iter().flatten()
    }

    pub fn channel_id(&self) -> Option<&str> {
        self.channel.as_ref().and_then(|channel| channel.id.as_deref())
    }
}

/// A pressed button.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Action {
    #[serde(default)]
    pub action_id: String,
    #[serde(default)]
    pub value: Option<String>,
}

/// A dialog with what was typed into it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct View {
    #[serde(default)]
    pub callback_id: String,
    #[serde(default)]
    pub private_metadata: String,
    #[serde(default)]
    pub state: Value,
}

impl View {
    /// What was typed into a field; empty when nothing was.
    pub fn typed(&self, block: &str, action: &str) -> &str {
        self.state["values"][block][action]["value"]
            .as_str()
            .unwrap_or_default()
    }
}

/// An event; only its envelope counts.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Event {
    #[serde(default, rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub challenge: Option<String>,
    #[serde(default)]
    pub event_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_an_organisation_and_with_fields_of_tomorrow_is_read() {
        let payload = r#"{"type":"block_actions","team":null,"enterprise":{"id":"E1"},"user":{"id":"U1","team_id":"T1","new":[1]},
            "channel":null,"actions":[{"action_id":"approve","value":null,"type":"button"}],"message":{"metadata":{"event_payload":{"n":1}}},
            "api_app_id":"A1","view":null,"response_url":null}"#;
        let read: Interaction = serde_json::from_str(payload).expect("it is read");
        assert_eq!(read.user_id(), "U1");
        assert_eq!(read.teams().collect::<Vec<_>>(), ["T1"]);
        assert_eq!(read.channel_id(), None);
        assert_eq!(
            read.actions.map(|a| a[0].action_id.clone()).as_deref(),
            Some("approve")
        );
    }

    #[test]
    fn a_field_given_twice_counts_once() {
        let typed = Typed::read("user_id=U1&text=halt+now&user_id=U2&team_id=T1&unknown=1");
        assert_eq!(
            (typed.user.as_str(), typed.text.as_str(), typed.team.as_str()),
            ("U1", "halt now", "T1")
        );
        assert_eq!(
            field("ssl_check=1&ssl_check=2", "ssl_check").as_deref(),
            Some("1")
        );
    }

    #[test]
    fn an_empty_answer_in_a_dialog_is_an_empty_text() {
        let view: View = serde_json::from_str(
            r#"{"callback_id":"deny","state":{"values":{"reason":{"reason":{"value":null}}}}}"#,
        )
        .expect("it is read");
        assert_eq!(view.typed("reason", "reason"), "");
        assert_eq!(view.typed("nothing", "here"), "");
    }
}
