//! How many wait, in all and of each tenant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wire::AskError;

/// The questions that wait in this engine. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Waits {
    by_tenant: Arc<Mutex<BTreeMap<Box<str>, usize>>>,
    per_tenant: usize,
}

/// A question that waits, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    of: Waits,
    tenant: Box<str>,
}

impl Waits {
    /// At most so many of a tenant.
    pub(crate) fn new(per_tenant: usize) -> Self {
        Self { by_tenant: Arc::default(), per_tenant }
    }

    /// One more of a tenant's.
    ///
    /// # Errors
    /// [`AskError::TooMany`].
    pub(crate) fn begin(&self, tenant: &str) -> Result<Turn, AskError> {
        let mut by_tenant = self.lock();
        let count = by_tenant.entry(tenant.into()).or_default();
        if *count >= self.per_tenant {
            return Err(AskError::TooMany { limit: "limits.waits_per_tenant", max: self.per_tenant as u64 });
        }
        *count += 1;
        drop(by_tenant);
        Ok(Turn { of: self.clone(), tenant: tenant.into() })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.lock().values().sum::<usize>() as u64
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, usize>> {
        // Every change leaves it whole.
        self.by_tenant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut by_tenant = self.of.lock();
        if let Some(count) = by_tenant.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                by_tenant.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_waits_so_often_at_once_and_hinders_no_other() {
        let waits = Waits::new(2);
        let first = waits.begin("a").unwrap();
        let _second = waits.begin("a").unwrap();
        let error = waits.begin("a").unwrap_err();
        assert_eq!(
            error.to_string(),
            "limit reached: limits.waits_per_tenant is 2; ask again when others have been answered"
        );
        assert!(waits.begin("b").is_ok());
        drop(first);
        assert!(waits.begin("a").is_ok());
        assert_eq!(waits.lock().len(), 1);
    }
}
