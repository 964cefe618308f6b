//! stub
#![allow(missing_docs, clippy::all)]
use super::Nats;
use crate::wire::Member;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::watch;
#[derive(Debug)]
pub struct Membership;
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("x")]
pub struct MembershipError;
#[derive(Debug)]
pub struct View;
#[derive(Debug, PartialEq, Eq)]
pub enum Lessee<'a> {
    Free,
    Own,
    Other(&'a str),
}
impl Membership {
    pub async fn join(_: &Nats, _: Member, _: Duration) -> Result<Self, MembershipError> {
        todo!()
    }
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        todo!()
    }
    pub async fn acquire(&self, _: u16) -> Result<bool, MembershipError> {
        todo!()
    }
    pub async fn release(&self, _: u16) -> Result<(), MembershipError> {
        todo!()
    }
    pub fn retire(&self) {
        todo!()
    }
    pub async fn leave(&self) -> Result<(), MembershipError> {
        todo!()
    }
}
impl View {
    pub fn is_settled(&self) -> bool {
        todo!()
    }
    pub fn lessee(&self, _: u16) -> Lessee<'_> {
        todo!()
    }
    pub fn share(&self, _: u16) -> BTreeSet<u16> {
        todo!()
    }
}
