//! Memory that an answer may take.
//!
//! The driver makes room for as much as the header of a message announces, up to 4 GiB, and lets that be filled. No message
//! of PostgreSQL is longer than 1 GiB, which is the greatest value; so what takes more than that twice is no answer.

use super::super::StoreError;
use std::future::{Future, pending};
use std::time::Duration;
use tokio::task::coop::unconstrained;

/// How much the program may grow while it waits for one answer.
const MOST_GROWTH: u64 = 2 << 30;
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Ends when the program has grown too much, with the reason; never where that cannot be told.
pub(super) fn outgrown() -> impl Future<Output = sqlx::Error> + Send {
    outgrown_by(resident)
}

/// The same by another account of the memory.
///
/// Outside of tokio's budget: an answer that comes faster than it is read uses that up at every turn, and a timer without
/// budget does not fire, just when it is needed.
fn outgrown_by<F: Fn() -> Option<u64>>(resident: F) -> impl Future<Output = sqlx::Error> + use<F> {
    unconstrained(async move {
        // Most statements have ended by then.
        tokio::time::sleep(LOOK).await;
        let Some(before) = resident() else { return pending().await };
        loop {
            tokio::time::sleep(LOOK).await;
            if resident().is_some_and(|now| now > before + MOST_GROWTH) {
                return sqlx::Error::Protocol(format!(
                    "the server's answer takes more than {} GiB of memory",
                    MOST_GROWTH >> 30
                ));
            }
        }
    })
}

/// The end of some work, unless the server answers with more than any answer may take.
///
/// # Errors
/// Those of the work.
pub(crate) async fn bounded<T, E: From<StoreError>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::select! {
        biased;
        done = work => done,
        error = outgrown() => Err(StoreError::Connection(error).into()),
    }
}

/// The same of an answer that the driver reads.
///
/// # Errors
/// Those of the driver.
pub(super) async fn read_bounded<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::select! {
        biased;
        read = answer => read,
        error = outgrown() => Err(error),
    }
}

/// Bytes of memory that the program takes now, where the system says so.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_never_lets_go_is_noticed_all_the_same() {
        // Each turn of a flood ends with its budget used up.
        let flood = async {
            loop {
                tokio::task::coop::consume_budget().await;
            }
        };
        let looks = std::cell::Cell::new(0);
        let growing = || {
            looks.set(looks.get() + 1);
            Some(looks.get() * MOST_GROWTH)
        };
        let noticed = async {
            tokio::select! {
                biased;
                () = flood => unreachable!(),
                error = outgrown_by(growing) => error,
            }
        };
        let error = tokio::time::timeout(Duration::from_secs(30), noticed).await.unwrap();
        assert!(error.to_string().contains("more than 2 GiB"), "{error}");
        assert_eq!(looks.get(), 3);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_memory_of_a_test_is_some_megabytes() {
        let bytes = resident().unwrap();
        assert!((1 << 20..4 << 30).contains(&bytes), "{bytes}");
    }
}
