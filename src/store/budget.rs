//! Work that may not take long: what is read in passing.

use super::StoreError;
use std::pin::pin;
use std::time::Duration;
use tokio::task::coop::unconstrained;
use tokio_util::sync::CancellationToken;

/// The answer of `work`, which is given a token by which it is cancelled once `budget` has passed; `None` where it was, and
/// the server has confirmed it.
///
/// # Errors
/// Those of `work`; [`StoreError::Cancelled`] when `cancel` has fired.
pub(crate) async fn within<T, F: Future<Output = Result<T, StoreError>>>(
    budget: Duration,
    cancel: &CancellationToken,
    work: impl FnOnce(CancellationToken) -> F,
) -> Result<Option<T>, StoreError> {
    let stop = cancel.child_token();
    let mut working = pin!(work(stop.clone()));
    let ended = tokio::select! {
        ended = &mut working => ended,
        // Outside of the budget of turns, which an answer that comes too fast uses up.
        () = unconstrained(tokio::time::sleep(budget)) => {
            stop.cancel();
            // Until the server has ended the statement, too.
            working.await
        }
    };
    match ended {
        Err(StoreError::Cancelled) if !cancel.is_cancelled() => Ok(None),
        ended => ended.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Work that ends when it is cancelled only.
    async fn endless(stop: CancellationToken) -> Result<u64, StoreError> {
        stop.cancelled().await;
        Err(StoreError::Cancelled)
    }

    #[tokio::test]
    async fn what_takes_too_long_has_no_answer_and_what_was_cancelled_is_said_to_be() {
        let budget = Duration::from_hours(1);
        let cancel = CancellationToken::new();
        let quick = within(budget, &cancel, |_| async { Ok(7) }).await;
        assert!(matches!(quick, Ok(Some(7))), "{quick:?}");
        let slow = within(Duration::from_millis(1), &cancel, endless).await;
        assert!(matches!(slow, Ok(None)), "{slow:?}");
        let failed = within::<u64, _>(budget, &cancel, |_| async { Err(StoreError::NoTable) }).await;
        assert!(matches!(failed, Err(StoreError::NoTable)), "{failed:?}");
        cancel.cancel();
        let cancelled = within(budget, &cancel, endless).await;
        assert!(matches!(cancelled, Err(StoreError::Cancelled)), "{cancelled:?}");
    }
}
