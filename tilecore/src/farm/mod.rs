//! Rendering from a program of your own: a [`Farm`] of nodes, a [`Job`] for them, an [`Image`] or a file as the result.
//!
//! ```no_run
//! use tilecore::farm::{Farm, Job};
//!
//! # fn main() -> tilecore::Result<()> {
//! let farm = Farm::new().with("local")?.with("me@server,threads=16")?;
//! let job = Job::new("still.blend", 1).samples(64).resolution(1920, 1080);
//! let mut running = farm.start(job)?;
//! for event in running.events() {
//!     eprintln!("{event:?}");
//! }
//! let image = running.wait()?;
//! println!("{} x {} pixels, {} channels", image.width, image.height, image.channels);
//! # Ok(())
//! # }
//! ```
//!
//! [`Farm::render`] and [`Farm::render_to`] do the same on the caller's thread and tell what happens through a callback;
//! a [`Cancel`] stops them from anywhere. The whole of what a render can be told is in [`crate::render`].

mod image;
mod job;
mod running;

pub use self::image::Image;
pub use self::job::Job;
pub use self::running::Running;

use std::path::Path;
use std::sync::Arc;

use crate::config::Config;
use crate::error::{Error, IoContext, Result};
use crate::events::Event;
use crate::formats::Format;
use crate::geometry::Frame;
use crate::node::{self, Local, Node, NodeSpec, Place, SshOptions};
use crate::render::{self, Cancel, Options, Outcome};

/// The machines that render. Cheap to clone; nothing is connected before something is rendered.
#[derive(Clone, Default)]
pub struct Farm {
    nodes: Vec<Arc<dyn Node>>,
    ssh: Option<SshOptions>,
}

impl std::fmt::Debug for Farm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.nodes.iter().map(|node| node.name())).finish()
    }
}

impl Farm {
    /// Without any machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// This machine alone.
    pub fn local() -> Self {
        Self::new().with_node(Arc::new(Local::new(NodeSpec::new("local", Place::Local))))
    }

    /// The machines of a configuration that are enabled, or this machine when it has none.
    ///
    /// # Errors
    /// When all of them are disabled, or one makes no sense.
    pub fn from_config(config: &Config) -> Result<Self> {
        const ALL: [&str; 0] = [];
        config.specs(&ALL)?.iter().try_fold(Self::new(), Self::with_spec)
    }

    /// Another way to log in than the user's own for the SSH machines that are added after this.
    #[must_use]
    pub fn with_ssh(mut self, ssh: SshOptions) -> Self {
        self.ssh = Some(ssh);
        self
    }

    /// Adds a machine as the command line names it: `local` or `[user@]host[:port]`, then options after commas.
    ///
    /// # Errors
    /// When `node` does not name one.
    pub fn with(self, node: &str) -> Result<Self> {
        self.with_spec(&node.parse()?)
    }

    /// Adds a machine by its description.
    ///
    /// # Errors
    /// When its place makes no sense.
    pub fn with_spec(mut self, spec: &NodeSpec) -> Result<Self> {
        let ssh = match (&self.ssh, &spec.place) {
            (Some(ssh), _) => ssh.clone(),
            (None, Place::Ssh(_)) => self.ssh.insert(SshOptions::from_env()?).clone(),
            // Not looked at for any other place.
            (None, _) => SshOptions::new("", ""),
        };
        self.nodes.push(node::from_spec(spec, &ssh)?);
        Ok(self)
    }

    /// Adds a machine of a kind of your own.
    #[must_use]
    pub fn with_node(mut self, node: Arc<dyn Node>) -> Self {
        self.nodes.push(node);
        self
    }

    /// The machines, in the order in which they were added.
    pub fn nodes(&self) -> &[Arc<dyn Node>] {
        &self.nodes
    }

    /// Renders into memory, as a PNG would hold it: with the scene's view transform, 8 or 16 bits a channel. `follow`
    /// takes events as they happen, on this thread, and must not block.
    ///
    /// # Errors
    /// As [`render::run`]. Finished tiles are kept only where the job has a work directory of its own.
    pub fn render(&self, job: &Job, cancel: &Cancel, mut follow: impl FnMut(Event)) -> Result<Image> {
        let temporary = tempfile::tempdir().at("make a directory in", &std::env::temp_dir())?;
        let picture = temporary.path().join("picture.png");
        let mut size = None;
        self.go(job, &picture, Some(Format::Png), cancel, &mut |event| {
            if let Event::Scene { size: frame, .. } = &event {
                size = Some(*frame);
            }
            follow(event);
        })?;
        let size: Frame = size.ok_or_else(|| Error::render("no scene was rendered"))?;
        Image::read(&picture, size)
    }

    /// Renders into a file. Its format is what the name says, or the scene's own where the name says nothing.
    ///
    /// # Errors
    /// As [`render::run`]. Without a work directory of the job's own, finished tiles are kept beside the file.
    pub fn render_to(
        &self,
        path: impl AsRef<Path>,
        job: &Job,
        cancel: &Cancel,
        mut follow: impl FnMut(Event),
    ) -> Result<Outcome> {
        self.go(job, path.as_ref(), None, cancel, &mut follow)
    }

    /// Renders into memory on a thread of its own.
    ///
    /// # Errors
    /// When no thread can be started; everything else is said by [`Running::wait`].
    pub fn start(&self, job: Job) -> Result<Running> {
        Running::start(self.clone(), job)
    }

    fn go(
        &self,
        job: &Job,
        output: &Path,
        format: Option<Format>,
        cancel: &Cancel,
        follow: &mut dyn FnMut(Event),
    ) -> Result<Outcome> {
        let mut options = Options { compression: job.compression, format, ..Options::new(output) };
        if let Some(dir) = &job.work_dir {
            options.work_dir.clone_from(dir);
            options.keep = true;
        }
        render::run(&job.request, &self.nodes, &options, cancel, follow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_come_from_words_descriptions_and_configurations() {
        let farm = Farm::new()
            .with("local,name=here")
            .unwrap()
            .with_spec(&NodeSpec::new("slurm", Place::Command(vec!["srun".into()])))
            .unwrap()
            .with_node(Arc::new(Local::new(NodeSpec::new("mine", Place::Local))));
        assert_eq!(format!("{farm:?}"), r#"["here", "slurm", "mine"]"#);
        assert!(Farm::new().with("two words").unwrap_err().hint().is_some());
        let config = Config::parse(r#"(nodes: [(name: "a", host: "local")])"#, Path::new("c")).unwrap();
        assert_eq!(Farm::from_config(&config).unwrap().nodes()[0].name(), "a");
        assert_eq!(Farm::from_config(&Config::default()).unwrap().nodes().len(), 1);
    }

    #[test]
    fn a_render_that_waits_for_a_node_can_be_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let scene = dir.path().join("a.blend");
        std::fs::write(&scene, b"BLENDER-v304").unwrap();
        // It is asked for a shell and does not answer.
        let mute = ["/bin/sh", "-c", "exec sleep 3600"].map(String::from).to_vec();
        let farm = Farm::new().with_spec(&NodeSpec::new("mute", Place::Command(mute))).unwrap();
        let mut running = farm.start(Job::new(&scene, 1)).unwrap();
        let first = running.events().next();
        assert!(matches!(&first, Some(Event::Connecting { node, .. }) if node == "mute"), "{first:?}");
        running.cancel().stop();
        assert_eq!(running.wait().unwrap_err().kind(), crate::error::Kind::Interrupted);
        // Letting go of it stops it, too.
        let running = farm.start(Job::new(&scene, 1)).unwrap();
        let cancel = running.cancel();
        drop(running);
        assert!(cancel.aborts());
    }

    #[test]
    fn what_cannot_be_rendered_is_an_error_from_every_way_in() {
        let (farm, job) = (Farm::local(), Job::new("/no/such.blend", 1));
        let errors = [
            farm.render(&job, &Cancel::new(), |_| {}).unwrap_err(),
            farm.render_to("/tmp/never.png", &job, &Cancel::new(), |_| {}).unwrap_err(),
            farm.start(job).unwrap().wait().unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().contains("/no/such.blend"), "{error}");
        }
    }
}
