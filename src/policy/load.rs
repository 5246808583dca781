//! Reads the policy folder. A bad file blocks itself; it is never skipped.

use super::problem::{Beside, Problems, Scribe};
use super::read::{At, Read};
use super::yaml::{self, Node};
use super::{raw, validate};
use crate::model::ids::PolicyName;
use crate::model::policy::{Owner, Policy, PolicySet, PolicyState};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most files in one folder.
const FILES_MAX: usize = 2_000;

/// The policy folder, and what its files were called when they were last good.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    names: BTreeMap<PathBuf, PolicyName>,
    /// What its policy files were judged to be. The folder is read every few seconds, and judging a hundred files
    /// takes a hundred times as long as seeing that they are the same to the last byte.
    judged: BTreeMap<PathBuf, Judged>,
}

/// What became of a file with this content.
#[derive(Clone, Debug)]
struct Judged {
    bytes: Vec<u8>,
    /// Other files that it names, and what was in them.
    beside: Vec<Beside>,
    policy: Result<Arc<Policy>, Bad>,
}

impl Judged {
    fn new(file: &Path, bytes: Vec<u8>) -> Self {
        let (policy, beside) = judge(file, &bytes);
        Self {
            beside,
            policy: policy.map(Arc::new),
            bytes,
        }
    }

    /// Whether it would be judged alike now.
    fn holds(&self, bytes: &[u8]) -> bool {
        self.bytes == bytes && self.beside.iter().all(|(path, was)| bytes_of(path).ok() == *was)
    }
}

/// What one look at the folder gave.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// What holds now.
    pub set: PolicySet,
    /// Everything that is wrong, over all files.
    pub problems: Problems,
}

impl Folder {
    /// A folder that was not read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            names: BTreeMap::new(),
            judged: BTreeMap::new(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads every `*.yaml` and `*.yml` of the folder itself (not of folders in it, nor files whose
    /// name starts with a dot); `owners.yaml` says who owns what.
    ///
    /// # Guarantees
    ///
    /// - A file that can't be read or judged suspends the policy it last held, and the policy whose
    ///   name it carries now. A policy is active only when exactly one file, and a good one, names it.
    /// - A folder that can't be listed suspends every policy that was ever seen in it.
    pub fn read(&mut self) -> Reading {
        let mut reading = Reading::default();
        let files = match files_of(&self.path) {
            Ok(files) => files,
            Err(problems) => {
                for name in self.names.values() {
                    reading.set.policies.insert(
                        name.clone(),
                        PolicyState::Suspended {
                            why: problems.to_string(),
                        },
                    );
                }
                reading.set.owners_bad = Some(problems.to_string());
                reading.problems = problems;
                return reading;
            }
        };
        self.names.retain(|file, _| files.contains(file));
        self.judged.retain(|file, _| files.contains(file));
        let mut good: BTreeMap<PolicyName, Vec<(PathBuf, Arc<Policy>)>> = BTreeMap::new();
        let mut bad: BTreeMap<PolicyName, Vec<(PathBuf, Problems)>> = BTreeMap::new();
        for file in files {
            if is_owners(&file) {
                match read_owners(&file) {
                    Ok(owners) => reading.set.owners.extend(owners),
                    Err(problems) => {
                        reading
                            .set
                            .owners_bad
                            .get_or_insert_default()
                            .push_str(&problems.to_string());
                        reading.problems.append(problems);
                    }
                }
                continue;
            }
            match self.policy_in(&file) {
                Ok(policy) => {
                    self.names.insert(file.clone(), policy.name.clone());
                    good.entry(policy.name.clone()).or_default().push((file, policy));
                }
                Err((claimed, problems)) => {
                    let mut names: BTreeSet<_> = self
                        .names
                        .get(&file)
                        .cloned()
                        .into_iter()
                        .chain(claimed)
                        .collect();
                    if names.is_empty() {
                        names.insert(name_of(&file));
                    }
                    for name in names {
                        bad.entry(name)
                            .or_default()
                            .push((file.clone(), problems.clone()));
                    }
                    reading.problems.append(problems);
                }
            }
        }
        if reading.set.owners_bad.is_some() {
            // Half of the owners would be as misleading as none.
            reading.set.owners.clear();
        }
        for (name, mut files) in good {
            if files.len() > 1 {
                let list = files
                    .iter()
                    .map(|(f, _)| f.display().to_string())
                    .collect::<Vec<_>>()
                    .join(" and ");
                for (file, _) in &files {
                    reading.problems.append(Problems::of_file(
                        file,
                        format!("the policy name `{name}` is used by {list}"),
                        "give each its own `metadata.name`, or delete all but one; until then none of them is used",
                    ));
                }
                let why = format!(
                    "The name `{name}` is used by {list}. Give each its own; until then none of them is used."
                );
                reading.set.policies.insert(name, PolicyState::Suspended { why });
            } else if let Some((_, policy)) = files.pop() {
                reading.set.policies.insert(name, PolicyState::Active(policy));
            }
        }
        for (name, files) in bad {
            let why = files
                .iter()
                .map(|(_, p)| p.to_string())
                .collect::<Vec<_>>()
                .join("\n");
            reading.set.policies.insert(name, PolicyState::Suspended { why });
        }
        reading
    }
}

impl Folder {
    /// The policy of one file, judged anew only where something of it is new.
    fn policy_in(&mut self, file: &Path) -> Result<Arc<Policy>, Bad> {
        let bytes = bytes_of(file).map_err(|problems| {
            self.judged.remove(file);
            (None, problems)
        })?;
        match self.judged.get(file) {
            Some(judged) if judged.holds(&bytes) => judged.policy.clone(),
            _ => {
                let judged = Judged::new(file, bytes);
                let policy = judged.policy.clone();
                self.judged.insert(file.to_owned(), judged);
                policy
            }
        }
    }
}

fn is_owners(file: &Path) -> bool {
    file.file_stem().is_some_and(|s| s == "owners")
}

/// The best name for a file that tells none: its own.
fn name_of(file: &Path) -> PolicyName {
    PolicyName::new(
        file.file_stem()
            .map_or_else(|| "unnamed".into(), |s| s.to_string_lossy().into_owned()),
    )
}

/// The files that may hold policies, sorted.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Problems> {
    let failed = |e: std::io::Error| {
        Problems::of_file(
            folder,
            format!("the policy folder can't be read: {e}"),
            "make the folder readable; until then no policy is used",
        )
    };
    let mut files = vec![];
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        let yaml = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"));
        if yaml && !hidden {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(Problems::of_file(
                folder,
                format!("the folder has more than {FILES_MAX} policy files"),
                "split it over several operators",
            ));
        }
    }
    files.sort();
    Ok(files)
}

/// Reads the bytes of a regular file, never more than the cap allows.
pub(crate) fn bytes_of(file: &Path) -> Result<Vec<u8>, Problems> {
    let wrong = |what: String, help: &str| Problems::of_file(file, what, help);
    let look = "make it a readable file, or remove it";
    // Asked before opening: opening a pipe would wait for somebody to write to it.
    let meta = std::fs::metadata(file).map_err(|e| wrong(format!("the file can't be read: {e}"), look))?;
    if !meta.is_file() {
        return Err(wrong("this is not a file".to_owned(), look));
    }
    // One byte more than there is, so that the end is seen without asking for more room.
    let room = usize::try_from(meta.len().min(yaml::SIZE_MAX)).unwrap_or(0) + 1;
    let mut bytes = Vec::with_capacity(room);
    let opened =
        std::fs::File::open(file).map_err(|e| wrong(format!("the file can't be read: {e}"), look))?;
    opened
        .take(yaml::SIZE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| wrong(format!("the file can't be read: {e}"), look))?;
    if bytes.len() as u64 > yaml::SIZE_MAX {
        let (what, help) = yaml::too_large(meta.len().max(bytes.len() as u64));
        return Err(wrong(what, &help));
    }
    Ok(bytes)
}

type Bad = (Option<PolicyName>, Problems);

/// Judges the bytes of a policy file that was read elsewhere.
///
/// # Errors
///
/// Every problem, and the name the file claims, when that much can be read.
pub fn parse_policy(file: &Path, bytes: &[u8]) -> Result<Policy, Bad> {
    judge(file, bytes).0
}

/// The same, with the other files whose content counted.
fn judge(file: &Path, bytes: &[u8]) -> (Result<Policy, Bad>, Vec<Beside>) {
    let (mut scribe, node) = yaml::read_bytes(file, bytes, false);
    let policy = node
        .as_ref()
        .and_then(|n| raw::PolicyFile::read(n, &mut scribe))
        .and_then(|f| validate::policy(&f, &mut scribe));
    let beside = scribe.beside().to_vec();
    let judged = match policy {
        Some(policy) if scribe.is_clean() => Ok(policy),
        _ => Err((node.as_ref().and_then(claimed_name), never_empty(file, scribe))),
    };
    (judged, beside)
}

/// `metadata.name`, as far as it can be read.
fn claimed_name(node: &Node) -> Option<PolicyName> {
    match &node.get("metadata")?.get("name")?.kind {
        yaml::Kind::Scalar { text, .. } if validate::is_dns_label(text) => {
            Some(PolicyName::new(text.clone()))
        }
        _ => None,
    }
}

fn read_owners(file: &Path) -> Result<Vec<Owner>, Problems> {
    parse_owners(file, &bytes_of(file)?)
}

/// Judges the bytes of an `owners.yaml`.
///
/// # Errors
///
/// Every problem.
pub fn parse_owners(file: &Path, bytes: &[u8]) -> Result<Vec<Owner>, Problems> {
    let (mut scribe, node) = yaml::read_bytes(file, bytes, false);
    let lines = node.and_then(|n| Vec::<At<raw::OwnerLine>>::read(&n, &mut scribe));
    match lines.and_then(|l| validate::owners(&l, &mut scribe)) {
        Some(owners) if scribe.is_clean() => Ok(owners),
        _ => Err(never_empty(file, scribe)),
    }
}

/// A refusal without a reason would be our own fault; it stays a refusal.
pub(crate) fn never_empty(file: &Path, scribe: Scribe) -> Problems {
    let problems = scribe.finish();
    if problems.is_empty() {
        return Problems::of_file(
            file,
            "the file was refused without a reason, which is a fault of ours",
            "please report it with the file",
        );
    }
    problems
}

/// Judges files and folders for `heartbreak check`: every problem of all of them.
///
/// Of a folder, what holds for the policy folder: names are unique over it.
pub fn check(paths: &[PathBuf]) -> Problems {
    let mut problems = Problems::default();
    for path in paths {
        if path.is_dir() {
            problems.append(Folder::new(path).read().problems);
        } else if is_owners(path) {
            problems.append(read_owners(path).err().unwrap_or_default());
        } else {
            problems.append(bytes_of(path).map_or_else(
                |unread| unread,
                |bytes| {
                    parse_policy(path, &bytes)
                        .err()
                        .map(|(_, p)| p)
                        .unwrap_or_default()
                },
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests;
