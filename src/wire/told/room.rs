//! Rooms as they are told: their density, who enters and leaves, and what partitions contribute.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Sessions;
use crate::model::id::{TokenError, escape};
use crate::model::{self, Millis, RoomPart, State, Tally};
use crate::wire::schema::{cause, kind, names};
use crate::wire::{CONTRACT_VERSION, Encoding, ReadError, plain};

/// How many are in a room. At most one in `rooms.every`; all zeros where the last one left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RoomEvent")]
pub struct Room<'a> {
    /// Contract version.
    pub v: u8,
    /// `room`.
    #[schemars(schema_with = "kind::<5>")]
    pub kind: Cow<'a, str>,
    /// `<partition>-e<epoch>-<n>`: de-duplicate by it.
    pub id: Cow<'a, str>,
    /// The log time at which it was found with somebody in it, raised above its predecessor's.
    pub incarnation: u64,
    /// Contiguous from 1 within the incarnation.
    pub ordinal: u32,
    /// `joined` where it was empty, `left` where it is, else `updated`.
    #[schemars(schema_with = "cause")]
    pub cause: Cow<'a, str>,
    /// The log time of the latest change that is counted.
    pub at_ms: Millis,
    /// The partition of the room.
    pub partition: u16,
    /// The log sequence of the latest change that is counted.
    pub seq: u64,
    /// The tenant.
    pub tenant: Cow<'a, str>,
    /// The room.
    pub room: Cow<'a, str>,
    /// Sessions in each state but offline.
    pub sessions: Sessions,
    /// Distinct users, each by the state of the best of its sessions in this room.
    pub users: Sessions,
    /// How many users are ready, by capability; none is left out.
    pub ready: BTreeMap<Cow<'a, str>, u64>,
    /// The expected number of users that are really there, in thousandths: the sum of their confidences as they were told last.
    pub expected_permille: u64,
    /// The variance of that number, in thousandths: the sum of p (1 - p).
    pub variance_permille: u64,
}

/// A user came into a room, left it, or is there otherwise. Told while the room has no more users than `rooms.member_events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "MemberEvent")]
pub struct Member<'a> {
    /// Contract version.
    pub v: u8,
    /// `member`.
    #[schemars(schema_with = "kind::<6>")]
    pub kind: Cow<'a, str>,
    /// `<partition>-e<epoch>-<n>`: de-duplicate by it.
    pub id: Cow<'a, str>,
    /// The log time at which the user was found in the room, raised above its predecessor's.
    pub incarnation: u64,
    /// Contiguous from 1 within the incarnation.
    pub ordinal: u32,
    /// `joined`, `left` or `updated`.
    #[schemars(schema_with = "cause")]
    pub cause: Cow<'a, str>,
    /// The log time of the change, or of one in the same partition that was counted with it.
    pub at_ms: Millis,
    /// The partition of the room.
    pub partition: u16,
    /// The log sequence of that change.
    pub seq: u64,
    /// The tenant.
    pub tenant: Cow<'a, str>,
    /// The room.
    pub room: Cow<'a, str>,
    /// The user.
    pub user: Cow<'a, str>,
    /// The state in this room before; `offline`: it was not there.
    #[schemars(schema_with = "names::<State>")]
    pub from: State,
    /// The state in this room now: that of the best of its sessions there; `offline`: it is not there.
    #[schemars(schema_with = "names::<State>")]
    pub to: State,
    /// Its sessions in this room in each state but offline.
    pub sessions: Sessions,
}

/// What one partition contributes to a room: written by its owner, read by engines. The latest replaces all before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RoomPartial")]
pub struct Partial<'a> {
    /// Contract version.
    pub v: u8,
    /// `partial`.
    #[schemars(schema_with = "kind::<7>")]
    pub kind: Cow<'a, str>,
    /// The log time of the latest change.
    pub at_ms: Millis,
    /// The partition.
    pub partition: u16,
    /// The log sequence of the latest change.
    pub seq: u64,
    /// The tenant.
    pub tenant: Cow<'a, str>,
    /// The room.
    pub room: Cow<'a, str>,
    /// Sessions in each state but offline.
    pub sessions: Sessions,
    /// Distinct users, by the state of the best of their sessions in this room.
    pub users: Sessions,
    /// How many users are ready, by capability.
    pub ready: BTreeMap<Cow<'a, str>, u64>,
    /// The sum of the users' confidences, in thousandths.
    pub expected_permille: u64,
    /// The sum of p (1 - p), in millionths.
    pub variance_millionths: u64,
    /// Who, by name; `null` where they are more than `rooms.member_events`.
    pub members: Option<Vec<InRoom<'a>>>,
}

/// A user in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InRoom<'a> {
    /// The user.
    pub user: Cow<'a, str>,
    /// The state of the best of its sessions in this room.
    #[schemars(schema_with = "names::<State>")]
    pub state: State,
    /// Its sessions in this room in each state but offline.
    pub sessions: Sessions,
}

impl<'a> Partial<'a> {
    /// What `partition` contributes.
    #[must_use]
    pub fn of(partition: u16, part: &'a RoomPart) -> Self {
        let tally = &part.tally;
        let in_room = |member: &'a model::Member| InRoom {
            user: plain(&member.user),
            state: member.state,
            sessions: member.sessions.map(u64::from).into(),
        };
        Self {
            v: CONTRACT_VERSION,
            kind: super::KINDS[7].into(),
            at_ms: part.at_ms,
            partition,
            seq: part.seq,
            tenant: plain(&part.tenant),
            room: plain(&part.room),
            sessions: tally.sessions.into(),
            users: tally.users.into(),
            ready: tally.ready.iter().map(|(name, count)| (Cow::Borrowed(&**name), *count)).collect(),
            expected_permille: tally.expected_permille,
            variance_millionths: tally.variance_millionths,
            members: part.members.as_ref().map(|members| members.iter().map(in_room).collect()),
        }
    }

    /// The payload: JSON, whatever encoding events have.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        Encoding::Json.write(self)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`ReadError`] if it is none.
    pub fn read(payload: &[u8]) -> Result<Partial<'static>, ReadError> {
        Encoding::read(payload)
    }

    /// The contribution that was told.
    ///
    /// # Errors
    /// A [`TokenError`] if a name is none.
    pub fn recall(&self) -> Result<RoomPart, TokenError> {
        let member = |of: &InRoom<'_>| {
            let sessions = <[u64; 4]>::from(of.sessions).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
            Ok(model::Member { user: escape(&of.user)?.into(), state: of.state, sessions })
        };
        let members = self.members.as_ref().map(|members| members.iter().map(member).collect::<Result<_, _>>());
        Ok(RoomPart {
            tenant: escape(&self.tenant)?.into(),
            room: escape(&self.room)?.into(),
            at_ms: self.at_ms,
            seq: self.seq,
            tally: Tally {
                sessions: self.sessions.into(),
                users: self.users.into(),
                ready: self.ready.iter().map(|(name, count)| (name.as_ref().into(), *count)).collect(),
                expected_permille: self.expected_permille,
                variance_millionths: self.variance_millionths,
            },
            members: members.transpose()?,
        })
    }
}

impl From<[u64; 4]> for Sessions {
    fn from([active, idle, away, stale]: [u64; 4]) -> Self {
        let count = |of: u64| u32::try_from(of).unwrap_or(u32::MAX);
        Self { active: count(active), idle: count(idle), away: count(away), stale: count(stale) }
    }
}

impl From<Sessions> for [u64; 4] {
    fn from(of: Sessions) -> Self {
        [of.active, of.idle, of.away, of.stale].map(u64::from)
    }
}
