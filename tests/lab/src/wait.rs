//! Waiting for a condition, with a deadline and a reason.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(50);

/// Asks until there is an answer. An error counts as "not yet" and is told when time is up.
pub async fn wait_for<T>(what: &str, within: Duration, mut probe: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + within;
    loop {
        let last = match tokio::time::timeout_at(end, probe()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(anyhow!("the last look did not end in time")),
        };
        if Instant::now() + POLL >= end {
            let error = anyhow!("not within {within:?}: {what}");
            return Err(match last {
                Some(last) => last.context(error.to_string()),
                None => error,
            });
        }
        sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_what_was_missing() -> Result<()> {
        let mut left = 3;
        let value = wait_for("countdown", Duration::from_secs(1), async || {
            left -= 1;
            if left == 0 { Ok(Some("done")) } else { Err(anyhow!("{left} left")) }
        });
        assert_eq!(value.await?, "done");
        let error = wait_for("a miracle", Duration::from_millis(120), async || Ok(None::<()>)).await.err();
        assert_eq!(error.map(|e| e.to_string()), Some("not within 120ms: a miracle".into()));
        Ok(())
    }
}
