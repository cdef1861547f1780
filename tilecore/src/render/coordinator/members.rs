//! Nodes become slots with a thread each, at the start of a run and while it goes on.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::unbounded;

use super::Coordinator;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::node::{Node, Place};
use crate::render::messages::Order;
use crate::render::port::Port;
use crate::render::roster::Change;
use crate::render::slot_thread;
use crate::render::slots::SlotState;
use crate::schedule::{Input, SlotId};

impl Coordinator<'_, '_> {
    /// One thread per slot of all nodes.
    pub(super) fn add_all(&mut self, nodes: &[Arc<dyn Node>]) -> Result<()> {
        for node in nodes.iter().filter(|n| n.spec().enabled) {
            if self.slots.nodes().iter().any(|other| other.name() == node.name()) {
                return Err(Error::input(format!("two nodes are called `{}`", node.name()))
                    .remedy("Give one of them another name with name=…."));
            }
            if !self.is_of_another_kind(node) {
                self.add_slots(node)?;
            }
        }
        if self.slots.is_empty() {
            return Err(Error::input("no node takes part")
                .remedy("Name one with --node, for example --node local, or enable one in the config."));
        }
        Ok(())
    }

    /// Whether a node is left out for what it computes on, and if so says it.
    fn is_of_another_kind(&mut self, node: &Arc<dyn Node>) -> bool {
        let (mine, first) = (node.spec().device, self.slots.first().map_or(node.spec().device, |s| s.device));
        // What a wish comes to is known once a scene is open.
        let other = self.request.same_device && mine != first && mine.is_kind() && first.is_kind();
        if other {
            let text = format!(
                "{} takes no part: it computes on {}, the first node on {}, and --same-device keeps to one kind.",
                node.name(),
                mine.as_str(),
                first.as_str()
            );
            self.emit(Event::Warning { text });
        }
        other
    }

    /// One thread per slot of a node; nothing is connected yet.
    fn add_slots(&mut self, node: &Arc<dyn Node>) -> Result<()> {
        let spec = node.spec();
        let number_of_node = self.slots.add_node(Arc::clone(node));
        for number in 0..spec.slots {
            let index = self.slots.len();
            let (orders, inbox) = unbounded();
            let name =
                if spec.slots > 1 { format!("{}#{}", spec.name, number + 1) } else { spec.name.clone() };
            let port = Port {
                index,
                node: Arc::clone(node),
                run: self.run.clone(),
                job: Arc::clone(&self.job),
                orders: inbox,
                reports: self.reporting.clone(),
                abort: Arc::clone(&self.abort),
            };
            let thread = std::thread::Builder::new()
                .name(format!("slot {name}"))
                .spawn(move || slot_thread::run(&port))
                .map_err(|e| Error::render(format!("cannot start a thread: {e}")))?;
            self.threads.push(thread);
            let late = self.work.is_some();
            self.slots.add(SlotState::new(name, number_of_node, spec.device, spec.threads, orders, late));
        }
        Ok(())
    }

    /// Connects a slot.
    pub(super) fn boot(&mut self, slot: SlotId) {
        let node = self.slots[slot].name.clone();
        self.emit(Event::Connecting { slot, node });
        self.slots[slot].order(Order::Boot(Duration::ZERO));
    }

    /// Carries out what was asked of the members meanwhile.
    pub(super) fn change_members(&mut self) -> Result<()> {
        let mut changes = Vec::new();
        if self.scheduler.is_some() {
            changes.append(&mut self.deferred);
        }
        changes.extend(std::iter::from_fn(|| self.options.roster.next()));
        for change in changes {
            match change {
                // A node elsewhere may be added only when it is known which files it would get.
                other
                    if self.scheduler.is_none() && !matches!(&other, Change::Add(_) if !self.setup.here) =>
                {
                    self.deferred.push(other);
                }
                Change::Add(node) => self.add(&node)?,
                Change::Remove(name) => self.each_of(Some(&name), "removed", Input::Leave)?,
                Change::Pause(name) => self.each_of(name.as_deref(), "paused", Input::Hold)?,
                Change::Resume(name) => {
                    self.each_of(name.as_deref(), "resumed", Input::Release)?;
                    self.hand_out_finishes()?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, node: &Arc<dyn Node>) -> Result<()> {
        if self.is_of_another_kind(node) {
            return Ok(());
        }
        // Files went to this machine alone so far; what may leave it is another question.
        if let (false, Some(text)) = (node.spec().place == Place::Local, self.setup.kept_here()?) {
            self.emit(Event::Warning { text: format!("{} does not join: {text}", node.name()) });
            return Ok(());
        }
        // One that left may be back.
        if self.slots.is_present(node.name()) {
            let text = format!("A node called {} takes part already: it is not added again.", node.name());
            self.emit(Event::Warning { text });
            return Ok(());
        }
        let first = self.slots.len();
        self.add_slots(node)?;
        for slot in first..self.slots.len() {
            let model = self.slots[slot].model();
            self.feed(Input::Joined(model))?;
            self.boot(slot);
        }
        Ok(())
    }

    /// Notes that the user has a slot wait, or go on.
    fn hold(&mut self, slot: SlotId, held: bool) {
        if std::mem::replace(&mut self.slots[slot].held, held) != held {
            let node = self.slots[slot].name.clone();
            self.emit(if held { Event::Paused { slot, node } } else { Event::Resumed { slot, node } });
        }
    }

    /// Tells the scheduler about every slot of a node, or of all.
    fn each_of(&mut self, name: Option<&str>, what: &str, input: fn(SlotId) -> Input) -> Result<()> {
        let meant = self.slots.called(name);
        if let (true, Some(name)) = (meant.is_empty(), name) {
            let text = format!("No node called {name} takes part: nothing is {what}.");
            self.emit(Event::Warning { text });
        }
        for slot in meant {
            let input = input(slot);
            match input {
                Input::Hold(_) => self.hold(slot, true),
                Input::Release(_) => self.hold(slot, false),
                _ => {}
            }
            self.feed(input)?;
        }
        Ok(())
    }
}
