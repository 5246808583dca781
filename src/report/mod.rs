//! Adapter: writes a run's record where people find it: JSON, Markdown, HTML, the chart as SVG and PNG,
//! JUnit XML and a Chaos Toolkit journal.
//!
//! Everything shown comes from the [`Report`] it was given, hence from `report.json`: whoever has that
//! file can make the others again and compare. Nothing is decided here, nothing is counted that
//! the record does not hold, and no page reaches for the network.
//!
//! `page` says what a report contains, once; `markdown` and `html` only say how that looks. `chart`
//! draws the one picture.

mod chaos_toolkit;
mod chart;
mod each_task;
mod html;
mod json;
mod junit;
mod markdown;
mod page;
mod picture;
#[cfg(test)]
pub(crate) mod sample;
mod slots;
mod svg;
mod trend;
mod words;

pub use json::{read, schema};

use crate::model::ids::RunId;
use crate::model::past::AppPast;
use crate::model::report::{Form, Report};
use crate::ports::reporter::Reporter;
use async_trait::async_trait;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// One report in one form. The same report gives the same bytes, always and everywhere.
pub fn render(report: &Report, form: Form) -> Vec<u8> {
    match form {
        Form::Json => json::render(report).into_bytes(),
        Form::Markdown => markdown::render(&page::of(report)).into_bytes(),
        Form::Html => html::render(&page::of(report), &chart::svg(report)).into_bytes(),
        Form::Svg => chart::svg(report).into_bytes(),
        Form::Png => picture::png(&chart::svg(report)),
        Form::Junit => junit::render(report).into_bytes(),
        Form::ChaosToolkit => chaos_toolkit::render(report).into_bytes(),
    }
}

/// What an app's experiments taught so far, as a chart: SVG, or PNG for every form that is no text.
pub fn render_trend(past: &AppPast, form: Form) -> Vec<u8> {
    let svg = trend::svg(past);
    match form.is_text() {
        true => svg.into_bytes(),
        false => picture::png(&svg),
    }
}

/// Writes reports as files: `dir/RUN/` with one file for each [`Form`].
#[derive(Clone, Debug)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// Reports under `dir`, which is `reports` in the state folder. It is made when first needed.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    fn path(&self, run: &RunId, form: Form) -> PathBuf {
        self.dir.join(run.as_str()).join(form.file_name())
    }

    fn write_all(&self, report: &Report) -> Result<Vec<String>, String> {
        let run = &report.run;
        if !is_plain(run.as_str()) {
            return Err(format!(
                "report {:?} was not written: a run's id is letters, digits and `-`, and a folder is named after it",
                run.as_str()
            ));
        }
        let mut places = vec![];
        for form in Form::ALL {
            let path = self.path(run, form);
            replace(&path, &render(report, form)).map_err(|error| {
                format!(
                    "report {run} was not written: {}: {error}. Nothing is lost: `heartbreak report {run}` \
                     writes it again from the journal",
                    path.display()
                )
            })?;
            places.push(path.display().to_string());
        }
        Ok(places)
    }
}

#[async_trait]
impl Reporter for Files {
    async fn write(&self, report: &Report) -> Result<Vec<String>, String> {
        let (files, report) = (self.clone(), report.clone());
        match tokio::task::spawn_blocking(move || files.write_all(&report)).await {
            Ok(written) => written,
            Err(error) => Err(format!(
                "the report was not written: its writer ended early ({error})"
            )),
        }
    }

    fn places(&self, run: &RunId) -> Vec<String> {
        Form::ALL
            .into_iter()
            .map(|form| self.path(run, form).display().to_string())
            .collect()
    }

    fn is_written(&self, run: &RunId) -> bool {
        Form::ALL.into_iter().all(|form| self.path(run, form).is_file())
    }
}

/// Whether a text can name a folder without leading anywhere else.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Puts `bytes` at `path` so that a reader sees the old file or the new one, never a part, also after
/// a power cut.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    /// Two writers of one run must not share a temporary file.
    static TURN: AtomicU64 = AtomicU64::new(0);
    let folder = path.parent().expect("a report's file is in a run's folder");
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!(".{name}.{}.{turn}.tmp", std::process::id()));
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        // The first error is the one to tell; a left-over is replaced or ignored.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// One report in a form that is text.
#[cfg(test)]
pub(crate) fn text(report: &Report, form: Form) -> String {
    String::from_utf8(render(report, form)).expect("this form is text")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the samples go: `HEARTBREAK_SAMPLES` keeps them for looking at in a browser.
    fn folder() -> (PathBuf, Option<tempfile::TempDir>) {
        match std::env::var_os("HEARTBREAK_SAMPLES") {
            Some(kept) => (kept.into(), None),
            None => {
                let dir = tempfile::tempdir().unwrap();
                (dir.path().to_owned(), Some(dir))
            }
        }
    }

    #[tokio::test]
    async fn every_page_can_be_made_again_from_the_json_on_disk() {
        let (dir, _guard) = folder();
        let files = Files::new(&dir);
        for report in sample::all() {
            let places = files.write(&report).await.unwrap();
            assert_eq!(places, files.places(&report.run));
            let on_disk = |form| fs::read(files.path(&report.run, form)).unwrap();
            let again = read(&String::from_utf8(on_disk(Form::Json)).unwrap()).unwrap();
            assert_eq!(again, report);
            for form in Form::ALL {
                assert!(
                    render(&again, form) == on_disk(form),
                    "{form:?} of {}",
                    report.run
                );
            }
        }
    }

    /// What a judge of `tests/judges` says of every sample. Judges and what they need are installed by `tests/run`, which
    /// names the Python that has them in `JUDGES_PYTHON`; CI does not forgive their absence.
    async fn judged(by: &str) -> Option<String> {
        let Some(python) = std::env::var_os("JUDGES_PYTHON") else {
            assert!(
                std::env::var_os("CI").is_none(),
                "CI lets others judge the reports: JUDGES_PYTHON is not set"
            );
            eprintln!("the reports are not judged: `tests/run` does that");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path());
        let mut judge = std::process::Command::new(python);
        judge.arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/judges")
                .join(by),
        );
        for report in sample::all() {
            files.write(&report).await.unwrap();
            judge.arg(dir.path().join(report.run.as_str()));
        }
        let judged = judge.output().unwrap();
        let said = String::from_utf8_lossy(&judged.stdout).into_owned();
        assert!(
            judged.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&judged.stderr)
        );
        assert_eq!(said.lines().count(), sample::all().len(), "{said}");
        Some(said)
    }

    #[tokio::test]
    async fn tools_that_nobody_here_wrote_read_every_export() {
        let Some(said) = judged("reports.py").await else {
            return;
        };
        assert!(said.contains(
            "r-0D15PR0V: 4 tests, 2 failures, 1 errors, 0 skipped; journal aborted, deviated True"
        ));
    }

    #[tokio::test]
    async fn a_browser_shows_every_page_within_its_screen_and_prints_it_on_two_sheets() {
        let Some(said) = judged("browser.py").await else {
            return;
        };
        assert!(
            said.contains("r-7Q2MK4XN: fits 360, 768, 1280 px; 2 when printed"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn a_second_writing_replaces_the_first_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path());
        let mut report = sample::held();
        files.write(&report).await.unwrap();
        report.operator = "9.9.9".into();
        files.write(&report).await.unwrap();
        let mut names: Vec<_> = fs::read_dir(dir.path().join(report.run.as_str()))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let mut expected: Vec<_> = Form::ALL.map(Form::file_name).to_vec();
        expected.sort_unstable();
        assert_eq!(names, expected);
        for form in [Form::Json, Form::Markdown, Form::Html] {
            assert!(
                fs::read_to_string(files.path(&report.run, form))
                    .unwrap()
                    .contains("9.9.9"),
                "{form:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_report_of_which_one_form_is_missing_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let (files, report) = (Files::new(dir.path()), sample::held());
        assert!(!files.is_written(&report.run));
        files.write(&report).await.unwrap();
        assert!(files.is_written(&report.run));
        for form in Form::ALL {
            fs::remove_file(files.path(&report.run, form)).unwrap();
            assert!(!files.is_written(&report.run), "{form:?}");
            files.write(&report).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_disk_that_refuses_says_what_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("reports");
        fs::write(&blocked, "a file where a folder should be").unwrap();
        let error = Files::new(&blocked).write(&sample::held()).await.unwrap_err();
        assert!(
            error.starts_with("report r-7Q2MK4XN was not written: "),
            "{error}"
        );
        assert!(
            error.ends_with("`heartbreak report r-7Q2MK4XN` writes it again from the journal"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_run_id_cannot_lead_out_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        for bad in ["../../etc", "", ".", "a/b"] {
            let mut report = sample::held();
            report.run = bad.into();
            assert!(Files::new(dir.path()).write(&report).await.is_err(), "{bad:?}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn forms_are_found_by_their_word() {
        for form in Form::ALL {
            assert_eq!(Form::of_word(form.word()), Some(form));
        }
        assert_eq!(Form::of_word("docx"), None);
    }
}
