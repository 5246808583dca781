//! Every exit code, with its meaning: what a script may branch on.
//!
//! Codes 0 to 4 are verdicts and come only from commands that wait for a run; the others follow
//! `sysexits.h`. Wrong usage is 64 and never clap's 2, which is a verdict here.

use crate::model::verdict::{HypothesisResult, Outcome, Verdict};
use std::process::ExitCode;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done; for a command that waits for a run: the hypothesis held.
    Done = 0,
    /// The hypothesis was disproved.
    Disproved = 1,
    /// The run was aborted without disproving it.
    Aborted = 2,
    /// No kill was made.
    Skipped = 3,
    /// Neither held nor disproved, or only rehearsed.
    Inconclusive = 4,
    /// Wrong usage.
    Usage = 64,
    /// A policy or the settings are wrong.
    BadInput = 65,
    /// Something needed cannot be reached.
    Unreachable = 69,
    /// Our own fault.
    Ours = 70,
    /// State cannot be written.
    State = 73,
    /// Try again later: it may have happened or not.
    Later = 75,
    /// Refused: not allowed, halted, not armed, a gate says no.
    Refused = 77,
}

impl Exit {
    /// All of them, in order.
    pub const ALL: [Self; 12] = [
        Self::Done,
        Self::Disproved,
        Self::Aborted,
        Self::Skipped,
        Self::Inconclusive,
        Self::Usage,
        Self::BadInput,
        Self::Unreachable,
        Self::Ours,
        Self::State,
        Self::Later,
        Self::Refused,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for `--help`.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done; after waiting for a run: held",
            Self::Disproved => "disproved",
            Self::Aborted => "aborted",
            Self::Skipped => "skipped: no kill was made",
            Self::Inconclusive => "inconclusive, or only rehearsed",
            Self::Usage => "wrong usage",
            Self::BadInput => "bad policy or settings",
            Self::Unreachable => "something needed cannot be reached",
            Self::Ours => "our own fault",
            Self::State => "state cannot be written",
            Self::Later => "try again later; it may have happened or not",
            Self::Refused => "refused: not allowed, halted, not armed, a gate says no",
        }
    }
}

impl From<&Verdict> for Exit {
    /// A disproved hypothesis weighs more than how the run ended; a rehearsal never reads as held.
    fn from(verdict: &Verdict) -> Self {
        match (verdict.outcome, verdict.hypothesis) {
            (_, HypothesisResult::Disproved) => Self::Disproved,
            (Outcome::Skipped, _) => Self::Skipped,
            (Outcome::Aborted, _) => Self::Aborted,
            (Outcome::Completed, HypothesisResult::Held) => Self::Done,
            (Outcome::Completed, HypothesisResult::Inconclusive | HypothesisResult::NotTested) => {
                Self::Inconclusive
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The table that closes `--help`.
pub fn table() -> String {
    let lines: Vec<String> = Exit::ALL
        .iter()
        .map(|exit| format!("  {:>2}  {}", exit.code(), exit.meaning()))
        .collect();
    format!("Exit codes:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(outcome: Outcome, hypothesis: HypothesisResult, expected: u8) {
        let verdict = Verdict {
            outcome,
            hypothesis,
            reason: String::new(),
            sentence: String::new(),
            lines: vec![],
            limits: vec![],
            design: String::new(),
            differences: vec![],
            about_design: String::new(),
            pairs: None,
        };
        assert_eq!(Exit::from(&verdict).code(), expected, "{outcome} {hypothesis}");
    }

    #[test]
    fn verdicts_have_the_documented_codes() {
        check(Outcome::Completed, HypothesisResult::Held, 0);
        check(Outcome::Completed, HypothesisResult::Disproved, 1);
        check(Outcome::Aborted, HypothesisResult::Disproved, 1);
        check(Outcome::Aborted, HypothesisResult::NotTested, 2);
        check(Outcome::Aborted, HypothesisResult::Held, 2);
        check(Outcome::Skipped, HypothesisResult::NotTested, 3);
        check(Outcome::Completed, HypothesisResult::Inconclusive, 4);
    }

    #[test]
    fn a_rehearsal_never_reads_as_held() {
        check(Outcome::Completed, HypothesisResult::NotTested, 4);
    }

    #[test]
    fn every_code_is_listed_once_and_in_order() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|e| e.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 64, 65, 69, 70, 73, 75, 77]);
        for exit in Exit::ALL {
            assert!(table().contains(&format!("{:>2}  {}", exit.code(), exit.meaning())));
        }
    }
}
