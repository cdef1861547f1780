//! What the live page shows: made from the state file when somebody asks, at a bounded cost, and kept at the end.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use sha2::{Digest, Sha256};
use tilecore::analysis;
use tilecore::report::{self, Busy, Now, Outcome, ReportData, Section};
use tilecore::state::{self, History, WorkDirLayout};
use tilecore::text::duration;

use crate::now::Account;
use crate::show::counted;

/// What was made is good for so long.
const GOOD: Duration = Duration::from_millis(800);
/// Making it may take this part of one core at most: one in so many.
const SHARE: u32 = 20;

/// What is being rendered, and how it goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    pub(super) now: Now,
    pub(super) warnings: Vec<String>,
    /// The picture, once it is there.
    pub(super) output: Option<PathBuf>,
    /// How it ended.
    pub(super) outcome: Option<Outcome>,
}

/// The content, renewed from the work directory.
#[derive(Debug)]
pub(super) struct Content {
    scene_file: String,
    frame: i32,
    state: PathBuf,
    made: Option<Made>,
}

#[derive(Debug)]
struct Made {
    parts: Vec<(String, Section)>,
    ended: bool,
    until: Instant,
}

/// The answer to a question for what has changed.
#[derive(Serialize)]
struct Parts<'a> {
    version: String,
    ended: bool,
    sections: Vec<&'a Section>,
}

/// What goes on, as the page shows it.
pub(super) fn current(account: &Account) -> Now {
    let mut words = account.phase.clone();
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let for_s = if account.phase_s >= 1.0 {
        format!(", {}", duration(account.phase_s.floor()))
    } else {
        String::new()
    };
    Now {
        done: account.done,
        left: account.to_go(),
        words: format!("{words}{for_s}. {} finished.", counted(account.tiles, "tile")),
        nodes: account
            .nodes
            .iter()
            .map(|doing| Busy {
                name: doing.name.clone(),
                words: doing.says(),
                for_s: doing.tile_s,
                rendering_s: doing.rendering_s,
                region: doing.region,
            })
            .collect(),
    }
}

impl Content {
    pub(super) fn new(scene_file: String, frame: i32, work_dir: &std::path::Path) -> Self {
        Self { scene_file, frame, state: WorkDirLayout::new(work_dir).state(), made: None }
    }

    /// What a page shows before it has asked for anything.
    pub(super) fn blank(&self) -> ReportData {
        ReportData {
            scene_file: self.scene_file.clone(),
            frame_number: self.frame,
            began_at: state::now(),
            ..ReportData::default()
        }
    }

    /// Makes it anew unless it is still good. After the end it stays as it is.
    pub(super) fn renew(&mut self, course: &Course) {
        let began = Instant::now();
        if self.made.as_ref().is_some_and(|m| m.ended || (began < m.until && course.outcome.is_none())) {
            return;
        }
        let sections = report::sections(&self.data(course));
        let version = |section: &Section| {
            let digest = Sha256::digest(section.html.as_bytes());
            let head = digest.first_chunk().copied().unwrap_or_default();
            format!("{:016x}", u64::from_be_bytes(head))
        };
        let parts = sections.into_iter().map(|section| (version(&section), section)).collect();
        let until = Instant::now() + GOOD.max(began.elapsed() * SHARE);
        self.made = Some(Made { parts, ended: course.outcome.is_some(), until });
    }

    /// As JSON what is not as in the version that the asking page has; `None` when everything is. The end is always told.
    pub(super) fn parts(&self, have: &str) -> Option<String> {
        let made = self.made.as_ref()?;
        let versions: Vec<&str> = made.parts.iter().map(|(version, _)| version.as_str()).collect();
        let mut known = have.split('-');
        let sections: Vec<&Section> = made
            .parts
            .iter()
            .filter(|(version, _)| known.next() != Some(version))
            .map(|(_, section)| section)
            .collect();
        if sections.is_empty() && !made.ended {
            return None;
        }
        let parts = Parts { version: versions.join("-"), ended: made.ended, sections };
        serde_json::to_string(&parts).ok()
    }

    fn data(&self, course: &Course) -> ReportData {
        let mut data = match History::read(&self.state) {
            Ok(history) => {
                let png = course
                    .output
                    .as_ref()
                    .filter(|o| o.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")));
                let mut data = analysis::report(&history, png.cloned(), course.warnings.clone());
                data.preview = self.state.parent().map(|dir| WorkDirLayout::new(dir).preview());
                if course.outcome.is_none() {
                    data.elapsed_s = (state::now() - data.began_at).max(data.elapsed_s);
                }
                data
            }
            // Nobody has written it yet, or nothing was finished and it is gone again.
            Err(_) => ReportData { warnings: course.warnings.clone(), ..self.blank() },
        };
        data.now = course.outcome.is_none().then(|| course.now.clone());
        // The state file may be that of an earlier run until this one has begun.
        data.outcome = course.outcome.clone().unwrap_or(Outcome::Running);
        data.with_work_in_hand()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_changed_is_sent_and_the_end_always() {
        let dir = tempfile::tempdir().unwrap();
        let mut content = Content::new("a.blend".into(), 1, dir.path());
        assert!(content.parts("").is_none());
        let mut course = Course::default();
        content.renew(&course);
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let all = parse(&content.parts("").unwrap());
        assert_eq!(all["sections"].as_array().unwrap().len(), 8);
        let version = all["version"].as_str().unwrap().to_owned();
        assert!(content.parts(&version).is_none());
        let (first, others) = version.split_once('-').unwrap();
        let one = parse(&content.parts(&format!("0{first}-{others}")).unwrap());
        assert_eq!(one["sections"].as_array().unwrap().len(), 1);
        assert_eq!(one["sections"][0]["id"], "top");

        course.outcome = Some(Outcome::Failed("no <node>".into()));
        content.renew(&course);
        let text = content.parts(&version).unwrap();
        assert!(parse(&text)["ended"] == true && text.contains("no &lt;node&gt;"), "{text}");
        course.outcome = None;
        content.renew(&course);
        let end = parse(&content.parts(&version).unwrap());
        assert_eq!(end["ended"], true, "the end stays");
        assert!(content.parts(end["version"].as_str().unwrap()).is_some());
    }
}
