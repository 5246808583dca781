//! Everything a person can ask of the operator, and who asks.

use super::ids::{AppId, PersonId, PlanDigest, PolicyName, RunId};
use chrono::{DateTime, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Somebody who asks. Identity is `id`; the name is for display and never decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Person {
    /// Slack user id, or the name of an API token.
    pub id: PersonId,
    /// For display only.
    pub name: String,
    /// The door they came through.
    pub via: Via,
    /// What they may ask for.
    pub role: Role,
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)
    }
}

/// A door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Via {
    /// Slack, signature checked.
    Slack,
    /// The HTTP API with a token; the command line comes this way.
    Api,
    /// The halt file.
    File,
    /// A signal to the process.
    Signal,
    /// The operator itself.
    Operator,
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slack => "Slack",
            Self::Api => "API",
            Self::File => "the halt file",
            Self::Signal => "a signal",
            Self::Operator => "the operator",
        })
    }
}

/// What somebody may ask for. Slack members of the workspace are `Operator`, plus approver where a
/// policy names them; people in the settings' admin list are `Admin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    Viewer,
    /// Look and stop.
    Stop,
    /// Also ask for runs.
    Operator,
    /// Also decide on plans, where the policy names them.
    Approver,
    /// Also resume and clear.
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Viewer => "viewer",
            Self::Stop => "stop",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        })
    }
}

/// Something asked, by somebody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Who.
    pub by: Person,
    /// What.
    pub command: Command,
    /// A key under which a repeat is the same request: Idempotency-Key, Slack trigger id.
    pub key: Option<String>,
}

/// What a person can ask. Everything but a question is journalled before it counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "command")]
pub enum Command {
    /// What can I ask?
    Help,
    /// How is everything?
    Status,
    /// Which policies are there?
    Policies,
    /// Which runs, newest first?
    Runs {
        /// At most this many.
        most: usize,
    },
    /// One run, whole.
    DescribeRun {
        /// Which.
        run: RunId,
    },
    /// One run's report.
    Report {
        /// Which.
        run: RunId,
    },
    /// What would be done now, and would the gates let it? Changes nothing.
    Plan {
        /// For which policy.
        policy: PolicyName,
    },
    /// Why did nothing happen, or would it?
    Why {
        /// A policy's name or an app's id.
        subject: String,
    },
    /// Was it us?
    WasItYou {
        /// An app, host or task; everything when absent.
        subject: Option<String>,
    },
    /// What did we do since?
    Timeline {
        /// From when.
        since: DateTime<Utc>,
        /// Only this app.
        app: Option<AppId>,
    },
    /// What have the experiments on an app taught?
    History {
        /// Which app.
        app: AppId,
    },
    /// When will runs begin?
    Forecast {
        /// First date.
        from: NaiveDate,
        /// Last date.
        to: NaiveDate,
        /// Only this policy.
        policy: Option<PolicyName>,
    },
    /// Start a run now, if the gates allow.
    Run {
        /// For which policy.
        policy: PolicyName,
    },
    /// Yes to a plan.
    Approve {
        /// Which run.
        run: RunId,
        /// Exactly this plan; a prefix of at least 12 characters will do.
        digest: PlanDigest,
    },
    /// No to a plan.
    Deny {
        /// Which run.
        run: RunId,
        /// Why.
        reason: String,
    },
    /// End one run early.
    Abort {
        /// Which; every open one when absent.
        run: Option<RunId>,
        /// Why.
        reason: String,
    },
    /// Stop everything until a person resumes.
    Halt {
        /// Why.
        reason: String,
    },
    /// Lift the halt.
    Resume {
        /// Why.
        reason: String,
    },
    /// Free a charge that only a person can judge.
    Clear {
        /// The intent, as shown.
        intent: String,
        /// Why it is known to be over.
        reason: String,
    },
}

impl Command {
    /// The word for it in the audit and in metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Help => "help",
            Self::Status => "status",
            Self::Policies => "policies",
            Self::Runs { .. } => "runs",
            Self::DescribeRun { .. } => "describe",
            Self::Report { .. } => "report",
            Self::Plan { .. } => "plan",
            Self::Why { .. } => "why",
            Self::WasItYou { .. } => "was-it-you",
            Self::Timeline { .. } => "timeline",
            Self::History { .. } => "history",
            Self::Forecast { .. } => "forecast",
            Self::Run { .. } => "run",
            Self::Approve { .. } => "approve",
            Self::Deny { .. } => "deny",
            Self::Abort { .. } => "abort",
            Self::Halt { .. } => "halt",
            Self::Resume { .. } => "resume",
            Self::Clear { .. } => "clear",
        }
    }

    /// Whether it changes nothing and needs no entry.
    pub fn is_question(&self) -> bool {
        match self {
            Self::Help
            | Self::Status
            | Self::Policies
            | Self::Runs { .. }
            | Self::DescribeRun { .. }
            | Self::Report { .. }
            | Self::Plan { .. }
            | Self::Why { .. }
            | Self::WasItYou { .. }
            | Self::Timeline { .. }
            | Self::History { .. }
            | Self::Forecast { .. } => true,
            Self::Run { .. }
            | Self::Approve { .. }
            | Self::Deny { .. }
            | Self::Abort { .. }
            | Self::Halt { .. }
            | Self::Resume { .. }
            | Self::Clear { .. } => false,
        }
    }
}
