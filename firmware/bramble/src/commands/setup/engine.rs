//! Runs steps so that an interrupted run goes on where it stopped.
//!
//! Before a step changes anything, the state file says that it will. So whatever was begun is known to the next run, which
//! looks at each step again, and to teardown.

use super::host::Host;
use super::state::{Entry, State};
use super::step::{Keep, Step};

/// What happened to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It was as it shall be.
    WasDone,
    /// It is about to be done; that is on disk.
    Recorded,
    /// It was done.
    Done,
    /// It was undone.
    Undone,
}

/// Told after each event; an error ends the run there, as a power cut would.
pub(super) type Told<'a> = dyn FnMut(&Step, Event) -> anyhow::Result<()> + 'a;

/// Makes the host as `plan` says: what an earlier run did and this plan has not is undone first.
///
/// # Errors
/// The first step that fails; running it again goes on.
pub(super) fn set_up(host: &Host, plan: &[Step], told: &mut Told<'_>) -> anyhow::Result<()> {
    let mut state = State::load(host)?;
    let planned: Vec<String> = plan.iter().map(Step::name).collect();
    undo_where(host, &mut state, |entry| !planned.contains(&entry.step.name()), Keep::Data, told)?;
    let mut changed = false;
    for step in plan {
        if step.is_done(host, changed)? {
            if state.find(&step.name()).is_none() {
                state.entries.push(Entry { step: step.clone(), made: false, before: None, after: None });
                state.save(host)?;
            }
            told(step, Event::WasDone)?;
            continue;
        }
        record(host, &mut state, step)?;
        told(step, Event::Recorded)?;
        step.apply(host).map_err(|error| error.context(format!("{}: not done", step.text())))?;
        changed = true;
        told(step, Event::Done)?;
    }
    Ok(())
}

/// Writes down that `step` is about to be done. What an earlier run knew of the time before stays.
fn record(host: &Host, state: &mut State, step: &Step) -> anyhow::Result<()> {
    let (before, after) = step.change(host)?;
    match state.find(&step.name()) {
        Some(entry) => {
            if !entry.made {
                entry.before = before;
            }
            (entry.step, entry.made, entry.after) = (step.clone(), true, after);
        }
        None => state.entries.push(Entry { step: step.clone(), made: true, before, after }),
    }
    state.save(host)
}

/// Takes everything back that was done here, last things first, and forgets it.
///
/// # Errors
/// The first step that cannot be undone; running it again goes on.
pub(super) fn tear_down(host: &Host, keep: Keep, told: &mut Told<'_>) -> anyhow::Result<()> {
    let mut state = State::load(host)?;
    undo_where(host, &mut state, |_| true, keep, told)?;
    if keep == Keep::Nothing {
        // Data that an earlier teardown left, or a package.
        Step::Data.undo(host, (None, None), keep)?;
    }
    State::remove(host)
}

fn undo_where(
    host: &Host,
    state: &mut State,
    is_meant: impl Fn(&Entry) -> bool,
    keep: Keep,
    told: &mut Told<'_>,
) -> anyhow::Result<()> {
    let meant: Vec<Entry> = state.entries.iter().filter(|entry| is_meant(entry)).cloned().collect();
    for entry in meant.iter().rev() {
        if entry.made {
            let change = (entry.before.as_deref(), entry.after.as_deref());
            let undone = entry.step.undo(host, change, keep);
            undone.map_err(|error| error.context(format!("{}: not undone", entry.step.text())))?;
            told(&entry.step, Event::Undone)?;
        }
        state.forget(&entry.step.name());
        state.save(host)?;
    }
    Ok(())
}
