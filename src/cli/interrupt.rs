//! Ctrl-C and SIGTERM.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::CliError;

/// What a process was told from outside: the first time to end, the second time not to wait for anything.
pub(super) struct Interrupts(watch::Receiver<u32>);

impl Interrupts {
    /// Listens from now on: neither signal ends the process by itself any more.
    pub(super) fn listen() -> Result<Self, CliError> {
        let failed = |error| CliError::No(format!("signals of the system can't be listened to: {error}"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let (count, counted) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    () = count.closed() => return,
                }
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self(counted))
    }

    /// Waits for the first one.
    pub(super) fn first(&self) -> impl Future<Output = ()> + use<> {
        self.at_least(1)
    }

    /// Waits for the second one.
    pub(super) fn second(&self) -> impl Future<Output = ()> + use<> {
        self.at_least(2)
    }

    fn at_least(&self, wanted: u32) -> impl Future<Output = ()> + use<> {
        let mut count = self.0.clone();
        async move {
            if count.wait_for(|count| *count >= wanted).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
