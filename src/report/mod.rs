//! Adapter: writes a run's record where people find it, as JSON, Markdown, HTML and a chart.
//!
//! Everything shown comes from the [`Report`] it was given, hence from `report.json`: whoever has that
//! file can make the other three again and compare. Nothing is decided here, nothing is counted that
//! the record does not hold, and no page reaches for the network.
//!
//! `page` says what a report contains, once; `markdown` and `html` only say how that looks. `chart`
//! draws the one picture.

mod chart;
mod html;
mod json;
mod markdown;
mod page;
#[cfg(test)]
pub(crate) mod sample;
mod words;

pub use json::read;

use crate::model::ids::RunId;
use crate::model::report::Report;
use crate::ports::reporter::Reporter;
use async_trait::async_trait;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A form that a report is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The record itself; the other forms are made from it.
    Json,
    /// For terminals, pull requests and chat.
    Markdown,
    /// One page for browsers and printers, with the chart inside and nothing fetched.
    Html,
    /// The chart alone.
    Svg,
}

impl Format {
    /// Every form, the record first.
    pub const ALL: [Self; 4] = [Self::Json, Self::Markdown, Self::Html, Self::Svg];

    /// The name of its file in the run's folder.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Json => "report.json",
            Self::Markdown => "report.md",
            Self::Html => "report.html",
            Self::Svg => "chart.svg",
        }
    }

    /// The ending by which routes and the command line name it (`/report.md`, `-o md`).
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Markdown => "md",
            Self::Html => "html",
            Self::Svg => "svg",
        }
    }

    /// The form with this ending.
    pub fn from_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.extension() == extension)
    }

    /// What to say in `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Svg => "image/svg+xml",
        }
    }
}

/// One report in one form. The same report gives the same text, always and everywhere.
pub fn render(report: &Report, format: Format) -> String {
    match format {
        Format::Json => json::render(report),
        Format::Markdown => markdown::render(&page::of(report)),
        Format::Html => html::render(&page::of(report), &chart::svg(report)),
        Format::Svg => chart::svg(report),
    }
}

/// Writes reports as files: `dir/RUN/` with one file for each [`Format`].
#[derive(Clone, Debug)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// Reports under `dir`, which is `reports` in the state folder. It is made when first needed.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    fn path(&self, run: &RunId, format: Format) -> PathBuf {
        self.dir.join(run.as_str()).join(format.file_name())
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
        for format in Format::ALL {
            let path = self.path(run, format);
            replace(&path, render(report, format).as_bytes()).map_err(|error| {
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
        Format::ALL
            .into_iter()
            .map(|format| self.path(run, format).display().to_string())
            .collect()
    }

    fn is_written(&self, run: &RunId) -> bool {
        Format::ALL
            .into_iter()
            .all(|format| self.path(run, format).is_file())
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
            let on_disk = |format| fs::read_to_string(files.path(&report.run, format)).unwrap();
            let again = read(&on_disk(Format::Json)).unwrap();
            assert_eq!(again, report);
            for format in Format::ALL {
                assert_eq!(
                    render(&again, format),
                    on_disk(format),
                    "{format:?} of {}",
                    report.run
                );
            }
        }
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
        assert_eq!(names, ["chart.svg", "report.html", "report.json", "report.md"]);
        for format in [Format::Json, Format::Markdown, Format::Html] {
            assert!(
                fs::read_to_string(files.path(&report.run, format))
                    .unwrap()
                    .contains("9.9.9"),
                "{format:?}"
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
        for format in Format::ALL {
            fs::remove_file(files.path(&report.run, format)).unwrap();
            assert!(!files.is_written(&report.run), "{format:?}");
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
    fn forms_are_found_by_their_ending() {
        for format in Format::ALL {
            assert_eq!(Format::from_extension(format.extension()), Some(format));
        }
        assert_eq!(Format::from_extension("docx"), None);
    }
}
