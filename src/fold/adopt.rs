//! Another policy comes into force.

use std::sync::Arc;

use super::look::{When, Why};
use super::partition::Partition;
use crate::model::{EngineWhat, Event, Policy};

impl Partition {
    /// Another policy comes into force: what was due is settled by the old one, then everybody is looked at anew.
    pub(crate) fn adopt(&mut self, policy: &Arc<Policy>, out: &mut Vec<Event>) {
        if *self.policy == **policy {
            return;
        }
        self.settle(self.time.w, out);
        self.gateways.rule(self.time.w, policy);
        self.wake_for_gateways();
        let old = Arc::clone(&self.policy);
        self.set_policy(Arc::clone(policy));
        if old.capabilities != policy.capabilities {
            self.count_rooms_anew();
        }
        self.tell_engine(EngineWhat::Policy, self.time.hi, self.time.hi, out);
        for user in self.people.users_in_order() {
            for at in self.people.sessions_in_order(user) {
                let hot = &mut self.people.hot[at];
                let named = Some(&old.profiles[hot.profile()].0).filter(|_| hot.named());
                let index = named.and_then(|name| self.policy.profile_index(name));
                hot.set_named(index.is_some());
                hot.set_profile(index.unwrap_or_else(|| self.policy.default_index()));
            }
            self.look(user, When { at: self.time.hi, instant: self.time.w }, Why::Policy, out);
            // Who would be forgotten by now is forgotten now: the wheel has passed its step.
            if self.forget(user, self.time.w) {
                self.arm_user(user);
            }
        }
    }
}
