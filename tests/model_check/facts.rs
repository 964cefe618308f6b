//! What has to hold in every state, and what has to be seen in some.

use std::collections::BTreeSet;

use stateright::Property;

use crate::log::{PARTITIONS, Place, told_of};
use crate::owner::{Lane, Live, Phase};
use crate::stream::Stored;
use crate::world::{State, World};

pub(crate) const I7: &str = "I7: checkpoint <= committed progress <= log end";
pub(crate) const I8: &str = "I8: after the fence of epoch e nothing of an epoch below is stored";
pub(crate) const EXACTLY_ONCE: &str = "what is stored is what the fold tells, in order, none twice";
pub(crate) const PROGRESS: &str = "a progress says what is stored";
pub(crate) const CONFIRMED: &str = "what an owner takes for told is stored";
pub(crate) const AT_REST: &str = "where nothing is left to do or to come, everything is told";
pub(crate) const RIVALS: &str = "a partition is lost only to somebody else";

pub(crate) fn all(world: &World) -> Vec<Property<World>> {
    // Who believes a leader that was deposed that his batch has not landed sends the rest behind what is no more there. He is
    // refused as if somebody else had it: that costs a fence and no event.
    let rivals = match world.bounds.deposed {
        true => Property::sometimes("a deposed leader makes an owner a stranger to itself", |_, state: &State| {
            state.is_mistaken
        }),
        false => Property::always(RIVALS, |_, state: &State| !state.is_mistaken),
    };
    vec![
        rivals,
        Property::always(I7, |_, state: &State| each(|partition| checkpoints_are_behind(state, partition))),
        Property::always(I8, |_, state: &State| each(|partition| epochs_grow(state, partition))),
        Property::always(EXACTLY_ONCE, |_, state: &State| each(|partition| is_prefix(state, partition))),
        Property::always(PROGRESS, |_, state: &State| each(|partition| progress_is_true(state, partition))),
        Property::always(CONFIRMED, |_, state: &State| each(|partition| owners_are_right(state, partition))),
        Property::always(AT_REST, |world, state: &State| !state.is_at_rest(&world.bounds) || is_all_told(state)),
        Property::sometimes("everything is told, and nothing is left to do", |world, state: &State| {
            is_all_told(state) && state.is_at_rest(&world.bounds)
        }),
        Property::sometimes("two owners have told something of a partition", |_, state: &State| {
            (0..PARTITIONS).any(|partition| tellers(state, partition).len() > 1)
        }),
        Property::sometimes("a zombie is refused", |_, state: &State| lives(state).any(is_refused)),
        Property::sometimes("who lost one partition goes on with the other", |_, state: &State| {
            lives(state).any(|live| live.went_on)
        }),
    ]
}

fn each(holds: impl Fn(u16) -> bool) -> bool {
    (0..PARTITIONS).all(holds)
}

fn stored(state: &State, partition: u16) -> &[Stored] {
    &state.stream.stored[usize::from(partition)]
}

fn events(state: &State, partition: u16) -> impl Iterator<Item = Place> {
    stored(state, partition).iter().filter_map(|stored| stored.event)
}

fn checkpoints_are_behind(state: &State, partition: u16) -> bool {
    let progress = state.stream.place(partition);
    let mut checkpoints = state.checkpoints[usize::from(partition)].iter();
    checkpoints.all(|entry| Place::behind(*entry, partition) <= progress) && progress <= Place::end(partition)
}

fn epochs_grow(state: &State, partition: u16) -> bool {
    stored(state, partition).is_sorted_by_key(|stored| stored.epoch)
}

fn is_prefix(state: &State, partition: u16) -> bool {
    let mut told = told_of(partition);
    events(state, partition).all(|event| told.next() == Some(event))
}

fn progress_is_true(state: &State, partition: u16) -> bool {
    state.stream.place(partition) == events(state, partition).last().unwrap_or(Place::NOTHING)
}

fn owners_are_right(state: &State, partition: u16) -> bool {
    let mut held = lives(state).filter_map(|live| live.held[usize::from(partition)].as_ref());
    held.all(|held| held.reached == Place::NOTHING || events(state, partition).any(|event| event == held.reached))
}

fn is_all_told(state: &State) -> bool {
    each(|partition| events(state, partition).eq(told_of(partition)))
}

fn tellers(state: &State, partition: u16) -> BTreeSet<u8> {
    let told = stored(state, partition).iter().filter(|stored| stored.event.is_some());
    told.map(|stored| stored.life).collect()
}

fn lives(state: &State) -> impl Iterator<Item = &Live> {
    state.owners.iter().filter_map(|owner| match &owner.phase {
        Phase::Live(live) => Some(live),
        Phase::Looking { .. } | Phase::Fencing { .. } => None,
    })
}

fn is_refused(live: &Live) -> bool {
    matches!(&live.lane, Lane::Committing(work) if work.was_refused)
}
