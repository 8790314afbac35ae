//! Failpoints: named places of the broker at which a test delays, fails or aborts the process.
//!
//! They exist in debug builds only; a release build compiles every call to nothing. The environment variable
//! `FANWIRE_FAILPOINTS` holds the plan and is read once:
//!
//! ```text
//! store.commit=sleep(200ms);store.read=block@/tmp/gate;clock=shift(-1h)
//! ```
//!
//! | action | effect |
//! | --- | --- |
//! | `sleep(TIME)` | waits for `TIME`: a number with `ms`, `s`, `m` or `h` |
//! | `block` | waits as long as the file of the condition exists |
//! | `error` | fails with an I/O error |
//! | `abort(N)` | aborts the process when the place is reached for the `N`th time |
//! | `shift(TIME)` | moves the wall clock by `TIME`, which may be negative; for `clock` only |
//!
//! `ACTION@FILE` applies only while `FILE` exists, so that a test switches it on and off without a restart. This module
//! does not know what the places do.

use std::io;

/// A place that a test can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(debug_assertions), allow(dead_code))]
pub(crate) enum Failpoint {
    /// `store.create`: between two steps of creating the database.
    StoreCreate,
    /// `store.restore`: between two steps of a restore.
    StoreRestore,
    /// `store.commit`: right before a transaction is committed, on the thread of the writer.
    StoreCommit,
    /// `store.read`: before a read of the database, on a blocking thread.
    StoreRead,
    /// `callout.answer`: before the answer of an authorization callout is used.
    CalloutAnswer,
    /// `clock`: whenever the wall clock is read.
    Clock,
}

/// Carries out the action of `point` on this thread.
///
/// # Errors
/// If the plan says `error`.
#[inline]
pub(crate) fn reach(point: Failpoint) -> io::Result<()> {
    #[cfg(debug_assertions)]
    return plan::reach(point);
    #[cfg(not(debug_assertions))]
    {
        let _ = point;
        Ok(())
    }
}

/// Carries out the action of `point` without blocking the thread.
///
/// # Errors
/// If the plan says `error`.
#[inline]
#[cfg_attr(not(debug_assertions), expect(clippy::unused_async, reason = "debug builds wait here"))]
pub(crate) async fn reach_async(point: Failpoint) -> io::Result<()> {
    #[cfg(debug_assertions)]
    return plan::reach_async(point).await;
    #[cfg(not(debug_assertions))]
    {
        let _ = point;
        Ok(())
    }
}

/// Returns the milliseconds by which the plan moves the wall clock.
#[inline]
pub(crate) fn clock_shift_ms() -> i64 {
    #[cfg(debug_assertions)]
    return plan::clock_shift_ms();
    #[cfg(not(debug_assertions))]
    0
}

#[cfg(debug_assertions)]
mod plan {
    use std::io;
    use std::path::PathBuf;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::Failpoint;

    /// The interval at which a blocked place checks whether its file still exists.
    const LOOK_EVERY: Duration = Duration::from_millis(2);

    #[derive(Debug, PartialEq, Eq)]
    enum Action {
        Sleep(Duration),
        Block,
        Error,
        Abort(u64),
        Shift(i64),
    }

    #[derive(Debug)]
    struct Step {
        point: Failpoint,
        action: Action,
        condition: Option<PathBuf>,
        reached: AtomicU64,
    }

    static PLAN: LazyLock<Vec<Step>> = LazyLock::new(|| {
        let text = std::env::var("FANWIRE_FAILPOINTS").unwrap_or_default();
        parse(&text).unwrap_or_else(|error| {
            // A test whose failpoint is misspelt would pass for the wrong reason.
            eprintln!("FANWIRE_FAILPOINTS: {error}");
            std::process::exit(2)
        })
    });

    fn parse(text: &str) -> Result<Vec<Step>, String> {
        text.split(';').filter(|step| !step.trim().is_empty()).map(step).collect()
    }

    fn step(text: &str) -> Result<Step, String> {
        let (name, rest) = text.trim().split_once('=').ok_or_else(|| format!("'{text}' has no '='"))?;
        let point = match name {
            "store.create" => Failpoint::StoreCreate,
            "store.restore" => Failpoint::StoreRestore,
            "store.commit" => Failpoint::StoreCommit,
            "store.read" => Failpoint::StoreRead,
            "callout.answer" => Failpoint::CalloutAnswer,
            "clock" => Failpoint::Clock,
            _ => return Err(format!("there is no failpoint '{name}'")),
        };
        let (action, condition) = match rest.split_once('@') {
            Some((action, file)) => (action, Some(PathBuf::from(file))),
            None => (rest, None),
        };
        let (verb, argument) = action.trim_end_matches(')').split_once('(').unwrap_or((action, ""));
        let wrong = || format!("'{action}' is no action of '{name}'");
        let action = match verb {
            "sleep" => Action::Sleep(Duration::from_millis(
                milliseconds(argument).and_then(|time| u64::try_from(time).ok()).ok_or_else(wrong)?,
            )),
            "block" if condition.is_some() => Action::Block,
            "error" => Action::Error,
            "abort" => Action::Abort(argument.parse().map_err(|_| wrong())?),
            "shift" if point == Failpoint::Clock => Action::Shift(milliseconds(argument).ok_or_else(wrong)?),
            _ => return Err(wrong()),
        };
        Ok(Step { point, action, condition, reached: AtomicU64::new(0) })
    }

    fn milliseconds(text: &str) -> Option<i64> {
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        digits.parse::<i64>().ok()?.checked_mul(unit)
    }

    impl Step {
        fn applies(&self) -> bool {
            self.condition.as_ref().is_none_or(|file| file.exists())
        }

        /// Fails or aborts as the plan says; waiting is the caller's part.
        fn finish(&self) -> io::Result<()> {
            match self.action {
                Action::Error => Err(io::Error::other("a failpoint says so")),
                Action::Abort(at) if self.reached.fetch_add(1, Ordering::Relaxed) + 1 == at => {
                    std::process::abort()
                }
                _ => Ok(()),
            }
        }
    }

    fn steps(point: Failpoint) -> impl Iterator<Item = &'static Step> {
        PLAN.iter().filter(move |step| step.point == point)
    }

    pub(super) fn reach(point: Failpoint) -> io::Result<()> {
        for step in steps(point).filter(|step| step.applies()) {
            match step.action {
                Action::Sleep(time) => std::thread::sleep(time),
                Action::Block => {
                    while step.applies() {
                        std::thread::sleep(LOOK_EVERY);
                    }
                }
                _ => step.finish()?,
            }
        }
        Ok(())
    }

    pub(super) async fn reach_async(point: Failpoint) -> io::Result<()> {
        for step in steps(point).filter(|step| step.applies()) {
            match step.action {
                Action::Sleep(time) => tokio::time::sleep(time).await,
                Action::Block => {
                    while step.applies() {
                        tokio::time::sleep(LOOK_EVERY).await;
                    }
                }
                _ => step.finish()?,
            }
        }
        Ok(())
    }

    pub(super) fn clock_shift_ms() -> i64 {
        let shift = |step: &Step| match step.action {
            Action::Shift(time) => time,
            _ => 0,
        };
        steps(Failpoint::Clock).filter(|step| step.applies()).map(shift).sum()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn plans_are_read() {
            let plan = parse(
                "store.commit=sleep(200ms);store.read=block@/tmp/a;clock=shift(-1h);store.create=abort(3)",
            )
            .unwrap();
            let actions: Vec<_> = plan.iter().map(|step| &step.action).collect();
            let slept = Action::Sleep(Duration::from_millis(200));
            assert_eq!(actions, [&slept, &Action::Block, &Action::Shift(-3_600_000), &Action::Abort(3)]);
            assert_eq!(plan[1].condition, Some(PathBuf::from("/tmp/a")));
            assert!(parse("").unwrap().is_empty());
        }

        #[test]
        fn what_is_misspelt_is_an_error() {
            for text in [
                "store.comit=error",
                "store.commit",
                "store.commit=sleep(5)",
                "store.commit=sleep(-5ms)",
                "store.read=block",
                "store.read=shift(1s)",
                "store.read=abort(x)",
                "clock=jump",
            ] {
                assert!(parse(text).is_err(), "{text}");
            }
        }
    }
}
