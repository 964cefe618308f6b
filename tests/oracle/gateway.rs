//! Gateways, and what their silence excuses.

use presence_engine::model::{Millis, Policy};

/// So much of a gateway's silence a session is given between two of its life signs.
pub(super) const EXCUSE_MAX: Millis = 60_000;

/// Every gateway that ever was known, since sessions refer to it.
#[derive(Default)]
pub(super) struct Gateways(Vec<Gateway>);

struct Gateway {
    tenant: String,
    name: String,
    latest: Millis,
    /// From this instant on its silence counts, if nothing comes before.
    from: Millis,
    /// All its silence that counted before `from`, and what of it belongs to the one that lasts.
    silence: Millis,
    lasting: Millis,
    is_told: bool,
}

/// Whose silence excuses a session, and how long that had been when the session was last heard.
#[derive(Clone, Copy)]
pub(super) struct Excuse {
    gateway: usize,
    before: Millis,
}

impl Gateway {
    fn silence_at(&self, w: Millis) -> Millis {
        self.silence + w.saturating_sub(self.from)
    }

    /// One that has nothing more to give is forgotten.
    fn is_known(&self, w: Millis) -> bool {
        self.lasting_at(w) < EXCUSE_MAX
    }

    fn lasting_at(&self, w: Millis) -> Millis {
        self.lasting + w.saturating_sub(self.from)
    }
}

impl Gateways {
    fn find(&self, tenant: &str, name: &str, w: Millis) -> Option<usize> {
        self.0.iter().position(|other| other.tenant == tenant && other.name == name && other.is_known(w))
    }

    /// Whether it is known, and has been silent for longer than it may.
    pub(super) fn is_silent(&self, tenant: &str, name: &str, w: Millis) -> bool {
        self.find(tenant, name, w).is_some_and(|at| self.0[at].lasting_at(w) > 0)
    }

    /// A batch is its gateway's life sign. The excuse of those who are heard by it.
    pub(super) fn hear(&mut self, tenant: &str, name: &str, w: Millis, policy: &Policy) -> Option<Excuse> {
        let known = self.0.iter().filter(|other| other.is_known(w)).count();
        let at = self.find(tenant, name, w).or_else(|| {
            let (tenant, name) = (tenant.to_owned(), name.to_owned());
            let newcomer = Gateway { tenant, name, latest: w, from: w, silence: 0, lasting: 0, is_told: false };
            (known < policy.limits.gateways as usize).then(|| self.0.push(newcomer)).map(|()| self.0.len() - 1)
        })?;
        let gateway = &mut self.0[at];
        gateway.silence = gateway.silence_at(w);
        (gateway.latest, gateway.lasting, gateway.from) = (w, 0, w + policy.blind_after);
        gateway.is_told = false;
        Some(Excuse { gateway: at, before: gateway.silence })
    }

    /// Those that have been silent for longer than they may by `bound`, each once in a silence: since when, and when they were.
    pub(super) fn fallen_silent(&mut self, bound: Millis) -> Vec<(Millis, Millis)> {
        let mut fallen = Vec::new();
        for gateway in &mut self.0 {
            if !gateway.is_told && gateway.from <= bound {
                gateway.is_told = true;
                fallen.push((gateway.latest, gateway.from));
            }
        }
        fallen
    }

    /// What was silence by the old policy stays it.
    pub(super) fn rule(&mut self, w: Millis, policy: &Policy) {
        for gateway in &mut self.0 {
            (gateway.silence, gateway.lasting) = (gateway.silence_at(w), gateway.lasting_at(w));
            gateway.from = w.max(gateway.latest + policy.blind_after);
        }
    }

    /// `E`: how much of an instant's ages is excused.
    pub(super) fn excused(&self, excuse: Option<Excuse>, w: Millis) -> Millis {
        excuse.map_or(0, |excuse| (self.0[excuse.gateway].silence_at(w) - excuse.before).min(EXCUSE_MAX))
    }

    /// The first instant `t` with `t - E(t) >= deadline`, if the gateway isn't heard again.
    pub(super) fn reached(&self, excuse: Option<Excuse>, deadline: Millis) -> Millis {
        let Some(Excuse { gateway, before }) = excuse else { return deadline };
        let Gateway { from, silence, .. } = self.0[gateway];
        let excused = (silence - before).min(EXCUSE_MAX);
        if deadline + excused <= from { deadline + excused } else { deadline + EXCUSE_MAX }
    }
}
