//! A node of one's own kind: any way to a shell will do. This one wraps another node and counts what passes.
//!
//! `cargo run --example custom_node -- SCENE.blend OUT.png [NODE]`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tilecore::farm::{Farm, Job};
use tilecore::node::{Link, Node, NodeSpec, Received};
use tilecore::render::Cancel;

/// Bytes to and from a node, over all of its links.
#[derive(Debug, Default)]
struct Meter {
    links: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

/// A node whose traffic is counted.
struct Metered {
    inner: Arc<dyn Node>,
    meter: Arc<Meter>,
}

impl Node for Metered {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn spec(&self) -> &NodeSpec {
        self.inner.spec()
    }

    /// Called once for every slot, and again whenever a link was lost; each slot has a thread of its own.
    fn link(&self) -> tilecore::Result<Box<dyn Link>> {
        self.meter.links.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(MeteredLink { inner: self.inner.link()?, meter: Arc::clone(&self.meter) }))
    }
}

/// One shell's standard input and output.
struct MeteredLink {
    inner: Box<dyn Link>,
    meter: Arc<Meter>,
}

impl Link for MeteredLink {
    fn send(&mut self, bytes: &[u8]) -> tilecore::Result<()> {
        self.inner.send(bytes)?;
        self.meter.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn recv(&mut self, buffer: &mut [u8], wait: Duration) -> tilecore::Result<Received> {
        let received = self.inner.recv(buffer, wait)?;
        if let Received::Bytes(n) = received {
            self.meter.received.fetch_add(n as u64, Ordering::Relaxed);
        }
        Ok(received)
    }

    fn diagnosis(&mut self) -> String {
        self.inner.diagnosis()
    }
}

#[expect(clippy::print_stdout, reason = "the result of the program")]
fn main() -> tilecore::Result<()> {
    let mut words = std::env::args().skip(1);
    let (scene, out) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let meter = Arc::new(Meter::default());
    let mut farm = Farm::new();
    for inner in Farm::new().with(&words.next().unwrap_or_else(|| "local".to_owned()))?.nodes() {
        farm = farm.with_node(Arc::new(Metered { inner: Arc::clone(inner), meter: Arc::clone(&meter) }));
    }
    let outcome = farm.render_to(out, &Job::new(scene, 1), &Cancel::new(), |_| {})?;
    println!("{} from {} tiles; {meter:?}", outcome.output.display(), outcome.tiles);
    Ok(())
}
