//! Renders a frame into memory from a program of one's own, follows what happens, and can be stopped.
//!
//! `cargo run --example embed -- SCENE.blend [NODE]...`
//!
//! A node is what `tilectl --node` takes: `local`, `me@server,threads=8`. After ten minutes it gives up.

use std::time::Duration;

use tilecore::events::Event;
use tilecore::farm::{Farm, Image, Job};

fn main() -> std::process::ExitCode {
    match render() {
        Ok(image) => {
            #[expect(clippy::print_stdout, reason = "the result of the program")]
            {
                println!("{image:?}, mean colour {:.3?}", mean(&image));
            }
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("{error}\n{}", error.hint().unwrap_or_default()));
            std::process::ExitCode::FAILURE
        }
    }
}

fn render() -> tilecore::Result<Image> {
    let mut words = std::env::args().skip(1);
    let scene = words.next().unwrap_or_default();
    let mut farm = Farm::new();
    for node in words {
        farm = farm.with(&node)?;
    }
    if farm.nodes().is_empty() {
        farm = Farm::local();
    }

    let mut running = farm.start(Job::new(scene, 1))?;

    // Any thread can stop it: once lets running tiles finish, twice ends it at once.
    let cancel = running.cancel();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(600));
        cancel.stop();
        cancel.stop();
    });

    for event in running.events() {
        match event {
            Event::Connected { node, blender, .. } => say(&format!("{node} has Blender {blender}")),
            Event::Planned { tiles: 0, .. } => say("the first tiles will tell how many there will be"),
            Event::Planned { tiles, .. } => say(&format!("{tiles} tiles")),
            Event::Progress { done, .. } => say(&format!("{:3.0} %", done * 100.0)),
            Event::Warning { text } => say(&text),
            _ => {}
        }
    }
    running.wait()
}

/// The mean of every channel, 0 to 1.
fn mean(image: &Image) -> Vec<f64> {
    let white = f64::from((1_u32 << image.bits) - 1);
    let mut sums = vec![0.0; image.channels];
    for pixel in image.samples.chunks_exact(image.channels) {
        for (sum, sample) in sums.iter_mut().zip(pixel) {
            *sum += f64::from(*sample) / white;
        }
    }
    let pixels = f64::from(image.width) * f64::from(image.height);
    sums.into_iter().map(|sum| sum / pixels).collect()
}

#[expect(clippy::print_stderr, reason = "an example talks to whoever runs it")]
fn say(text: &str) {
    eprintln!("{text}");
}
