//! Slots that are lost before there is a plan: tried again, given up, or the end of the job.

use std::time::Duration;

use super::Coordinator;
use crate::error::{Error, Kind, Result};
use crate::events::Event;
use crate::render::messages::Order;
use crate::render::seat::Stage;
use crate::schedule::Input;

/// Seconds between tries to reach a slot that nobody counts on.
const AWAY_S: f64 = 30.0;

impl Coordinator<'_, '_> {
    /// An order was refused, the link lives.
    pub(super) fn refused(&mut self, slot: usize, error: Error) -> Result<()> {
        if error.kind() == Kind::Input && self.work.is_none() {
            return Err(error);
        }
        // A node that cannot be measured may render all the same: its tiles will tell how fast it is.
        if self.seats[slot].stage == Stage::Measuring && !self.seats[slot].patches.is_empty() {
            self.seats[slot].patches.clear();
            if self.meeting.mapper == Some(slot) {
                self.meeting.mapper = None;
            }
            let text = format!("{} could not be measured: {error}", self.seats[slot].name);
            self.emit(Event::Warning { text });
            return self.measured(slot);
        }
        self.lost_for_good(slot, &error)
    }

    /// A Blender that crashes while it opens or builds the scene does so again, or, worse, makes something else of what
    /// the crash left: the node that has not rendered anything of it is not tried again.
    pub(super) fn beyond_help(&self, slot: usize, error: Error) -> Error {
        let seat = &self.seats[slot];
        let began = seat.rendering
            || matches!(seat.stage, Stage::Opening | Stage::Looking | Stage::SettingUp | Stage::Measuring);
        if !error.is_crash() || !began || seat.proven {
            return error;
        }
        let words = error.process_log().and_then(last_words).unwrap_or_default();
        let error = error.within("opening or building the scene failed").fatal();
        match words.as_str() {
            "" => error,
            words => error.remedy(format!(
                "Open and render it with Blender alone on that node; Blender's last words were: {words}."
            )),
        }
    }

    pub(super) fn lost_for_good(&mut self, slot: usize, error: &Error) -> Result<()> {
        self.seats[slot].trouble = Some(error.clone());
        if self.meeting.ready.is_some() && self.seats[slot].stage != Stage::Off {
            // The scheduler, where there is one, decides; before it there is nothing to hand back.
            self.feed(Input::Lost(slot, error.clone().fatal()))?;
        }
        // The last one's trouble is the error of the whole job, said once.
        let others = (0..self.seats.len()).any(|s| s != slot && self.seats[s].stage != Stage::Off);
        if self.seats[slot].stage != Stage::Off && others {
            self.retire(slot, error.to_string());
        }
        self.seats[slot].stage = Stage::Off;
        self.scout_again(slot);
        self.anyone_left()
    }

    pub(super) fn lost_before_planning(&mut self, slot: usize, error: &Error) -> Result<()> {
        let seat = &mut self.seats[slot];
        seat.losses += 1;
        if !error.is_retryable() {
            return self.lost_for_good(slot, error);
        }
        if !self.seats.iter().any(|s| s.stage != Stage::Off && !s.is_away()) {
            return self.give_up_on_all(slot);
        }
        let seat = &self.seats[slot];
        let pause = if seat.is_away() { AWAY_S } else { f64::from(1 << seat.losses.min(6)) / 2.0 };
        seat.order(Order::Boot(Duration::from_secs_f64(pause)));
        let node = seat.name.clone();
        let (reason, remedy) = (error.to_string(), error.hint().map(str::to_owned));
        self.emit(Event::Lost { slot, node, reason, remedy, again_in: pause });
        self.scout_again(slot);
        Ok(())
    }

    /// Nobody was reached and nobody is on the way.
    fn give_up_on_all(&mut self, last: usize) -> Result<()> {
        for slot in (0..self.seats.len()).filter(|s| *s != last) {
            if let (true, Some(error)) = (self.seats[slot].is_away(), self.seats[slot].trouble.clone()) {
                self.lost_for_good(slot, &error)?;
            }
        }
        match self.seats[last].trouble.clone() {
            Some(error) => self.lost_for_good(last, &error),
            None => self.anyone_left(),
        }
    }

    /// Fails when no slot is left, with each one's reason.
    fn anyone_left(&self) -> Result<()> {
        if self.seats.iter().any(|s| s.stage != Stage::Off) {
            return Ok(());
        }
        let troubles: Vec<&Error> = self.seats.iter().filter_map(|s| s.trouble.as_ref()).collect();
        match troubles.as_slice() {
            [only] => Err((*only).clone()),
            // The scene, not the nodes, has to be changed, or other nodes named.
            [first, ..] if troubles.iter().all(|t| t.kind() == Kind::Input) => Err((*first).clone()),
            several => {
                let reasons: Vec<String> = self
                    .seats
                    .iter()
                    .filter_map(|s| s.trouble.as_ref().map(|t| format!("{}: {t}", s.name)))
                    .collect();
                let log = several.iter().find_map(|e| e.process_log()).unwrap_or_default().to_owned();
                Err(Error::render(format!("no node can render; {}", reasons.join("; ")))
                    .remedy(
                        "Run `tilectl nodes check` to see what each node needs; what is finished is kept.",
                    )
                    .log(log))
            }
        }
    }
}

/// The last line of a log that says anything but where Blender wrote its own report.
fn last_words(log: &str) -> Option<String> {
    let tells = |line: &&str| !line.is_empty() && !line.contains(".crash.txt");
    let line = log.lines().rev().map(str::trim).find(tells)?;
    Some(line.trim_end_matches('.').chars().take(300).collect())
}
