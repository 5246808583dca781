//! App definitions: their shape, their rules, and what Marathon adds to them.
//!
//! A definition is kept as the JSON object that Marathon lists, with every default filled in.
//! Resources are kept as fractions; [`plain`] writes whole ones as Marathon 1.7 does.

use serde_json::{Map, Number, Value, json};

use super::refusal::{Fault, Refusal};
use super::state::Version;

/// An app definition, every default filled in.
pub type Definition = Map<String, Value>;

/// What a field may hold.
enum Kind {
    Text(usize),
    Id,
    Double(f64, f64),
    Int(i64, i64),
    Flag,
    Word(&'static [&'static str]),
    List(&'static Kind),
    Table(&'static Kind),
    Object(&'static [Field]),
    Unreachable,
    Any,
}

struct Field {
    name: &'static str,
    kind: Kind,
    required: bool,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: false,
    }
}

const fn required(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: true,
    }
}

const COUNT: Kind = Kind::Int(0, i32::MAX as i64);
const PORT: Kind = Kind::Int(0, 65535);
const SHARE: Kind = Kind::Double(0.0, 1.0);
const LABELS: Kind = Kind::Table(&Kind::Text(0));
const PROTOCOLS: &[&str] = &[
    "HTTP",
    "HTTPS",
    "TCP",
    "COMMAND",
    "MESOS_TCP",
    "MESOS_HTTP",
    "MESOS_HTTPS",
];

static HEALTH_CHECK: &[Field] = &[
    field("command", Kind::Object(&[required("value", Kind::Text(0))])),
    field("gracePeriodSeconds", COUNT),
    field("ignoreHttp1xx", Kind::Flag),
    field("intervalSeconds", COUNT),
    field("maxConsecutiveFailures", COUNT),
    field("path", Kind::Text(0)),
    field("port", PORT),
    field("portIndex", PORT),
    field("protocol", Kind::Word(PROTOCOLS)),
    field("ipProtocol", Kind::Word(&["IPv4", "IPv6"])),
    field("timeoutSeconds", Kind::Int(i32::MIN as i64, i32::MAX as i64)),
    field("delaySeconds", COUNT),
];

static PORT_DEFINITION: &[Field] = &[
    field("port", PORT),
    field("labels", LABELS),
    field("name", Kind::Text(1)),
    field("protocol", Kind::Word(&["tcp", "udp", "udp,tcp"])),
];

static NETWORK: &[Field] = &[
    field("name", Kind::Text(1)),
    field("mode", Kind::Word(&["container", "container/bridge", "host"])),
    field("labels", LABELS),
];

static PORT_MAPPING: &[Field] = &[
    field("containerPort", PORT),
    field("hostPort", PORT),
    field("labels", LABELS),
    field("name", Kind::Text(1)),
    field("protocol", Kind::Word(&["tcp", "udp", "udp,tcp"])),
    field("servicePort", PORT),
];

static CONTAINER: &[Field] = &[
    field("type", Kind::Word(&["MESOS", "DOCKER"])),
    field("docker", Kind::Any),
    field("volumes", Kind::List(&Kind::Any)),
    field("portMappings", Kind::List(&Kind::Object(PORT_MAPPING))),
];

static APP: &[Field] = &[
    required("id", Kind::Id),
    field("acceptedResourceRoles", Kind::List(&Kind::Text(0))),
    field("args", Kind::List(&Kind::Text(0))),
    field("backoffFactor", Kind::Double(1.0, f64::MAX)),
    field("backoffSeconds", COUNT),
    field("cmd", Kind::Text(1)),
    field("constraints", Kind::List(&Kind::List(&Kind::Text(0)))),
    field("container", Kind::Object(CONTAINER)),
    field("cpus", Kind::Double(0.001, f64::MAX)),
    field("dependencies", Kind::List(&Kind::Id)),
    field("disk", Kind::Double(0.0, f64::MAX)),
    field("env", Kind::Table(&Kind::Any)),
    field("executor", Kind::Text(0)),
    field("executorResources", Kind::Any),
    field("fetch", Kind::List(&Kind::Any)),
    field("healthChecks", Kind::List(&Kind::Object(HEALTH_CHECK))),
    field("check", Kind::Any),
    field("instances", COUNT),
    field("labels", LABELS),
    field("maxLaunchDelaySeconds", COUNT),
    field("mem", Kind::Double(0.0, f64::MAX)),
    field("gpus", COUNT),
    field("networks", Kind::List(&Kind::Object(NETWORK))),
    field("ports", Kind::List(&PORT)),
    field("portDefinitions", Kind::List(&Kind::Object(PORT_DEFINITION))),
    field("readinessChecks", Kind::List(&Kind::Any)),
    field("residency", Kind::Any),
    field("resourceLimits", Kind::Any),
    field("requirePorts", Kind::Flag),
    field("secrets", Kind::Table(&Kind::Any)),
    field("taskKillGracePeriodSeconds", COUNT),
    field(
        "upgradeStrategy",
        Kind::Object(&[
            field("maximumOverCapacity", SHARE),
            field("minimumHealthCapacity", SHARE),
        ]),
    ),
    field("uris", Kind::List(&Kind::Text(1))),
    field("user", Kind::Text(0)),
    field("version", Kind::Text(0)),
    field("killSelection", Kind::Word(&["YOUNGEST_FIRST", "OLDEST_FIRST"])),
    field("unreachableStrategy", Kind::Unreachable),
    field("tty", Kind::Flag),
    field("role", Kind::Text(1)),
];

/// Left out of a definition when there is nothing in them.
const SHOWN_WHEN_FILLED: &[&str] = &[
    "args",
    "constraints",
    "dependencies",
    "env",
    "fetch",
    "healthChecks",
    "readinessChecks",
    "secrets",
];

fn fault(path: &str, error: &str) -> Fault {
    Fault {
        path: path.to_owned(),
        errors: vec![error.to_owned()],
    }
}

fn segment(part: &str) -> bool {
    part.split('.').all(|name| {
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !name.is_empty() && name.chars().all(fine) && !name.starts_with('-') && !name.ends_with('-')
    })
}

/// Whether every part of an id is one that Marathon takes.
#[must_use]
pub fn is_id(id: &str) -> bool {
    id.split('/').filter(|p| !p.is_empty()).all(segment)
}

/// The id with a slash before it, none after it, and dots resolved.
#[must_use]
pub fn canonical(id: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in id.split('/').filter(|p| !p.is_empty()) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The group an app is in.
#[must_use]
pub fn parent(id: &str) -> String {
    match id.rsplit_once('/') {
        Some(("", _)) | None => "/".to_owned(),
        Some((group, _)) => group.to_owned(),
    }
}

fn check(kind: &Kind, v: &Value, path: &str, faults: &mut Vec<Fault>) {
    match kind {
        Kind::Text(least) => match v.as_str() {
            None => faults.push(fault(path, "error.expected.jsstring")),
            Some(s) if s.chars().count() < *least => faults.push(fault(path, "error.minLength")),
            Some(_) => {}
        },
        Kind::Id => match v.as_str() {
            None => faults.push(fault(path, "error.expected.jsstring")),
            Some("") => faults.push(fault(path, "error.minLength")),
            Some(s) => {
                let mut parts = s.split('/').filter(|p| !p.is_empty());
                if s.contains("//") || !parts.all(|p| p == ".." || segment(p)) {
                    faults.push(fault(path, "error.pattern"));
                }
            }
        },
        Kind::Double(least, most) => match v.as_f64() {
            None => faults.push(fault(path, "error.expected.jsnumber")),
            Some(n) if n < *least => faults.push(fault(path, "error.min")),
            Some(n) if n > *most => faults.push(fault(path, "error.max")),
            Some(_) => {}
        },
        Kind::Int(least, most) => match (v.as_f64(), whole(v)) {
            (None, _) => faults.push(fault(path, "error.expected.jsnumber")),
            (_, Some(n)) if i32::try_from(n).is_ok() => {
                if n < *least {
                    faults.push(fault(path, "error.min"));
                } else if n > *most {
                    faults.push(fault(path, "error.max"));
                }
            }
            _ => faults.push(fault(path, "error.expected.int")),
        },
        Kind::Flag if !v.is_boolean() => faults.push(fault(path, "error.expected.jsboolean")),
        Kind::Word(words) if !v.as_str().is_some_and(|s| words.contains(&s)) => {
            faults.push(fault(path, "error.unknown.enum.literal"));
        }
        Kind::List(kind) => match v.as_array() {
            None => faults.push(fault(path, "error.expected.jsarray")),
            Some(list) => {
                for (n, item) in list.iter().enumerate() {
                    check(kind, item, &format!("{path}({n})"), faults);
                }
            }
        },
        Kind::Table(kind) => match v.as_object() {
            None => faults.push(fault(path, "error.expected.jsobject")),
            Some(table) => {
                for (key, item) in table {
                    check(kind, item, &format!("{path}/{key}"), faults);
                }
            }
        },
        Kind::Object(fields) => check_fields(fields, v, path, faults),
        Kind::Unreachable if v.as_str().is_some_and(|s| s != "disabled") => {
            faults.push(fault(path, "error.unknown.enum.literal"));
        }
        Kind::Unreachable => {
            let seconds = Kind::Int(0, i64::MAX);
            for name in ["inactiveAfterSeconds", "expungeAfterSeconds"] {
                if let Some(v) = v.get(name).filter(|v| !v.is_null()) {
                    check(&seconds, v, &format!("{path}/{name}"), faults);
                }
            }
        }
        Kind::Flag | Kind::Word(_) | Kind::Any => {}
    }
}

/// In an object that is none, every optional field is only missing: so the real one reads it too.
fn check_fields(fields: &[Field], v: &Value, path: &str, faults: &mut Vec<Fault>) {
    for f in fields {
        let path = format!("{path}/{}", f.name);
        match v.get(f.name) {
            Some(Value::Null) if !f.required => {}
            Some(item) => check(&f.kind, item, &path, faults),
            None if !f.required => {}
            None if v.is_object() => {
                faults.push(fault(&path, &format!("'{}' is undefined on object: {v}", f.name)));
            }
            None => faults.push(fault(&path, &format!("{v} is not an object"))),
        }
    }
}

fn whole(v: &Value) -> Option<i64> {
    v.as_i64().or_else(|| {
        let n = v.as_f64()?;
        #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
        let i = n as i64;
        (n.fract() == 0.0 && n.abs() < 9e15).then_some(i)
    })
}

/// Whether a document has the shape of an app, or with `partial` of an update of one.
///
/// # Errors
/// 422 that names every field of the wrong shape.
pub fn shape(v: &Value, partial: bool) -> Result<(), Refusal> {
    let mut faults = Vec::new();
    let fields = if partial { &APP[1..] } else { APP };
    check_fields(fields, v, "", &mut faults);
    if partial && let Some(id) = v.get("id").filter(|id| !id.is_null()) {
        check(&Kind::Id, id, "/id", &mut faults);
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Refusal::wrong_shape(&faults))
    }
}

fn fraction(v: &Value) -> Value {
    v.as_f64()
        .and_then(Number::from_f64)
        .map_or(Value::Null, Value::Number)
}

fn health_check(given: &Value, with_ports: bool) -> Value {
    let text = |key: &str, other: &str| given[key].as_str().unwrap_or(other).to_owned();
    let protocol = text("protocol", "HTTP");
    let mut check = json!({
        "gracePeriodSeconds": whole(&given["gracePeriodSeconds"]).unwrap_or(300),
        "intervalSeconds": whole(&given["intervalSeconds"]).unwrap_or(60),
        "maxConsecutiveFailures": whole(&given["maxConsecutiveFailures"]).unwrap_or(3),
        "protocol": protocol,
        "ipProtocol": text("ipProtocol", "IPv4"),
        "timeoutSeconds": whole(&given["timeoutSeconds"]).unwrap_or(20),
        "delaySeconds": whole(&given["delaySeconds"]).unwrap_or(15),
    });
    if ["HTTP", "HTTPS"].contains(&protocol.as_str()) {
        check["ignoreHttp1xx"] = json!(given["ignoreHttp1xx"].as_bool().unwrap_or(false));
    }
    for key in ["path", "port", "portIndex", "command"] {
        if let Some(v) = given.get(key).filter(|v| !v.is_null()) {
            check[key] = v.clone();
        }
    }
    if with_ports && protocol != "COMMAND" && check.get("port").is_none() && check.get("portIndex").is_none()
    {
        check["portIndex"] = json!(0);
    }
    check
}

fn container(given: &Value) -> Value {
    let mut c = given.clone();
    if c.get("type").is_none_or(Value::is_null) {
        c["type"] = json!(if given["docker"].is_object() {
            "DOCKER"
        } else {
            "MESOS"
        });
    }
    if !c["volumes"].is_array() {
        c["volumes"] = json!([]);
    }
    for volume in c["volumes"].as_array_mut().into_iter().flatten() {
        if volume["persistent"].is_object() {
            let p = &mut volume["persistent"];
            p["type"] = json!(p["type"].as_str().unwrap_or("root"));
            if !p["constraints"].is_array() {
                p["constraints"] = json!([]);
            }
        }
    }
    if c["docker"].is_object() {
        for key in ["forcePullImage", "privileged"] {
            c["docker"][key] = json!(c["docker"][key].as_bool().unwrap_or(false));
        }
        if !c["docker"]["parameters"].is_array() {
            c["docker"]["parameters"] = json!([]);
        }
    }
    // Not by index, which would write a null where nothing is.
    let mappings = c.get_mut("portMappings").and_then(Value::as_array_mut);
    for mapping in mappings.into_iter().flatten() {
        for (key, default) in [
            ("containerPort", json!(0)),
            ("hostPort", json!(0)),
            ("servicePort", json!(0)),
            ("protocol", json!("tcp")),
            ("labels", json!({})),
        ] {
            if mapping.get(key).is_none_or(Value::is_null) {
                mapping[key] = default;
            }
        }
    }
    c
}

fn port_definition(given: &Value) -> Value {
    let mut p = json!({
        "port": whole(&given["port"]).unwrap_or(0),
        "protocol": given["protocol"].as_str().unwrap_or("tcp"),
    });
    if let Some(name) = given["name"].as_str() {
        p["name"] = json!(name);
    }
    if given["labels"].as_object().is_some_and(|l| !l.is_empty()) {
        p["labels"] = given["labels"].clone();
    }
    p
}

/// Whether an app keeps volumes of its own.
#[must_use]
pub fn resident(d: &Definition) -> bool {
    d.get("container")
        .and_then(|c| c["volumes"].as_array())
        .is_some_and(|list| list.iter().any(|v| v["persistent"].is_object()))
}

/// A definition without what only the oldest versions write, and all of them take.
fn modern(given: &Definition) -> Definition {
    let mut d = given.clone();
    let mut mode = None;
    let docker = d
        .get_mut("container")
        .and_then(|c| c.get_mut("docker")?.as_object_mut());
    if let Some(docker) = docker {
        let mappings = docker.remove("portMappings").filter(Value::is_array);
        mode = match docker.remove("network").as_ref().and_then(Value::as_str) {
            Some("BRIDGE") => Some("container/bridge"),
            Some("USER") => Some("container"),
            Some("HOST") => Some("host"),
            _ => None,
        };
        if let (Some(mappings), Some(c)) = (mappings, d.get_mut("container"))
            && mode != Some("host")
            && !c["portMappings"].is_array()
        {
            c["portMappings"] = mappings;
        }
    }
    let address = d.remove("ipAddress").filter(Value::is_object);
    if !d.get("networks").is_some_and(Value::is_array) {
        if let Some(name) = address.as_ref().and_then(|a| a["networkName"].as_str()) {
            d.insert(
                "networks".to_owned(),
                json!([{"mode": "container", "name": name}]),
            );
        } else if let Some(mode) = mode {
            d.insert("networks".to_owned(), json!([{"mode": mode}]));
        }
    }
    d
}

/// Fills in what was not said.
#[must_use]
pub fn complete(id: &str, given: &Definition, version: Version) -> Definition {
    let given = &modern(given);
    let get = |key: &str| given.get(key).filter(|v| !v.is_null());
    let list = |key: &str| get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut d = Definition::new();
    d.insert("id".to_owned(), json!(id));
    for (key, default) in [
        ("cpus", 1.0),
        ("mem", 128.0),
        ("disk", 0.0),
        ("backoffFactor", 1.15),
    ] {
        d.insert(key.to_owned(), get(key).map_or_else(|| json!(default), fraction));
    }
    let longest = i64::from(version.max_launch_delay_seconds());
    for (key, default) in [
        ("instances", 1),
        ("gpus", 0),
        ("backoffSeconds", 1),
        ("maxLaunchDelaySeconds", longest),
    ] {
        d.insert(key.to_owned(), json!(get(key).and_then(whole).unwrap_or(default)));
    }
    for (key, default) in [
        ("executor", json!("")),
        ("labels", json!({})),
        ("requirePorts", json!(false)),
        ("killSelection", json!("YOUNGEST_FIRST")),
    ] {
        d.insert(key.to_owned(), get(key).cloned().unwrap_or(default));
    }
    for key in [
        "acceptedResourceRoles",
        "args",
        "cmd",
        "constraints",
        "dependencies",
        "env",
        "executorResources",
        "fetch",
        "check",
        "readinessChecks",
        "residency",
        "resourceLimits",
        "secrets",
        "taskKillGracePeriodSeconds",
        "user",
        "tty",
    ] {
        let empty = |v: &Value| {
            SHOWN_WHEN_FILLED.contains(&key)
                && (v.as_array().is_some_and(Vec::is_empty) || v.as_object().is_some_and(Map::is_empty))
        };
        if let Some(v) = get(key).filter(|v| !empty(v)) {
            d.insert(key.to_owned(), v.clone());
        }
    }
    let uris = list("uris");
    if !uris.is_empty() {
        let fetch: Vec<Value> = uris
            .iter()
            .map(|uri| json!({"uri": uri, "extract": true, "executable": false, "cache": false}))
            .collect();
        d.insert("fetch".to_owned(), json!(fetch));
    }
    if let Some(c) = get("container") {
        d.insert("container".to_owned(), container(c));
    }
    let mut networks = list("networks");
    for network in &mut networks {
        if network.get("mode").is_none_or(Value::is_null) {
            network["mode"] = json!("container");
        }
    }
    if networks.is_empty() {
        networks.push(json!({"mode": "host"}));
    }
    let host = networks.iter().all(|n| n["mode"] == "host");
    d.insert("networks".to_owned(), json!(networks));
    let mut given_ports = get("portDefinitions").is_some();
    let ports: Vec<Value> = if given_ports {
        list("portDefinitions").iter().map(port_definition).collect()
    } else if get("ports").is_some() {
        given_ports = true;
        let port = |p: &Value| port_definition(&json!({"port": p}));
        list("ports").iter().map(port).collect()
    } else if host {
        vec![json!({"port": 0, "name": "default", "protocol": "tcp"})]
    } else {
        vec![]
    };
    let with_ports =
        given_ports && !ports.is_empty() || d.get("container").is_some_and(|c| c["portMappings"].is_array());
    if host || !ports.is_empty() {
        d.insert("portDefinitions".to_owned(), json!(ports));
    }
    let checks: Vec<Value> = list("healthChecks")
        .iter()
        .map(|c| health_check(c, with_ports))
        .collect();
    if !checks.is_empty() {
        d.insert("healthChecks".to_owned(), json!(checks));
    }
    let keeps = resident(&d);
    let mut upgrade = json!({
        "maximumOverCapacity": if keeps { 0.0 } else { 1.0 },
        "minimumHealthCapacity": if keeps { 0.5 } else { 1.0 },
    });
    for key in ["maximumOverCapacity", "minimumHealthCapacity"] {
        if let Some(v) = get("upgradeStrategy")
            .and_then(|u| u.get(key))
            .filter(|v| v.is_number())
        {
            upgrade[key] = fraction(v);
        }
    }
    d.insert("upgradeStrategy".to_owned(), upgrade);
    let unreachable = match get("unreachableStrategy") {
        None if keeps => json!("disabled"),
        Some(Value::String(s)) => json!(s),
        other => {
            let of = |key: &str| other.and_then(|u| u.get(key)).and_then(whole).unwrap_or(0);
            json!({"inactiveAfterSeconds": of("inactiveAfterSeconds"),
                "expungeAfterSeconds": of("expungeAfterSeconds")})
        }
    };
    d.insert("unreachableStrategy".to_owned(), unreachable);
    if keeps && !d.contains_key("residency") {
        let residency = json!({"relaunchEscalationTimeoutSeconds": 3600, "taskLostBehavior": "WAIT_FOREVER"});
        d.insert("residency".to_owned(), residency);
    }
    if version.has_roles() {
        d.insert(
            "role".to_owned(),
            get("role").cloned().unwrap_or_else(|| json!("*")),
        );
    }
    d
}

/// A definition with some fields changed.
#[must_use]
pub fn changed(current: &Definition, update: &Definition, version: Version) -> Definition {
    let mut given = current.clone();
    for (key, v) in update {
        if key != "id" && key != "version" && !v.is_null() {
            given.insert(key.clone(), v.clone());
            if key == "ports" {
                given.remove("portDefinitions");
            }
        }
    }
    complete(&id_of(current), &given, version)
}

/// The id in a definition.
#[must_use]
pub fn id_of(d: &Definition) -> String {
    d.get("id").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The number of instances in a definition.
#[must_use]
pub fn instances_of(d: &Definition) -> u32 {
    let n = d.get("instances").and_then(Value::as_u64).unwrap_or(0);
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The ports a task of it has on its agent: how many.
#[must_use]
pub fn ports_of(d: &Definition) -> usize {
    let mappings = d.get("container").and_then(|c| c["portMappings"].as_array());
    mappings
        .or_else(|| d.get("portDefinitions").and_then(Value::as_array))
        .map_or(0, Vec::len)
}

/// The rules about one constraint.
fn constraint(c: &[Value], version: Version) -> Option<&'static str> {
    let text = |n: usize| c.get(n).and_then(Value::as_str);
    let number = |s: &str| s.parse::<i32>().is_ok();
    if !(2..=3).contains(&c.len()) {
        return Some("Each constraint must have either 2 or 3 fields");
    }
    let (Some(field), Some(op)) = (text(0), text(1)) else {
        return Some("illegal constraint specification");
    };
    if field.is_empty() {
        return Some("illegal constraint specification");
    }
    match (op.to_uppercase().as_str(), text(2)) {
        ("IS", _) if !version.has_is_constraints() => {
            Some("operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER or UNLIKE")
        }
        ("UNIQUE", Some(_)) => Some("UNIQUE does not accept a value"),
        ("UNIQUE", None) | ("CLUSTER", _) => None,
        ("GROUP_BY", Some(v)) if !number(v) => {
            Some("GROUP BY must define an integer value or else no value at all")
        }
        ("GROUP_BY", _) => None,
        ("MAX_PER", v) => (!v.is_some_and(number)).then_some("MAX_PER requires an integer value"),
        ("LIKE" | "UNLIKE", None) => Some("LIKE and UNLIKE require a non-empty, regular expression value"),
        ("LIKE" | "UNLIKE", Some(v)) => regex::Regex::new(v)
            .is_err()
            .then_some("is not a valid regular expression"),
        ("IS", v) => {
            let fine = |c: char| c.is_ascii_alphanumeric() || "_/.-".contains(c);
            (!v.unwrap_or_default().chars().all(fine)).then_some(
                "IS only supports Mesos text and float values (see http://mesos.apache.org/documentation/latest/attributes-resources/)",
            )
        }
        _ => Some(
            "operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER, UNLIKE or IS",
        ),
    }
}

const SEGMENT: &str = r"must fully match regular expression '^(([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])\.)*([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])|(\.|\.\.)$'";

/// Whether a definition keeps Marathon's rules.
///
/// # Errors
/// 422 that names every rule broken.
pub fn rules(d: &Definition, version: Version) -> Result<(), Refusal> {
    let mut broken: Vec<(String, &str)> = Vec::new();
    let mut say = |path: &str, words: &'static str| broken.push((path.to_owned(), words));
    let list = |key: &str| d.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let id = id_of(d);
    let parts: Vec<&str> = id.split('/').filter(|p| !p.is_empty()).collect();
    if !parts.iter().all(|p| segment(p)) {
        say("/id", SEGMENT);
    }
    if version.reserves_words()
        && parts
            .last()
            .is_some_and(|p| ["restart", "tasks", "versions"].contains(p))
    {
        let words = if version.reserves_dots() {
            "must not end with any of the following reserved keywords: restart, tasks, versions, ., .."
        } else {
            "must not end with any of the following reserved keywords: restart, tasks, versions"
        };
        say("/id", words);
    }
    if parts.is_empty() {
        say("/id", "Path must contain at least one path element");
        say("/", "must not be root");
    }
    let cmd = d.get("cmd").is_some();
    let args = d.contains_key("args");
    if (cmd && args) || !(cmd || args || d.contains_key("container")) {
        say(
            "/",
            "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.",
        );
    }
    if d.get("cmd")
        .and_then(Value::as_str)
        .is_some_and(|c| c.chars().count() < 2)
    {
        say("/", "must not be an empty string");
    }
    for (n, c) in list("constraints").iter().enumerate() {
        if let Some(words) = constraint(c.as_array().map_or(&[], Vec::as_slice), version) {
            say(&format!("/constraints({n})"), words);
        }
    }
    let ports = list("portDefinitions");
    let twice = |mut seen: Vec<Value>| {
        let before = seen.len();
        seen.sort_by_key(Value::to_string);
        seen.dedup();
        seen.len() < before
    };
    if twice(
        ports
            .iter()
            .map(|p| p["name"].clone())
            .filter(|n| !n.is_null())
            .collect(),
    ) {
        say("/portDefinitions", "Port names must be unique.");
    }
    if twice(
        ports
            .iter()
            .map(|p| p["port"].clone())
            .filter(|p| *p != 0)
            .collect(),
    ) {
        say("/portDefinitions", "Ports must be unique.");
    }
    let host = list("networks").iter().all(|n| n["mode"] == "host");
    let mapped = d
        .get("container")
        .and_then(|c| c["portMappings"].as_array())
        .is_some_and(|m| !m.is_empty());
    if host && mapped {
        say("/", "portMappings are not allowed with host-networking");
    }
    if !host && !ports.is_empty() {
        say("/", "portDefinitions are only allowed with host-networking");
    }
    let count = ports_of(d);
    let mut mesos = 0;
    for (n, c) in list("healthChecks").iter().enumerate() {
        let protocol = c["protocol"].as_str().unwrap_or_default();
        let known = match c["portIndex"].as_u64() {
            Some(n) => usize::try_from(n).is_ok_and(|n| n < count),
            None => !c["port"].is_null() || count == 1,
        };
        if ["HTTP", "HTTPS", "TCP"].contains(&protocol) && c["command"].is_null() && !known {
            say(
                &format!("/healthChecks({n})"),
                "Health check port indices must address an element of the ports array or container port mappings.",
            );
        }
        mesos += usize::from(protocol.starts_with("MESOS"));
    }
    if mesos > 1 {
        say("/", "AppDefinition can contain at most one Mesos health check");
    }
    if d.get("gpus").and_then(Value::as_u64).unwrap_or(0) > 0 {
        say(
            "/",
            "Feature gpu_resources is not enabled. Enable with --enable_features gpu_resources)",
        );
    }
    let single = d
        .get("labels")
        .is_some_and(|l| l["MARATHON_SINGLE_INSTANCE_APP"] == "true");
    if single && instances_of(d) > 1 {
        say("/", "Single instance app may only have one instance");
    }
    if broken.is_empty() {
        return Ok(());
    }
    let mut faults: Vec<Fault> = Vec::new();
    for (path, words) in broken {
        match faults.iter_mut().find(|f| f.path == path) {
            Some(f) => f.errors.push(words.to_owned()),
            None => faults.push(fault(&path, words)),
        }
    }
    Err(Refusal::not_valid(&faults))
}

/// The same document with whole fractions written as integers: `16` and not `16.0`.
#[must_use]
pub fn plain(v: Value) -> Value {
    match v {
        Value::Object(o) => o.into_iter().map(|(k, v)| (k, plain(v))).collect(),
        Value::Array(a) => a.into_iter().map(plain).collect(),
        Value::Number(n) if n.is_f64() => {
            whole(&Value::Number(n.clone())).map_or(Value::Number(n), Value::from)
        }
        other => other,
    }
}

/// Whether going from one definition to another needs new tasks.
#[must_use]
pub fn needs_new_tasks(old: &Definition, new: &Definition) -> bool {
    let without = |d: &Definition| {
        let mut d = d.clone();
        d.remove("instances");
        d
    };
    without(old) != without(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(v: Value) -> Result<Definition, Refusal> {
        shape(&v, false)?;
        let d = complete(
            &canonical(v["id"].as_str().unwrap()),
            v.as_object().unwrap(),
            Version::V1_11,
        );
        rules(&d, Version::V1_11).map(|()| d)
    }

    #[track_caller]
    fn refused(v: Value, message: &str, path: &str, error: &str) {
        let refusal = read(v).unwrap_err();
        let wanted = json!({"message": message, "details": [{"path": path, "errors": [error]}]});
        assert_eq!((refusal.status, refusal.body), (422, wanted));
    }

    #[test]
    fn wrong_shapes_and_broken_rules_are_named() {
        let shape = "Invalid JSON";
        let rule = "Object is not valid";
        let app = |more: Value| {
            let mut v = json!({"id": "/a", "cmd": "sleep 1"});
            for (k, more) in more.as_object().unwrap() {
                v[k] = more.clone();
            }
            v
        };
        refused(
            json!({"id": 7, "cmd": "x"}),
            shape,
            "/id",
            "error.expected.jsstring",
        );
        refused(
            json!({"cmd": "sleep 1"}),
            shape,
            "/id",
            "'id' is undefined on object: {\"cmd\":\"sleep 1\"}",
        );
        refused(json!({"id": "/A_b"}), shape, "/id", "error.pattern");
        refused(app(json!({"cpus": -1})), shape, "/cpus", "error.min");
        refused(
            app(json!({"instances": 1.5})),
            shape,
            "/instances",
            "error.expected.int",
        );
        refused(
            app(json!({"labels": {"a": 1}})),
            shape,
            "/labels/a",
            "error.expected.jsstring",
        );
        refused(
            app(json!({"healthChecks": [{"protocol": "PING"}]})),
            shape,
            "/healthChecks(0)/protocol",
            "error.unknown.enum.literal",
        );
        refused(
            json!({"id": "/a"}),
            rule,
            "/",
            "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.",
        );
        refused(
            app(json!({"constraints": [["hostname", "UNIQUE", "x"]]})),
            rule,
            "/constraints(0)",
            "UNIQUE does not accept a value",
        );
    }

    #[test]
    fn defaults_are_filled_in_and_an_update_keeps_the_rest() {
        let d = read(json!({"id": "a/b", "cmd": "sleep 1", "mem": 16})).unwrap();
        assert_eq!(id_of(&d), "/a/b");
        assert_eq!(d["mem"].to_string(), "16.0");
        assert_eq!(plain(d["mem"].clone()).to_string(), "16");
        assert_eq!(d["portDefinitions"][0]["name"], "default");
        let update = json!({"instances": 3}).as_object().unwrap().clone();
        let new = changed(&d, &update, Version::V1_11);
        assert!(!needs_new_tasks(&d, &new) && instances_of(&new) == 3);
    }
}
