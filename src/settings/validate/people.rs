//! Whom we talk to: Slack, API tokens, somebody's pager.

use super::Judge;
use crate::model::command::Role;
use crate::model::ids::PersonId;
use crate::policy::raw::at;
use crate::policy::read::{At, Text};
use crate::policy::validate::{is_dns_label, is_slack_id};
use crate::settings::{ApiToken, Delivery, Outage, Slack, raw};
use std::collections::BTreeSet;

impl Judge<'_> {
    pub(super) fn slack_id(
        &mut self,
        id: Option<&At<Text>>,
        first: &[char],
        noun: &str,
        example: &str,
    ) -> Option<String> {
        let id = id?;
        if !is_slack_id(&id.value.0, first) {
            self.scribe.error(
                id.at,
                format!("`{}` is not {noun}", id.value.0),
                format!("write the id, such as `{example}`; names can change hands"),
            );
        }
        Some(id.value.0.clone())
    }

    pub(super) fn slack(&mut self, raw: &raw::Slack) -> Option<Slack> {
        let raw::Slack {
            place,
            team_id,
            app_id,
            bot_token_file,
            bot_token_env,
            signing_secret_file,
            signing_secret_env,
            app_token_file,
            app_token_env,
            channel,
            operators_channel,
            admins,
            api_url,
        } = raw;
        let team = place.need(
            team_id,
            "teamId",
            "write the workspace's id: `teamId: T012AB3CD`",
            self.scribe,
        );
        let app = place.need(
            app_id,
            "appId",
            "write the id of the Slack app: `appId: A012AB3CD`",
            self.scribe,
        );
        let show = place.need(
            channel,
            "channel",
            "write the channel's id: `channel: C012AB3CD`",
            self.scribe,
        );
        let team = self.slack_id(team, &['T', 'E'], "a Slack workspace id", "T012AB3CD");
        let app = self.slack_id(app, &['A'], "a Slack app id", "A012AB3CD");
        let show = self.slack_id(show, &['C', 'G'], "a Slack channel id", "C012AB3CD");
        let operators = self.slack_id(
            operators_channel.as_ref(),
            &['C', 'G'],
            "a Slack channel id",
            "C012AB3CD",
        );
        let people: Vec<_> = admins
            .iter()
            .flat_map(|a| &a.value)
            .filter_map(|a| self.slack_id(Some(a), &['U', 'W'], "a Slack user id", "U012AB3CD"))
            .collect();
        let bot = self.needed_secret(place, bot_token_file, bot_token_env, "botToken");
        let signing = self.optional_secret(signing_secret_file, signing_secret_env, "signingSecret");
        let socket = self.optional_secret(app_token_file, app_token_env, "appToken");
        let delivery = match (signing, socket) {
            // With an app token Slack sends nothing by HTTP; a signing secret beside it does no harm.
            (_, Some(app_token)) => Some(Delivery::Socket { app_token }),
            (Some(signing_secret), None) => Some(Delivery::Http { signing_secret }),
            (None, None) => {
                if !place.refused && place.bad.is_empty() {
                    self.scribe.error(
                        place.at,
                        "Slack has no way to reach the operator",
                        "write `appTokenFile` for Socket Mode (nothing has to be reachable from outside), or `signingSecretFile` for HTTP",
                    );
                }
                None
            }
        };
        let api = match api_url {
            Some(text) => Some(self.url(text)?),
            None => None,
        };
        Some(Slack {
            team_id: team?,
            app_id: app?,
            bot_token: bot?,
            delivery: delivery?,
            channel: show?,
            operators_channel: operators,
            admins: people.into_iter().map(PersonId::new).collect(),
            api_url: api,
        })
    }

    pub(super) fn tokens(&mut self, list: &[raw::Token]) -> Vec<ApiToken> {
        let (mut tokens, mut names, mut digests): (Vec<ApiToken>, BTreeSet<String>, BTreeSet<[u8; 32]>) =
            Default::default();
        for token in list {
            let raw::Token {
                place,
                name,
                role,
                sha256,
            } = token;
            let name = place.need(
                name,
                "name",
                "write `name: ci`: it is shown in the audit",
                self.scribe,
            );
            let role = place.need(
                role,
                "role",
                "write one of viewer, stop, operator, approver, admin",
                self.scribe,
            );
            let digest = place.need(
                sha256,
                "sha256",
                "write what `printf %s \"$TOKEN\" | sha256sum` prints",
                self.scribe,
            );
            if let Some(name) = name {
                if !is_dns_label(&name.value.0) {
                    self.scribe.error(
                        name.at,
                        "`name` is not a token name",
                        "use 1 to 63 lower-case letters, digits and `-`",
                    );
                } else if !names.insert(name.value.0.clone()) {
                    self.scribe.error(
                        name.at,
                        format!("two tokens are called `{}`", name.value.0),
                        "give each its own name: the audit tells them apart by it",
                    );
                }
            }
            if let Some(digest) = digest
                && !digests.insert(digest.value.0)
            {
                self.scribe.error(
                    digest.at,
                    "two tokens have the same digest",
                    "make a token for each: the audit has to tell them apart",
                );
            }
            if let (Some(name), Some(role), Some(digest)) = (name, role, digest) {
                let role = match role.value {
                    raw::Role::Viewer => Role::Viewer,
                    raw::Role::Stop => Role::Stop,
                    raw::Role::Operator => Role::Operator,
                    raw::Role::Approver => Role::Approver,
                    raw::Role::Admin => Role::Admin,
                };
                tokens.push(ApiToken {
                    name: PersonId::new(name.value.0.clone()),
                    role,
                    sha256: digest.value.0,
                });
            }
        }
        tokens
    }

    pub(super) fn outage(&mut self, raw: &raw::Outage) -> Option<Outage> {
        let raw::Outage {
            place,
            alertmanager,
            url,
        } = raw;
        match (alertmanager, url) {
            (Some(manager), None) => {
                let raw::Alertmanager { place, url, matchers } = &manager.value;
                let url = place.need(
                    url,
                    "url",
                    "write `url: \"http://alertmanager:9093\"`",
                    self.scribe,
                );
                let url = url.and_then(|u| self.url(u));
                let list = place.need(
                    matchers,
                    "matchers",
                    "say which alerts count: `matchers: [\"severity=page\"]`",
                    self.scribe,
                );
                if let Some(list) = list.filter(|l| l.value.is_empty()) {
                    self.scribe.error(
                        list.at,
                        "`matchers` is an empty list",
                        "say which alerts count, such as `severity=page`",
                    );
                }
                for matcher in list.iter().flat_map(|l| &l.value) {
                    let key = matcher.value.0.split(['=', '!']).next().unwrap_or("").trim();
                    let name = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                    if !name || !matcher.value.0.contains('=') && !matcher.value.0.contains("!~") {
                        self.scribe.error(
                            matcher.at,
                            format!("`{}` is not a matcher", matcher.value.0),
                            "write for example `severity=page`, `team!=test` or `alertname=~\"Cart.*\"`",
                        );
                    }
                }
                Some(Outage::Alertmanager {
                    url: url?,
                    matchers: list?.value.iter().map(|m| m.value.0.clone()).collect(),
                })
            }
            (None, Some(url)) => self.url(url).map(Outage::Url),
            _ => {
                if place.bad.is_empty() {
                    let at = at(url, place);
                    self.scribe.error(
                        at,
                        "`outage` needs exactly one of `alertmanager` and `url`",
                        "keep one, or remove `outage`",
                    );
                }
                None
            }
        }
    }
}
