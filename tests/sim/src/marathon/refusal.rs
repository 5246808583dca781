//! The answers with which Marathon refuses.

use serde_json::{Value, json};

use super::state::Version;

/// A refusal: its status and its JSON body.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

/// What is wrong in one place of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, such as `/healthChecks(0)/path`.
    pub path: String,
    /// What is wrong there.
    pub errors: Vec<String>,
}

fn details(faults: &[Fault]) -> Value {
    faults
        .iter()
        .map(|f| json!({"path": f.path, "errors": f.errors}))
        .collect()
}

impl Refusal {
    /// Only a message.
    #[must_use]
    pub fn message(status: u16, text: &str) -> Self {
        Self {
            status,
            body: json!({"message": text}),
        }
    }

    /// 404 of a resource; late versions add an empty list of details.
    #[must_use]
    pub fn not_found(version: Version, text: &str) -> Self {
        let mut refusal = Self::message(404, text);
        if version.empty_details() {
            refusal.body["details"] = json!([]);
        }
        refusal
    }

    /// 404 of an app that is only read.
    #[must_use]
    pub fn no_app(version: Version, app: &str) -> Self {
        Self::not_found(version, &format!("App '{app}' does not exist"))
    }

    /// 400 with what the JSON parser says.
    #[must_use]
    pub fn bad_json(text: &str) -> Self {
        Self {
            status: 400,
            body: json!({"message": "Invalid JSON", "details": text}),
        }
    }

    /// 422: JSON of the wrong shape.
    #[must_use]
    pub fn wrong_shape(faults: &[Fault]) -> Self {
        Self {
            status: 422,
            body: json!({"message": "Invalid JSON", "details": details(faults)}),
        }
    }

    /// Whether it is about JSON of the wrong shape.
    #[must_use]
    pub fn is_wrong_shape(&self) -> bool {
        self.status == 422 && self.words() == "Invalid JSON"
    }

    /// 422: the right shape, and not allowed all the same.
    #[must_use]
    pub fn not_valid(faults: &[Fault]) -> Self {
        Self {
            status: 422,
            body: json!({"message": "Object is not valid", "details": details(faults)}),
        }
    }

    /// 409: deployments hold the app.
    #[must_use]
    pub fn locked(deployments: &[String]) -> Self {
        let ids: Vec<Value> = deployments.iter().map(|id| json!({"id": id})).collect();
        Self {
            status: 409,
            body: json!({
                "message": "App is locked by one or more deployments. Override with the option \
                    '?force=true'. View details at '/v2/deployments/<DEPLOYMENT_ID>'.",
                "deployments": ids,
            }),
        }
    }

    /// What it says.
    #[must_use]
    pub fn words(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}
